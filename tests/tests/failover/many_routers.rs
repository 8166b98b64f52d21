//! Many virtual routers of both families under one agent: they move together, and what tells of them keeps up.

use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::process::{ChildStdout, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use baton::control::protocol::Event;
use baton_common::vrid::{Family, Vrid};
use baton_tests::lab::{
    Crowd, Echo, Fault, Host, Lab, Link, Member, Process, System, Variant, leftovers, mac_text, output,
    wait_until,
};

use super::metrics::{page, serve_metrics};
use super::support::{EVERY_100_MS, SOON};

/// Of each family.
const HALF: u8 = 32;
const ALL: usize = 64;
/// Identifiers whose IPv4 address a client asks for.
const ASKED: [u8; 2] = [1, HALF];

#[test]
fn many_routers_move_together_on_a_handover_and_when_their_node_dies() -> Result<()> {
    with_many(|lab, crowd| {
        assert_served_by(lab, crowd, Host::A)?;
        crowd.inject(Fault::Planned, Host::A)?;
        assert_eq!(crowd.settle()?, Host::B);
        assert_served_by(lab, crowd, Host::B)?;
        crowd.restore()?;

        crowd.inject(Fault::DeathOfAll, Host::B)?;
        wait_until("the other node to own all", SOON, || Ok(crowd.owned(Host::A)? == ALL))?;
        assert_served_by(lab, crowd, Host::A)?;
        crowd.restore()?;
        assert_eq!(crowd.settle()?, Host::A, "nobody preempts");
        assert_served_by(lab, crowd, Host::A)
    })
}

#[test]
fn status_events_and_metrics_tell_of_each_of_many() -> Result<()> {
    with_many(|lab, crowd| {
        serve_metrics(lab, Host::B)?;
        crowd.settle()?;
        let mut command = lab.baton(Host::B, "events")?;
        let mut listener = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::null()))?;
        let mut lines = BufReader::new(listener.child().stdout.take().context("its output")?);
        let backups = (0..ALL).map(|_| next(&mut lines)).collect::<Result<Vec<_>>>()?;
        let is_backup = |event: &Event| matches!(event, Event::State { role, .. } if role == "Backup");
        ensure!(backups.iter().all(is_backup), "{backups:?}");

        crowd.inject(Fault::Planned, Host::A)?;
        let mut taken = 0;
        while taken < ALL {
            match next(&mut lines)? {
                Event::Transition { change, .. } => taken += usize::from(change.to == "Active"),
                Event::Lost { events } => bail!("{events} are not told"),
                Event::Peer { .. }
                | Event::State { .. }
                | Event::Tracker(_)
                | Event::FalseAlarm { .. }
                | Event::LongSilence { .. } => {}
            }
        }
        assert_eq!(crowd.settle()?, Host::B);
        wait_until("the metrics of all", SOON, || {
            Ok(page(lab, Host::B)?.matches("role=\"Active\"} 1\n").count() == ALL)
        })?;
        for verb in ["status", "explain"] {
            let text = output(&mut lab.baton(Host::B, verb)?)?;
            ensure!(text.matches("Active").count() >= ALL, "{verb}: {text}");
        }
        Ok(())
    })
}

/// Runs `test` on a lab whose node a owns all of them, and checks that nothing is left.
fn with_many(test: impl FnOnce(&Lab, &mut Crowd<'_>) -> Result<()>) -> Result<()> {
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    lab.enable_ipv6()?;
    let mut echoes = Vec::new();
    for vip in ASKED.map(|vrid| Link::FIRST.vip(vrid)) {
        for host in Host::NODES {
            echoes.push(Echo::start(&lab, host, vip)?);
        }
    }
    let ipv4 = (1..=HALF).map(|vrid| Member::ipv4(Link::FIRST, vrid));
    let members = ipv4.chain((1..=HALF).map(Member::ipv6)).collect();
    let mut crowd = Crowd::start(&lab, System::Baton(Variant::Usual), EVERY_100_MS, members)?;
    test(&lab, &mut crowd)?;
    crowd.stop()?;
    drop(echoes);
    drop(lab);
    assert_eq!(leftovers(&id), Vec::<String>::new());
    Ok(())
}

/// Asserts that `owner` alone owns all of them, that it answers a client of some, and that the switch sends it what is for the
/// hardware addresses of all.
fn assert_served_by(lab: &Lab, crowd: &Crowd<'_>, owner: Host) -> Result<()> {
    assert_eq!([crowd.owned(owner)?, crowd.owned(owner.other())?], [ALL, 0]);
    for vrid in ASKED {
        lab.wait_served_by(Link::FIRST.vip(vrid), owner, SOON)?;
    }
    for Member { vrid, vips, .. } in crowd.members() {
        let family = if vips.iter().all(IpAddr::is_ipv4) { Family::Ipv4 } else { Family::Ipv6 };
        let mac = mac_text(Vrid::new(*vrid).context("an identifier")?.virtual_mac(family));
        let what = format!("the switch to know {mac}");
        wait_until(&what, SOON, || Ok(lab.learned_at(&mac)? == Some(owner)))?;
    }
    Ok(())
}

fn next(lines: &mut BufReader<ChildStdout>) -> Result<Event> {
    let mut line = String::new();
    lines.read_line(&mut line)?;
    serde_json::from_str(&line).with_context(|| format!("understand the event `{line}`"))
}
