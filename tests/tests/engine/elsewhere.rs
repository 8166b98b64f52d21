//! Backends that get their packets through tunnels, on the segment and behind a router.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::Result;
use baton_tests::lab::{Backend, Balanced, Connection, Host, VIP, output, wait_until};

use super::support::{SOON, end};

/// An address of a backend in a network of its own, whose router it is itself.
fn far(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 78, 0, number)
}

/// Nodes that reach backends through tunnels to the addresses that `address` gives.
fn tunnelled(address: impl Fn(u8) -> Ipv4Addr) -> Result<Balanced> {
    let mut setup = Balanced::prepare()?;
    for (number, backend) in (1..).zip(&mut setup.backends) {
        backend.unwrap_packets()?;
        output(backend.namespace().command("ip").args([
            "address",
            "add",
            &format!("{}/32", far(number)),
            "dev",
            "lo",
        ]))?;
        for host in Host::NODES {
            let (network, router) = (format!("{}/32", far(number)), Backend::address_of(number).to_string());
            setup.lab.run(host, "ip", &["route", "add", &network, "via", &router])?;
        }
    }
    let pool = Balanced::pool("tunnels", address);
    let service = format!("[[service]]\nvip = \"{VIP}\"\nport = 80\npool = \"tunnels\"\n");
    for host in Host::NODES {
        setup.configure(host, &format!("{pool}forward = \"tunnel\"\n{service}"))?;
        setup.start(host)?;
    }
    setup.wait_for_active(Host::A)?;
    Ok(setup)
}

fn answers(setup: &Balanced) -> Result<BTreeSet<String>> {
    (0..40).map(|_| setup.lab.fetch(VIP)).collect()
}

#[test]
fn backends_behind_routers_serve_and_keep_connections_when_the_vip_moves() -> Result<()> {
    let setup = tunnelled(far)?;
    let all: BTreeSet<String> = setup.backends.iter().map(Backend::says).collect();
    assert_eq!(answers(&setup)?, all);
    let mut connections = (0..30).map(|_| Connection::open(&setup.lab)).collect::<Result<Vec<_>>>()?;
    let before = connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?;
    for host in Host::NODES {
        // The first packets of a flow are the engine's.
        for _ in 0..4 {
            assert_eq!(connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?, before);
        }
        let verdicts = &setup.lab.baton_status(host)?.interfaces[0].verdicts;
        assert!(verdicts["vip-forwarded"] > 0, "XDP wraps them, too: {verdicts:?}");
        if host == Host::A {
            setup.hand_over(Host::A)?;
        }
    }
    end(setup)
}

#[test]
fn a_client_learns_how_long_packets_may_be() -> Result<()> {
    // T-145, on the client's own kernel.
    let setup = tunnelled(Backend::address_of)?;
    let mut connection = Connection::open(&setup.lab)?;
    assert!(connection.send(200_000)?.starts_with("backend"));
    let lost = setup.engine(Host::A)?.lost;
    assert!(lost["too-long"] > 0, "{lost:?}");
    let route = setup.lab.run(Host::Client, "ip", &["route", "get", &VIP.to_string()])?;
    assert!(route.contains("mtu 1480"), "{route}");
    end(setup)
}

#[test]
fn a_backend_without_a_way_to_it_gets_no_connections() -> Result<()> {
    let setup = tunnelled(far)?;
    setup.lab.run(Host::A, "ip", &["route", "delete", &format!("{}/32", far(1))])?;
    let gone = setup.backends[0].says();
    wait_until("the others to be asked alone", SOON, || {
        Ok(answers(&setup).is_ok_and(|answers| answers.len() == 2 && !answers.contains(&gone)))
    })?;
    let router = Backend::address_of(1).to_string();
    setup.lab.run(Host::A, "ip", &["route", "add", &format!("{}/32", far(1)), "via", &router])?;
    wait_until(
        "all to be asked again",
        SOON,
        || Ok(answers(&setup).is_ok_and(|answers| answers.len() == 3)),
    )?;
    end(setup)
}
