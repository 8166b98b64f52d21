//! Flows when the agent was killed: the next one finds them in the flow cache, whatever numbers it gives their backends.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, UdpSocket};

use anyhow::{Context as _, Result};
use baton::control::protocol::FlowList;
use baton_tests::lab::{Backend, Balanced, Connection, Host, VIP, wait_until};

use super::support::{SOON, end, flows};

/// A service with a pool that knows nothing of its flows but what it remembers, and has its backends in this order.
fn tables(service: &str, is_turned: bool) -> String {
    let address =
        |number| Backend::address_of(if is_turned { Balanced::BACKENDS + 1 - number } else { number });
    let pool = Balanced::pool("turns", address);
    format!("{pool}schedule = \"round-robin\"\n[[service]]\nvip = \"{VIP}\"\npool = \"turns\"\n{service}")
}

/// Node a alone with such a service.
fn alone(service: &str) -> Result<Balanced> {
    let mut setup = Balanced::prepare()?;
    setup.configure(Host::A, &tables(service, false))?;
    start(&mut setup)?;
    Ok(setup)
}

fn start(setup: &mut Balanced) -> Result<()> {
    setup.start(Host::A)?;
    wait_until("node a to be Active", SOON, || {
        Ok(setup.lab.baton_status(Host::A).is_ok_and(|status| status.routers[0].role == "Active"))
    })
}

/// Kills agent and guardian, and starts another one with the backends the other way round.
fn kill_and_start(setup: &mut Balanced, service: &str) -> Result<()> {
    setup.kill(Host::A)?;
    setup.configure(Host::A, &tables(service, true))?;
    start(setup)
}

/// What the agents have said of the flows that they have taken up.
fn taken_up(setup: &Balanced) -> Result<String> {
    let log = fs::read_to_string(setup.lab.baton_log(Host::A))?;
    let mut lines = log.lines().filter(|line| line.contains("flows of the agent before taken up"));
    lines.next_back().map(str::to_owned).with_context(|| format!("a word about flows in {log}"))
}

#[test]
fn connections_keep_their_backends_when_the_agent_was_killed() -> Result<()> {
    const WEB: &str = "port = 80\n";
    let mut setup = alone(WEB)?;
    let mut connections = (0..50).map(|_| Connection::open(&setup.lab)).collect::<Result<Vec<_>>>()?;
    let before = connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?;
    kill_and_start(&mut setup, WEB)?;
    assert_eq!(connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?, before);
    let told = taken_up(&setup)?;
    assert!(told.contains("flows=50 "), "{told}");
    end(setup)
}

#[test]
fn tens_of_thousands_of_flows_keep_their_backends_when_the_agent_was_killed() -> Result<()> {
    const ANY: &str = "protocol = \"udp\"\nport = \"any\"\n";
    const PORTS: std::ops::Range<u16> = 10_000..50_000;
    let mut setup = alone(ANY)?;
    // The first datagram of a flow makes it known, the second established.
    for _ in 0..2 {
        setup.lab.namespace(Host::Client).within(|| {
            for port in PORTS {
                let socket = UdpSocket::bind(("10.77.0.9", port))?;
                // Nobody answers, and the answer to one may meet the next.
                let _ = socket.send_to(b"which?", (VIP, 5353));
            }
            Ok(())
        })?;
    }
    let known = |setup: &Balanced| -> Result<FlowList> { flows(setup, " --limit 10000") };
    let backends = |list: &FlowList| -> BTreeMap<String, IpAddr> {
        list.flows.iter().map(|flow| (flow.flow.to_string(), flow.backend)).collect()
    };
    let before = known(&setup)?;
    assert!(before.total > u64::from(PORTS.end - PORTS.start) * 9 / 10, "{} flows", before.total);
    kill_and_start(&mut setup, ANY)?;
    println!("{}", taken_up(&setup)?);
    let after = known(&setup)?;
    assert!(after.total > before.total * 9 / 10, "{} of {} flows", after.total, before.total);
    let (before, after) = (backends(&before), backends(&after));
    let both: Vec<_> =
        after.iter().filter_map(|(flow, backend)| Some((flow, before.get(flow)?, backend))).collect();
    assert!(both.len() > 100 && both.iter().all(|(_, before, after)| before == after), "{both:?}");
    end(setup)
}
