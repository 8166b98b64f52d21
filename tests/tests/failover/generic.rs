//! Generic mode, for a driver without XDP of its own and for a veth that would lose what native XDP sends back: the frames
//! reach the program after the kernel has made its own packet of them, and the service must not notice.

use std::fs;

use anyhow::{Result, ensure};
use baton::config::{MacMode, XdpChoice};
use baton_tests::lab::{Fault, Host, Lab, Nginx, Router, Settings, VIP, output};

use super::support::{
    LEASE_US, assert_moved, assert_silent_before, assert_sole_owner, start_alone, watch, with_settings,
};

const GENERIC: Settings = Settings { xdp: XdpChoice::Generic, ..Settings::USUAL };
const NATIVE: Settings = Settings { xdp: XdpChoice::Native, ..Settings::USUAL };

#[test]
fn a_vip_in_generic_mode_is_served_and_moves() -> Result<()> {
    for mac in [MacMode::Virtual, MacMode::Interface] {
        with_settings(mac, GENERIC, |lab, pair| {
            for host in Host::NODES {
                let status = lab.baton_status(host)?;
                ensure!(status.interfaces[0].xdp_mode == "generic", "{:?}", status.interfaces);
            }
            let _servers = [Nginx::start(lab, Host::A, VIP)?, Nginx::start(lab, Host::B, VIP)?];
            assert_eq!(lab.fetch(VIP)?, "node a");

            let (outcome, _) = watch(lab, || pair.inject(Fault::Planned).map(drop))?;
            assert_moved(&outcome, Host::B, LEASE_US);
            pair.restore()?;
            assert_sole_owner(pair, Host::B)?;
            assert_eq!(lab.fetch(VIP)?, "node b");

            let (outcome, recording) = watch(lab, || pair.inject(Fault::DeathOfAll).map(drop))?;
            assert_moved(&outcome, Host::A, 0);
            if mac == MacMode::Interface {
                assert_silent_before(&recording, Host::B, Host::A)?;
            }
            pair.restore()?;
            assert_sole_owner(pair, Host::A)?;
            assert_eq!(lab.fetch(VIP)?, "node a");
            Ok(())
        })?;
    }
    Ok(())
}

/// By default Baton takes the mode in which clients get an answer.
#[test]
fn a_veth_is_native_where_its_other_end_takes_what_xdp_sends_back() -> Result<()> {
    let lab = Lab::up()?;
    let port = |gro| lab.run_on_switch("ethtool", &["-K", "to-a", "gro", gro]);
    assert_mode_in_service(&lab, "native", None)?;
    lab.run_on_switch("ip", &["link", "set", "dev", "to-a", "xdpdrv", "off"])?;
    port("off")?;
    let why = "refused=\"native: the other end of this veth takes nothing that XDP sends back";
    assert_mode_in_service(&lab, "generic", Some(why))?;
    port("on")?;
    assert_mode_in_service(&lab, "native", None)
}

#[test]
fn native_mode_that_is_forced_on_such_a_veth_is_warned_of() -> Result<()> {
    let lab = Lab::up()?;
    lab.run_on_switch("ip", &["link", "set", "dev", "to-a", "xdpdrv", "off"])?;
    lab.run_on_switch("ethtool", &["-K", "to-a", "gro", "off"])?;
    lab.configure_routers(Host::A, MacMode::Virtual, &NATIVE, &[Router::usual(Host::A, &[VIP])])?;
    // The second run adopts the programs of the first.
    for run in 1..=2 {
        drop(start_alone(&lab)?);
        let log = fs::read_to_string(lab.baton_log(Host::A))?;
        let warnings = log.matches("ARP requests for the VIPs stay unanswered").count();
        ensure!(warnings == run, "run {run}: {log}");
    }
    Ok(())
}

/// Runs an agent on node a alone, and asserts that it is in `mode`, says `why` it is in no better one, and that the client
/// gets an answer to its ARP request.
fn assert_mode_in_service(lab: &Lab, mode: &str, why: Option<&str>) -> Result<()> {
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let agent = start_alone(lab)?;
    assert_eq!(lab.baton_status(Host::A)?.interfaces[0].xdp_mode, mode);
    let log = fs::read_to_string(lab.baton_log(Host::A))?;
    ensure!(why.is_none_or(|why| log.contains(why)), "{log}");
    let _server = Nginx::start(lab, Host::A, VIP)?;
    lab.forget_neighbours()?;
    assert_eq!(lab.fetch(VIP)?, "node a", "{mode}");
    drop(agent);
    output(&mut lab.baton(Host::A, "detach")?)?;
    Ok(())
}
