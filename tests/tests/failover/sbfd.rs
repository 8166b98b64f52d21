//! What S-BFD adds: an Active Router is succeeded long before its adverts could be missed, by one Backup, and not twice by
//! mistake.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton::config::MacMode;
use baton_common::maps::{DISCRIMINATORS, LAYOUT_VERSION, mapped};
use baton_common::sbfd::discriminator;
use baton_common::vrid::Family;
use baton_tests::lab::{Fault, Host, Lab, Settings, VRID, pause, wait_until};

use super::support::{
    EVERY_SECOND, SOON, assert_moved, assert_sole_owner, router, session, wait_for_active,
    wait_for_next_in_line, watch, with_settings, with_three,
};

/// Less than that, and more than any machine stands still.
const LONG_BEFORE: u64 = 1_000_000;

#[test]
fn a_silent_router_is_succeeded_long_before_its_adverts_are_missed() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_SECOND, |lab, pair| {
        wait_for_next_in_line(lab, Host::B)?;
        let (outcome, _) = watch(lab, || pair.inject(Fault::SilentDeath).map(drop))?;
        assert_moved(&outcome, Host::B, 0);
        ensure!(outcome.outage_us < LONG_BEFORE, "{outcome:?}");
        let successor = router(lab, Host::B)?;
        assert_eq!(successor.reason.as_deref(), Some("active-unreachable"));
        let takeover = successor.transitions.last().context("a transition")?;
        let decided = Some(takeover.decided_ns);
        ensure!(takeover.heard_ns.is_some() && takeover.heard_ns <= decided, "{successor:?}");
        let stages = [takeover.answered_ns, decided, takeover.stored_ns, successor.served_ns];
        ensure!(stages.is_sorted() && stages[0].is_some(), "{successor:?}");
        pair.restore()?;
        pair.settle().map(drop)
    })
}

#[test]
fn a_hung_router_is_succeeded_when_its_lease_lapses() -> Result<()> {
    with_settings(MacMode::Virtual, Settings { interval_ms: 100, ..Settings::USUAL }, |lab, pair| {
        wait_for_next_in_line(lab, Host::B)?;
        let (outcome, _) = watch(lab, || pair.inject(Fault::AgentHang).map(drop))?;
        assert_moved(&outcome, Host::B, 0);
        assert_eq!(router(lab, Host::B)?.reason.as_deref(), Some("active-out-of-service"));
        pair.restore()?;
        assert_sole_owner(pair, Host::B)
    })
}

/// T-122.
#[test]
fn of_two_backups_only_the_better_takes_over() -> Result<()> {
    with_three(EVERY_SECOND, |lab, _| {
        ensure!(!session(lab, Host::Client)?.1, "two are next in line");
        lab.cut(Host::A)?;
        wait_for_active(lab, Host::B)?;
        wait_until("the third to watch node b", SOON, || {
            Ok(session(lab, Host::Client).is_ok_and(|(up, next)| up && next))
        })?;
        assert_eq!(router(lab, Host::Client)?.epoch, 0, "the worse Backup never was Active");
        lab.heal(Host::A)
    })
}

/// T-124. The Active Router's reflector is made to forget for a while what it is asked about: its answers are missing
/// although it is well, and says so by adverts.
#[test]
fn a_router_that_was_wrongly_thought_dead_keeps_the_vip_and_is_left_to_its_adverts() -> Result<()> {
    with_settings(MacMode::Virtual, Settings::USUAL, |lab, pair| {
        wait_for_next_in_line(lab, Host::B)?;
        let before = router(lab, Host::B)?.epoch;
        let (outcome, _) = watch(lab, || {
            set_discriminator(lab, Host::A, None)?;
            pause(Duration::from_millis(100))?;
            set_discriminator(lab, Host::A, Some(0))
        })?;
        assert_eq!(outcome.after, Some(Host::A), "{outcome:?}");
        assert_sole_owner(pair, Host::A)?;
        let mistaken = router(lab, Host::B)?;
        assert_eq!(mistaken.epoch, before + 1, "one mistake, and not a second");
        assert_eq!(mistaken.reason.as_deref(), Some("higher-priority"));
        let log = std::fs::read_to_string(lab.baton_log(Host::B))?;
        ensure!(log.contains("the Active router was alive"), "{log}");
        ensure!(mistaken.watch.is_none(), "it is left to its adverts: {:?}", mistaken.watch);
        // A second later it is trusted again.
        wait_for_next_in_line(lab, Host::B)?;
        assert_eq!(router(lab, Host::B)?.epoch, mistaken.epoch);
        Ok(())
    })
}

#[test]
fn a_restarted_agent_is_active_still_while_its_lease_holds() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_SECOND, |lab, pair| {
        let epoch = router(lab, Host::A)?.epoch;
        let (outcome, _) = watch(lab, || {
            // With its guardian, which would give the lease away.
            pair.agent(Host::A)?.kill_tree()?;
            pair.restart(Host::A)
        })?;
        assert_eq!((outcome.after, outcome.flips), (Some(Host::A), 0), "{outcome:?}");
        let resumed = router(lab, Host::A)?;
        assert_eq!((resumed.role.as_str(), resumed.reason.as_deref()), ("Active", Some("resumed")));
        assert_eq!(resumed.epoch, epoch, "that is no takeover");
        assert_eq!(router(lab, Host::B)?.epoch, 0, "nobody else was Active");
        Ok(())
    })
}

/// Lets the discriminator of `host` stand for `slot` in its map, or for nothing.
fn set_discriminator(lab: &Lab, host: Host, slot: Option<u32>) -> Result<()> {
    let pin = lab.directory().join("bpf").join(host.name());
    let pin = pin.join(format!("v{LAYOUT_VERSION}/eth0/{DISCRIMINATORS}"));
    let octets = |numbers: &[u32]| -> Vec<String> {
        numbers.iter().flat_map(|number| number.to_ne_bytes()).map(|octet| octet.to_string()).collect()
    };
    let address = mapped(host.address().octets());
    let key = octets(&[0, discriminator(address, VRID), u32::from(Family::Ipv4 as u8)]);
    let verb = if slot.is_some() { "update" } else { "delete" };
    let pin = pin.to_string_lossy();
    let mut arguments = vec!["map", verb, "pinned", &*pin, "key"];
    arguments.extend(key.iter().map(String::as_str));
    let value = slot.map(|slot| octets(&[slot])).unwrap_or_default();
    if slot.is_some() {
        arguments.push("value");
    }
    arguments.extend(value.iter().map(String::as_str));
    lab.run(host, "bpftool", &arguments).map(drop)
}
