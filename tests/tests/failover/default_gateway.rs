//! The client as the default gateway of the nodes: one that takes no announcement of an address that it does not know yet, as
//! Linux does not, and learns from being asked.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Host, Lab, Settings, VIP, VIPS6, mac_text, output, pause, wait_until};
use baton_tests::network::{Hears, Listener};

use super::support::{SOON, router6_table, start_alone, wait_for_active, wait_for_session};

/// Longer than an agent goes without looking at the routes.
const LOOK: Duration = Duration::from_millis(2500);

/// What the client is called as a gateway of IPv6, which has a link-local address as a rule.
const GATEWAY6: &str = "fe80::9";

#[test]
fn a_gateway_that_takes_no_announcement_learns_where_the_vips_are_because_it_is_asked() -> Result<()> {
    let lab = Lab::up()?;
    lab.enable_ipv6()?;
    lab.run(Host::Client, "ip", &["address", "add", &format!("{GATEWAY6}/64"), "dev", "eth0", "nodad"])?;
    for key in ["net/ipv4/conf/all/arp_accept", "net/ipv4/conf/eth0/arp_accept"] {
        lab.namespace(Host::Client).set(key, "0")?;
    }
    for host in Host::NODES {
        let file = lab.configure_baton(host, MacMode::Interface, 10, &[VIP])?;
        let more = format!("{}mac = \"interface\"\n", Settings::USUAL.more);
        let text = fs::read_to_string(&file)? + &router6_table(host, &more);
        // On a machine that stalls the VIPs shall not move by themselves.
        ensure!(text.matches("interval_ms = 10\n").count() == 2, "two routers: {text}");
        fs::write(&file, text.replace("interval_ms = 10\n", "interval_ms = 100\n"))?;
    }
    add_default_routes(&lab, Host::A)?;
    let _first = start_alone(&lab)?;
    wait_known_at(&lab, Host::A)?;
    let _second = lab.start_baton(Host::B)?;
    wait_for_session(&lab, Host::B)?;

    // The routes of node b come when its agent is there.
    add_default_routes(&lab, Host::B)?;
    pause(LOOK)?;
    for successor in [Host::B, Host::A] {
        // Of an address that it has, the client would take announcements as well.
        lab.forget_neighbours()?;
        lab.run(Host::Client, "ip", &["-6", "neigh", "flush", "dev", "eth0"])?;
        ensure!(lab.neighbour(VIP)?.is_none(), "the client knows still");
        output(&mut lab.baton(successor.other(), "handover")?)?;
        wait_for_active(&lab, successor)?;
        wait_known_at(&lab, successor)?;
    }
    Ok(())
}

#[test]
fn nobody_is_asked_where_no_default_route_leads() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Interface, 10, &[VIP])?;
    // A network route, and a gateway elsewhere.
    lab.run(Host::A, "ip", &["route", "add", "10.79.0.0/16", "via", "10.77.0.9", "dev", "eth0"])?;
    lab.run(Host::A, "ip", &["route", "add", "default", "dev", "lo"])?;
    let client = lab.namespace(Host::Client).within(|| Ok(Listener::open("eth0", Hears::Arp)?))?;
    client.hear_only(VIP)?;
    let _agent = start_alone(&lab)?;
    pause(Duration::from_millis(500))?;
    let mut heard = 0;
    let mut buffer = [0; 128];
    while let Some(frame) = client.next(&mut buffer) {
        let target = frame.get(38..42).context("an ARP frame")?;
        ensure!(target == VIP.octets(), "it has asked for {target:?}");
        heard += 1;
    }
    ensure!(heard >= 6, "three sweeps of both operations: {heard}");
    Ok(())
}

/// Makes the client the default gateway of `host`, for both families.
fn add_default_routes(lab: &Lab, host: Host) -> Result<()> {
    let gateway = Host::Client.address().to_string();
    lab.run(host, "ip", &["route", "add", "default", "via", &gateway, "dev", "eth0"])?;
    lab.run(host, "ip", &["-6", "route", "add", "default", "via", GATEWAY6, "dev", "eth0"]).map(drop)
}

/// Waits until the client has the MAC of `host` for the VIPs. It has never sent anything to them.
fn wait_known_at(lab: &Lab, host: Host) -> Result<()> {
    let mac = mac_text(host.mac());
    wait_until(&format!("the client to know node {}", host.name()), SOON, || {
        let known = [lab.neighbour(VIP)?, lab.neighbour(VIPS6[0])?, lab.neighbour(VIPS6[1])?];
        Ok(known.iter().all(|known| known.as_ref() == Some(&mac)))
    })
}
