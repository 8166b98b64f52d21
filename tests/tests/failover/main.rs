//! Real agents in the namespace lab: the VIP moves on every kind of failure, and never has two owners beyond what is
//! stated. Order and safety only; how fast is the failover benchmark's business.
//!
//! Needs root, and `baton` and `prober` built in the same profile. Run with `--test-threads=1`.

mod cable;
mod checksum;
mod control;
mod drain;
mod failed_restart;
mod failed_start;
mod flap;
mod generic;
mod guardian;
mod interrupted;
mod log;
mod many_vips;
mod mounts;
mod one_agent;
mod one_way;
mod other_version;
mod preemption;
mod refusals;
mod repeated;
mod restart;
mod rights;
mod sbfd;
mod second_card;
mod shared_pins;
mod stopped;
mod support;
mod three;
mod two_routers;
mod upkeep;
mod vips_astray;

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton::clock;
use baton::config::MacMode;
use baton_tests::lab::{
    Echo, Fault, Host, Lab, Outcome, Pair, Prober, Recording, Settings, VIP, analyse, leftovers, mac_text,
    pause, wait_until,
};
use nix::sys::signal::Signal;

/// One advert interval and the linger: how long both may serve on a planned move.
const PLANNED_OVERLAP_US: u64 = 12_000;
/// Three advert intervals: what a lease is worth. An owner that is held up serves no longer than that.
const LEASE_US: u64 = 30_000;
/// Longer than a busy machine needs for anything that is waited for.
const SOON: Duration = Duration::from_secs(10);
const WATCH: Duration = Duration::from_millis(400);

#[test]
fn a_stopped_agent_hands_the_vip_over_and_leaves_its_fence() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        let (outcome, _) = watch(lab, || pair.agent(Host::A)?.signal(Signal::SIGTERM))?;
        assert_moved(&outcome, Host::B, PLANNED_OVERLAP_US);
        pair.end_of(Host::A)?;
        let links = lab.run(Host::A, "ip", &["link", "show", "eth0"])?;
        ensure!(links.contains("xdp"), "the fence went with the agent: {links}");
        pair.restart(Host::A)?;
        assert_sole_owner(pair, Host::B)
    })
}

#[test]
fn a_handover_moves_the_vip_there_and_back_with_a_virtual_mac() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        let mac = lab.neighbour(VIP)?;
        for _ in 0..2 {
            // On a busy machine a lease may have lapsed since: whoever owns is the one to move from.
            let successor = pair.settle()?.other();
            let (outcome, _) = watch(lab, || pair.inject(Fault::Planned).map(drop))?;
            assert_moved(&outcome, successor, PLANNED_OVERLAP_US);
            pair.restore()?;
            assert_sole_owner(pair, successor)?;
            assert_eq!(lab.neighbour(VIP)?, mac, "the client keeps its neighbour entry");
            assert_eq!(
                lab.learned_at("00:00:5e:00:01:33")?,
                Some(successor),
                "the switch has learned the move"
            );
        }
        assert_eq!(mac.as_deref(), Some("00:00:5e:00:01:33"));
        Ok(())
    })
}

#[test]
fn a_handover_moves_the_vip_there_and_back_with_the_interfaces_macs() -> Result<()> {
    with_pair(MacMode::Interface, |lab, pair| {
        assert_eq!(lab.neighbour(VIP)?, Some(mac_text(Host::A.mac())));
        for _ in 0..2 {
            // On a busy machine a lease may have lapsed since: whoever owns is the one to move from.
            let successor = pair.settle()?.other();
            let (outcome, _) = watch(lab, || pair.inject(Fault::Planned).map(drop))?;
            assert_moved(&outcome, successor, PLANNED_OVERLAP_US);
            pair.restore()?;
            assert_sole_owner(pair, successor)?;
            assert_eq!(
                lab.neighbour(VIP)?,
                Some(mac_text(successor.mac())),
                "the client has learned the new MAC"
            );
        }
        Ok(())
    })
}

#[test]
fn a_hung_agent_is_fenced_before_the_successor_speaks_and_stays_out_when_it_wakes() -> Result<()> {
    with_pair(MacMode::Interface, |lab, pair| {
        let (outcome, recording) = watch(lab, || pair.inject(Fault::AgentHang).map(drop))?;
        assert_moved(&outcome, Host::B, 0);
        assert_silent_before(&recording, Host::A, Host::B)?;

        let (outcome, _) = watch(lab, || pair.restore())?;
        assert_eq!((outcome.after, outcome.overlap_us, outcome.flips), (Some(Host::B), 0, 0), "{outcome:?}");
        assert_sole_owner(pair, Host::B)?;
        let status = lab.baton_status(Host::A)?;
        let interface = status.interfaces.first().context("an agent has an interface")?;
        // The client broadcasts its ARP requests, so the fenced node has seen and refused some.
        let refused = interface.verdicts.get("arp-not-owner").copied().unwrap_or_default();
        ensure!(refused > 0, "node a refused no ARP request: {:?}", interface.verdicts);
        Ok(())
    })
}

#[test]
fn a_hung_agent_with_a_virtual_mac_is_no_second_owner() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        let (outcome, _) = watch(lab, || pair.inject(Fault::AgentHang).map(drop))?;
        assert_moved(&outcome, Host::B, 0);
        let (outcome, _) = watch(lab, || pair.restore())?;
        assert_eq!((outcome.after, outcome.overlap_us, outcome.flips), (Some(Host::B), 0, 0), "{outcome:?}");
        assert_sole_owner(pair, Host::B)
    })
}

#[test]
fn an_agent_that_is_killed_with_its_guardian_is_fenced_before_the_successor_speaks_and_returns_as_backup()
-> Result<()> {
    with_pair(MacMode::Interface, |lab, pair| {
        let (outcome, recording) = watch(lab, || pair.inject(Fault::DeathOfAll).map(drop))?;
        assert_moved(&outcome, Host::B, 0);
        assert_silent_before(&recording, Host::A, Host::B)?;
        let (outcome, _) = watch(lab, || pair.restore())?;
        assert_eq!((outcome.after, outcome.overlap_us, outcome.flips), (Some(Host::B), 0, 0), "{outcome:?}");
        assert_sole_owner(pair, Host::B)
    })
}

#[test]
fn an_agent_that_is_killed_with_its_guardian_and_has_a_virtual_mac_is_no_second_owner() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        for _ in 0..2 {
            // On a busy machine a lease may have lapsed since: whoever owns is the one to move from.
            let successor = pair.settle()?.other();
            let (outcome, _) = watch(lab, || pair.inject(Fault::DeathOfAll).map(drop))?;
            assert_moved(&outcome, successor, 0);
            pair.restore()?;
            assert_sole_owner(pair, successor)?;
        }
        Ok(())
    })
}

#[test]
fn a_handover_that_nobody_takes_fails_and_the_vip_stays_served() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        pair.agent(Host::B)?.signal_tree(Signal::SIGSTOP)?;
        let before = clock::now().as_nanos();
        let prober = Prober::start(lab, VIP, SOON)?;
        let command = lab.baton(Host::A, "handover")?.output()?;
        let said = String::from_utf8_lossy(&command.stdout);
        assert_eq!(command.status.code(), Some(1), "{said}");
        ensure!(said.contains("eth0 vrid 51: not handed over: no Backup took over"), "{said}");
        pause(WATCH)?;
        let outcome = analyse(&prober.finish()?, before);
        assert_eq!((outcome.after, outcome.flips), (Some(Host::A), 0), "{outcome:?}");
        pair.agent(Host::B)?.signal_tree(Signal::SIGCONT)?;
        pair.settle().map(drop)
    })
}

/// Runs `test` on a lab with Baton on both nodes, node a owning the VIP, and checks that nothing is left.
fn with_pair(mac: MacMode, test: impl FnOnce(&Lab, &mut Pair<'_>) -> Result<()>) -> Result<()> {
    with_settings(mac, Settings::USUAL, test)
}

/// Like [`with_pair`], with other settings than the usual ones.
fn with_settings(
    mac: MacMode,
    settings: Settings,
    test: impl FnOnce(&Lab, &mut Pair<'_>) -> Result<()>,
) -> Result<()> {
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    let echoes = [Echo::start(&lab, Host::A, VIP)?, Echo::start(&lab, Host::B, VIP)?];
    let mut pair = Pair::start_with(&lab, mac.into(), settings, 1)?;
    assert_eq!(pair.settle()?, Host::A);
    test(&lab, &mut pair)?;
    pair.stop()?;
    drop(echoes);
    drop(lab);
    assert_eq!(leftovers(&id), Vec::<String>::new());
    Ok(())
}

/// What a client sees while `event` happens and for a while after.
fn watch(lab: &Lab, event: impl FnOnce() -> Result<()>) -> Result<(Outcome, Recording)> {
    watch_vip(lab, VIP, event)
}

/// Like [`watch`], for a client of `vip`.
fn watch_vip(lab: &Lab, vip: Ipv4Addr, event: impl FnOnce() -> Result<()>) -> Result<(Outcome, Recording)> {
    let prober = Prober::start(lab, vip, Duration::from_secs(20))?;
    let event_ns = clock::now().as_nanos();
    event()?;
    pause(WATCH)?;
    let recording = prober.finish()?;
    Ok((analyse(&recording, event_ns), recording))
}

fn assert_moved(outcome: &Outcome, successor: Host, overlap_us: u64) {
    assert_eq!((outcome.before, outcome.after), (Some(successor.other()), Some(successor)), "{outcome:?}");
    assert!(outcome.overlap_us <= overlap_us, "two nodes answered: {outcome:?}");
}

/// Asserts that `old` answered its last ARP request and its last probe before `new` announced itself or answered.
/// Needs distinct MACs.
fn assert_silent_before(recording: &Recording, old: Host, new: Host) -> Result<()> {
    let (old_mac, new_mac) = (old.mac(), new.mac());
    let last_arp = recording
        .arps
        .iter()
        .filter(|arp| arp.answers > 0 && arp.last.source == old_mac)
        .map(|arp| arp.sent_ns);
    let last_served =
        recording.probes.iter().filter(|probe| probe.node == Some(old)).map(|probe| probe.server_ns);
    let last = last_arp.chain(last_served).max().context("the old owner answered before its fault")?;
    let spoken =
        recording.announcements.iter().filter(|heard| heard.source == new_mac).map(|heard| heard.seen_ns);
    let served = recording.probes.iter().filter(|probe| probe.node == Some(new)).map(|probe| probe.server_ns);
    let first = spoken.chain(served).min().context("the new owner announced itself or answered")?;
    ensure!(
        last < first,
        "node {} answered {} us after node {} spoke",
        old.name(),
        (last - first) / 1000,
        new.name()
    );
    Ok(())
}

fn assert_sole_owner(pair: &Pair<'_>, owner: Host) -> Result<()> {
    wait_until(&format!("node {} to be the only owner", owner.name()), SOON, || {
        Ok(pair.owners()? == [owner])
    })?;
    assert_eq!(pair.settle()?, owner);
    Ok(())
}
