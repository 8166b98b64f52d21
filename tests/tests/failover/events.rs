//! `baton events`: what an agent is, and what happens to it.

use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::process::{ChildStdout, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use baton::config::MacMode;
use baton::control::protocol::Event;
use baton_tests::lab::{Fault, Host, Lab, Process, Settings, output, pause, wait_until};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::support::{SOON, router, wait_for_next_in_line, with_pair, with_settings};

#[test]
fn a_takeover_is_told_with_its_epoch_and_a_restart_ends_the_story() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        let mut command = lab.baton(Host::B, "events")?;
        let mut listener = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::null()))?;
        let stdout = listener.child().stdout.take().context("its output")?;
        let mut lines = BufReader::new(stdout);
        let first = next(&mut lines)?;
        let Event::State { role, epoch: before, .. } = first else { bail!("begins with {first:?}") };
        assert_eq!((role.as_str(), before), ("Backup", router(lab, Host::B)?.epoch));

        wait_for_next_in_line(lab, Host::B)?;
        pair.inject(Fault::Planned)?;
        let (change, epoch) = loop {
            if let Event::Transition { change, epoch, .. } = next(&mut lines)? {
                break (change, epoch);
            }
        };
        assert_eq!((change.from.as_str(), change.to.as_str(), epoch), ("Backup", "Active", before + 1));
        assert!(matches!(change.reason.as_str(), "active-out-of-service" | "active-left"), "{change:?}");
        assert!(change.stored_ns.is_some_and(|stored| stored >= change.decided_ns), "{change:?}");

        output(&mut lab.baton(Host::B, "restart")?)?;
        let status = listener.wait(SOON)?;
        assert_eq!(status.code(), Some(1), "it says that the story is over");
        pair.restore()
    })
}

/// The owner is silent for three of its intervals; node b waits for three and more than half a one.
#[test]
fn a_backup_that_was_about_to_take_over_says_so() -> Result<()> {
    let settings = Settings { interval_ms: 1000, sbfd: "off", ..Settings::USUAL };
    with_settings(MacMode::Virtual, settings, |lab, _| {
        let mut listener = lab.baton(Host::B, "events")?;
        let mut listener = Process::spawn(listener.stdout(Stdio::piped()).stderr(Stdio::null()))?;
        let mut lines = BufReader::new(listener.child().stdout.take().context("its output")?);
        wait_for_advert(lab)?;
        lab.mute(Host::A)?;
        pause(Duration::from_millis(2500))?;
        lab.unmute(Host::A)?;
        loop {
            match next(&mut lines)? {
                Event::LongSilence { peer, gap_ms, .. } => {
                    assert_eq!(peer, IpAddr::from(Host::A.address()));
                    ensure!((2500..3600).contains(&gap_ms), "{gap_ms} ms");
                    return Ok(());
                }
                Event::Transition { change, .. } => bail!("{change:?}"),
                Event::State { .. }
                | Event::Peer { .. }
                | Event::Tracker(_)
                | Event::FalseAlarm { .. }
                | Event::Lost { .. } => {}
            }
        }
    })
}

/// Waits until node b has just heard its owner.
fn wait_for_advert(lab: &Lab) -> Result<()> {
    wait_until("an advert", SOON, || {
        Ok(router(lab, Host::B)?.peers.iter().any(|peer| peer.last_heard_ms < 100))
    })
}

fn next(lines: &mut BufReader<ChildStdout>) -> Result<Event> {
    let mut line = String::new();
    if lines.buffer().is_empty() {
        let mut ready = [PollFd::new(lines.get_ref().as_fd(), PollFlags::POLLIN)];
        ensure!(poll(&mut ready, PollTimeout::try_from(SOON)?)? > 0, "nothing is told for {SOON:?}");
    }
    lines.read_line(&mut line)?;
    serde_json::from_str(&line).with_context(|| format!("understand the event `{line}`"))
}
