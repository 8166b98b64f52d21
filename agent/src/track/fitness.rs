//! What trackers make of a virtual router.

use super::State;
use crate::vrrp::{Fitness, Priority};

/// What weights leave of a priority in any case: the last resort is what failing routers say.
const LOWEST: u8 = Priority::LAST_RESORT.get() + 1;

/// The priority that is left of `configured`, and whether the router is to serve. Each tracker comes with its weight: what
/// a failure takes from the priority, or `None` where it means that the router must not serve.
pub(super) fn fitness<'a>(
    configured: Priority,
    trackers: impl Iterator<Item = (Option<u8>, &'a State)>,
) -> (Priority, Fitness) {
    let (mut lost, mut fitness) = (0_u8, Fitness::Fit);
    for (weight, state) in trackers {
        match (state, weight) {
            (State::Failing(_), None) => return (Priority::LAST_RESORT, Fitness::Failing),
            (State::Failing(_), Some(weight)) => lost = lost.saturating_add(weight),
            (State::Unknown, _) => fitness = Fitness::Unknown,
            (State::Good, _) => {}
        }
    }
    let left = configured.get().saturating_sub(lost).max(LOWEST);
    (Priority::new(left).unwrap_or(configured), fitness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_add_up_and_a_fault_outweighs_them() {
        let failing = || State::Failing("down".to_owned());
        let rows = [
            (vec![], 100, Fitness::Fit),
            (vec![(None, State::Good), (Some(30), State::Good)], 100, Fitness::Fit),
            (vec![(Some(30), failing()), (Some(20), failing())], 50, Fitness::Fit),
            (vec![(Some(200), failing())], 2, Fitness::Fit),
            (vec![(Some(200), failing()), (Some(200), failing())], 2, Fitness::Fit),
            (vec![(Some(30), failing()), (None, State::Unknown)], 70, Fitness::Unknown),
            (vec![(Some(30), State::Unknown)], 100, Fitness::Unknown),
            (vec![(Some(30), State::Unknown), (None, failing())], 1, Fitness::Failing),
        ];
        let configured = Priority::new(100).expect("not 0");
        for (trackers, left, expected) in rows {
            let seen = fitness(configured, trackers.iter().map(|(weight, state)| (*weight, state)));
            assert_eq!(seen, (Priority::new(left).expect("not 0"), expected), "{trackers:?}");
        }
    }
}
