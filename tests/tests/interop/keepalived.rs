//! Debian's keepalived on node b.

use std::fs;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Host, Keepalived, Lab, Process, VIP, output, pause, vips, wait_until};
use nix::sys::signal::Signal;

use super::{
    A_WHILE, INTERVAL_MS, LONG, SOON, assert_no_protest, baton_active, baton_backup, keepalived_log, role,
    with_lab,
};

/// What keepalived logs of an advertisement that says priority 0.
const FAREWELL: &str = "received priority 0";

#[test]
fn keepalived_stays_backup_beside_baton_and_takes_over_when_it_stops() -> Result<()> {
    for mac in [MacMode::Virtual, MacMode::Interface] {
        with_lab(mac, |lab| {
            let mut baton = baton_active(lab)?;
            let _keepalived = keepalived_backup(lab)?;
            baton.stop(SOON)?;
            lab.wait_served_by(VIP, Host::B, SOON)?;
            assert_no_protest(lab, Host::B)
        })?;
    }
    Ok(())
}

#[test]
fn keepalived_takes_over_when_baton_is_killed_with_its_guardian() -> Result<()> {
    with_lab(MacMode::Virtual, |lab| {
        let baton = baton_active(lab)?;
        let _keepalived = keepalived_backup(lab)?;
        baton.kill_tree()?;
        lab.wait_served_by(VIP, Host::B, SOON)?;
        ensure!(!keepalived_log(lab, Host::B)?.contains(FAREWELL), "a host with nobody alive said something");
        assert_no_protest(lab, Host::B)
    })
}

#[test]
fn keepalived_takes_over_from_a_guardian_that_says_priority_0() -> Result<()> {
    with_lab(MacMode::Virtual, |lab| {
        let mut baton = baton_active(lab)?;
        let _keepalived = keepalived_backup(lab)?;
        lab.signal_agent(Host::A, Signal::SIGKILL)?;
        lab.wait_served_by(VIP, Host::B, SOON)?;
        let log = keepalived_log(lab, Host::B)?;
        ensure!(log.contains(FAREWELL), "keepalived heard no priority 0:\n{log}");
        let end = baton.wait(SOON)?;
        ensure!(end.code().is_some_and(|code| code != 0), "an agent that was killed looks well: {end}");
        pause(A_WHILE)?;
        assert_eq!(lab.ask(VIP)?, Some(Host::B), "keepalived keeps the VIP");
        assert_no_protest(lab, Host::B)
    })
}

#[test]
fn keepalived_takes_over_when_baton_hands_over() -> Result<()> {
    with_lab(MacMode::Virtual, |lab| {
        let _baton = baton_active(lab)?;
        let _keepalived = keepalived_backup(lab)?;
        output(&mut lab.baton(Host::A, "handover")?)?;
        lab.wait_served_by(VIP, Host::B, SOON)?;
        wait_until("baton to be Backup", SOON, || Ok(role(lab) == "Backup"))?;
        pause(A_WHILE)?;
        assert_eq!(
            (role(lab).as_str(), lab.ask(VIP)?),
            ("Backup", Some(Host::B)),
            "keepalived keeps the VIP"
        );
        assert_no_protest(lab, Host::B)
    })
}

#[test]
fn baton_stays_backup_beside_keepalived_and_takes_over_when_it_stops() -> Result<()> {
    for mac in [MacMode::Virtual, MacMode::Interface] {
        with_lab(mac, |lab| {
            let mut keepalived = keepalived_active(lab)?;
            let _baton = baton_backup(lab)?;
            keepalived.stop(SOON)?;
            lab.wait_served_by(VIP, Host::A, SOON)?;
            assert_eq!(role(lab), "Active");
            assert_no_protest(lab, Host::B)
        })?;
    }
    Ok(())
}

#[test]
fn baton_takes_over_when_keepalived_is_killed() -> Result<()> {
    with_lab(MacMode::Virtual, |lab| {
        let keepalived = keepalived_active(lab)?;
        let _baton = baton_backup(lab)?;
        keepalived.kill_tree()?;
        wait_until("baton to be Active", SOON, || Ok(role(lab) == "Active"))?;
        // The kernel of a killed keepalived still has the VIP and answers for it. That is what Baton's lease is for.
        lab.run(Host::B, "ip", &["address", "del", &format!("{VIP}/32"), "dev", "eth0"])?;
        lab.forget_neighbours()?;
        lab.wait_served_by(VIP, Host::A, SOON)
    })
}

/// T-093: its adverts count, and the operator is told.
#[test]
fn baton_stays_backup_beside_a_keepalived_with_other_addresses() -> Result<()> {
    with_lab(MacMode::Virtual, |lab| {
        let _keepalived = Keepalived { vips: vips(2), ..keepalived() }.start(lab, Host::B)?;
        lab.wait_served_by(VIP, Host::B, LONG)?;
        let _baton = baton_backup(lab)?;
        let router = lab.baton_status(Host::A)?.routers.remove(0);
        assert_eq!(router.peers.iter().map(|peer| peer.same_vips).collect::<Vec<_>>(), [false]);
        let log = fs::read_to_string(lab.baton_log(Host::A))?;
        assert_eq!(log.matches("peer has other vips; make the lists equal").count(), 1, "{log}");
        Ok(())
    })
}

/// Starts keepalived beside an Active Baton and asserts that it is content with that.
fn keepalived_backup(lab: &Lab) -> Result<Process> {
    let keepalived = keepalived().start(lab, Host::B)?;
    pause(A_WHILE)?;
    assert_eq!(lab.ask(VIP)?, Some(Host::A), "Baton keeps the VIP");
    let log = keepalived_log(lab, Host::B)?;
    ensure!(log.contains("BACKUP STATE"), "keepalived did not become Backup:\n{log}");
    ensure!(!log.contains("MASTER STATE"), "keepalived became Active:\n{log}");
    assert_no_protest(lab, Host::B)?;
    Ok(keepalived)
}

fn keepalived_active(lab: &Lab) -> Result<Process> {
    let keepalived = keepalived().start(lab, Host::B)?;
    lab.wait_served_by(VIP, Host::B, LONG)?;
    Ok(keepalived)
}

fn keepalived() -> Keepalived {
    Keepalived {
        interval_cs: INTERVAL_MS / 10,
        log: true,
        realtime: false,
        ..Keepalived::fast(Host::B, &[VIP])
    }
}
