//! What would become of a frame, for `baton trace`. Nothing is sent, and nothing changes: the workers are asked what they remember,
//! and what follows from that is found by what they go by themselves.

use std::net::IpAddr;

use baton_common::flow::Flow;
use baton_common::verdict::Verdict;

use super::protocol::{FlowName, Response, Trace};
use super::server::{ServedPort, ServedRouter, Server, stuck};
use crate::clock;
use crate::driver::{Place, RouterSnapshot};
use crate::engine::{Choice, Engine, Loss, Pools, Remembered, slot};

impl Server {
    /// What would become of a frame that goes on with the flow.
    pub(super) async fn trace(&self, name: FlowName) -> Response {
        let found = self.routers().find(|(_, _, router)| router.config.vips.contains(&name.vip()));
        let Some((place, port, router)) = found else {
            let why = format!("{} is no virtual address of this host: its kernel gets the frame", name.vip());
            return Response::Trace(untouched(name, None, Verdict::Other, why).into());
        };
        let Some(snapshot) = self.snapshot().await else { return stuck() };
        let Place { port: port_index, router: router_index } = place;
        let seen = snapshot.ports.get(port_index).and_then(|port| port.routers.get(router_index));
        let Some(seen) = seen else { return stuck() };
        let interface = Some(port.interface.as_str());
        if let Some((verdict, why)) = refusal(router, seen) {
            return Response::Trace(untouched(name, interface, verdict, why).into());
        }
        let Some(engine) =
            port.engine.as_deref().filter(|engine| engine.plan.service(&name.flow()).is_some())
        else {
            let why = "no service is at that port: the kernel of this host gets the frame".to_owned();
            return Response::Trace(untouched(name, interface, Verdict::VipDelivered, why).into());
        };
        match engine.find(name.flow()).await {
            Ok(remembered) => Response::Trace(balanced(name, port, engine, remembered).into()),
            Err(error) => Response::Error(format!("{}: {error}", port.interface)),
        }
    }
}

/// What XDP decides about a frame that this host has nothing to do with.
fn refusal(router: &ServedRouter, seen: &RouterSnapshot) -> Option<(Verdict, String)> {
    if seen.lease <= clock::now() {
        let why = format!("this host does not own the address: it is {}", seen.role);
        return Some((Verdict::VipNotOwner, why));
    }
    let why = || "the virtual router has accept = false".to_owned();
    (!router.config.accepts()).then(|| (Verdict::VipNotAccepted, why()))
}

fn untouched(flow: FlowName, interface: Option<&str>, verdict: Verdict, why: String) -> Trace {
    Trace {
        flow,
        interface: interface.map(str::to_owned),
        verdict: verdict.name().to_owned(),
        pool: None,
        slot: None,
        slot_backend: None,
        backend: None,
        by: None,
        reasons: vec![why],
    }
}

/// What becomes of a frame for a service of `engine`, whose flow the workers may remember.
fn balanced(name: FlowName, port: &ServedPort, engine: &Engine, remembered: Option<Remembered>) -> Trace {
    let (plan, pools, flow) = (&engine.plan, engine.pools(), name.flow());
    let address = |backend: u16| plan.backends[usize::from(backend)].address;
    let pool = plan.pool(&flow);
    let slot = pool.and_then(|pool| slot(plan.pools[pool].schedule, &flow));
    let by_slot = pool.zip(slot).and_then(|(pool, slot)| pools.table(pool)?.backend(slot));
    let by_xdp = by_xdp(engine, &pools, &flow);
    let cached = engine.cached(&flow).map(|cached| cached.value.into());
    let choice = match by_xdp {
        Some(backend) => Ok((backend, "flow-cache")),
        None => Choice::make(plan, &pools, &flow, remembered.map(|it| it.target).or(cached), |_| by_slot)
            .map(|choice| (choice.target.backend, if choice.is_kept { "flow-table" } else { "slot" })),
    };
    let verdict = match by_xdp.map(|backend| plan.backends[usize::from(backend)].arm) {
        Some(0) => Verdict::VipForwarded,
        Some(_) => Verdict::VipCrossed,
        None => Verdict::VipBalanced,
    };
    let mut reasons = Vec::new();
    if let Some(Err(why)) = engine.health().check() {
        reasons.push(format!("the engine is not in order: {why}"));
    }
    reasons.push(match &choice {
        Ok((_, "slot")) => {
            "its flow is not known, or has lost its backend: the backend that has its slot gets it".to_owned()
        }
        Ok((_, by)) => format!("its flow is known by the {}", by.replace('-', " ")),
        Err(Loss::NoBackend) if slot.is_none() && pool.is_some_and(|pool| pools.has_takers(pool)) => {
            "its flow is not known, or has lost its backend: the worker that gets the frame chooses by what it has chosen before"
                .to_owned()
        }
        Err(loss) => format!("it is dropped and counted as {}", loss.name()),
    });
    let backends =
        [remembered.map(|it| it.target.backend), by_slot, choice.as_ref().ok().map(|(backend, _)| *backend)];
    let mut told = Vec::new();
    for backend in backends.into_iter().flatten() {
        if !told.contains(&backend) {
            told.push(backend);
            reasons.push(condition(&pools, backend, address(backend)));
        }
    }
    if let Some(remembered) = remembered {
        let idle = super::flows::idle_ms(engine, &remembered, clock::now());
        reasons
            .push(format!("a worker remembers the flow as {}, idle for {idle} ms", remembered.state.name()));
    }
    Trace {
        flow: name,
        interface: Some(port.interface.clone()),
        verdict: verdict.name().to_owned(),
        pool: pool.map(|pool| plan.pools[pool].name.clone()),
        slot: slot.and_then(|slot| u32::try_from(slot).ok()),
        slot_backend: by_slot.map(address),
        backend: choice.as_ref().ok().map(|(backend, _)| address(*backend)),
        by: choice.ok().map(|(_, by)| by.to_owned()),
        reasons,
    }
}

/// The backend that XDP sends frames of `flow` to by itself: that of the flow cache, while it is up and XDP can send to where it is.
fn by_xdp(engine: &Engine, pools: &Pools, flow: &Flow) -> Option<u16> {
    let backend = engine.cached(flow)?.value.backend;
    let arm = engine.plan.backends[usize::from(backend)].arm;
    (arm == 0 || engine.arms[arm].takes_redirected).then(|| pools.mac(backend))?.map(|_| backend)
}

/// Whether a backend gets flows.
fn condition(pools: &Pools, backend: u16, address: IpAddr) -> String {
    let index = usize::from(backend);
    let (condition, weight) = (&pools.conditions()[index], pools.weights()[index]);
    format!("backend {address} is {}, weight {weight}", condition.name(weight))
}

/// The text of `baton trace`.
pub fn trace(trace: &Trace) -> String {
    let Trace { flow, interface, verdict, pool, slot, slot_backend, backend, by, reasons } = trace;
    let mut lines = vec![match interface {
        Some(interface) => format!("{flow} on {interface}"),
        None => flow.to_string(),
    }];
    lines.push(format!("  verdict  {verdict}"));
    if let Some(pool) = pool {
        lines.push(format!("  pool     {pool}"));
    }
    if let Some(slot) = slot {
        let owner = slot_backend.map_or_else(|| "nobody".to_owned(), |backend| backend.to_string());
        lines.push(format!("  slot     {slot}, which {owner} has"));
    }
    if let Some(backend) = backend {
        let by = by.as_deref().unwrap_or("-");
        lines.push(format!("  backend  {backend}, by {by}"));
    }
    lines.extend(reasons.iter().map(|reason| format!("  - {reason}")));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_sees_where_a_frame_goes_and_why() {
        let name: FlowName = "tcp 203.0.113.7:51515 -> 192.0.2.100:443".parse().expect("a flow");
        let nothing = untouched(name, Some("eth0"), Verdict::VipNotOwner, "it is Backup".to_owned());
        assert_eq!(
            trace(&nothing),
            "tcp 203.0.113.7:51515 -> 192.0.2.100:443 on eth0\n  verdict  vip-not-owner\n  - it is Backup\n"
        );
        let forwarded = Trace {
            verdict: "vip-balanced".to_owned(),
            pool: Some("web".to_owned()),
            slot: Some(7),
            slot_backend: Some([192, 0, 2, 11].into()),
            backend: Some([192, 0, 2, 12].into()),
            by: Some("flow-table".to_owned()),
            ..nothing
        };
        assert_eq!(
            trace(&forwarded),
            "tcp 203.0.113.7:51515 -> 192.0.2.100:443 on eth0\n  verdict  vip-balanced\n  pool     web\n  \
             slot     7, which 192.0.2.11 has\n  backend  192.0.2.12, by flow-table\n  - it is Backup\n"
        );
    }
}
