//! `baton events`: what an agent is, and what happens to it.

use std::io::{BufRead as _, BufReader};
use std::process::{ChildStdout, Stdio};

use anyhow::{Context as _, Result, bail};
use baton::config::MacMode;
use baton::control::protocol::Event;
use baton_tests::lab::{Fault, Host, Process, output};

use super::support::{SOON, router, wait_for_next_in_line, with_pair};

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

fn next(lines: &mut BufReader<ChildStdout>) -> Result<Event> {
    let mut line = String::new();
    lines.read_line(&mut line)?;
    serde_json::from_str(&line).with_context(|| format!("understand the event `{line}`"))
}
