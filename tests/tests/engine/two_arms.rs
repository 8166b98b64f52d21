//! Real nodes between a client on one segment and backends on another.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Result, ensure};
use baton_common::maps::LAYOUT_VERSION;
use baton_tests::lab::{Backend, Balanced, Connection, Host, VIP, VIPS6, output, wait_until};

use super::support::{SOON, end};

/// The VIPs of both families.
const VIPS: [IpAddr; 2] = [IpAddr::V4(VIP), IpAddr::V6(VIPS6[1])];

/// Nodes that translate packets for backends behind their second interface.
fn two_armed(forward: &str, runtime: &str) -> Result<Balanced> {
    let mut setup = Balanced::prepare_two_armed()?;
    if forward == "nat" {
        setup.route_by_nodes()?;
    }
    start(&mut setup, forward, runtime)?;
    Ok(setup)
}

fn start(setup: &mut Balanced, forward: &str, runtime: &str) -> Result<()> {
    for host in Host::NODES {
        setup.configure_two_armed(host, forward, runtime)?;
        setup.start(host)?;
    }
    setup.wait_for_active(Host::A)
}

/// Whether all backends have answered the client at the VIP of each family.
fn assert_all_answer(setup: &Balanced, what: &str) -> Result<()> {
    let all: BTreeSet<String> = setup.backends.iter().map(Backend::says).collect();
    for vip in VIPS {
        let answers = (0..40).map(|_| setup.lab.fetch(vip)).collect::<Result<BTreeSet<_>>>()?;
        ensure!(answers == all, "{what}, {vip}: {answers:?}");
    }
    Ok(())
}

/// Frames with a verdict on an interface of `host`.
fn frames(setup: &Balanced, host: Host, interface: &str, verdict: &str) -> Result<u64> {
    let status = setup.lab.baton_status(host)?;
    let found = status.interfaces.iter().find(|seen| seen.interface == interface);
    Ok(found.map_or(0, |seen| seen.verdicts[verdict]))
}

/// One connection, over which much is said.
fn converse(setup: &Balanced) -> Result<()> {
    let mut connection = Connection::open(&setup.lab)?;
    for _ in 0..50 {
        connection.ask()?;
    }
    ensure!(connection.send(200_000)?.starts_with("backend"));
    Ok(())
}

#[test]
fn backends_behind_another_interface_serve_through_either_node() -> Result<()> {
    for forward in ["full-nat", "nat"] {
        let setup = two_armed(forward, "flow_cache = true")?;
        for node in Host::NODES {
            assert_all_answer(&setup, forward)?;
            converse(&setup)?;
            let [crossed, forwarded] =
                ["vip-crossed", "vip-forwarded"].map(|verdict| frames(&setup, node, "eth0", verdict));
            let (crossed, forwarded) = (crossed?, forwarded?);
            ensure!(crossed > 100 && forwarded == 0, "{forward}: {crossed} across, {forwarded} back");
            let pools = &setup.engine(node)?.pools;
            let mut backends = pools.iter().flat_map(|pool| &pool.backends);
            ensure!(backends.all(|backend| backend.frames > 0 && backend.answers > 0), "{pools:?}");
            if node == Host::A {
                setup.hand_over(Host::A)?;
            }
        }
        end(setup)?;
    }
    Ok(())
}

#[test]
fn workers_alone_bring_frames_across() -> Result<()> {
    for forward in ["full-nat", "nat"] {
        let setup = two_armed(forward, "flow_cache = false")?;
        for node in Host::NODES {
            assert_all_answer(&setup, forward)?;
            converse(&setup)?;
            assert_eq!(frames(&setup, node, "eth0", "vip-crossed")?, 0);
            if node == Host::A {
                setup.hand_over(Host::A)?;
            }
        }
        end(setup)?;
    }
    Ok(())
}

/// XDP runs in generic mode there, and cannot be redirected to from native mode.
#[test]
fn workers_send_by_an_interface_to_which_xdp_cannot_redirect() -> Result<()> {
    let mut setup = Balanced::prepare_two_armed()?;
    for port in ["to-a-l1", "to-b-l1"] {
        setup.lab.run_on_switch("ip", &["link", "set", "dev", port, "xdpdrv", "off"])?;
    }
    start(&mut setup, "full-nat", "")?;
    let modes: Vec<String> =
        setup.lab.baton_status(Host::A)?.interfaces.into_iter().map(|it| it.xdp_mode).collect();
    assert_eq!(modes, ["native", "generic"]);
    assert_all_answer(&setup, "generic")?;
    converse(&setup)?;
    end(setup)
}

#[test]
fn connections_go_on_while_the_agent_is_restarted() -> Result<()> {
    let setup = two_armed("full-nat", "")?;
    let mut connections = (0..20).map(|_| Connection::open(&setup.lab)).collect::<Result<Vec<_>>>()?;
    let before = connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?;
    for _ in 0..2 {
        output(&mut setup.lab.baton(Host::A, "restart")?)?;
        assert_eq!(connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?, before);
    }
    end(setup)
}

/// What it has left tells the next agent's answers from those of others, and nothing else.
#[test]
fn an_agent_that_was_killed_is_started_again() -> Result<()> {
    let mut setup = two_armed("full-nat", "")?;
    converse(&setup)?;
    setup.kill(Host::A)?;
    wait_until("node b to be Active", SOON, || {
        Ok(setup.lab.baton_status(Host::B)?.routers[0].role == "Active")
    })?;
    assert_all_answer(&setup, "node a is dead")?;
    setup.start(Host::A)?;
    setup.wait_for_active(Host::B)?;
    setup.hand_over(Host::B)?;
    assert_all_answer(&setup, "node a is back")?;
    converse(&setup)?;
    end(setup)
}

#[test]
fn a_node_whose_program_is_taken_off_the_second_interface_gives_the_vip_away() -> Result<()> {
    let setup = two_armed("full-nat", "")?;
    let pins = setup.lab.directory().join("bpf").join(Host::A.name());
    let pin = pins.join(format!("v{LAYOUT_VERSION}/{}/baton_xdp_link", Balanced::BEHIND));
    setup.lab.run(Host::A, "bpftool", &["link", "detach", "pinned", &pin.to_string_lossy()])?;
    setup.wait_for_active(Host::B)?;
    assert_all_answer(&setup, "node a is deaf")?;
    let trackers = setup.lab.baton_status(Host::A)?.routers.swap_remove(0).trackers;
    let why = trackers.into_iter().find(|tracker| tracker.name == "engine eth0").and_then(|it| it.detail);
    assert_eq!(why.as_deref(), Some("eth1: our XDP program was taken off the interface"));
    end(setup)
}
