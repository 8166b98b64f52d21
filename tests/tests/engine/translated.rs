//! Backends that do not have the VIP and get translated packets.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use baton_tests::lab::{Backend, Balanced, Connection, Host, VIP, output};

use super::support::end;

/// Nodes that translate packets for backends without the VIP, with or without the flow cache.
fn translated(forward: &str, flow_cache: bool) -> Result<Balanced> {
    let mut setup = Balanced::prepare()?;
    for backend in &setup.backends {
        output(backend.namespace().command("ethtool").args(["-K", "eth0", "tx", "off"]))?;
        output(backend.namespace().command("ip").args([
            "address",
            "delete",
            &format!("{VIP}/32"),
            "dev",
            "lo",
        ]))?;
        if forward == "nat" {
            let client = format!("{}/32", Host::Client.address());
            output(backend.namespace().command("ip").args([
                "route",
                "add",
                &client,
                "via",
                &VIP.to_string(),
            ]))?;
        }
    }
    for host in Host::NODES {
        setup
            .configure(host, &format!("forward = \"{forward}\"\ncheck = \"http:80/\"\n{}", Balanced::WEB))?;
        // So many that the kernel takes longer to make the tables than a lease lasts.
        setup.set_runtime(host, &format!("flow_cache = {flow_cache}\nflows = 262144"))?;
        setup.start(host)?;
    }
    setup.wait_for_active(Host::A)?;
    Ok(setup)
}

fn said(setup: &Balanced) -> BTreeSet<String> {
    setup.backends.iter().map(Backend::says).collect()
}

fn answers(setup: &Balanced) -> Result<BTreeSet<String>> {
    (0..40).map(|_| setup.lab.fetch(VIP)).collect()
}

#[test]
fn backends_without_the_vip_serve_through_either_node() -> Result<()> {
    for forward in ["full-nat", "nat"] {
        let setup = translated(forward, true)?;
        for node in Host::NODES {
            assert_eq!(answers(&setup)?, said(&setup), "{forward}");
            let mut connection = Connection::open(&setup.lab)?;
            for _ in 0..50 {
                connection.ask()?;
            }
            assert!(connection.send(200_000)?.starts_with("backend"));
            let verdicts = &setup.lab.baton_status(node)?.interfaces[0].verdicts;
            let [forwarded, balanced] = ["vip-forwarded", "vip-balanced"].map(|verdict| verdicts[verdict]);
            ensure!(forwarded > 100, "{forward}: {forwarded} past the engine, {balanced} through it");
            let backends = &setup.engine(node)?.pools[0].backends;
            ensure!(backends.iter().all(|backend| backend.frames > 0 && backend.answers > 0), "{backends:?}");
            if node == Host::A {
                setup.hand_over(Host::A)?;
            }
        }
        end(setup)?;
    }
    Ok(())
}

#[test]
fn workers_alone_translate_as_well() -> Result<()> {
    let setup = translated("full-nat", false)?;
    assert_eq!(answers(&setup)?, said(&setup));
    let verdicts = &setup.lab.baton_status(Host::A)?.interfaces[0].verdicts;
    assert_eq!(verdicts["vip-forwarded"], 0);
    end(setup)
}

/// The other node knows nothing of the ports: the client is to hear so at once.
#[test]
fn connections_are_reset_when_the_vip_moves() -> Result<()> {
    let setup = translated("full-nat", true)?;
    let mut connection = Connection::open(&setup.lab)?;
    connection.ask()?;
    setup.hand_over(Host::A)?;
    let error = connection.ask().expect_err("the backend knows no such connection");
    ensure!(format!("{error:#}").contains("reset"), "{error:#}");
    assert_eq!(answers(&setup)?, said(&setup));
    end(setup)
}

#[test]
fn connections_go_on_while_the_agent_is_restarted() -> Result<()> {
    let setup = translated("full-nat", true)?;
    let mut connections = (0..20).map(|_| Connection::open(&setup.lab)).collect::<Result<Vec<_>>>()?;
    let before = connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?;
    for _ in 0..2 {
        output(&mut setup.lab.baton(Host::A, "restart")?)?;
        assert_eq!(connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?, before);
    }
    end(setup)
}
