//! Cables: cut so that nobody notices, and pulled so that the carrier goes; and what happens when they are back.

use std::time::Duration;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Fault, Host, Settings, VIP, pause, wait_until};

use super::support::{LEASE_US, SOON, assert_moved, assert_sole_owner, watch, with_pair, with_settings};

#[test]
fn a_cut_cable_moves_the_vip_and_a_mended_one_leaves_a_single_owner() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        let (outcome, _) = watch(lab, || pair.inject(Fault::SilentDeath).map(drop))?;
        assert_moved(&outcome, Host::B, 0);
        let (outcome, _) = watch(lab, || pair.restore())?;
        // Cut off with its carrier, node a has never stopped to own the VIP; as the better one it keeps it.
        assert_moved(&outcome, Host::A, LEASE_US);
        assert!(outcome.outage_us <= LEASE_US + outcome.stall_us, "the VIP was lost: {outcome:?}");
        assert_sole_owner(pair, Host::A)
    })
}

/// The cut node keeps its carrier, so its adverts leave and its lease is renewed: there are two owners that do not hear
/// each other, and no election of two can know better. Mended, the weaker one releases with the first advert that it
/// hears, and that advert teaches the switch. The interval is long, so that what a busy machine adds is small beside it.
#[test]
fn two_owners_that_hear_each_other_again_are_one_after_an_advert() -> Result<()> {
    const INTERVAL_US: u64 = 100_000;
    /// What a busy machine may hold an advert up. With it, still shorter than a lease.
    const BUSY_US: u64 = 90_000;
    let settings = Settings { interval_ms: 100, ..Settings::USUAL };
    with_settings(MacMode::Virtual, settings, |lab, pair| {
        pair.inject(Fault::SilentDeath)?;
        wait_until("both nodes to own the VIP", SOON, || Ok(pair.owners()? == Host::NODES))?;
        lab.wait_served_by(VIP, Host::B, SOON)?;
        let (outcome, _) = watch(lab, || pair.restore())?;
        assert_moved(&outcome, Host::A, INTERVAL_US + BUSY_US);
        assert!(outcome.outage_us <= INTERVAL_US + BUSY_US, "the VIP was lost: {outcome:?}");
        assert_sole_owner(pair, Host::A)?;
        let status = lab.baton_status(Host::B)?;
        assert_eq!(status.routers[0].reason.as_deref(), Some("higher-priority"));
        Ok(())
    })
}

/// The better owner has heard nothing of the weaker one, and its own announcements are long over: it learns that the
/// neighbours believe another from the weaker one's last word.
#[test]
fn after_a_partition_the_neighbours_come_back_to_the_better_owner() -> Result<()> {
    const SWEEPS_OVER: Duration = Duration::from_secs(8);
    const REFRESH_US: u64 = 1_000_000;
    let settings = Settings { interval_ms: 100, ..Settings::USUAL };
    with_settings(MacMode::Interface, settings, |lab, pair| {
        pause(SWEEPS_OVER)?;
        pair.inject(Fault::SilentDeath)?;
        lab.wait_served_by(VIP, Host::B, SOON)?;
        pause(Duration::from_secs(1))?;
        let (outcome, _) = watch(lab, || {
            pair.restore()?;
            pause(Duration::from_secs(2))
        })?;
        assert_eq!(outcome.after, Some(Host::A), "{outcome:?}");
        ensure!(outcome.outage_us < REFRESH_US, "the neighbours went on believing node b: {outcome:?}");
        assert_sole_owner(pair, Host::A)
    })
}

#[test]
fn a_lost_carrier_moves_the_vip_and_its_return_is_silent() -> Result<()> {
    with_pair(MacMode::Interface, |lab, pair| {
        let (outcome, _) = watch(lab, || lab.link_down(Host::A))?;
        assert_moved(&outcome, Host::B, 0);
        // The kernel delays the next link change of a device that flaps faster than that.
        pause(Duration::from_secs(2))?;
        let (outcome, recording) = watch(lab, || {
            lab.link_up(Host::A)?;
            pause(Duration::from_secs(1))
        })?;
        assert_eq!((outcome.after, outcome.overlap_us, outcome.flips), (Some(Host::B), 0, 0), "{outcome:?}");
        let answers = recording.arps.iter().filter(|arp| arp.answers > 0);
        let spoken = recording.announcements.iter().map(|heard| heard.source);
        let mut sources = answers.flat_map(|arp| [arp.first.source, arp.last.source]).chain(spoken);
        ensure!(!sources.any(|source| source == Host::A.mac()), "node a spoke for the VIP when it returned");
        assert_eq!(lab.baton_status(Host::A)?.routers[0].role, "Backup");
        assert_sole_owner(pair, Host::B)
    })
}
