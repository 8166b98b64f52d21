//! What is measured, how often, in which order, and how long that will about take.

use std::ops::Range;
use std::time::Duration;

use baton_tests::lab::{Fault, System, Tuning, Variant};

use crate::series::{Conditions, Stress};

/// Baton's rounds on one pair before the next system's turn.
const TURN: usize = 20;
/// What a pair costs beside its rounds: start, end, a lab that is new for each set of conditions.
const PAIR: Duration = Duration::from_secs(3);
/// How long the cost of an idle pair is watched.
pub const COST: Duration = Duration::from_secs(5);

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Rounds of each kind for Baton.
    pub rounds: usize,
    /// Which faults.
    pub faults: Vec<Fault>,
    /// Which systems.
    pub systems: Vec<System>,
    /// How many addresses move.
    pub vips: Vec<u16>,
    /// What else the machine has to do.
    pub stress: Vec<Stress>,
    /// How long to watch for false alarms, if at all.
    pub false_alarm: Option<Duration>,
}

impl Plan {
    /// All conditions, in order.
    pub fn conditions(&self) -> Vec<Conditions> {
        let with = |vips: u16| self.stress.iter().map(move |&stress| Conditions { vips, stress });
        self.vips.iter().flat_map(|vips| with(*vips)).collect()
    }

    /// Rounds of each kind for `system`: Baton's; 0.25 of them for its variants, 0.15 for a rival, 0.05 for one at its
    /// defaults, whose rounds take ten times as long.
    pub fn rounds_of(&self, system: System) -> usize {
        match system {
            System::Baton(Variant::Usual) => self.rounds,
            System::Baton(Variant::InterfaceMac | Variant::Fastest) => (self.rounds * 25).div_ceil(100),
            System::Keepalived(Tuning::Fast | Tuning::Hasty) | System::Frr => {
                (self.rounds * 15).div_ceil(100)
            }
            System::Keepalived(Tuning::Defaults) => (self.rounds * 5).div_ceil(100),
        }
    }

    /// How often each system has its turn: at least twice where that is possible, so that all meet the same weather.
    pub fn turns(&self) -> usize {
        self.rounds.div_ceil(TURN).max(2).min(self.rounds)
    }

    /// The numbers of the rounds of `system` in turn number `turn`; they are spread evenly over the turns.
    pub fn share(&self, system: System, turn: usize) -> Range<usize> {
        let bound = |turn: usize| self.rounds_of(system) * turn / self.turns();
        bound(turn)..bound(turn + 1)
    }

    /// About how long a turn takes.
    pub fn turn_estimate(&self, system: System, vips: u16, turn: usize) -> Duration {
        let rounds = self.share(system, turn).len() * self.faults.len();
        if rounds == 0 {
            return Duration::ZERO;
        }
        PAIR + u32::try_from(rounds).unwrap_or(u32::MAX) * round_estimate(system, vips)
    }

    /// About how long a watch for false alarms takes on one system.
    pub fn watch_estimate(&self) -> Duration {
        self.false_alarm.map_or(Duration::ZERO, |span| span + 2 * PAIR)
    }

    /// About how long everything takes.
    pub fn estimate(&self) -> Duration {
        let mut total = Duration::ZERO;
        for conditions in self.conditions() {
            for turn in 0..self.turns() {
                let turns = self.systems.iter();
                total +=
                    turns.map(|system| self.turn_estimate(*system, conditions.vips, turn)).sum::<Duration>();
            }
        }
        let costs = if self.stress.contains(&Stress::Idle) { COST } else { Duration::ZERO };
        let systems = u32::try_from(self.systems.len()).unwrap_or(u32::MAX);
        total + systems * (self.watch_estimate() + costs)
    }
}

/// What a round was seen to take, the mean over the kinds of failure.
const fn round_estimate(system: System, vips: u16) -> Duration {
    let (base_ms, per_vip_us) = match system {
        System::Baton(_) => (700, 100),
        System::Keepalived(Tuning::Fast | Tuning::Hasty) => (900, 500),
        System::Keepalived(Tuning::Defaults) => (9_000, 500),
        System::Frr => (900, 100),
    };
    Duration::from_micros(base_ms * 1000 + per_vip_us * vips as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATON: System = System::Baton(Variant::Usual);

    fn plan(rounds: usize) -> Plan {
        Plan {
            rounds,
            faults: Fault::MEASURED.to_vec(),
            systems: System::ALL.to_vec(),
            vips: vec![1, 100],
            stress: Stress::MEASURED.to_vec(),
            false_alarm: None,
        }
    }

    #[test]
    fn variants_and_rivals_have_fewer_rounds_and_a_system_at_its_defaults_the_fewest() {
        let rounds = |plan: &Plan| System::ALL.map(|system| plan.rounds_of(system));
        assert_eq!(rounds(&plan(200)), [200, 50, 50, 30, 30, 10, 30]);
        assert_eq!(rounds(&plan(2)), [2, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn the_turns_of_a_system_are_all_of_its_rounds() {
        for (rounds, turns) in [(1, 1), (2, 2), (8, 2), (200, 10)] {
            let plan = plan(rounds);
            assert_eq!(plan.turns(), turns);
            for system in System::ALL {
                let all: Vec<usize> = (0..turns).flat_map(|turn| plan.share(system, turn)).collect();
                assert_eq!(all, (0..plan.rounds_of(system)).collect::<Vec<_>>(), "{system:?}");
            }
        }
        assert_eq!(plan(200).share(BATON, 9), 180..200);
    }

    #[test]
    fn every_count_of_addresses_is_measured_idle_and_busy() {
        let conditions = plan(1).conditions();
        let told: Vec<_> = conditions.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["1 VIP, idle", "1 VIP, busy", "100 VIP, idle", "100 VIP, busy"]);
    }

    #[test]
    fn the_estimate_is_the_sum_of_its_parts() {
        let mut plan = plan(1);
        plan.systems = vec![BATON];
        plan.vips = vec![1];
        plan.stress = vec![Stress::Idle];
        let turn = plan.turn_estimate(BATON, 1, 0);
        assert_eq!(turn, PAIR + 4 * round_estimate(BATON, 1));
        assert_eq!(plan.estimate(), turn + COST);
        plan.false_alarm = Some(Duration::from_secs(600));
        assert_eq!(plan.estimate(), turn + COST + Duration::from_secs(606));
    }
}
