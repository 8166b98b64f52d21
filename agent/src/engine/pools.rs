//! What the workers act by: which backends can be had at this moment, and the tables that follow from it. A new one is made whenever
//! that changes, and put in the place of the old one while frames are forwarded.

use super::maglev::{Member, Table};
use super::plan::Plan;
use crate::wire::Mac;

/// The state of all backends and pools.
#[derive(Clone, Debug, Default)]
pub struct Pools {
    /// Where each backend is; `None` for one that does not answer.
    macs: Vec<Option<Mac>>,
    tables: Vec<Table>,
}

impl Pools {
    /// What follows from where the backends of `plan` are.
    pub fn new(plan: &Plan, macs: Vec<Option<Mac>>) -> Self {
        let numbered = || (0..).zip(&plan.backends).zip(&macs);
        let table = |pool| {
            let takes_flows = |&((_, backend), mac): &((u16, &super::plan::Backend), &Option<Mac>)| {
                backend.pool == pool && backend.weight > 0 && mac.is_some()
            };
            let member = |((number, backend), _): ((u16, &super::plan::Backend), _)| Member {
                address: backend.address,
                weight: backend.weight,
                backend: number,
            };
            let members: Vec<Member> = numbered().filter(takes_flows).map(member).collect();
            Table::new(&members)
        };
        let tables = (0..plan.pools.len()).map(table).collect();
        Self { macs, tables }
    }

    /// Where `backend` is.
    pub fn mac(&self, backend: u16) -> Option<Mac> {
        self.macs.get(usize::from(backend)).copied().flatten()
    }

    /// Where each backend is.
    pub fn macs(&self) -> &[Option<Mac>] {
        &self.macs
    }

    /// The table of `pool`.
    pub fn table(&self, pool: usize) -> Option<&Table> {
        self.tables.get(pool)
    }
}
