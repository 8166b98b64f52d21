//! Addresses that are on `lo` only while their node is Active.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Fault, Host, Lab, Pair, Process, Settings, VIP, output, pause, wait_until};
use nix::sys::signal::Signal;

use super::support::{SOON, assert_sole_owner, wait_for_guardian, with_settings};

/// The usual pair, with addresses of that kind.
fn with_temporary_vips(test: impl FnOnce(&Lab, &mut Pair<'_>) -> Result<()>) -> Result<()> {
    let settings = Settings { more: "startup_hold_ms = 0\nbind = \"while-active\"\n", ..Settings::USUAL };
    with_settings(MacMode::Virtual, settings, test)
}

fn has_vip(lab: &Lab, host: Host) -> Result<bool> {
    Ok(lab.run(host, "ip", &["address", "show", "dev", "lo"])?.contains(&format!("inet {VIP}/32")))
}

/// Waits until the VIP is on `lo` of `owner`, or of nobody.
fn wait_bound_by(lab: &Lab, owner: Option<Host>) -> Result<()> {
    wait_until(&format!("the VIP to be bound by {owner:?}"), SOON, || {
        let bound = [has_vip(lab, Host::A)?, has_vip(lab, Host::B)?];
        Ok(bound == Host::NODES.map(|host| Some(host) == owner))
    })
}

#[test]
fn the_vip_is_bound_where_it_is_owned_and_goes_with_a_handover() -> Result<()> {
    with_temporary_vips(|lab, pair| {
        wait_bound_by(lab, Some(Host::A))?;
        for _ in 0..2 {
            pair.settle()?;
            pair.inject(Fault::Planned)?;
            pair.restore()?;
            // The other one, but for a machine that stands still, where it may go back.
            let owner = pair.settle()?;
            wait_bound_by(lab, Some(owner))?;
        }
        Ok(())
    })
}

#[test]
fn the_vip_is_taken_off_at_a_stop() -> Result<()> {
    with_temporary_vips(|lab, pair| {
        pair.agent(Host::A)?.signal(Signal::SIGTERM)?;
        pair.end_of(Host::A)?;
        ensure!(!has_vip(lab, Host::A)?, "it is still there when the agent has ended");
        wait_bound_by(lab, Some(Host::B))?;
        pair.restart(Host::A)?;
        assert_sole_owner(pair, Host::B)
    })
}

/// Nobody is left to take it off; XDP keeps it from being heard meanwhile.
#[test]
fn the_next_agent_takes_off_what_one_that_died_has_left() -> Result<()> {
    with_temporary_vips(|lab, pair| {
        wait_bound_by(lab, Some(Host::A))?;
        pair.inject(Fault::DeathOfAll)?;
        wait_until("node b to bind it", SOON, || has_vip(lab, Host::B))?;
        ensure!(has_vip(lab, Host::A)?, "who has taken it off?");
        pair.restore()?;
        assert_sole_owner(pair, Host::B)?;
        wait_bound_by(lab, Some(Host::B))
    })
}

#[test]
fn the_vip_stays_bound_over_a_restart_of_the_owner() -> Result<()> {
    with_temporary_vips(|lab, pair| {
        wait_bound_by(lab, Some(Host::A))?;
        wait_for_guardian(lab, Host::A)?;
        let log = lab.host_directory(Host::A).join("addresses");
        let _monitor = Process::start(lab.command(Host::A, "ip").args(["monitor", "address"]), &log)?;
        let said = || Ok::<_, anyhow::Error>(fs::read_to_string(&log)?);
        let lo = |verb: &str, address: &str| lab.run(Host::A, "ip", &["address", verb, address, "dev", "lo"]);
        wait_until("the monitor to hear", SOON, || {
            lo("add", "10.79.0.1/32")?;
            lo("delete", "10.79.0.1/32")?;
            Ok(said()?.contains("10.79.0.1"))
        })?;
        output(&mut lab.baton(Host::A, "restart")?)?;
        wait_for_guardian(lab, Host::A)?;
        assert_sole_owner(pair, Host::A)?;
        // The agent has looked by then: it does each second.
        pause(Duration::from_millis(1500))?;
        let said = said()?;
        ensure!(!said.contains(&VIP.to_string()), "{said}");
        wait_bound_by(lab, Some(Host::A))
    })
}
