//! Debian's FRR on node b: zebra, vrrpd and a macvlan, whose addresses the kernel answers for while it is up.

use anyhow::Result;
use baton::config::MacMode;
use baton_tests::lab::{Frr, Host, Lab, Process, Settings, VIP, pause, wait_until};

use super::{A_WHILE, INTERVAL_MS, LONG, SOON, baton_active, baton_backup, role, with_lab};

const SETTINGS: Settings = Settings { interval_ms: INTERVAL_MS, ..Settings::USUAL };

#[test]
fn frr_stays_backup_beside_baton_and_takes_over_when_it_stops() -> Result<()> {
    with_lab(MacMode::Virtual, |lab| {
        let mut baton = baton_active(lab)?;
        let _frr = frr_backup(lab)?;
        baton.stop(SOON)?;
        lab.wait_served_by(VIP, Host::B, SOON)
    })
}

#[test]
fn frr_takes_over_when_baton_is_killed_with_its_guardian() -> Result<()> {
    with_lab(MacMode::Virtual, |lab| {
        let baton = baton_active(lab)?;
        let _frr = frr_backup(lab)?;
        baton.kill_tree()?;
        lab.wait_served_by(VIP, Host::B, SOON)
    })
}

#[test]
fn baton_stays_backup_beside_frr_and_takes_over_when_it_stops() -> Result<()> {
    with_lab(MacMode::Virtual, |lab| {
        let [_zebra, mut vrrpd] = frr(lab)?;
        lab.wait_served_by(VIP, Host::B, LONG)?;
        let _baton = baton_backup(lab)?;
        vrrpd.stop(SOON)?;
        wait_until("baton to be Active", SOON, || Ok(role(lab) == "Active"))?;
        // The macvlan of a vrrpd that has ended is up still, and the kernel answers for it.
        Frr::clean(lab, Host::B)?;
        lab.forget_neighbours()?;
        lab.wait_served_by(VIP, Host::A, SOON)
    })
}

/// Starts FRR beside an Active Baton and asserts that it is content with that.
fn frr_backup(lab: &Lab) -> Result<[Process; 2]> {
    let frr = frr(lab)?;
    pause(A_WHILE)?;
    assert_eq!((Frr::owns(lab, Host::B)?, lab.ask(VIP)?), (false, Some(Host::A)), "Baton keeps the VIP");
    Ok(frr)
}

/// Starts zebra and vrrpd.
fn frr(lab: &Lab) -> Result<[Process; 2]> {
    let zebra = Frr::prepare(lab, Host::B, &[VIP])?;
    let vrrpd = Frr::start(lab, Host::B, &SETTINGS, &[VIP])?;
    Ok([zebra, vrrpd])
}
