//! Nodes that are the default gateway of the client's segment. Behind each is a host of the same address, whose answers tell
//! which node has routed the question.

use std::fs;
use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Fault, Host, Lab, Pair, Settings, Upstream, VIP, differences, output, wait_until};

use super::support::{
    LEASE_US, SOON, assert_moved, assert_sole_owner, reconfigure, refused, router, router6_table,
    start_alone, wait_for_guardian, watch_vip, with_settings,
};

const GATEWAY: Settings =
    Settings { more: "startup_hold_ms = 0\ndelivery = \"gateway\"\n", ..Settings::USUAL };
/// A line of the configuration to put others before.
const LINE: &str = "mac = \"virtual\"";
/// The virtual MAC of the lab's router.
const MAC: &str = "00:00:5e:00:01:33";

/// Runs `test` with the VIP as the client's default gateway.
fn with_gateways(test: impl FnOnce(&Lab, &mut Pair<'_>) -> Result<()>) -> Result<()> {
    with_settings(MacMode::Virtual, GATEWAY, |lab, pair| {
        let mut upstreams = Vec::new();
        for node in Host::NODES {
            upstreams.push(Upstream::start(lab, node)?);
            lab.set_forwarding(node, true)?;
        }
        lab.route_through_vip()?;
        lab.wait_served_by(Upstream::ADDRESS, Host::A, SOON)?;
        test(lab, pair)
    })
}

#[test]
fn a_client_is_routed_by_whichever_node_is_active() -> Result<()> {
    with_gateways(|lab, pair| {
        for _ in 0..2 {
            let successor = pair.settle()?.other();
            let (outcome, _) = watch_vip(lab, Upstream::ADDRESS, || pair.inject(Fault::Planned).map(drop))?;
            assert_moved(&outcome, successor, LEASE_US);
            assert_eq!(outcome.lost_probes, 0, "{outcome:?}");
            pair.restore()?;
            assert_sole_owner(pair, successor)?;
            assert_eq!(lab.neighbour(VIP)?.as_deref(), Some(MAC), "the client keeps its neighbour entry");
        }
        Ok(())
    })
}

#[test]
fn a_gateway_that_dies_is_succeeded() -> Result<()> {
    with_gateways(|lab, pair| {
        for fault in [Fault::AgentDeath, Fault::DeathOfAll, Fault::SilentDeath] {
            let successor = pair.settle()?.other();
            let (outcome, _) = watch_vip(lab, Upstream::ADDRESS, || pair.inject(fault).map(drop))?;
            assert_moved(&outcome, successor, LEASE_US);
            pair.restore()?;
            pair.settle()?;
        }
        Ok(())
    })
}

#[test]
fn a_restart_of_the_gateway_loses_nothing() -> Result<()> {
    with_gateways(|lab, _| {
        wait_for_guardian(lab, Host::A)?;
        let (outcome, _) =
            watch_vip(lab, Upstream::ADDRESS, || output(&mut lab.baton(Host::A, "restart")?).map(drop))?;
        assert_eq!((outcome.after, outcome.flips, outcome.lost_probes), (Some(Host::A), 0, 0), "{outcome:?}");
        Ok(())
    })
}

#[test]
fn a_reload_makes_an_owner_a_gateway_and_unmakes_it() -> Result<()> {
    let lab = Lab::up()?;
    let _upstream = Upstream::start(&lab, Host::A)?;
    lab.set_forwarding(Host::A, true)?;
    lab.route_through_vip()?;
    reconfigure(&lab, LINE, LINE)?;
    let _agent = start_alone(&lab)?;
    wait_for_guardian(&lab, Host::A)?;
    let epoch = router(&lab, Host::A)?.epoch;
    for (more, routes, is_bound) in [
        ("", false, true),
        ("delivery = \"gateway\"\n", true, true),
        ("delivery = \"gateway\"\naccept = false\n", true, false),
        ("accept = false\n", false, false),
        ("", false, true),
    ] {
        reconfigure(&lab, LINE, &format!("{more}{LINE}"))?;
        output(&mut lab.baton(Host::A, "reload")?)?;
        let answer = if routes { Some(Host::A) } else { None };
        assert_eq!(lab.ask(Upstream::ADDRESS)?, answer, "{more}");
        let addresses = lab.run(Host::A, "ip", &["address", "show", "dev", "lo"])?;
        assert_eq!(addresses.contains(&VIP.to_string()), is_bound, "{more}: {addresses}");
        assert_eq!(router(&lab, Host::A)?.epoch, epoch, "it has lost its role: {more}");
        wait_for_guardian(&lab, Host::A)?;
    }
    Ok(())
}

/// The node whose lease has lapsed would route on: its kernel does not know.
#[test]
fn a_gateway_whose_agents_are_dead_routes_nothing_any_more() -> Result<()> {
    let lab = Lab::up()?;
    let _upstream = Upstream::start(&lab, Host::A)?;
    lab.set_forwarding(Host::A, true)?;
    lab.route_through_vip()?;
    reconfigure(&lab, LINE, &format!("delivery = \"gateway\"\n{LINE}"))?;
    let agent = start_alone(&lab)?;
    lab.wait_served_by(Upstream::ADDRESS, Host::A, SOON)?;
    assert!(frames(&lab, "gateway-delivered")? > 0);
    agent.kill_tree()?;
    wait_until("the gateway to be silent", SOON, || Ok(lab.ask(Upstream::ADDRESS)?.is_none()))?;
    assert_eq!(lab.neighbour(VIP)?.as_deref(), Some(MAC), "the client has sent it there");
    Ok(())
}

#[test]
fn a_gateway_that_accepts_nothing_routes_and_answers_arp() -> Result<()> {
    let lab = Lab::up()?;
    let _upstream = Upstream::start(&lab, Host::A)?;
    lab.set_forwarding(Host::A, true)?;
    lab.route_through_vip()?;
    let before = lab.snapshot(Host::A)?;
    reconfigure(&lab, LINE, &format!("delivery = \"gateway\"\naccept = false\n{LINE}"))?;
    let mut agent = start_alone(&lab)?;
    lab.wait_served_by(Upstream::ADDRESS, Host::A, SOON)?;
    lab.forget_neighbours()?;
    assert_eq!(lab.ask(VIP)?, None);
    assert_eq!(frames(&lab, "vip-not-accepted")?, 1);
    assert_eq!(lab.neighbour(VIP)?.as_deref(), Some(MAC));
    assert_eq!(lab.ask(Upstream::ADDRESS)?, Some(Host::A));
    let addresses = lab.run(Host::A, "ip", &["address", "show", "dev", "lo"])?;
    ensure!(!addresses.contains(&VIP.to_string()), "nobody can reach it there: {addresses}");
    for interface in ["all", "eth0"] {
        assert_eq!(redirects(&lab, interface)?, "0", "{interface}");
    }
    assert_eq!(redirects(&lab, "up0")?, "1", "no gateway of the hosts there");
    agent.stop(SOON)?;
    output(&mut lab.baton(Host::A, "detach")?)?;
    assert_eq!(differences(&before, &lab.snapshot(Host::A)?), Vec::<String>::new());
    Ok(())
}

fn redirects(lab: &Lab, interface: &str) -> Result<String> {
    let path = format!("/proc/sys/net/ipv4/conf/{interface}/send_redirects");
    lab.namespace(Host::A).within(|| Ok(fs::read_to_string(path)?.trim().to_owned()))
}

/// How many frames on node a met `verdict`.
fn frames(lab: &Lab, verdict: &str) -> Result<u64> {
    let verdicts = &lab.baton_status(Host::A)?.interfaces[0].verdicts;
    Ok(verdicts.get(verdict).copied().unwrap_or_default())
}

#[test]
fn a_gateway_that_cannot_route_is_told() -> Result<()> {
    let lab = Lab::up()?;
    lab.set_forwarding(Host::A, false)?;
    reconfigure(&lab, LINE, &format!("delivery = \"gateway\"\n{LINE}"))?;
    let strictly = || -> Result<_> {
        let mut check = lab.baton(Host::A, "check")?;
        check.arg("--strict");
        Ok(check)
    };
    let warning = "the kernel routes nothing from eth0; set net.ipv4.ip_forward=1";
    refused(strictly()?, &["delivery is \"gateway\", but", warning])?;
    let agent = start_alone(&lab)?;
    let log = fs::read_to_string(lab.baton_log(Host::A))?;
    ensure!(log.contains("set net.ipv4.ip_forward=1"), "{log}");
    drop(agent);
    lab.set_forwarding(Host::A, true)?;
    output(&mut strictly()?).map(drop)
}

/// Through the link-local VIP, which is on no interface.
#[test]
fn ipv6_is_routed_as_well() -> Result<()> {
    let lab = Lab::up()?;
    lab.enable_ipv6()?;
    let (mut heard, mut upstreams) = (Vec::new(), Vec::new());
    for node in Host::NODES {
        let upstream = Upstream::start(&lab, node)?;
        lab.set_forwarding(node, true)?;
        heard.push(upstream.namespace().within(|| {
            let socket = UdpSocket::bind((Upstream::ADDRESS6, 9))?;
            socket.set_read_timeout(Some(Duration::from_millis(50)))?;
            Ok(socket)
        })?);
        upstreams.push(upstream);
        let file = lab.configure_routers(node, MacMode::Virtual, &GATEWAY, &[])?;
        let table = router6_table(node, GATEWAY.more);
        fs::write(&file, fs::read_to_string(&file)? + &table)?;
    }
    lab.route_through_vip6()?;
    let client = lab.namespace(Host::Client).within(|| Ok(UdpSocket::bind("[::]:0")?))?;
    let mut buffer = [0; 8];
    let mut wait_routed_by = |node: Host, socket: &UdpSocket| {
        wait_until(&format!("node {} to route", node.name()), SOON, || {
            client.send_to(b"question", (Upstream::ADDRESS6, 9))?;
            let Ok((_, from)) = socket.recv_from(&mut buffer) else { return Ok(false) };
            assert_eq!(from.ip(), Host::Client.address6());
            Ok(true)
        })
    };
    let _first = start_alone(&lab)?;
    wait_routed_by(Host::A, &heard[0])?;
    let _second = lab.start_baton(Host::B)?;
    wait_until("a handover", SOON, || Ok(output(&mut lab.baton(Host::A, "handover")?).is_ok()))?;
    wait_routed_by(Host::B, &heard[1])
}
