//! What is measured, how often, and how long that will about take.

use std::time::Duration;

use serde::Serialize;

use super::baton::POOL;
use super::system::System;

/// How packets go to their backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forward {
    /// As they are.
    Direct,
    /// In others (RFC 2003), which makes frames 20 octets longer.
    Tunnel,
    /// With the backend's address in the place of the VIP.
    Nat,
    /// With an address of the node in the place of the client's, too.
    FullNat,
}

impl Forward {
    /// Its name in configurations and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Tunnel => "tunnel",
            Self::Nat => "nat",
            Self::FullNat => "full-nat",
        }
    }
}

/// Under which conditions frames are forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Conditions {
    /// Octets of a frame, without the checksum that a wire would add.
    pub frame: u16,
    /// Different flows.
    pub flows: u32,
    /// Services that they are spread over.
    pub services: u16,
    /// Backends of those services.
    pub backends: u16,
    /// How packets go there.
    pub forward: Forward,
}

/// The usual conditions: the smallest frame, one of everything.
pub(super) const USUAL: Conditions =
    Conditions { frame: 64, flows: 1, services: 1, backends: 1, forward: Forward::Direct };
/// The largest frame of an MTU of 1500.
pub(super) const LARGE: u16 = 1514;
/// Flows where something else is varied.
pub(super) const SOME_FLOWS: u32 = 10_000;
/// What `flows` of a configuration is unless it says so, and up to how many flows a balancer is measured with that.
const DEFAULT_ROOM: u32 = 131_072;
const MOST_IN_DEFAULT: u32 = 100_000;
/// The most flows that conntrack has room for on a machine that nobody has set up for more.
const MOST_TRACKED: u32 = 100_000;

/// What it was seen to take to make a frame and to have it forwarded.
const FRAME_NS: u64 = 1_300;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How often each system has its turn.
    pub rounds: u32,
    /// Which systems.
    pub systems: Vec<System>,
    /// How long frames are counted in each condition of a turn.
    pub span: Duration,
    /// Counts of flows.
    pub flows: Vec<u32>,
    /// Counts of services.
    pub services: Vec<u16>,
    /// Counts of backends.
    pub backends: Vec<u16>,
    /// How long connections are made to each of the systems that are compared by them, if at all.
    pub connections: Option<Duration>,
}

impl Plan {
    /// What `system` meets with one service and one backend, turn by turn. For each number of flows above what it is
    /// configured for by default, a balancer has a turn of its own with more room.
    pub fn turns(&self, system: System) -> Vec<Vec<Conditions>> {
        let all = self.conditions(system);
        if !System::BALANCERS.contains(&system) {
            return vec![all];
        }
        let (some, many): (Vec<_>, Vec<_>) = all.into_iter().partition(|it| it.flows <= MOST_IN_DEFAULT);
        [some].into_iter().chain(many.into_iter().map(|it| vec![it])).collect()
    }

    fn conditions(&self, system: System) -> Vec<Conditions> {
        let most = if system == System::Nftables { MOST_TRACKED } else { u32::MAX };
        let of_flows = self.flows.iter().filter(|flows| **flows <= most);
        let of_flows = of_flows.map(|flows| Conditions { flows: *flows, ..USUAL });
        [Conditions { frame: LARGE, ..USUAL }].into_iter().chain(of_flows).collect()
    }

    /// What balancers meet beside, each in a turn of its own; and nftables, which translates, beside those that do.
    pub fn setups(&self) -> Vec<(System, Conditions)> {
        let usual = Conditions { flows: SOME_FLOWS, ..USUAL };
        let services = self.services.iter().map(|services| Conditions { services: *services, ..usual });
        // Each pool has a service, or nobody would need it.
        let pools = |backends: u16| Conditions { services: backends.div_ceil(POOL), backends, ..usual };
        let mut all: Vec<Conditions> = Vec::new();
        let ways = [Forward::Tunnel, Forward::Nat, Forward::FullNat];
        let ways = ways.map(|forward| Conditions { forward, ..usual });
        for conditions in services.chain(self.backends.iter().copied().map(pools)).chain(ways) {
            if !all.contains(&conditions) {
                all.push(conditions);
            }
        }
        let meets = |system: System, forward| {
            System::BALANCERS.contains(&system) || (system, forward) == (System::Nftables, Forward::Nat)
        };
        let of = |conditions: Conditions| {
            let systems = self.systems.iter().copied();
            systems
                .filter(move |system| meets(*system, conditions.forward))
                .map(move |system| (system, conditions))
        };
        all.into_iter().flat_map(of).collect()
    }

    /// About how long one round takes.
    pub fn round_estimate(&self) -> Duration {
        let start = Duration::from_millis(1500);
        let turn = |system: &System| {
            let passes = match (system, system.has_flows()) {
                (System::FlowCache, _) => 8,
                (_, true) => 2,
                (_, false) => 0,
            };
            let frames = |conditions: &Conditions| passes * u64::from(conditions.flows);
            let warm =
                |conditions: &Conditions| Duration::from_nanos(frames(conditions) * FRAME_NS) + self.span;
            let turns = self.turns(*system);
            let starts = start * u32::try_from(turns.len()).unwrap_or(u32::MAX);
            starts + self.span + turns.iter().flatten().map(warm).sum::<Duration>()
        };
        let turns: Duration = self.systems.iter().map(turn).sum();
        let setups = u32::try_from(self.setups().len()).unwrap_or(u32::MAX);
        turns + setups * (2 * start + self.span)
    }

    /// About how long everything takes.
    pub fn estimate(&self) -> Duration {
        self.rounds * (self.round_estimate() + self.connections_estimate())
    }

    /// About how long the connections of one round take.
    pub fn connections_estimate(&self) -> Duration {
        self.connections.map_or(Duration::ZERO, |span| Duration::from_secs(10) + 5 * span)
    }
}

/// The room that an agent is configured to have for so many `flows`: as it comes, or as much for each.
pub(super) fn room(flows: u32) -> u32 {
    let room = u64::from(flows) * u64::from(DEFAULT_ROOM) / u64::from(MOST_IN_DEFAULT);
    u32::try_from(room).unwrap_or(u32::MAX).max(DEFAULT_ROOM)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn plan() -> Plan {
        Plan {
            rounds: 2,
            systems: System::ALL.to_vec(),
            span: Duration::from_millis(200),
            flows: vec![1, 1_000, 100_000, 1_000_000],
            services: vec![1, 100, 4_000],
            backends: vec![1, 100, 1_000],
            connections: Some(Duration::from_secs(2)),
        }
    }

    #[test]
    fn a_quick_run_takes_less_than_five_minutes() {
        let estimate = plan().estimate();
        assert!(estimate < Duration::from_secs(290), "{estimate:?}");
    }

    #[test]
    fn each_set_of_conditions_is_met_once_in_a_round() {
        let plan = plan();
        let setup =
            |(system, it): &(System, Conditions)| (*system, it.services, it.backends, it.forward.name());
        let setups: Vec<_> = plan.setups().iter().map(setup).collect();
        let direct = [(1, 1), (100, 1), (4000, 1), (1, 100), (2, 1000)];
        let direct = direct.map(|(services, backends)| (services, backends, "direct"));
        let ways = ["tunnel", "nat", "full-nat"].map(|forward| (1, 1, forward));
        let both =
            |(services, backends, forward)| System::BALANCERS.map(|it| (it, services, backends, forward));
        let mut expected: Vec<_> = direct.into_iter().chain(ways).flat_map(both).collect();
        let nat = expected.iter().rposition(|(.., forward)| *forward == "nat").expect("it is there");
        expected.insert(nat + 1, (System::Nftables, 1, 1, "nat"));
        assert_eq!(setups, expected);
        let met = |turn: &Vec<Conditions>| turn.iter().map(|it| (it.frame, it.flows)).collect::<Vec<_>>();
        let met = |system| plan.turns(system).iter().map(met).collect::<Vec<_>>();
        let some = vec![(1514, 1), (64, 1), (64, 1000), (64, 100_000)];
        assert_eq!(met(System::Nftables), std::slice::from_ref(&some));
        assert_eq!(met(System::Ring), [some, vec![(64, 1_000_000)]]);
        assert_eq!([1, 100_000, 1_000_000].map(room), [131_072, 131_072, 1_310_720]);
    }
}
