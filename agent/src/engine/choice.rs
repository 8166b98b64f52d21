//! Which backend a packet goes to. Workers go by it, and so does whoever wants to know what they would do.

use baton_common::flow::Flow;

use super::flow;
use super::flows::Target;
use super::maglev::Table;
use super::plan::Plan;
use super::pools::Pools;
use super::traffic::Loss;
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
    /// The backend of a packet of `flow`, which was for `before` if it is known.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn make(plan: &Plan, pools: &Pools, flow: &Flow, before: Option<Target>) -> Result<Self, Loss> {
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
        let backend = in_table(pools, pool, flow).ok_or(Loss::NoBackend)?;
        let mac = pools.mac(backend).ok_or(Loss::NoBackend)?;
        Ok(Self { target: Target { backend, service }, mac, is_kept: false })
    }
}

/// The backend that the table of `pool` has for `flow`.
pub fn in_table(pools: &Pools, pool: usize, flow: &Flow) -> Option<u16> {
    pools.table(pool)?.backend(slot(flow))
}

/// The slot of `flow` in any table.
pub fn slot(flow: &Flow) -> usize {
    Table::slot(flow::hash(flow))
}
