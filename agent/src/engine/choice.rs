//! Which backend a packet goes to. Workers go by it, and so does whoever wants to know what they would do.

use baton_common::flow::Flow;

use super::flow;
use super::flows::Target;
use super::plan::Plan;
use super::pools::Pools;
use super::schedule;
use super::traffic::Loss;
use crate::config::Schedule;
use crate::wire::Mac;

/// A backend that was found for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its number, and that of the service.
    pub target: Target,
    /// Where it is.
    pub mac: Mac,
    /// Whether the flow has had it before.
    pub is_kept: bool,
}

impl Choice {
    /// The backend of a packet of `flow`, which was for `before` if it is known. Others get one that `choose` finds in their pool.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn make(
        plan: &Plan,
        pools: &Pools,
        flow: &Flow,
        before: Option<Target>,
        choose: impl FnOnce(usize) -> Option<u16>,
    ) -> Result<Self, Loss> {
        if let Some(target) = before {
            if let Some(mac) = pools.mac(target.backend) {
                return Ok(Self { target, mac, is_kept: true });
            }
            // It may be in order: another one would reset the flow.
            if pools.is_unknown(target.backend) {
                return Err(Loss::NoBackend);
            }
        }
        let service = plan.service(flow).ok_or(Loss::NoService)?;
        let pool = plan.services[usize::from(service)].pool;
        let backend = choose(pool).ok_or(Loss::NoBackend)?;
        let mac = pools.mac(backend).ok_or(Loss::NoBackend)?;
        Ok(Self { target: Target { backend, service, port: 0 }, mac, is_kept: false })
    }
}

/// The slot of `flow` in the table of a pool with this schedule; `None` if that goes by something else.
pub fn slot(schedule: Schedule, flow: &Flow) -> Option<usize> {
    schedule::slot(schedule, flow, flow::hash(flow))
}
