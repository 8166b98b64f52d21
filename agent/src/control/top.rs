//! The load of engines, for `baton engine top`: the difference of what they had done at two moments.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use serde::Serialize;

use super::protocol::{BackendStatus, EngineLoad, ServiceStatus};

/// What makes a terminal forget what it shows, so that the next table is in the place of the last one.
pub const CLEAR: &str = "\x1b[H\x1b[J";

const NANOSECONDS: f64 = 1e9;

/// The load of an engine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EngineRates {
    /// The interface.
    pub interface: String,
    /// What each service gets.
    pub services: Vec<ServiceRates>,
    /// What each backend gets.
    pub backends: Vec<BackendRates>,
}

/// The load of a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceRates {
    /// The virtual address.
    pub vip: IpAddr,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// As it is configured.
    pub port: String,
    /// What it gets.
    #[serde(flatten)]
    pub rates: Rates,
}

/// The load of a backend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BackendRates {
    /// The name of its pool.
    pub pool: String,
    /// Its own address.
    pub address: IpAddr,
    /// As `baton engine backends` says it.
    pub condition: String,
    /// What it gets.
    #[serde(flatten)]
    pub rates: Rates,
}

/// What comes from clients in a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// Frames.
    pub frames: f64,
    /// Bits, Ethernet headers included.
    pub bits: f64,
    /// New flows.
    pub begun: f64,
    /// The flows that are remembered.
    pub flows: u64,
}

/// What happened from `before` to `after`. What is not in both has not been there long enough.
pub fn rates(before: &[EngineLoad], after: &[EngineLoad]) -> Vec<EngineRates> {
    let of_engine = |after: &EngineLoad| {
        let before = before.iter().find(|before| before.engine.interface == after.engine.interface)?;
        Some(engine_rates(before, after))
    };
    after.iter().filter_map(of_engine).collect()
}

fn engine_rates(before: &EngineLoad, after: &EngineLoad) -> EngineRates {
    #[expect(clippy::cast_precision_loss, reason = "a rate is rounded when it is shown")]
    let seconds = after.at_ns.saturating_sub(before.at_ns) as f64 / NANOSECONDS;
    let services = after.engine.services.iter().zip(&after.service_flows).filter_map(|(now, flows)| {
        let is_same = |then: &&ServiceStatus| {
            (then.vip, &then.protocol, &then.port) == (now.vip, &now.protocol, &now.port)
        };
        let then = before.engine.services.iter().find(is_same)?;
        let counts = [(then.frames, now.frames), (then.octets, now.octets), (then.begun, now.begun)];
        let (protocol, port) = (now.protocol.clone(), now.port.clone());
        Some(ServiceRates { vip: now.vip, protocol, port, rates: of(counts, *flows, seconds) })
    });
    let backends = all_backends(after).zip(&after.backend_flows).filter_map(|((pool, now), flows)| {
        let (_, then) =
            all_backends(before).find(|(other, then)| *other == pool && then.address == now.address)?;
        let counts = [(then.frames, now.frames), (then.octets, now.octets), (then.begun, now.begun)];
        let (pool, condition) = (pool.to_owned(), now.condition.clone());
        Some(BackendRates { pool, address: now.address, condition, rates: of(counts, *flows, seconds) })
    });
    EngineRates {
        interface: after.engine.interface.clone(),
        services: services.collect(),
        backends: backends.collect(),
    }
}

fn all_backends(load: &EngineLoad) -> impl Iterator<Item = (&str, &BackendStatus)> {
    load.engine.pools.iter().flat_map(|pool| pool.backends.iter().map(|it| (pool.name.as_str(), it)))
}

/// Frames, octets and new flows, each before and after so many `seconds`.
fn of([frames, octets, begun]: [(u64, u64); 3], flows: u64, seconds: f64) -> Rates {
    // Another agent begins to count anew.
    #[expect(clippy::cast_precision_loss, reason = "a rate is rounded when it is shown")]
    let rate = |(before, after): (u64, u64)| after.saturating_sub(before) as f64 / seconds.max(f64::EPSILON);
    Rates { frames: rate(frames), bits: 8.0 * rate(octets), begun: rate(begun), flows }
}

/// The text of `baton engine top`.
pub fn table(engines: &[EngineRates]) -> String {
    let mut text = String::new();
    for engine in engines {
        // Writing to a String cannot fail.
        let _ = write_engine(&mut text, engine);
    }
    if text.is_empty() { "no services\n".to_owned() } else { text }
}

fn write_engine(text: &mut String, engine: &EngineRates) -> fmt::Result {
    let EngineRates { interface, services, backends } = engine;
    writeln!(
        text,
        "{interface:<44} {:>12} {:>12} {:>12} {:>10}",
        "frames/s", "Mbit/s", "new flows/s", "flows"
    )?;
    for ServiceRates { vip, protocol, port, rates } in services {
        write_line(text, &format!("{protocol} {vip} port {port}"), *rates)?;
    }
    for BackendRates { pool, address, condition, rates } in backends {
        write_line(text, &format!("  {pool} {address} {condition}"), *rates)?;
    }
    Ok(())
}

fn write_line(text: &mut String, name: &str, Rates { frames, bits, begun, flows }: Rates) -> fmt::Result {
    writeln!(text, "{name:<44} {frames:>12.0} {:>12.3} {begun:>12.1} {flows:>10}", bits / 1e6)
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;
    use crate::control::engine::tests::example;

    fn load(seconds: u64, count: u64) -> EngineLoad {
        let mut engine = example();
        let service = &mut engine.services[0];
        (service.frames, service.octets, service.begun) = (count, 1000 * count, count / 10);
        let backend = &mut engine.pools[0].backends[1];
        (backend.frames, backend.octets, backend.begun) = (count, 1000 * count, count / 10);
        EngineLoad {
            engine,
            at_ns: seconds * 1_000_000_000,
            service_flows: vec![30],
            backend_flows: vec![10, 20],
        }
    }

    #[test]
    fn an_operator_sees_what_each_service_and_backend_gets_in_a_second() {
        let rates = rates(&[load(10, 1000)], &[load(12, 3000)]);
        assert_eq!(
            table(&rates),
            "eth0                                             frames/s       Mbit/s  new flows/s      flows\n\
             tcp 192.0.2.100 port 443                             1000        8.000        100.0         30\n  \
               web 192.0.2.11 up                                     0        0.000          0.0         10\n  \
               web 192.0.2.12 failing                             1000        8.000        100.0         20\n"
        );
        assert_eq!(table(&[]), "no services\n");
    }

    #[test]
    fn another_agent_counts_from_nothing_and_what_was_not_there_is_not_shown() {
        let after = load(12, 0);
        let restarted = rates(&[load(10, 1000)], slice::from_ref(&after));
        assert_eq!(restarted[0].services[0].rates, Rates { frames: 0.0, bits: 0.0, begun: 0.0, flows: 30 });
        let mut before = load(10, 0);
        before.engine.services.clear();
        before.engine.pools[0].backends.remove(0);
        let reloaded = rates(&[before], slice::from_ref(&after));
        assert_eq!((reloaded[0].services.len(), reloaded[0].backends.len()), (0, 1));
        assert_eq!(rates(&[], &[after]), []);
    }
}
