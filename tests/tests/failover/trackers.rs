//! What a node leads to falls out of order: the VIP goes where it is in order, and stays where it is if it is nowhere.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use baton::config::MacMode;
use baton::control::protocol::TrackerStatus;
use baton_tests::lab::{Host, Lab, Settings, output, pause, wait_until};

use super::support::{
    LEASE_US, SOON, WATCH, assert_moved, assert_sole_owner, router, wait_for_active, wait_for_next_in_line,
    watch, with_pair, with_settings,
};

/// So that a test need not wait.
const OFTEN: &str = "interval_ms = 20\n";
const PREEMPTING: Settings = Settings { preempt: true, ..Settings::USUAL };

#[test]
fn the_vip_stays_where_it_is_when_every_node_fails_and_goes_to_the_first_that_recovers() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        let files = [track_file(lab, Host::A, "")?, track_file(lab, Host::B, "")?];
        wait_for_next_in_line(lab, Host::B)?;
        fail(lab, Host::B, &files)?;
        let (outcome, _) = watch(lab, || fail(lab, Host::A, &files))?;
        assert_eq!((outcome.lost_probes, outcome.flips), (0, 0), "{outcome:?}");
        pause(WATCH)?;
        assert_sole_owner(pair, Host::A)?;
        assert_eq!(router(lab, Host::A)?.effective_priority, 1);

        let (outcome, _) = watch(lab, || recover(lab, Host::B, &files))?;
        assert_moved(&outcome, Host::B, LEASE_US);
        assert_eq!(outcome.lost_probes, 0, "{outcome:?}");
        recover(lab, Host::A, &files)?;
        pause(WATCH)?;
        assert_sole_owner(pair, Host::B)
    })
}

#[test]
fn a_weight_makes_the_other_node_the_better_one_as_long_as_it_weighs() -> Result<()> {
    with_settings(MacMode::Virtual, PREEMPTING, |lab, pair| {
        let files = [track_file(lab, Host::A, "weight = 2\n")?, track_file(lab, Host::B, "weight = 2\n")?];
        let (outcome, _) = watch(lab, || fail(lab, Host::A, &files))?;
        assert_moved(&outcome, Host::B, LEASE_US);
        assert_eq!(router(lab, Host::A)?.effective_priority, 252);
        let (outcome, _) = watch(lab, || recover(lab, Host::A, &files))?;
        assert_moved(&outcome, Host::A, LEASE_US);
        assert_sole_owner(pair, Host::A)
    })
}

#[test]
fn a_node_that_starts_out_of_order_takes_the_vip_only_when_it_is_in_order() -> Result<()> {
    with_settings(MacMode::Virtual, PREEMPTING, |lab, pair| {
        let files = [track_file(lab, Host::A, "")?, track_file(lab, Host::B, "")?];
        pair.agent(Host::A)?.signal(nix::sys::signal::Signal::SIGTERM)?;
        pair.end_of(Host::A)?;
        wait_for_active(lab, Host::B)?;
        fs::write(&files[0], "1\n")?;
        pair.restart(Host::A)?;
        wait_for_tracker(lab, Host::A, "failing")?;
        pause(WATCH)?;
        assert_sole_owner(pair, Host::B)?;
        recover(lab, Host::A, &files)?;
        wait_for_active(lab, Host::A)
    })
}

/// With a minute from one look to the next, only the kernel's notice can be what tells.
#[test]
fn a_carrier_lost_on_another_card_moves_the_vip_at_once_and_back_when_it_returns() -> Result<()> {
    with_settings(MacMode::Virtual, PREEMPTING, |lab, pair| {
        lab.add_second_card(Host::A, Ipv4Addr::new(10, 77, 0, 11))?;
        track(lab, Host::A, "carrier = \"eth1\"\nrise = 1\ninterval_ms = 60000\n")?;
        wait_for_next_in_line(lab, Host::B)?;
        let (outcome, _) = watch(lab, || {
            lab.plug_second_card(Host::A, false)?;
            wait_for_tracker(lab, Host::A, "failing")
        })?;
        assert_moved(&outcome, Host::B, LEASE_US);
        assert_eq!(outcome.lost_probes, 0, "{outcome:?}");
        let failing = tracker(lab, Host::A)?;
        assert_eq!(failing.detail.as_deref(), Some("eth1 has no carrier"));

        lab.plug_second_card(Host::A, true)?;
        wait_for_tracker(lab, Host::A, "good")?;
        wait_for_active(lab, Host::A)?;
        assert_sole_owner(pair, Host::A)
    })
}

/// Gives the router of `host` one tracker with these `keys`, by a restart of its agent.
fn track(lab: &Lab, host: Host, keys: &str) -> Result<()> {
    let file = lab.host_directory(host).join("baton.toml");
    let mut file = OpenOptions::new().append(true).open(&file).context("open the configuration")?;
    // The table of the router is the last one.
    write!(file, "track = [\"service\"]\n\n[[track]]\nname = \"service\"\n{keys}")?;
    output(&mut lab.baton(host, "restart")?)?;
    wait_for_tracker(lab, host, "good")
}

/// The same with a file that tells whether `host` is in order, and gives its path.
fn track_file(lab: &Lab, host: Host, keys: &str) -> Result<PathBuf> {
    let path = lab.host_directory(host).join("out-of-order");
    track(lab, host, &format!("{OFTEN}file = \"{}\"\n{keys}", path.display()))?;
    Ok(path)
}

fn fail(lab: &Lab, host: Host, files: &[PathBuf; 2]) -> Result<()> {
    fs::write(&files[usize::from(host == Host::B)], "1\n")?;
    wait_for_tracker(lab, host, "failing")
}

fn recover(lab: &Lab, host: Host, files: &[PathBuf; 2]) -> Result<()> {
    fs::write(&files[usize::from(host == Host::B)], "0\n")?;
    wait_for_tracker(lab, host, "good")
}

fn wait_for_tracker(lab: &Lab, host: Host, state: &str) -> Result<()> {
    let what = format!("the tracker of node {} to be {state}", host.name());
    wait_until(&what, SOON, || Ok(tracker(lab, host)?.state == state))
}

/// The tracker of `host`.
fn tracker(lab: &Lab, host: Host) -> Result<TrackerStatus> {
    router(lab, host)?.trackers.into_iter().next().context("a router with a tracker")
}
