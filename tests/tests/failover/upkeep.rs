//! What agents leave on a host, and what becomes of it when the configuration changes, a program is taken off, or two
//! agents are given the same place.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_common::maps::LAYOUT_VERSION;
use baton_tests::lab::{Echo, Host, Lab, Pair, VIP, differences, output, wait_until};
use nix::sys::signal::Signal;

use super::support::{SOON, reconfigure, refused, refused_and_unchanged, start_alone};

/// A second interface of node a, to nobody.
pub(super) fn second_interface(lab: &Lab) -> Result<()> {
    lab.run(Host::A, "ip", &["link", "add", "eth1", "type", "veth", "peer", "name", "eth1-far"])?;
    lab.run(Host::A, "ip", &["address", "add", "10.78.0.1/24", "dev", "eth1"])?;
    for end in ["eth1", "eth1-far"] {
        lab.run(Host::A, "ip", &["link", "set", end, "up"])?;
    }
    Ok(())
}

pub(super) fn has_xdp(lab: &Lab, interface: &str) -> Result<bool> {
    Ok(lab.run(Host::A, "ip", &["-d", "link", "show", interface])?.contains("prog/xdp"))
}

#[test]
fn an_interface_that_left_the_configuration_is_released_by_the_next_run() -> Result<()> {
    let lab = Lab::up()?;
    second_interface(&lab)?;
    reconfigure(&lab, "interface = \"eth0\"", "interface = \"eth1\"")?;
    drop(start_alone(&lab)?);
    ensure!(has_xdp(&lab, "eth1")?, "the fence fell with the agent");
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let _agent = start_alone(&lab)?;
    ensure!(
        has_xdp(&lab, "eth0")? && !has_xdp(&lab, "eth1")?,
        "the programs did not follow the configuration"
    );
    Ok(())
}

#[test]
fn detach_covers_an_interface_that_left_the_configuration() -> Result<()> {
    let lab = Lab::up()?;
    second_interface(&lab)?;
    let before = lab.snapshot(Host::A)?;
    reconfigure(&lab, "interface = \"eth0\"", "interface = \"eth1\"")?;
    drop(start_alone(&lab)?);
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    output(&mut lab.baton(Host::A, "detach")?)?;
    assert_eq!(differences(&before, &lab.snapshot(Host::A)?), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_vip_that_another_interface_has_is_refused() -> Result<()> {
    let lab = Lab::up()?;
    second_interface(&lab)?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    lab.run(Host::A, "ip", &["address", "add", &format!("{VIP}/32"), "dev", "eth1"])?;
    refused_and_unchanged(&lab, &[&format!("{VIP} is an address of eth1"), "take it off"])
}

#[test]
fn an_address_that_was_on_the_loopback_before_stays_when_baton_goes() -> Result<()> {
    let lab = Lab::up()?;
    lab.run(Host::A, "ip", &["address", "add", &format!("{VIP}/32"), "dev", "lo"])?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let before = lab.snapshot(Host::A)?;
    drop(start_alone(&lab)?);
    output(&mut lab.baton(Host::A, "detach")?)?;
    assert_eq!(differences(&before, &lab.snapshot(Host::A)?), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_runtime_directory_serves_one_agent() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let _agent = start_alone(&lab)?;
    let file = lab.configure_baton(Host::B, MacMode::Virtual, 10, &[VIP])?;
    let [own, others] = [Host::B, Host::A].map(|host| lab.host_directory(host).display().to_string());
    fs::write(&file, fs::read_to_string(&file)?.replace(&own, &others))?;
    let before = lab.snapshot(Host::B)?;
    for verb in ["run", "detach"] {
        refused(lab.baton(Host::B, verb)?, &["another baton uses", &others])?;
    }
    assert_eq!(differences(&before, &lab.snapshot(Host::B)?), Vec::<String>::new());
    assert_eq!(lab.baton_status(Host::A)?.routers[0].role, "Active");
    Ok(())
}

#[test]
fn a_stopped_agent_is_said_to_be_silent() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let agent = start_alone(&lab)?;
    lab.signal_agent(Host::A, Signal::SIGSTOP)?;
    refused(lab.baton(Host::A, "status")?, &["the agent does not answer"])?;
    agent.signal_tree(Signal::SIGCONT)?;
    wait_until("the agent to answer again", SOON, || Ok(lab.baton_status(Host::A).is_ok()))
}

#[test]
fn a_node_whose_xdp_program_is_taken_off_gives_the_vip_away() -> Result<()> {
    gives_the_vip_away_without("baton_xdp", "XDP")
}

#[test]
fn a_node_whose_ingress_program_is_taken_off_gives_the_vip_away() -> Result<()> {
    gives_the_vip_away_without("baton_ingress", "tcx ingress")
}

#[test]
fn a_node_whose_egress_program_is_taken_off_gives_the_vip_away() -> Result<()> {
    gives_the_vip_away_without("baton_egress", "tcx egress")
}

fn gives_the_vip_away_without(program: &str, hook: &str) -> Result<()> {
    let lab = Lab::up()?;
    let pair = Pair::start(&lab, MacMode::Virtual.into(), 1)?;
    let _echoes = [Echo::start(&lab, Host::A, pair.probed())?, Echo::start(&lab, Host::B, pair.probed())?];
    pair.settle()?;
    let pin = lab
        .directory()
        .join("bpf")
        .join(Host::A.name())
        .join(format!("v{LAYOUT_VERSION}/eth0/{program}_link"));
    lab.run(Host::A, "bpftool", &["link", "detach", "pinned", &pin.to_string_lossy()])?;
    let state = |host| Ok::<_, anyhow::Error>(lab.baton_status(host)?.routers[0].clone());
    wait_until("node b to take over", SOON, || Ok(state(Host::B)?.role == "Active"))?;
    let lost = state(Host::A)?;
    assert_eq!((lost.role.as_str(), lost.reason.as_deref()), ("Initialize", Some("datapath-lost")));
    let log = fs::read_to_string(lab.baton_log(Host::A))?;
    ensure!(log.contains(&format!("our {hook} program was taken off the interface")), "{log}");
    pair.stop()
}

#[test]
fn programs_of_an_earlier_run_in_a_mode_that_is_not_allowed_are_refused() -> Result<()> {
    let lab = Lab::up()?;
    reconfigure(&lab, "[runtime]\n", "[runtime]\nxdp = \"generic\"\n")?;
    drop(start_alone(&lab)?);
    reconfigure(&lab, "[runtime]\n", "[runtime]\nxdp = \"native\"\n")?;
    refused_and_unchanged(&lab, &["XDP on eth0 is generic", "`baton detach` first"])?;
    output(&mut lab.baton(Host::A, "detach")?)?;
    drop(start_alone(&lab)?);
    Ok(())
}

#[test]
fn two_nodes_with_one_address_are_told_so() -> Result<()> {
    let lab = Lab::up()?;
    for host in Host::NODES {
        lab.configure_baton(host, MacMode::Virtual, 10, &[VIP])?;
    }
    lab.run(Host::B, "ip", &["address", "flush", "dev", "eth0"])?;
    let address = format!("{}/16", Host::A.address());
    lab.run(Host::B, "ip", &["address", "add", &address, "dev", "eth0"])?;
    let _agents = [lab.start_baton(Host::A)?, lab.start_baton(Host::B)?];
    wait_until("both logs to name the cause", Duration::from_secs(20), || {
        let logs = Host::NODES.map(|host| fs::read_to_string(lab.baton_log(host)));
        let named = |log: &String| log.contains("two hosts have the same primary address");
        Ok(logs.into_iter().collect::<std::io::Result<Vec<_>>>()?.iter().all(named))
    })
}
