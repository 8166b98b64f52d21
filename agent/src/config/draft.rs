//! The virtual routers of `baton.toml` while it is read, and the rules that they must keep together. They are checked
//! between routers that have other mistakes, too.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use baton_common::maps::MAX_VIPS;
use baton_common::vrid::Vrid;

use super::findings::{Findings, Spot};
use super::{Bind, Delivery, MacMode, RouterConfig, TrackerConfig, group};
use crate::address;
use crate::vrrp::{ChecksumMode, DownAdverts, Interval, Priority, Versions};

/// A `[[router]]` as far as it is without mistakes.
pub(super) struct Draft {
    pub(super) spot: Spot,
    pub(super) interface: Option<String>,
    pub(super) vrid_spot: Spot,
    pub(super) vrid: Option<Vrid>,
    pub(super) priority: Option<Priority>,
    pub(super) interval: Option<Interval>,
    pub(super) down_adverts: Option<DownAdverts>,
    pub(super) preempt: Option<bool>,
    pub(super) preempt_delay: Option<Duration>,
    pub(super) startup_hold: Option<Duration>,
    pub(super) mac: Option<MacMode>,
    pub(super) delivery: Option<Delivery>,
    pub(super) accept: Option<bool>,
    pub(super) bind: Option<Bind>,
    pub(super) checksum: Option<ChecksumMode>,
    pub(super) versions: Option<Versions>,
    /// Each with its place.
    pub(super) vips: Vec<(Spot, IpAddr)>,
    pub(super) multicast: Option<IpAddr>,
    /// The address that adverts come from, with its place, if it was chosen.
    pub(super) source: Option<(Spot, IpAddr)>,
    /// Each with its place.
    pub(super) peers: Vec<(Spot, IpAddr)>,
    pub(super) least_hops: Option<u8>,
    /// The name of its group, with its place.
    pub(super) group: Option<(Spot, String)>,
    /// The names of its trackers, each with its place.
    pub(super) trackers: Vec<(Spot, String)>,
}

impl Draft {
    /// Whether it can be reached at its addresses, as far as that is known.
    pub(super) fn accepts(&self) -> bool {
        self.accept != Some(false) || self.priority == Some(Priority::ADDRESS_OWNER)
    }

    /// What is wrong with it was noted if there is none. The addresses of services are `balanced`.
    pub(super) fn finished(
        self,
        trackers: &[TrackerConfig],
        balanced: &BTreeSet<IpAddr>,
    ) -> Option<RouterConfig> {
        let index = |(_, name): &(Spot, String)| trackers.iter().position(|tracker| tracker.name == *name);
        Some(RouterConfig {
            interface: self.interface?,
            vrid: self.vrid?,
            priority: self.priority?,
            interval: self.interval?,
            down_adverts: self.down_adverts?,
            preempt: self.preempt?,
            preempt_delay: self.preempt_delay?,
            startup_hold: self.startup_hold?,
            mac: self.mac?,
            delivery: self.delivery?,
            balanced: self.vips.iter().any(|(_, vip)| balanced.contains(vip)),
            accept: self.accept?,
            bind: self.bind?,
            checksum: self.checksum?,
            multicast: self.multicast?,
            versions: self.versions?,
            vips: self.vips.into_iter().map(|(_, vip)| vip).collect(),
            source: self.source.map(|(_, source)| source),
            peers: self.peers.into_iter().map(|(_, peer)| peer).collect(),
            least_hops: self.least_hops?,
            group: self.group.map(|(_, group)| group),
            trackers: self.trackers.iter().filter_map(index).collect(),
        })
    }
}

/// Notes what routers have that only one may have, and more than there is room for. Answers with all virtual addresses, each
/// with its place.
pub(super) fn check(drafts: &[Draft], findings: &mut Findings) -> BTreeMap<IpAddr, Spot> {
    capacity(drafts, findings);
    group::check(drafts, findings);
    collisions(drafts, findings)
}

/// Notes names of trackers that nobody has, or two, and trackers that a router names twice. Each tracker
/// comes with its place.
pub(super) fn check_trackers(drafts: &[Draft], trackers: &[(Spot, TrackerConfig)], findings: &mut Findings) {
    let mut names = BTreeMap::new();
    for (at, tracker) in trackers {
        if let Some(before) = names.insert(tracker.name.as_str(), *at) {
            let what = format!("tracker {} stands {}, too", tracker.name, findings.line_of(before, *at));
            findings.add(*at, what, "give every tracker its own name");
        }
    }
    for draft in drafts {
        let mut named = BTreeMap::new();
        for (at, name) in &draft.trackers {
            if !names.contains_key(name.as_str()) {
                let what = format!("there is no tracker \"{name}\"");
                findings.add(*at, what, "add a [[track]] table with this name, or mend the name");
            } else if named.insert(name, *at).is_some() {
                findings.add(*at, format!("tracker {name} is named twice"), "remove one of the two");
            }
        }
    }
}

/// Notes a vrid that stands twice on one link, an address that stands twice anywhere, and a source that is no host's own.
fn collisions(drafts: &[Draft], findings: &mut Findings) -> BTreeMap<IpAddr, Spot> {
    let (mut vrids, mut vips) = (BTreeMap::new(), BTreeMap::new());
    for draft in drafts {
        let family = draft.vips.first().map(|(_, vip)| address::family(*vip));
        if let (Some(interface), Some(vrid)) = (&draft.interface, draft.vrid.map(Vrid::get))
            && let Some(before) = vrids.insert((interface, vrid, family), draft.vrid_spot)
        {
            let line = findings.line_of(before, draft.vrid_spot);
            let what = format!("vrid {vrid} stands {line} for {interface}, too");
            findings.add(
                draft.vrid_spot,
                what,
                "give every virtual router of a family on a link its own vrid",
            );
        }
        for &(at, vip) in &draft.vips {
            if let Some(before) = vips.insert(vip, at) {
                let what = format!("vip {vip} stands {}, too", findings.line_of(before, at));
                findings.add(at, what, "an address belongs to one virtual router; remove the other");
            }
        }
    }
    for (at, source) in drafts.iter().filter_map(|draft| draft.source) {
        if vips.contains_key(&source) {
            let remedy = "write an address that this node has of its own";
            findings.add(at, format!("source {source} is a vip"), remedy);
        }
    }
    vips
}

/// Notes the router with which an interface gets more addresses than its maps hold.
fn capacity(drafts: &[Draft], findings: &mut Findings) {
    let limit = MAX_VIPS as usize;
    let mut counts = BTreeMap::new();
    for draft in drafts {
        let Some(interface) = &draft.interface else { continue };
        let count: &mut usize = counts.entry(interface).or_default();
        let before = *count;
        *count += draft.vips.len();
        if before <= limit && *count > limit {
            let what = format!("more than {limit} vips on {interface}");
            findings.add(draft.spot, what, "move some to another interface, such as a VLAN's");
        }
    }
}
