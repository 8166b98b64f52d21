//! What the workers act by: which backends can be had at this moment, and the tables that follow from it. A new one is made whenever
//! that changes, and put in the place of the old one while frames are forwarded.

use std::sync::Arc;

use super::maglev::{Member, Table};
use super::plan::{Backend, Plan};
use crate::config::AllFailed;
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
    /// It fails its check.
    Failing {
        /// How.
        how: String,
        /// Where it is.
        mac: Mac,
    },
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
            (Some(Neighbour { mac: Some(mac), .. }), State::Failing(how)) => {
                Self::Failing { how: how.clone(), mac: *mac }
            }
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
            Self::Failing { .. } => failing,
        }
    }

    /// Where frames for it go while it is in order.
    pub fn mac(&self) -> Option<Mac> {
        match self {
            Self::Up(mac) => Some(*mac),
            Self::Unreachable | Self::Unknown | Self::Failing { .. } => None,
        }
    }

    /// Where it is, in order or not.
    fn place(&self) -> Option<Mac> {
        match self {
            Self::Up(mac) | Self::Failing { mac, .. } => Some(*mac),
            Self::Unreachable | Self::Unknown => None,
        }
    }
}

/// Which backends of a pool are given new flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resort {
    /// Those that are in order.
    Regular,
    /// The backups that are: no other is.
    Backups,
    /// All that are found: none is in order.
    All,
    /// None at all.
    #[default]
    Nobody,
}

/// Who takes new flows of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Takers {
    resort: Resort,
    members: Vec<Member>,
}

impl Takers {
    /// The same with the weights that the backends have now; without one it takes none.
    fn reweighted(&self, weights: &[u16]) -> Self {
        let reweighted = |member: &Member| Member { weight: weights[usize::from(member.backend)], ..*member };
        let members = self.members.iter().map(reweighted).filter(|member| member.weight > 0).collect();
        Self { resort: self.resort, members }
    }
}

/// The state of all backends and pools.
#[derive(Clone, Debug, Default)]
pub struct Pools {
    conditions: Vec<Condition>,
    /// The weight of each backend; flows keep one whose weight is 0.
    weights: Vec<u16>,
    /// Where frames for each backend go.
    macs: Vec<Option<Mac>>,
    /// Of each pool, what its table was made of, and the table.
    tables: Vec<(Takers, Arc<Table>)>,
}

impl Pools {
    /// Nothing is known of the backends of `plan` yet, and their weights are the configured ones.
    pub fn unknown(plan: &Plan) -> Self {
        let backends = plan.backends.len();
        Self {
            conditions: vec![Condition::Unknown; backends],
            weights: plan.backends.iter().map(|backend| backend.weight).collect(),
            macs: vec![None; backends],
            tables: vec![(Takers::default(), Arc::default()); plan.pools.len()],
        }
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
        let table = |(pool, (takers, table)): (usize, &(Takers, Arc<Table>))| {
            let now = takers_of(plan, pool, &conditions, &weights, takers);
            let is_same = now.members == takers.members;
            let table = if is_same { Arc::clone(table) } else { Table::new(&now.members).into() };
            (now, table)
        };
        let tables: Vec<_> = self.tables.iter().enumerate().map(table).collect();
        let mac = |(backend, condition): (&Backend, &Condition)| match tables[backend.pool].0.resort {
            Resort::Regular | Resort::Backups | Resort::Nobody => condition.mac(),
            Resort::All => condition.place(),
        };
        let macs = plan.backends.iter().zip(&conditions).map(mac).collect();
        Self { conditions, weights, macs, tables }
    }

    /// Where frames for `backend` go.
    pub fn mac(&self, backend: u16) -> Option<Mac> {
        self.macs.get(usize::from(backend)).copied().flatten()
    }

    /// How many backends of `pool` are in order: those that are no backups, or else the backups.
    pub fn in_order(&self, plan: &Plan, pool: usize) -> usize {
        let count = |is_backup| {
            let counts = |number: &u16| {
                let index = usize::from(*number);
                let is_up = self.conditions[index].mac().is_some();
                // One that is drained serves the flows that it has.
                let counts = self.weights[index].max(plan.backends[index].weight) > 0;
                is_up && counts && plan.backends[index].is_backup == is_backup
            };
            plan.numbers_of(pool).filter(counts).count()
        };
        match count(false) {
            0 => count(true),
            regular => regular,
        }
    }

    /// Whether it is being found out where `backend` is and what its check says.
    pub fn is_unknown(&self, backend: u16) -> bool {
        matches!(self.conditions.get(usize::from(backend)), Some(Condition::Unknown))
    }

    /// The weight of each backend.
    pub fn weights(&self) -> &[u16] {
        &self.weights
    }

    /// The condition of each backend.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// Which backends of each pool are given new flows.
    pub fn resorts(&self) -> impl Iterator<Item = Resort> {
        self.tables.iter().map(|(takers, _)| takers.resort)
    }

    /// Whether anybody can be given new flows of `pool`.
    pub fn has_takers(&self, pool: usize) -> bool {
        self.members(pool).next().is_some()
    }

    /// Who can be given new flows of `pool`.
    pub(super) fn members(&self, pool: usize) -> impl Iterator<Item = Member> + Clone {
        let members = self.tables.get(pool).map_or(&[][..], |(takers, _)| &takers.members);
        members.iter().copied().filter(|member| self.mac(member.backend).is_some())
    }

    /// The table of `pool`.
    pub fn table(&self, pool: usize) -> Option<&Table> {
        self.tables.get(pool).map(|(_, table)| &**table)
    }
}

/// Who takes new flows of `pool`, after `before`. While something is being found out that stays as it is, and at first, who may
/// turn out to be in order counts: others would get its flows, and reset those that it has. Weights are known at any time.
fn takers_of(plan: &Plan, pool: usize, conditions: &[Condition], weights: &[u16], before: &Takers) -> Takers {
    // Those that have a weight, each with whether it is a backup and its condition.
    let all: Vec<(bool, &Condition, Member)> = plan
        .numbers_of(pool)
        .map(|number| (number, usize::from(number)))
        .filter(|(_, index)| weights[*index] > 0)
        .map(|(number, index)| {
            let Backend { address, is_backup, .. } = plan.backends[index];
            let member = Member { address, weight: weights[index], backend: number };
            (is_backup, &conditions[index], member)
        })
        .collect();
    let those = |is_backup: bool, may_serve: fn(&Condition) -> bool| -> Vec<Member> {
        let chosen = all.iter().filter(|(backup, it, _)| *backup == is_backup && may_serve(it));
        chosen.map(|(_, _, member)| *member).collect()
    };
    let is_unknown = |condition: &Condition| *condition == Condition::Unknown;
    for (is_backup, resort) in [(false, Resort::Regular), (true, Resort::Backups)] {
        if !those(is_backup, is_unknown).is_empty() && !before.members.is_empty() {
            return before.reweighted(weights);
        }
        let members = those(is_backup, |it| it.mac().is_some() || *it == Condition::Unknown);
        if !members.is_empty() {
            return Takers { resort, members };
        }
    }
    let found = |is_backup| those(is_backup, |condition| condition.place().is_some());
    let members = match plan.pools[pool].all_failed {
        AllFailed::Drop => Vec::new(),
        AllFailed::UseAll => Some(found(false)).filter(|all| !all.is_empty()).unwrap_or_else(|| found(true)),
    };
    Takers { resort: if members.is_empty() { Resort::Nobody } else { Resort::All }, members }
}

#[cfg(test)]
pub(super) mod tests {
    use std::num::NonZeroU8;
    use std::time::Duration;

    use super::*;
    use crate::config::{BackendConfig, Forwarding, PoolConfig, Ports, Protocol, Schedule, ServiceConfig};

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
            (
                Condition::Up(MAC),
                at(Some(MAC)),
                failing(),
                Condition::Failing { how: "503".to_owned(), mac: MAC },
            ),
            (Condition::Up(MAC), at(None), failing(), Condition::Unreachable),
            // Asked for again, it is being looked for most of the time.
            (Condition::Unreachable, None, State::Good, Condition::Unreachable),
            (Condition::Unreachable, at(Some(MAC)), State::Good, Condition::Up(MAC)),
        ] {
            assert_eq!(before.then(neighbour.as_ref(), &state), then, "{before:?} {neighbour:?} {state:?}");
        }
    }

    /// A pool with backends of these weights, of which those after the first `regular` are backups.
    pub(in crate::engine) fn plan(weights: &[u16], regular: usize, all_failed: AllFailed) -> Plan {
        let backend = |(number, weight): (usize, &u16)| {
            let last = u8::try_from(number).expect("few");
            BackendConfig {
                address: [192, 0, 2, last].into(),
                weight: *weight,
                is_backup: number > regular,
                port: None,
            }
        };
        let pool = PoolConfig {
            name: "web".to_owned(),
            backends: (1..).zip(weights).map(backend).collect(),
            forwarding: Forwarding::Direct,
            interface: None,
            checks: Vec::new(),
            schedule: Schedule::Maglev,
            quorum: 1,
            all_failed,
            interval: Duration::ZERO,
            patience: Duration::ZERO,
            rise: NonZeroU8::MIN,
            fall: NonZeroU8::MIN,
        };
        let vip = [192, 0, 2, 100].into();
        let service = ServiceConfig { vip, protocol: Protocol::Tcp, ports: Ports::Any, pool: 0 };
        Plan::new(&[pool], vec![service])
    }

    /// By letters: `u`p, `f`ailing, `d`own or unknown.
    pub(in crate::engine) fn conditions(letters: &str) -> Vec<Condition> {
        let condition = |letter| match letter {
            'u' => Condition::Up(MAC),
            'f' => Condition::Failing { how: "503".to_owned(), mac: MAC },
            'd' => Condition::Unreachable,
            _ => Condition::Unknown,
        };
        letters.chars().map(condition).collect()
    }

    /// Who has slots, after each of the conditions.
    fn story_of(plan: &Plan, changes: &[&str]) -> Vec<String> {
        let mut pools = Pools::unknown(plan);
        let mut told = Vec::new();
        for letters in changes {
            pools = pools.then(plan, conditions(letters));
            let shares = pools.table(0).expect("a pool").shares(plan.backends.len());
            told.push(shares.iter().map(|share| if *share > 0 { 'x' } else { '-' }).collect());
        }
        told
    }

    fn story(weights: &[u16], changes: &[&str]) -> Vec<String> {
        story_of(&plan(weights, weights.len(), AllFailed::Drop), changes)
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
        pools.tables[0].0.members.iter().map(|member| (member.backend, member.weight)).collect()
    }

    #[test]
    fn another_weight_counts_at_once_whatever_is_being_found_out() {
        let plan = plan(&[1, 1, 2], 3, AllFailed::Drop);
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
            (Condition::Failing { how: String::new(), mac: MAC }, 0, "failing"),
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

    /// (conditions of two backends and two backups, who gets flows)
    #[test]
    fn backups_get_flows_while_no_other_is_in_order() {
        let plan = plan(&[1; 4], 2, AllFailed::Drop);
        for (letters, takers) in [
            ("uuuu", "xx--"),
            ("fuuu", "-x--"),
            ("fduu", "--xx"),
            ("fduf", "--x-"),
            ("fdfd", "----"),
            ("????", "xx--"),
            ("fd??", "--xx"),
            ("fdu?", "--xx"),
            ("u???", "xx--"),
        ] {
            assert_eq!(story_of(&plan, &[letters]), [takers], "{letters}");
        }
        let changes = ["uuuu", "ffuu", "f?uu", "fuuu", "fu??", "uuuu"];
        assert_eq!(story_of(&plan, &changes), ["xx--", "--xx", "--xx", "-x--", "-x--", "xx--"]);
    }

    /// (conditions of two backends and a backup, who gets flows, who can be sent frames)
    #[test]
    fn all_that_are_found_get_flows_when_none_is_in_order_if_that_is_wanted() {
        let wanted = plan(&[1; 3], 2, AllFailed::UseAll);
        for (letters, takers, places) in [
            ("ufd", "x--", "x--"),
            ("ffu", "--x", "--x"),
            ("fff", "xx-", "xxx"),
            ("fdf", "x--", "x-x"),
            ("ddf", "--x", "--x"),
            ("ddd", "---", "---"),
        ] {
            let pools = Pools::unknown(&wanted).then(&wanted, conditions(letters));
            let can_be_sent = |number| if pools.mac(number).is_some() { 'x' } else { '-' };
            assert_eq!((0..3).map(can_be_sent).collect::<String>(), places, "{letters}");
            assert_eq!(story_of(&wanted, &[letters]), [takers], "{letters}");
        }
        let unwanted = plan(&[1; 3], 2, AllFailed::Drop);
        assert_eq!(story_of(&unwanted, &["fff"]), ["---"]);
        assert_eq!(Pools::unknown(&unwanted).then(&unwanted, conditions("fff")).mac(0), None);
    }
}
