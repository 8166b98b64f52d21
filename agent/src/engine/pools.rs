//! What the workers act by: which backends can be had at this moment, and the tables that follow from it. A new one is made whenever
//! that changes, and put in the place of the old one while frames are forwarded.

use std::fmt;
use std::sync::Arc;

use super::maglev::{Member, Table};
use super::plan::Plan;
use crate::host::neighbours::Neighbour;
use crate::track::State;
use crate::wire::Mac;

/// Whether a backend can be given frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It can, at this address.
    Up(Mac),
    /// It does not answer the kernel that asks where it is.
    Unreachable,
    /// That is being found out.
    Unknown,
    /// It fails its check, and how.
    Failing(String),
}

impl Condition {
    /// What it is after this one, by where the kernel has found the backend, if it has looked, and by what its check says.
    pub fn then(&self, neighbour: Option<&Neighbour>, state: &State) -> Self {
        match (neighbour, state) {
            // The kernel asks again and again for one that it does not find.
            (None, _) if *self == Self::Unreachable => Self::Unreachable,
            (Some(Neighbour { mac: None, .. }), _) => Self::Unreachable,
            (Some(Neighbour { mac: Some(_), .. }), State::Failing(how)) => Self::Failing(how.clone()),
            (Some(Neighbour { mac: Some(mac), .. }), State::Good) => Self::Up(*mac),
            (None, _) | (Some(Neighbour { mac: Some(_), .. }), State::Unknown) => Self::Unknown,
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
    /// Of each pool, what its table was made of, and the table.
    tables: Vec<(Vec<Member>, Arc<Table>)>,
}

impl Pools {
    /// Nothing is known of the backends of `plan` yet.
    pub fn unknown(plan: &Plan) -> Self {
        let tables = vec![(Vec::new(), Arc::default()); plan.pools.len()];
        Self { conditions: vec![Condition::Unknown; plan.backends.len()], tables }
    }

    /// What follows from another condition of each backend of `plan`.
    pub fn then(&self, plan: &Plan, conditions: Vec<Condition>) -> Self {
        let table = |(pool, (members, table)): (usize, &(Vec<Member>, Arc<Table>))| {
            // While something is being found out, flows would be sent to the wrong backend.
            let now = members_of(plan, pool, &conditions).unwrap_or_else(|| members.clone());
            if now == *members { (now, Arc::clone(table)) } else { (now.clone(), Table::new(&now).into()) }
        };
        let tables = self.tables.iter().enumerate().map(table).collect();
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
        self.tables.get(pool).map(|(_, table)| &**table)
    }
}

/// Who takes new flows of `pool`; `None` while that is being found out.
fn members_of(plan: &Plan, pool: usize, conditions: &[Condition]) -> Option<Vec<Member>> {
    let mut members = Vec::new();
    for number in plan.numbers_of(pool) {
        let (backend, condition) = (&plan.backends[usize::from(number)], &conditions[usize::from(number)]);
        if *condition == Condition::Unknown && backend.weight > 0 {
            return None;
        }
        if condition.mac().is_some() && backend.weight > 0 {
            members.push(Member { address: backend.address, weight: backend.weight, backend: number });
        }
    }
    Some(members)
}
