//! Addresses that somebody takes away or gives away while an agent runs.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Host, Lab, VIP, pause, wait_until};

use super::support::{SOON, start_alone};
use super::upkeep::second_interface;

#[test]
fn a_vip_that_was_taken_off_the_loopback_is_put_back_and_the_owner_stays() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let _agent = start_alone(&lab)?;
    let before = lab.baton_status(Host::A)?.routers[0].clone();
    lab.run(Host::A, "ip", &["address", "delete", &format!("{VIP}/32"), "dev", "lo"])?;
    wait_until("the VIP to be back on lo", SOON, || {
        Ok(lab.run(Host::A, "ip", &["address", "show", "lo"])?.contains(&format!("inet {VIP}/32")))
    })?;
    let after = lab.baton_status(Host::A)?.routers[0].clone();
    assert_eq!((after.role, after.since_ns), (before.role, before.since_ns));
    let log = fs::read_to_string(lab.baton_log(Host::A))?;
    ensure!(log.contains("the VIP was taken off lo; put back"), "{log}");
    Ok(())
}

#[test]
fn a_vip_that_comes_to_another_interface_is_told_once() -> Result<()> {
    let lab = Lab::up()?;
    second_interface(&lab)?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let _agent = start_alone(&lab)?;
    lab.run(Host::A, "ip", &["address", "add", &format!("{VIP}/32"), "dev", "eth1"])?;
    let told = || {
        let log = fs::read_to_string(lab.baton_log(Host::A))?;
        let lines =
            log.lines().filter(|line| line.contains("the VIP has become an address of this interface"));
        Ok::<_, anyhow::Error>(lines.filter(|line| line.contains("eth1")).count())
    };
    wait_until("a warning", SOON, || Ok(told()? > 0))?;
    // The agent looks again with every notice and each second.
    pause(Duration::from_millis(2500))?;
    assert_eq!(told()?, 1);
    Ok(())
}
