//! Groups: virtual routers that only make sense together, such as those on the two sides of a gateway. What keeps one of them
//! from serving keeps all of them: they have each other's trackers, and the carriers of each other's interfaces.

use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::time::Duration;

use super::draft::Draft;
use super::findings::{Findings, Spot};
use super::{Check, RouterConfig, TrackerConfig};

/// How soon a carrier is looked at again without notice of a change, and how many good looks make up for its loss.
const CARRIER_INTERVAL: Duration = Duration::from_millis(200);
const CARRIER_RISE: NonZeroU8 = NonZeroU8::MIN.saturating_add(1);

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

/// Gives the members of each group what the others track, and adds what they track because of each other to `trackers`.
pub(super) fn tie(routers: &mut [RouterConfig], trackers: &mut Vec<TrackerConfig>) {
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, router) in routers.iter().enumerate() {
        if let Some(group) = &router.group {
            groups.entry(group.clone()).or_default().push(index);
        }
    }
    for members in groups.into_values() {
        let mut interfaces: Vec<String> =
            members.iter().map(|&index| routers[index].interface.clone()).collect();
        interfaces.dedup();
        let mut tracked: Vec<usize> =
            members.iter().flat_map(|&index| routers[index].trackers.clone()).collect();
        // One that has lost its own link is out of the election anyway.
        if interfaces.iter().any(|interface| *interface != interfaces[0]) {
            tracked.extend(interfaces.into_iter().map(|interface| carrier(interface, trackers)));
        }
        tracked.sort_unstable();
        tracked.dedup();
        for index in members {
            routers[index].trackers.clone_from(&tracked);
        }
    }
}

/// The index of the tracker for the carrier of `interface`, which is added if there is none.
fn carrier(interface: String, trackers: &mut Vec<TrackerConfig>) -> usize {
    let name = format!("link of {interface}");
    if let Some(index) = trackers.iter().position(|tracker| tracker.name == name) {
        return index;
    }
    trackers.push(TrackerConfig {
        name,
        checks: vec![Check::Carrier(interface)],
        interval: CARRIER_INTERVAL,
        patience: CARRIER_INTERVAL,
        rise: CARRIER_RISE,
        fall: NonZeroU8::MIN,
        weight: None,
    });
    trackers.len() - 1
}
