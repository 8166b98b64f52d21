//! Baton beside Debian's keepalived: VRRPv3 with the pseudo-header checksum that keepalived sends by default. Baton runs
//! on node a (priority 254), keepalived on node b (253); nobody preempts.
//!
//! Needs root, keepalived, and `baton` and `prober` built in the same profile. Run with `--test-threads=1`.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Echo, Host, Keepalived, Lab, Process, VIP, leftovers, output, pause, wait_until};
use nix::sys::signal::Signal;

const INTERVAL_MS: u16 = 100;
const INTERVAL_CS: u16 = 10;
/// Ten times the longest Active_Down_Interval of the two.
const SOON: Duration = Duration::from_secs(4);
/// Many advertisements: long enough for a router that ignores them to take over.
const A_WHILE: Duration = Duration::from_millis(1500);
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
            assert_no_protest(lab)
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
        ensure!(!log(lab)?.contains(FAREWELL), "a host with nobody alive said something");
        assert_no_protest(lab)
    })
}

#[test]
fn keepalived_takes_over_from_a_guardian_that_says_priority_0() -> Result<()> {
    with_lab(MacMode::Virtual, |lab| {
        let mut baton = baton_active(lab)?;
        let _keepalived = keepalived_backup(lab)?;
        lab.signal_agent(Host::A, Signal::SIGKILL)?;
        lab.wait_served_by(VIP, Host::B, SOON)?;
        ensure!(log(lab)?.contains(FAREWELL), "keepalived heard no priority 0:\n{}", log(lab)?);
        let end = baton.wait(SOON)?;
        ensure!(end.code().is_some_and(|code| code != 0), "an agent that was killed looks well: {end}");
        pause(A_WHILE)?;
        assert_eq!(lab.ask(VIP)?, Some(Host::B), "keepalived keeps the VIP");
        assert_no_protest(lab)
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
        assert_no_protest(lab)
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
            assert_no_protest(lab)
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

/// Runs `test` on a lab with echo services and the configuration of both agents in place.
fn with_lab(mac: MacMode, test: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    let echoes = [Echo::start(&lab, Host::A, VIP)?, Echo::start(&lab, Host::B, VIP)?];
    // keepalived has the VIP on eth0, and only eth0 may answer for it.
    lab.namespace(Host::B).set("net/ipv4/conf/all/arp_ignore", "1")?;
    lab.configure_baton(Host::A, mac, INTERVAL_MS, &[VIP])?;
    test(&lab)?;
    drop(echoes);
    drop(lab);
    assert_eq!(leftovers(&id), Vec::<String>::new());
    Ok(())
}

fn baton_active(lab: &Lab) -> Result<Process> {
    let agent = lab.start_baton(Host::A)?;
    lab.wait_served_by(VIP, Host::A, Duration::from_secs(10))?;
    Ok(agent)
}

/// Starts keepalived beside an Active Baton and asserts that it is content with that.
fn keepalived_backup(lab: &Lab) -> Result<Process> {
    let keepalived = keepalived().start(lab, Host::B)?;
    pause(A_WHILE)?;
    assert_eq!(lab.ask(VIP)?, Some(Host::A), "Baton keeps the VIP");
    let log = log(lab)?;
    ensure!(log.contains("BACKUP STATE"), "keepalived did not become Backup:\n{log}");
    ensure!(!log.contains("MASTER STATE"), "keepalived became Active:\n{log}");
    assert_no_protest(lab)?;
    Ok(keepalived)
}

fn keepalived_active(lab: &Lab) -> Result<Process> {
    let keepalived = keepalived().start(lab, Host::B)?;
    lab.wait_served_by(VIP, Host::B, Duration::from_secs(10))?;
    Ok(keepalived)
}

/// Starts Baton beside an Active keepalived and asserts that it hears it and waits.
fn baton_backup(lab: &Lab) -> Result<Process> {
    let baton = lab.start_baton(Host::A)?;
    wait_until("baton to be Backup", Duration::from_secs(10), || Ok(role(lab) == "Backup"))?;
    pause(A_WHILE)?;
    let status = lab.baton_status(Host::A)?;
    let router = &status.routers[0];
    assert_eq!((router.role.as_str(), lab.ask(VIP)?), ("Backup", Some(Host::B)), "keepalived keeps the VIP");
    let peer = router.peers.iter().find(|peer| peer.address == Host::B.address());
    assert_eq!(peer.map(|peer| peer.priority), Some(253), "Baton hears keepalived");
    Ok(baton)
}

fn keepalived() -> Keepalived {
    Keepalived { interval_cs: INTERVAL_CS, log: true, realtime: false, ..Keepalived::fast(Host::B, &[VIP]) }
}

/// The role of the agent on node a; empty while it does not answer.
fn role(lab: &Lab) -> String {
    let status = lab.baton_status(Host::A);
    status.ok().and_then(|status| Some(status.routers.into_iter().next()?.role)).unwrap_or_default()
}

fn log(lab: &Lab) -> Result<String> {
    Ok(fs::read_to_string(Keepalived::log_file(lab, Host::B))?)
}

/// Asserts that keepalived found nothing wrong with what Baton sent.
fn assert_no_protest(lab: &Lab) -> Result<()> {
    let log = log(lab)?;
    for word in ["nvalid", "mismatch", "expected", "hecksum", "bogus", "dropped", "received an"] {
        ensure!(!log.contains(word), "keepalived says `{word}`:\n{log}");
    }
    Ok(())
}
