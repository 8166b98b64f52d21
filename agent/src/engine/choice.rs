//! Which backend a packet goes to. Workers go by it, and so does whoever wants to know what they would do.

use baton_common::flow::Flow;

use super::flow;
use super::maglev::Table;
use super::plan::Plan;
use super::pools::Pools;
use super::traffic::Loss;
use crate::wire::Mac;

/// A backend that was found for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its number.
    pub backend: u16,
    /// Where it is.
    pub mac: Mac,
    /// Whether the flow has had it before.
    pub is_kept: bool,
}

impl Choice {
    /// The backend of a packet of `flow`, which has had the backend `before` if it is known.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn make(plan: &Plan, pools: &Pools, flow: &Flow, before: Option<u16>) -> Result<Self, Loss> {
        if let Some(backend) = before {
            if let Some(mac) = pools.mac(backend) {
                return Ok(Self { backend, mac, is_kept: true });
            }
            // It may be in order: another one would reset the flow.
            if pools.is_unknown(backend) {
                return Err(Loss::NoBackend);
            }
        }
        let pool = plan.pool(flow).ok_or(Loss::NoService)?;
        let backend = in_table(pools, pool, flow).ok_or(Loss::NoBackend)?;
        Ok(Self { backend, mac: pools.mac(backend).ok_or(Loss::NoBackend)?, is_kept: false })
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
