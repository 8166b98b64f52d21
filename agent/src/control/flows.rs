//! The flows that engines know, for `baton engine flows`.

use std::cmp::Reverse;
use std::fmt::Write as _;

use super::protocol::{FlowList, FlowName, FlowStatus, Response};
use super::server::Server;
use crate::clock;
use crate::config::{Ports, ServiceConfig};
use crate::engine::{Engine, Filter, NoAnswer, Remembered};
use crate::vrrp::Instant;

/// Flows of an interface that are told at once: some two megabytes.
pub const MOST: u32 = 10_000;

impl Server {
    /// Some of the flows that `filter` lets through.
    pub(super) async fn flows(&self, filter: Filter, limit: u32) -> Response {
        if limit > MOST {
            return Response::Error(format!("no more than {MOST} flows are told at once"));
        }
        if let Err(refusal) = self.check(&filter) {
            return Response::Error(refusal);
        }
        let mut lists = Vec::new();
        for (interface, engine) in self.running_engines() {
            match list(interface, engine, filter.clone(), limit as usize).await {
                Ok(list) => lists.push(list),
                Err(error) => return Response::Error(format!("{interface}: {error}")),
            }
        }
        Response::Flows(lists)
    }

    /// Whether there can be any such flow.
    fn check(&self, filter: &Filter) -> Result<(), String> {
        let services = || self.running_engines().flat_map(|(_, engine)| &engine.plan.services);
        let is_meant = |service: &ServiceConfig| {
            filter.vip.is_none_or(|vip| vip == service.vip)
                && filter.port.is_none_or(|port| match &service.ports {
                    Ports::Any => true,
                    Ports::These(ports) => ports.contains(&port),
                })
        };
        if !services().any(is_meant) {
            let names: Vec<String> =
                services().map(|it| format!("{} {} port {}", it.protocol, it.vip, it.ports)).collect();
            return Err(format!("there is no such service; there are: {}", names.join(", ")));
        }
        let mut backends = self.running_engines().flat_map(|(_, engine)| &engine.plan.backends);
        match filter.backend {
            Some(address) if !backends.any(|backend| backend.address == address) => {
                Err(format!("no service has a backend {address}; see `baton engine backends`"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

async fn list(interface: &str, engine: &Engine, filter: Filter, limit: usize) -> Result<FlowList, NoAnswer> {
    let known = engine.flows(filter, limit).await?;
    let now = clock::now();
    let mut flows: Vec<FlowStatus> =
        known.flows.iter().map(|remembered| status(engine, remembered, now)).collect();
    flows.sort_by_key(|flow| (flow.idle_ms, Reverse(flow.state.clone())));
    Ok(FlowList { interface: interface.to_owned(), total: known.total, flows })
}

fn status(engine: &Engine, remembered: &Remembered, now: Instant) -> FlowStatus {
    let Remembered { flow, target, state, .. } = remembered;
    let backend = &engine.plan.backends[usize::from(target.backend)];
    let cached = engine.cached(flow);
    FlowStatus {
        flow: FlowName::of(flow),
        pool: engine.plan.pools[backend.pool].name.clone(),
        backend: backend.address,
        state: state.name().to_owned(),
        cached: cached.is_some(),
        idle_ms: idle_ms(engine, remembered, now),
    }
}

/// For how long nothing came of the flow, to a worker or past it, in ms.
pub(super) fn idle_ms(engine: &Engine, remembered: &Remembered, now: Instant) -> u64 {
    let by_xdp = engine.cached(&remembered.flow).map(|cached| cached.seen);
    let idle = now.saturating_since(remembered.seen.max(by_xdp.unwrap_or_default()));
    u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)
}

/// The text of `baton engine flows`.
pub fn flows(lists: &[FlowList]) -> String {
    let mut text = String::new();
    for FlowList { interface, total, flows } in lists {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{interface}: {total} flow(s), of which {} are shown", flows.len());
        for FlowStatus { flow, pool, backend, state, cached, idle_ms } in flows {
            let path = if *cached { "flow cache" } else { "worker" };
            let _ = writeln!(
                text,
                "  {flow}  {pool} {backend}  {state}, {path}, idle {}.{:03} s",
                idle_ms / 1000,
                idle_ms % 1000
            );
        }
    }
    if text.is_empty() { "no services\n".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_sees_where_each_flow_goes_and_how_many_there_are() {
        let flow = FlowStatus {
            flow: "tcp 203.0.113.7:51515 -> 192.0.2.100:443".parse().expect("a flow"),
            pool: "web".to_owned(),
            backend: [192, 0, 2, 11].into(),
            state: "established".to_owned(),
            cached: true,
            idle_ms: 2034,
        };
        let list = FlowList { interface: "eth0".to_owned(), total: 70_000, flows: vec![flow] };
        assert_eq!(
            flows(&[list]),
            "eth0: 70000 flow(s), of which 1 are shown\n  \
             tcp 203.0.113.7:51515 -> 192.0.2.100:443  web 192.0.2.11  established, flow cache, idle 2.034 s\n"
        );
        assert_eq!(flows(&[]), "no services\n");
    }
}
