//! Groups: virtual routers that only make sense together, such as those on the two sides of a gateway. What keeps one of them
//! from serving keeps all of them: they have each other's trackers, and the election takes care of their links.

use std::collections::{BTreeMap, BTreeSet};

use super::RouterConfig;
use super::draft::Draft;
use super::findings::{Findings, Spot};

/// Notes members of a group in whose elections another node could win than in those before them.
pub(super) fn check(drafts: &[Draft], findings: &mut Findings) {
    let mut firsts: BTreeMap<&str, (Spot, &Draft)> = BTreeMap::new();
    for draft in drafts {
        let Some((at, name)) = &draft.group else { continue };
        let Some(&(first_at, first)) = firsts.get(name.as_str()) else {
            firsts.insert(name, (*at, draft));
            continue;
        };
        for (key, is_other) in [
            ("priority", draft.priority != first.priority),
            // A planned move waits for an interval, and needs all of them.
            ("interval_ms", draft.interval != first.interval),
            ("down_timer_adverts", draft.down_adverts != first.down_adverts),
            ("preempt", draft.preempt != first.preempt),
            ("preempt_delay_ms", draft.preempt_delay != first.preempt_delay),
        ] {
            if is_other {
                let what = format!(
                    "another {key} than the router of group \"{name}\" {}",
                    findings.line_of(first_at, *at)
                );
                findings.add(*at, what, "all of a group move together: give them the same");
            }
        }
    }
}

/// Gives the members of each group what the others track.
pub(super) fn tie(routers: &mut [RouterConfig]) {
    let mut tracked: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for router in &*routers {
        if let Some(group) = &router.group {
            tracked.entry(group.clone()).or_default().extend(&router.trackers);
        }
    }
    for router in routers {
        if let Some(of_group) = router.group.as_ref().and_then(|group| tracked.get(group)) {
            router.trackers = of_group.iter().copied().collect();
        }
    }
}
