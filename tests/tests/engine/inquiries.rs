//! What an operator is told of single flows, against where they go.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result};
use baton::control::protocol::{FlowList, Trace};
use baton_tests::lab::{Backend, Balanced, Connection, Host, VIP, output};
use serde_json::Value;

use super::support::{end, flows};

/// The address of each backend, by what it says.
fn addresses(setup: &Balanced) -> BTreeMap<String, IpAddr> {
    let address =
        |(number, backend): (u8, &Backend)| (backend.says(), IpAddr::from(Backend::address_of(number)));
    (1..).zip(&setup.backends).map(address).collect()
}

fn trace(setup: &Balanced, host: Host, flow: &str) -> Result<Trace> {
    let text = output(setup.lab.baton(host, "trace --json")?.arg(flow))?;
    Ok(serde_json::from_str(&text)?)
}

#[test]
fn flows_are_listed_with_the_backends_that_answer_them() -> Result<()> {
    let setup = Balanced::with(Balanced::WEB)?;
    let addresses = addresses(&setup);
    let mut connections = (0..30).map(|_| Connection::open(&setup.lab)).collect::<Result<Vec<_>>>()?;
    let mut served = BTreeMap::new();
    for connection in &mut connections {
        connection.ask()?;
        served.insert(connection.flow()?, addresses[&connection.ask()?]);
    }
    let all = flows(&setup, "")?;
    let listed = |list: &FlowList| -> BTreeMap<String, IpAddr> {
        list.flows.iter().map(|flow| (flow.flow.to_string(), flow.backend)).collect()
    };
    assert_eq!((all.total, listed(&all)), (30, served.clone()));
    assert!(all.flows.iter().all(|flow| flow.state == "established" && flow.cached), "{all:?}");

    let first = Backend::address_of(1);
    let of_first = flows(&setup, &format!(" --backend {first} --service {VIP}:80"))?;
    served.retain(|_, backend| *backend == IpAddr::from(first));
    assert_eq!(listed(&of_first), served);
    let few = flows(&setup, " --limit 5")?;
    assert_eq!((few.total, few.flows.len()), (30, 5));
    let refusal = |arguments: &str| flows(&setup, arguments).expect_err(arguments).to_string();
    assert!(refusal(" --service 10.77.0.100:81").contains("there are: tcp 10.77.0.100 port 80"));
    assert!(refusal(" --backend 10.77.0.99").contains("no service has a backend 10.77.0.99"));

    drop(connections);
    end(setup)
}

#[test]
fn the_load_of_a_second_is_shown_by_service_and_by_backend() -> Result<()> {
    let setup = Balanced::with(Balanced::WEB)?;
    let mut connections = (0..20).map(|_| Connection::open(&setup.lab)).collect::<Result<Vec<_>>>()?;
    let is_over = AtomicBool::new(false);
    let text = thread::scope(|scope| {
        let client = scope.spawn(|| -> Result<()> {
            while !is_over.load(Ordering::Relaxed) {
                connections.iter_mut().try_for_each(|connection| connection.ask().map(drop))?;
                setup.lab.fetch(VIP)?;
            }
            Ok(())
        });
        let text = setup.ask(Host::A, "top --once --json");
        is_over.store(true, Ordering::Relaxed);
        client.join().expect("no panic")?;
        text
    })?;
    let engines: Value = serde_json::from_str(&text)?;
    let service = &engines[0]["services"][0];
    let number = |of: &Value, key: &str| of[key].as_f64().with_context(|| format!("{key} in {text}"));
    for key in ["frames", "bits", "begun", "flows"] {
        assert!(number(service, key)? > 0.0, "{key}: {text}");
        let backends = engines[0]["backends"].as_array().context("backends")?;
        let sum: f64 = backends.iter().map(|backend| number(backend, key)).sum::<Result<_>>()?;
        // Frames of a flow may be forwarded between the two looks.
        let difference = (sum - number(service, key)?).abs();
        assert!(difference < 0.2 * sum, "{key}: {text}");
    }
    let table = setup.ask(Host::A, "top --once")?;
    assert!(table.contains("tcp 10.77.0.100 port 80") && !table.contains('\x1b'), "{table}");
    end(setup)
}

#[test]
fn a_trace_tells_where_connections_go_before_they_begin_and_afterwards() -> Result<()> {
    let setup = Balanced::with(Balanced::WEB)?;
    let addresses = addresses(&setup);
    let mut connections = Vec::new();
    for port in 40_000..40_020 {
        let flow = format!("tcp 10.77.0.9:{port} -> {VIP}:80");
        let before = trace(&setup, Host::A, &flow)?;
        let mut connection = Connection::open_from(&setup.lab, port)?;
        assert_eq!(connection.flow()?, flow);
        let backend = addresses[&connection.ask()?];
        let expected = ("vip-balanced", Some(backend), Some("slot"));
        assert_eq!((before.verdict.as_str(), before.backend, before.by.as_deref()), expected, "{before:?}");
        connection.ask()?;
        connections.push((connection, backend));
    }

    // Whatever happens to the backend of a connection that goes on.
    let drained = connections[0].1;
    setup.ask(Host::A, &format!("drain web {drained}"))?;
    for (connection, backend) in &mut connections {
        let after = trace(&setup, Host::A, &connection.flow()?)?;
        let expected = ("vip-forwarded", Some(*backend), Some("flow-cache"));
        assert_eq!((after.verdict.as_str(), after.backend, after.by.as_deref()), expected, "{after:?}");
        assert!(after.slot_backend != Some(drained));
        let says_so = after.reasons.iter().any(|reason| reason.contains(&format!("{drained} is draining")));
        assert_eq!(says_so, *backend == drained, "{after:?}");
        assert_eq!(addresses[&connection.ask()?], *backend);
    }
    end(setup)
}

#[test]
fn a_trace_tells_why_a_frame_reaches_no_backend() -> Result<()> {
    let setup = Balanced::with(Balanced::WEB)?;
    for (host, to, verdict, why) in [
        (Host::B, "10.77.0.100:80", "vip-not-owner", "it is Backup"),
        (Host::A, "10.77.0.100:81", "vip-delivered", "no service is at that port"),
        (Host::A, "10.77.0.101:80", "other", "no virtual address of this host"),
    ] {
        let trace = trace(&setup, host, &format!("tcp 10.77.0.9:5000 -> {to}"))?;
        assert_eq!((trace.verdict.as_str(), trace.backend), (verdict, None));
        assert!(trace.reasons.iter().any(|reason| reason.contains(why)), "{trace:?}");
    }
    let text = output(setup.lab.baton(Host::A, "trace")?.arg("udp 10.77.0.9:5000 -> 10.77.0.100:80"))?;
    assert!(text.contains("vip-delivered"), "another protocol is another service: {text}");
    assert!(trace(&setup, Host::A, "10.77.0.9").is_err());
    end(setup)
}
