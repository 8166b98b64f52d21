//! What the engines do, for `baton engine`.

use std::fmt::{self, Write as _};

use super::protocol::{
    BackendStatus, EngineLoad, EngineStatus, PeerTableStatus, PoolStatus, Response, ServiceStatus,
};
use super::server::Server;
use crate::clock;
use crate::config::{PoolConfig, ServiceConfig};
use crate::engine::{Adjustments, Backend, Carriage, Condition, Engine, Filter, PeerTable, Plan, Table};

impl Server {
    /// Ends the engines, whose queues the next agent waits for.
    pub fn end_engines(&self) {
        self.ports.iter().filter_map(|port| port.engine.as_ref()).for_each(|engine| engine.end());
    }

    /// What the engine of each interface does that has one.
    pub(super) async fn engines(&self) -> Vec<EngineStatus> {
        let adjustments = self.adjustments.lock().await;
        self.running_engines().map(|(interface, engine)| status(interface, engine, &adjustments)).collect()
    }

    /// What each engine has done, and the flows that it remembers.
    pub(super) async fn load(&self) -> Response {
        let mut loads = Vec::new();
        for (interface, engine) in self.running_engines() {
            let known = match engine.flows(Filter::default(), 0).await {
                Ok(known) => known,
                Err(error) => return Response::Error(format!("{interface}: {error}")),
            };
            let adjustments = self.adjustments.lock().await;
            loads.push(EngineLoad {
                engine: status(interface, engine, &adjustments),
                at_ns: clock::now().as_nanos(),
                service_flows: known.per_service,
                backend_flows: known.per_backend,
            });
        }
        Response::Load(loads)
    }

    /// The engines, each with its interface.
    pub(super) fn running_engines(&self) -> impl Iterator<Item = (&str, &Engine)> {
        self.ports.iter().filter_map(|port| Some((port.interface.as_str(), &**port.engine.as_ref()?)))
    }
}

fn status(interface: &str, engine: &Engine, adjustments: &Adjustments) -> EngineStatus {
    let Plan { services, pools, .. } = &*engine.plan;
    let service = |(service, carried): (&ServiceConfig, Carriage)| ServiceStatus {
        vip: service.vip,
        protocol: service.protocol.to_string(),
        port: service.ports.to_string(),
        pool: pools[service.pool].name.clone(),
        frames: carried.frames,
        octets: carried.octets,
        begun: carried.begun,
        answers: carried.answers,
        answer_octets: carried.answer_octets,
    };
    let mut status = EngineStatus {
        interface: interface.to_owned(),
        services: services.iter().zip(engine.per_service()).map(service).collect(),
        pools: self::pools(engine, adjustments),
        flows: 0,
        evicted: 0,
        lost: Default::default(),
    };
    for traffic in engine.traffic() {
        let (flows, evicted) = traffic.flows();
        status.flows += flows;
        status.evicted += evicted;
        for (loss, count) in traffic.losses() {
            *status.lost.entry(loss.name().to_owned()).or_default() += count;
        }
    }
    status
}

fn pools(engine: &Engine, adjustments: &Adjustments) -> Vec<PoolStatus> {
    let (plan, now, carried) = (&engine.plan, engine.pools(), engine.per_backend());
    let pool = |(number, pool): (usize, &PoolConfig)| {
        let shares = now.table(number).map(|table| table.shares(plan.backends.len())).unwrap_or_default();
        let of_pool = plan.backends.iter().enumerate().filter(|(_, backend)| backend.pool == number);
        let backend = |(index, backend): (usize, &Backend)| {
            let Carriage { frames, octets, begun, answers, answer_octets } = carried[index];
            let condition = &now.conditions()[index];
            let why = match condition {
                Condition::Failing { how, .. } => Some(how.clone()),
                Condition::Up(_) | Condition::Unreachable | Condition::Unknown => None,
            };
            BackendStatus {
                address: backend.address,
                weight: now.weights()[index],
                configured_weight: backend.weight,
                backup: backend.is_backup,
                drained: adjustments.of(&pool.name, backend.address).is_drained,
                condition: condition.name(now.weights()[index]).to_owned(),
                why,
                slots: shares[index],
                frames,
                octets,
                begun,
                answers,
                answer_octets,
            }
        };
        PoolStatus {
            name: pool.name.clone(),
            digest: hexadecimal(now.table(number).map_or(0, Table::digest)),
            peers: engine.peers_of(number).into_iter().map(peer).collect(),
            backends: of_pool.map(backend).collect(),
        }
    };
    plan.pools.iter().enumerate().map(pool).collect()
}

fn peer(PeerTable { peer, digest, accord }: PeerTable) -> PeerTableStatus {
    let accord = accord.name().to_owned();
    PeerTableStatus { address: peer, digest: digest.map(hexadecimal), accord }
}

fn hexadecimal(digest: u64) -> String {
    format!("{digest:016x}")
}

/// The text of `baton engine backends`.
pub fn backends(engines: &[EngineStatus]) -> String {
    let mut text = String::new();
    for engine in engines {
        // Writing to a String cannot fail.
        let _ = write_engine(&mut text, engine);
    }
    if text.is_empty() { "no services\n".to_owned() } else { text }
}

fn write_engine(text: &mut String, engine: &EngineStatus) -> fmt::Result {
    let EngineStatus { interface, services, pools, flows, evicted, lost } = engine;
    writeln!(
        text,
        "{interface}: {} service(s), {flows} flow(s), {evicted} given up for others",
        services.len()
    )?;
    let lost: Vec<String> =
        lost.iter().filter(|(_, count)| **count > 0).map(|(why, count)| format!("{why} {count}")).collect();
    if !lost.is_empty() {
        writeln!(text, "  frames lost: {}", lost.join(", "))?;
    }
    for PoolStatus { name, digest, peers, backends } in pools {
        writeln!(text, "\n  pool {name}, table {digest}")?;
        let to_it = services.iter().filter(|service| service.pool == *name);
        for ServiceStatus { vip, protocol, port, .. } in to_it {
            writeln!(text, "    {protocol} {vip} port {port}")?;
        }
        for PeerTableStatus { address, digest, accord } in peers {
            let table = digest.as_ref().map_or("no such pool".to_owned(), |digest| format!("table {digest}"));
            writeln!(text, "    peer {address}: {table}, {accord}")?;
        }
        if peers.is_empty() {
            writeln!(text, "    not compared: no peer is heard")?;
        }
        let all: f64 = backends.iter().map(|backend| f64::from(backend.slots)).sum();
        for backend in backends {
            let BackendStatus { address, weight, backup, condition, why, slots, frames, octets, .. } =
                backend;
            let share = 100.0 * f64::from(*slots) / all.max(1.0);
            let backup = if *backup { ", backup" } else { "" };
            let why = why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            writeln!(
                text,
                "    {address:<16} {condition:<12} weight {weight:<4} {share:>5.1} % of new flows, {frames} frames, {octets} octets{backup}{why}{}",
                set(backend),
            )?;
        }
    }
    Ok(())
}

/// What differs from the configuration.
fn set(BackendStatus { weight, configured_weight, drained, .. }: &BackendStatus) -> String {
    match () {
        () if *drained => ", drained by the operator".to_owned(),
        () if weight != configured_weight => format!(", weight {configured_weight} in the configuration"),
        () => String::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::Accord;

    /// One with two backends, of which one fails.
    pub(in crate::control) fn example() -> EngineStatus {
        let backend = |last, condition: &str, slots| BackendStatus {
            address: [192, 0, 2, last].into(),
            weight: 1,
            configured_weight: 1,
            drained: false,
            backup: condition == "failing",
            condition: condition.to_owned(),
            why: (condition == "failing").then(|| "503 Service Unavailable".to_owned()),
            slots,
            frames: 7,
            octets: 500,
            begun: 2,
            answers: 5,
            answer_octets: 900,
        };
        let service = ServiceStatus {
            vip: [192, 0, 2, 100].into(),
            protocol: "tcp".to_owned(),
            port: "443".to_owned(),
            pool: "web".to_owned(),
            frames: 14,
            octets: 1000,
            begun: 4,
            answers: 10,
            answer_octets: 1800,
        };
        let pool = PoolStatus {
            name: "web".to_owned(),
            digest: "00c0ffee00c0ffee".to_owned(),
            peers: vec![
                peer(PeerTable { peer: [192, 0, 2, 2].into(), digest: Some(0xab), accord: Accord::Differs }),
                peer(PeerTable { peer: [192, 0, 2, 3].into(), digest: None, accord: Accord::Changing }),
            ],
            backends: vec![backend(11, "up", 65_537), backend(12, "failing", 0)],
        };
        EngineStatus {
            interface: "eth0".to_owned(),
            services: vec![service],
            pools: vec![pool],
            flows: 3,
            evicted: 0,
            lost: BTreeMap::from([("no-backend".to_owned(), 2), ("no-flow".to_owned(), 0)]),
        }
    }

    #[test]
    fn an_operator_sees_which_backends_get_flows_and_why_others_do_not() {
        assert_eq!(
            backends(&[example()]),
            "eth0: 1 service(s), 3 flow(s), 0 given up for others\n  frames lost: no-backend 2\n\n  \
             pool web, table 00c0ffee00c0ffee\n    tcp 192.0.2.100 port 443\n    \
             peer 192.0.2.2: table 00000000000000ab, differs\n    peer 192.0.2.3: no such pool, changing\n    \
             192.0.2.11       up           weight 1    100.0 % of new flows, 7 frames, 500 octets\n    \
             192.0.2.12       failing      weight 1      0.0 % of new flows, 7 frames, 500 octets, backup (503 Service Unavailable)\n"
        );
        assert_eq!(backends(&[]), "no services\n");
    }
}
