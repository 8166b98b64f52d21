//! What is measured, how often, and how long that will about take.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use baton_tests::lab::{Fault, System, Tuning, Variant};
use serde::Serialize;

/// How long a pair is watched for what it costs.
pub(super) const COST: Duration = Duration::from_secs(5);
/// The systems that are compared.
pub(super) const SYSTEMS: [System; 2] = [System::Baton(Variant::Usual), System::Keepalived(Tuning::Fast)];
/// What may befall the owner of all.
pub const FAULTS: [Fault; 3] = [Fault::Planned, Fault::AgentDeath, Fault::SilentDeath];

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many virtual routers one agent has.
    pub counts: Vec<u16>,
    /// Advertisement intervals, the same for all systems.
    pub intervals_ms: Vec<u16>,
    /// What befalls them.
    pub faults: Vec<Fault>,
    /// Turns of each system under the same conditions, with a round of each kind.
    pub turns: usize,
}

/// Under which conditions it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Conditions {
    /// How many virtual routers each agent has.
    pub routers: u16,
    /// The time between two adverts of each.
    pub interval_ms: u16,
}

impl Display for Conditions {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{} routers, {} ms", self.routers, self.interval_ms))
    }
}

impl Plan {
    /// All conditions, in order.
    pub fn conditions(&self) -> Vec<Conditions> {
        let with =
            |interval_ms: u16| self.counts.iter().map(move |&routers| Conditions { routers, interval_ms });
        self.intervals_ms.iter().flat_map(|interval_ms| with(*interval_ms)).collect()
    }

    /// About how long a turn of one system takes: starts and ends, the cost, and a round of each kind.
    pub fn turn_estimate(&self, conditions: Conditions) -> Duration {
        let Conditions { routers, interval_ms } = conditions;
        let (routers, interval) = (u32::from(routers), Duration::from_millis(interval_ms.into()));
        let per_router = Duration::from_millis(3);
        let rounds = u32::try_from(self.faults.len()).unwrap_or(u32::MAX);
        let round = Duration::from_millis(1500) + 4 * interval + routers * per_router;
        COST + Duration::from_secs(2) + 6 * interval + routers * per_router + rounds * round
    }

    /// About how long everything takes.
    pub fn estimate(&self) -> Duration {
        let once: Duration =
            self.conditions().into_iter().map(|conditions| self.turn_estimate(conditions)).sum();
        u32::try_from(self.turns * SYSTEMS.len()).unwrap_or(u32::MAX) * once
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(intervals_ms: &[u16], faults: &[Fault], turns: usize) -> Plan {
        Plan {
            counts: vec![1, 16, 255, 1000],
            intervals_ms: intervals_ms.to_vec(),
            faults: faults.to_vec(),
            turns,
        }
    }

    #[test]
    fn a_usual_run_stays_below_15_minutes_and_a_quick_one_below_4() {
        let usual = plan(&[100, 1000], &FAULTS, 2).estimate();
        assert!(usual < Duration::from_secs(900), "{usual:?}");
        let quick = plan(&[100], &[Fault::Planned, Fault::SilentDeath], 1).estimate();
        assert!(quick < Duration::from_secs(240), "{quick:?}");
    }

    #[test]
    fn every_number_of_routers_is_measured_at_every_interval() {
        let told: Vec<_> =
            plan(&[100, 1000], &FAULTS, 1).conditions().iter().map(ToString::to_string).collect();
        assert_eq!(
            (told.len(), told[0].as_str(), told[7].as_str()),
            (8, "1 routers, 100 ms", "1000 routers, 1000 ms")
        );
    }
}
