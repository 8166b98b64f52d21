//! Baton beside other implementations: VRRPv3 with the pseudo-header checksum that they send by default; in `dialects` and
//! `contests` also with the interface's MAC, over IPv6, and in VRRPv2. Baton runs on node a (priority 254), the other on node
//! b (253), and nobody preempts, where nothing else is said.
//!
//! Needs root, keepalived, FRR, and `baton` and `prober` built in the same profile. Run with `--test-threads=1`.

mod contests;
mod dialect;
mod dialects;
mod frr;
mod keepalived;
mod tshark;

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Echo, Host, Keepalived, Lab, Process, VIP, leftovers, pause, wait_until};

const INTERVAL_MS: u16 = 100;
/// Ten times the longest Active_Down_Interval of the two.
const SOON: Duration = Duration::from_secs(4);
/// Longer than a busy machine needs for a start.
const LONG: Duration = Duration::from_secs(10);
/// Many advertisements: long enough for a router that ignores them to take over.
const A_WHILE: Duration = Duration::from_millis(1500);

/// Runs `test` on a lab with echo services and the configuration of both agents in place.
fn with_lab(mac: MacMode, test: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    let echoes = [Echo::start(&lab, Host::A, VIP)?, Echo::start(&lab, Host::B, VIP)?];
    // The other has the VIP on an interface, and only that may answer for it.
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
    lab.wait_served_by(VIP, Host::A, LONG)?;
    Ok(agent)
}

/// Starts Baton beside an Active Router on node b and asserts that it hears it and waits.
fn baton_backup(lab: &Lab) -> Result<Process> {
    let baton = lab.start_baton(Host::A)?;
    wait_until("baton to be Backup", LONG, || Ok(role(lab) == "Backup"))?;
    pause(A_WHILE)?;
    let status = lab.baton_status(Host::A)?;
    let router = &status.routers[0];
    assert_eq!((router.role.as_str(), lab.ask(VIP)?), ("Backup", Some(Host::B)), "node b keeps the VIP");
    let peer = router.peers.iter().find(|peer| peer.address == Host::B.address());
    assert_eq!(peer.map(|peer| peer.priority), Some(253), "Baton hears node b");
    Ok(baton)
}

/// The role of the agent on node a; empty while it does not answer.
fn role(lab: &Lab) -> String {
    let status = lab.baton_status(Host::A);
    status.ok().and_then(|status| Some(status.routers.into_iter().next()?.role)).unwrap_or_default()
}

/// What the keepalived on `host` has said.
fn keepalived_log(lab: &Lab, host: Host) -> Result<String> {
    Ok(fs::read_to_string(Keepalived::log_file(lab, host))?)
}

/// Asserts that the keepalived on `host` found nothing wrong with what Baton sent, but that half of what is said in both
/// versions is in another than its own.
fn assert_no_protest(lab: &Lab, host: Host) -> Result<()> {
    let is_expected = |line: &&str| line.contains("(both-beside-v") && line.contains("wrong version");
    let log = keepalived_log(lab, host)?;
    let log = log.lines().filter(|line| !is_expected(line)).collect::<Vec<_>>().join("\n");
    for word in ["nvalid", "mismatch", "expected", "hecksum", "bogus", "dropped", "received an", "wrong"] {
        ensure!(!log.contains(word), "keepalived says `{word}`:\n{log}");
    }
    Ok(())
}
