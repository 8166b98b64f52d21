//! Direct server return on the segment: backends that have the VIP answer the client themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Error, Result};
use baton_tests::lab::{Backend, Balanced, Connection, Echo, Host, VIP, VIPS6, output, wait_until};
use nix::sys::ptrace;

use super::support::{SOON, end};

const WEB: &str = Balanced::WEB;

fn said(setup: &Balanced) -> BTreeSet<String> {
    setup.backends.iter().map(Backend::says).collect()
}

#[test]
fn a_client_is_served_by_all_backends_through_either_node() -> Result<()> {
    let setup = Balanced::with(WEB)?;
    for node in [Host::A, Host::B] {
        let mut answers = BTreeMap::<String, u32>::new();
        for _ in 0..60 {
            *answers.entry(setup.lab.fetch(VIP)?).or_default() += 1;
        }
        assert_eq!(answers.keys().cloned().collect::<BTreeSet<_>>(), said(&setup), "{answers:?}");
        if node == Host::A {
            setup.hand_over(Host::A)?;
        }
    }
    end(setup)
}

#[test]
fn connections_go_on_when_the_vip_moves() -> Result<()> {
    // T-149.
    let mut setup = Balanced::with(WEB)?;
    let mut connections = (0..50).map(|_| Connection::open(&setup.lab)).collect::<Result<Vec<_>>>()?;
    let before = connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?;
    assert_eq!(before.iter().cloned().collect::<BTreeSet<_>>(), said(&setup));
    setup.hand_over(Host::A)?;
    assert_eq!(connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?, before);
    // Now without a word.
    setup.kill(Host::B)?;
    wait_until("node a to be Active", SOON, || {
        Ok(setup.lab.baton_status(Host::A).is_ok_and(|status| status.routers[0].role == "Active"))
    })?;
    assert_eq!(connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?, before);
    end(setup)
}

#[test]
fn datagrams_of_a_flow_go_to_one_backend_and_are_answered_by_the_vip() -> Result<()> {
    let service = "[[service]]\nvip = \"10.77.0.100\"\nprotocol = \"udp\"\nport = \"any\"\npool = \"web\"\n";
    let setup = Balanced::with(service)?;
    let bind = |backend: &Backend| backend.namespace().within(|| Ok(UdpSocket::bind((VIP, 5353))?));
    let servers = setup.backends.iter().map(bind).collect::<Result<Vec<_>>>()?;
    for server in &servers {
        server.set_nonblocking(true)?;
    }
    let mut met = BTreeSet::new();
    for _ in 0..30 {
        let client = setup.lab.namespace(Host::Client).within(|| Ok(UdpSocket::bind(("10.77.0.9", 0))?))?;
        client.set_read_timeout(Some(Duration::from_secs(5)))?;
        client.connect((VIP, 5353))?;
        let mut of_flow = BTreeSet::new();
        for _ in 0..3 {
            client.send(b"which?")?;
            wait_until("a backend to get the datagram", SOON, || {
                for (number, server) in servers.iter().enumerate() {
                    if let Ok((_, from)) = server.recv_from(&mut [0; 16]) {
                        of_flow.insert(number);
                        server.send_to(b"me", from)?;
                        return Ok(true);
                    }
                }
                Ok(false)
            })?;
            assert_eq!(client.recv(&mut [0; 16])?, 2);
        }
        assert_eq!(of_flow.len(), 1);
        met.extend(of_flow);
    }
    assert_eq!(met.len(), 3);
    end(setup)
}

#[test]
fn a_client_is_served_over_ipv6() -> Result<()> {
    let mut setup = Balanced::prepare()?;
    setup.lab.enable_ipv6()?;
    for backend in &mut setup.backends {
        backend.enable_ipv6(&setup.lab)?;
    }
    let [link_local, vip] = VIPS6;
    for (host, priority) in [(Host::A, 200), (Host::B, 100)] {
        let tables = format!(
            "[[router]]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\ninterval_ms = 10\n\
             vips = [\"{link_local}\", \"{vip}\"]\n\n{}check = \"ping\"\n[[service]]\nvip = \"{vip}\"\nport = 80\npool = \"web6\"\n",
            Balanced::pool("web6", Backend::address6_of),
        );
        setup.configure(host, &tables)?;
        setup.start(host)?;
    }
    let answers = || (0..40).map(|_| setup.lab.fetch(vip)).collect::<Result<BTreeSet<_>>>();
    wait_until("all backends to be asked", SOON, || Ok(answers().is_ok_and(|said_| said_ == said(&setup))))?;
    end(setup)
}

#[test]
fn connections_go_on_while_the_agent_is_restarted() -> Result<()> {
    let setup = Balanced::with(&format!("check = \"http:80/\"\n{WEB}"))?;
    let mut connections = (0..50).map(|_| Connection::open(&setup.lab)).collect::<Result<Vec<_>>>()?;
    let before = connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?;
    let epoch = || Ok::<_, Error>(setup.lab.baton_status(Host::A)?.routers[0].epoch);
    let first = epoch()?;
    for _ in 0..2 {
        output(&mut setup.lab.baton(Host::A, "restart")?)?;
        assert_eq!(connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?, before);
    }
    assert_eq!(epoch()?, first, "the role stays");
    end(setup)
}

#[test]
fn the_vip_moves_when_a_node_finds_no_backend() -> Result<()> {
    let setup = Balanced::with(&format!("check = \"http:80/\"\ninterval_ms = 100\n{WEB}"))?;
    // Its checks find nobody any more, and the other node's do.
    for number in 1..=Balanced::BACKENDS {
        let route = format!("{}/32", Backend::address_of(number));
        setup.lab.run(Host::A, "ip", &["route", "add", "unreachable", &route])?;
    }
    setup.wait_for_active(Host::B)?;
    let status = setup.lab.baton_status(Host::A)?;
    let tracker = &status.routers[0].trackers[0];
    assert_eq!((tracker.name.as_str(), tracker.state.as_str()), ("engine eth0", "failing"));
    assert!(setup.lab.fetch(VIP)?.starts_with("backend"));
    end(setup)
}

#[test]
fn the_vip_moves_when_a_worker_hangs() -> Result<()> {
    let setup = Balanced::with(WEB)?;
    let worker = setup.hang_worker(Host::A)?;
    setup.wait_for_active(Host::B)?;
    let tracker = setup.lab.baton_status(Host::A)?.routers[0].trackers[0].clone();
    assert_eq!((tracker.name.as_str(), tracker.state.as_str()), ("engine eth0", "failing"));
    assert!(setup.lab.fetch(VIP)?.starts_with("backend"));
    ptrace::detach(worker, None)?;
    wait_until("the engine to be in order", SOON, || {
        Ok(setup.lab.baton_status(Host::A)?.routers[0].trackers[0].state == "good")
    })?;
    end(setup)
}

#[test]
fn established_flows_go_past_the_engine_and_are_counted() -> Result<()> {
    let setup = Balanced::with(WEB)?;
    let mut connection = Connection::open(&setup.lab)?;
    for _ in 0..50 {
        connection.ask()?;
    }
    let status = setup.lab.baton_status(Host::A)?;
    let [forwarded, balanced] =
        ["vip-forwarded", "vip-balanced"].map(|verdict| status.interfaces[0].verdicts[verdict]);
    assert!(forwarded >= 50 && balanced < 20, "{forwarded} past the engine, {balanced} through it");
    let carried: u64 = setup.engine(Host::A)?.pools[0].backends.iter().map(|backend| backend.frames).sum();
    assert!(carried >= forwarded + balanced, "{carried} of {forwarded} + {balanced}");
    end(setup)
}

#[test]
fn what_is_for_no_service_goes_to_the_node_as_before() -> Result<()> {
    let setup = Balanced::with(WEB)?;
    let _echoes = [Echo::start(&setup.lab, Host::A, VIP)?, Echo::start(&setup.lab, Host::B, VIP)?];
    setup.lab.wait_served_by(VIP, Host::A, SOON)?;
    assert!(setup.answers_echo()?);
    end(setup)
}

#[test]
fn a_backend_that_fails_its_check_gets_no_connections_and_both_nodes_agree() -> Result<()> {
    let check = "check = \"http:80/\"\ninterval_ms = 100\n";
    let mut setup = Balanced::with(&format!("{check}{WEB}"))?;
    let counts = |setup: &Balanced, host| -> Result<Vec<u64>> {
        Ok(setup.engine(host)?.pools[0].backends.iter().map(|backend| backend.frames).collect())
    };
    let conditions = |setup: &Balanced, host| -> Result<Vec<String>> {
        Ok(setup.engine(host)?.pools[0].backends.iter().map(|backend| backend.condition.clone()).collect())
    };
    let digest = |setup: &Balanced, host| Ok::<_, Error>(setup.engine(host)?.pools[0].digest.clone());
    let whole = digest(&setup, Host::A)?;
    assert_eq!(digest(&setup, Host::B)?, whole);
    setup.backends[1].stop_nginx();
    for host in Host::NODES {
        wait_until(
            "both nodes to notice",
            SOON,
            || Ok(conditions(&setup, host)? == ["up", "failing", "up"]),
        )?;
    }
    assert_eq!(digest(&setup, Host::B)?, digest(&setup, Host::A)?);
    assert_ne!(digest(&setup, Host::A)?, whole);
    let before = counts(&setup, Host::A)?;
    for _ in 0..40 {
        setup.lab.fetch(VIP)?;
    }
    let after = counts(&setup, Host::A)?;
    assert!(after[0] > before[0] && after[1] == before[1] && after[2] > before[2], "{before:?} {after:?}");
    let text = output(&mut setup.lab.baton(Host::A, "engine backends")?)?;
    assert!(text.contains("tcp 10.77.0.100 port 80") && text.contains("Connection refused"), "{text}");
    setup.backends[1].start_nginx(&setup.lab)?;
    wait_until("it to be in order again", SOON, || Ok(digest(&setup, Host::A)? == whole))?;
    end(setup)
}

#[test]
fn a_backend_that_does_not_answer_gets_no_connections() -> Result<()> {
    let setup = Balanced::with(WEB)?;
    setup.backends[0].plug(&setup.lab, false)?;
    let gone = setup.backends[0].says();
    let fetch = || (0..40).map(|_| setup.lab.fetch(VIP)).collect::<Result<BTreeSet<_>>>();
    wait_until("the others to be asked alone", 3 * SOON, || {
        Ok(fetch().is_ok_and(|answers| answers.len() == 2 && !answers.contains(&gone)))
    })?;
    setup.backends[0].plug(&setup.lab, true)?;
    wait_until("all to be asked again", 3 * SOON, || Ok(fetch().is_ok_and(|answers| answers.len() == 3)))?;
    end(setup)
}
