//! What the workers act by: which backends can be had at this moment, and the tables that follow from it. A new one is made whenever
//! that changes, and put in the place of the old one while frames are forwarded.

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
    /// What a condition may be called.
    pub const NAMES: [&str; 5] = ["up", "draining", "unreachable", "unknown", "failing"];

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

    /// What the condition of a backend with `weight` is called.
    pub fn name(&self, weight: u16) -> &'static str {
        let [up, draining, unreachable, unknown, failing] = Self::NAMES;
        match self {
            Self::Up(_) if weight == 0 => draining,
            Self::Up(_) => up,
            Self::Unreachable => unreachable,
            Self::Unknown => unknown,
            Self::Failing(_) => failing,
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

/// The state of all backends and pools.
#[derive(Clone, Debug, Default)]
pub struct Pools {
    conditions: Vec<Condition>,
    /// The weight of each backend; flows keep one whose weight is 0.
    weights: Vec<u16>,
    /// Of each pool, what its table was made of, and the table.
    tables: Vec<(Vec<Member>, Arc<Table>)>,
}

impl Pools {
    /// Nothing is known of the backends of `plan` yet, and their weights are the configured ones.
    pub fn unknown(plan: &Plan) -> Self {
        let tables = vec![(Vec::new(), Arc::default()); plan.pools.len()];
        let weights = plan.backends.iter().map(|backend| backend.weight).collect();
        Self { conditions: vec![Condition::Unknown; plan.backends.len()], weights, tables }
    }

    /// What follows from another condition of each backend of `plan`.
    pub fn then(&self, plan: &Plan, conditions: Vec<Condition>) -> Self {
        self.with(plan, conditions, self.weights.clone())
    }

    /// What follows from another weight of each backend of `plan`.
    pub fn reweighted(&self, plan: &Plan, weights: Vec<u16>) -> Self {
        self.with(plan, self.conditions.clone(), weights)
    }

    fn with(&self, plan: &Plan, conditions: Vec<Condition>, weights: Vec<u16>) -> Self {
        let table = |(pool, (members, table)): (usize, &(Vec<Member>, Arc<Table>))| {
            let now = members_of(plan, pool, &conditions, &weights, members);
            if now == *members { (now, Arc::clone(table)) } else { (now.clone(), Table::new(&now).into()) }
        };
        let tables = self.tables.iter().enumerate().map(table).collect();
        Self { conditions, weights, tables }
    }

    /// Where frames for `backend` go.
    pub fn mac(&self, backend: u16) -> Option<Mac> {
        self.conditions.get(usize::from(backend)).and_then(Condition::mac)
    }

    /// Whether it is being found out where `backend` is and what its check says.
    pub fn is_unknown(&self, backend: u16) -> bool {
        matches!(self.conditions.get(usize::from(backend)), Some(Condition::Unknown))
    }

    /// Whether `backend` can be given new flows.
    pub fn takes_flows(&self, backend: u16) -> bool {
        self.weights.get(usize::from(backend)).is_some_and(|weight| *weight > 0)
            && self.mac(backend).is_some()
    }

    /// The weight of each backend.
    pub fn weights(&self) -> &[u16] {
        &self.weights
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

/// Who takes new flows of `pool`, after `before`. While something is being found out that stays as it is, and at first, who may
/// turn out to be in order counts: others would get its flows, and reset those that it has. Weights are known at any time.
fn members_of(
    plan: &Plan,
    pool: usize,
    conditions: &[Condition],
    weights: &[u16],
    before: &[Member],
) -> Vec<Member> {
    let (mut members, mut is_known) = (Vec::new(), true);
    for number in plan.numbers_of(pool) {
        let index = usize::from(number);
        let (address, weight) = (plan.backends[index].address, weights[index]);
        let may_serve = match conditions[index] {
            Condition::Up(_) => true,
            Condition::Unknown => {
                is_known &= weight == 0;
                true
            }
            Condition::Unreachable | Condition::Failing(_) => false,
        };
        if may_serve && weight > 0 {
            members.push(Member { address, weight, backend: number });
        }
    }
    if is_known || before.is_empty() {
        return members;
    }
    let reweighted = |member: &Member| Member { weight: weights[usize::from(member.backend)], ..*member };
    before.iter().map(reweighted).filter(|member| member.weight > 0).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;
    use std::time::Duration;

    use super::*;
    use crate::config::{BackendConfig, PoolConfig, Ports, Protocol, ServiceConfig};

    const MAC: Mac = [2; 6];

    #[test]
    fn a_condition_follows_from_where_a_backend_is_and_what_its_check_says() {
        let at = |mac| Some(Neighbour { mac, entered: false });
        let failing = || State::Failing("503".to_owned());
        for (before, neighbour, state, then) in [
            (Condition::Unknown, None, State::Good, Condition::Unknown),
            (Condition::Unknown, at(None), State::Good, Condition::Unreachable),
            (Condition::Unknown, at(Some(MAC)), State::Unknown, Condition::Unknown),
            (Condition::Unknown, at(Some(MAC)), State::Good, Condition::Up(MAC)),
            (Condition::Up(MAC), None, State::Good, Condition::Unknown),
            (Condition::Up(MAC), at(Some(MAC)), failing(), Condition::Failing("503".to_owned())),
            (Condition::Up(MAC), at(None), failing(), Condition::Unreachable),
            // Asked for again, it is being looked for most of the time.
            (Condition::Unreachable, None, State::Good, Condition::Unreachable),
            (Condition::Unreachable, at(Some(MAC)), State::Good, Condition::Up(MAC)),
        ] {
            assert_eq!(before.then(neighbour.as_ref(), &state), then, "{before:?} {neighbour:?} {state:?}");
        }
    }

    fn plan(weights: &[u16]) -> Plan {
        let backend =
            |(last, weight): (u8, &u16)| BackendConfig { address: [192, 0, 2, last].into(), weight: *weight };
        let pool = PoolConfig {
            name: "web".to_owned(),
            backends: (1..).zip(weights).map(backend).collect(),
            check: None,
            interval: Duration::ZERO,
            patience: Duration::ZERO,
            rise: NonZeroU8::MIN,
            fall: NonZeroU8::MIN,
        };
        let vip = [192, 0, 2, 100].into();
        let service = ServiceConfig { vip, protocol: Protocol::Tcp, ports: Ports::Any, pool: 0 };
        Plan::new(&[pool], vec![service])
    }

    /// Who has slots, after each of the conditions: `u`p, `d`own or unknown.
    fn story(weights: &[u16], conditions: &[&str]) -> Vec<String> {
        let plan = plan(weights);
        let mut pools = Pools::unknown(&plan);
        let mut told = Vec::new();
        for letters in conditions {
            let condition = |letter| match letter {
                'u' => Condition::Up(MAC),
                'd' => Condition::Unreachable,
                _ => Condition::Unknown,
            };
            pools = pools.then(&plan, letters.chars().map(condition).collect());
            let shares = pools.table(0).expect("a pool").shares(weights.len());
            told.push(shares.iter().map(|share| if *share > 0 { 'x' } else { '-' }).collect());
        }
        told
    }

    #[test]
    fn a_pool_stays_as_it_is_while_something_is_being_found_out() {
        assert_eq!(
            story(&[1, 1, 1], &["???", "u??", "uu?", "uud", "uuu"]),
            ["xxx", "xxx", "xxx", "xx-", "xxx"]
        );
        assert_eq!(story(&[1, 1, 1], &["uuu", "???", "u?u", "udu"]), ["xxx", "xxx", "xxx", "x-x"]);
        assert_eq!(story(&[1, 1], &["ud", "??", "dd", "?d", "ud"]), ["x-", "x-", "--", "x-", "x-"]);
    }

    /// Who has which weight in the table of the only pool.
    fn weights(pools: &Pools) -> Vec<(u16, u16)> {
        pools.tables[0].0.iter().map(|member| (member.backend, member.weight)).collect()
    }

    #[test]
    fn another_weight_counts_at_once_whatever_is_being_found_out() {
        let plan = plan(&[1, 1, 2]);
        let up = Condition::Up(MAC);
        let pools = Pools::unknown(&plan).then(&plan, vec![up.clone(), up.clone(), up.clone()]);
        for (conditions, then) in [
            ([&up, &up, &up], vec![(0, 5), (2, 2)]),
            // The pool stays as it is while the first is looked for.
            ([&Condition::Unknown, &up, &Condition::Unreachable], vec![(0, 5), (2, 2)]),
            ([&up, &Condition::Unreachable, &Condition::Unreachable], vec![(0, 5)]),
        ] {
            let pools = pools.then(&plan, conditions.map(Clone::clone).to_vec());
            assert_eq!(weights(&pools.reweighted(&plan, vec![5, 0, 2])), then, "{conditions:?}");
        }
        let drained = pools.reweighted(&plan, vec![5, 0, 2]);
        assert_eq!([0, 1, 2].map(|backend| drained.takes_flows(backend)), [true, false, true]);
        assert_eq!(drained.mac(1), Some(MAC), "flows that it has go on");
        let all = vec![up; 3];
        assert_eq!(weights(&drained.then(&plan, all)), [(0, 5), (2, 2)], "a condition changes no weight");
        assert_eq!(weights(&drained.reweighted(&plan, vec![1, 1, 2])), [(0, 1), (1, 1), (2, 2)]);
    }

    #[test]
    fn a_backend_is_draining_when_it_is_up_and_has_no_weight() {
        for (condition, weight, name) in [
            (Condition::Up(MAC), 1, "up"),
            (Condition::Up(MAC), 0, "draining"),
            (Condition::Failing(String::new()), 0, "failing"),
            (Condition::Unreachable, 0, "unreachable"),
            (Condition::Unknown, 0, "unknown"),
        ] {
            assert_eq!(condition.name(weight), name);
        }
    }

    #[test]
    fn a_backend_without_weight_gets_nothing_and_is_not_waited_for() {
        assert_eq!(story(&[1, 0, 1], &["uuu", "u?d"]), ["x-x", "x--"]);
    }
}
