//! What the workers act by: which backends can be had at this moment, and the tables that follow from it. A new one is made whenever
//! that changes, and put in the place of the old one while frames are forwarded.

use std::fmt;

use super::maglev::{Member, Table};
use super::plan::{Backend, Plan};
use crate::track::State;
use crate::wire::Mac;

/// Whether a backend can be given frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It can, at this address.
    Up(Mac),
    /// It does not answer the kernel that asks where it is.
    Unreachable,
    /// It has not been looked at yet.
    Unknown,
    /// It fails its check, and how.
    Failing(String),
}

impl Condition {
    /// What follows from where it is and what its check says.
    pub fn new(mac: Option<Mac>, state: &State) -> Self {
        match (mac, state) {
            (None, _) => Self::Unreachable,
            (Some(_), State::Unknown) => Self::Unknown,
            (Some(_), State::Failing(how)) => Self::Failing(how.clone()),
            (Some(mac), State::Good) => Self::Up(mac),
        }
    }

    /// Where frames for it go.
    pub fn mac(&self) -> Option<Mac> {
        match self {
            Self::Up(mac) => Some(*mac),
            Self::Unreachable | Self::Unknown | Self::Failing(_) => None,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up(_) => "up",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
            Self::Failing(_) => "failing",
        })
    }
}

/// The state of all backends and pools.
#[derive(Clone, Debug, Default)]
pub struct Pools {
    conditions: Vec<Condition>,
    tables: Vec<Table>,
}

impl Pools {
    /// What follows from the condition of each backend of `plan`.
    pub fn new(plan: &Plan, conditions: Vec<Condition>) -> Self {
        let numbered = || (0..).zip(&plan.backends).zip(&conditions);
        let takes_flows =
            |backend: &Backend, condition: &Condition| backend.weight > 0 && condition.mac().is_some();
        let table = |pool| {
            let of_pool = numbered()
                .filter(|((_, backend), condition)| backend.pool == pool && takes_flows(backend, condition));
            let members = of_pool.map(|((number, backend), _)| Member {
                address: backend.address,
                weight: backend.weight,
                backend: number,
            });
            Table::new(&members.collect::<Vec<_>>())
        };
        let tables = (0..plan.pools.len()).map(table).collect();
        Self { conditions, tables }
    }

    /// Where frames for `backend` go.
    pub fn mac(&self, backend: u16) -> Option<Mac> {
        self.conditions.get(usize::from(backend)).and_then(Condition::mac)
    }

    /// The condition of each backend.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// The table of `pool`.
    pub fn table(&self, pool: usize) -> Option<&Table> {
        self.tables.get(pool)
    }
}
