//! Groups in the driver: the members are told of each other, take the role in one go, and have one lease.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::command::Place;
use super::port::Port;
use crate::clock;
use crate::vrrp::{
    Actions, Input, Instant, MAX_ACTIONS, Ownership, VirtualRouter, is_group_ready, shared_lease,
};

/// The virtual routers that are on one host, all of them or none.
pub(super) struct Group {
    members: Vec<Place>,
    /// What the members have asked for while they take the role.
    asked: Vec<(Place, Actions)>,
}

impl Group {
    /// The groups that the virtual routers of `ports` name.
    pub(super) fn all(ports: &[Port]) -> Vec<Self> {
        let mut groups: BTreeMap<&str, Vec<Place>> = BTreeMap::new();
        for (port, served) in ports.iter().enumerate() {
            for (router, member) in served.routers.iter().enumerate() {
                if let Some(group) = &member.group {
                    groups.entry(group).or_default().push(Place { port, router });
                }
            }
        }
        let group = |members: Vec<Place>| Self { asked: Vec::with_capacity(members.len()), members };
        groups.into_values().map(group).collect()
    }

    /// Does what follows for the group from what has befallen its members.
    pub(super) fn keep_together(&mut self, ports: &mut [Port]) {
        self.follow(ports);
        self.take_over(ports);
        self.share_lease(ports);
    }

    fn cores<'a>(&'a self, ports: &'a [Port]) -> impl Iterator<Item = &'a VirtualRouter<IpAddr>> + Clone {
        self.members.iter().map(|place| &ports[place.port].routers[place.router].core)
    }

    fn feed(&self, ports: &mut [Port], input: Input<IpAddr>) {
        let now = clock::now();
        self.members.iter().for_each(|place| ports[place.port].feed(place.router, input, now));
    }

    /// Where one has lost the role the others leave.
    fn follow(&self, ports: &mut [Port]) {
        let mut moved = false;
        for Place { port, router } in &self.members {
            moved |= std::mem::take(&mut ports[*port].routers[*router].lost);
        }
        if moved {
            self.feed(ports, Input::GroupMoved);
        }
    }

    /// When nobody is waited for any more the members take the role: first all of them own their addresses, then all of them
    /// say so.
    fn take_over(&mut self, ports: &mut [Port]) {
        if !is_group_ready(self.cores(ports)) {
            return;
        }
        self.hear_last_words(ports);
        if !is_group_ready(self.cores(ports)) {
            return;
        }
        let now = clock::now();
        self.asked.clear();
        for place in &self.members {
            let port = &mut ports[place.port];
            if port.routers[place.router].core.ready() {
                self.asked.push((*place, port.ask(place.router, Input::GroupReady, now)));
            }
        }
        for step in 0..MAX_ACTIONS {
            for (place, actions) in &self.asked {
                if let Some(action) = actions.get(step) {
                    ports[place.port].carry_out(place.router, action);
                }
            }
        }
    }

    /// Members that have been ready for a while may have been spoken to since, and the sockets not been read.
    fn hear_last_words(&self, ports: &mut [Port]) {
        for Place { port, router } in &self.members {
            let port = &mut ports[*port];
            if port.routers[*router].core.ready()
                && let Some((arrived, advertisement)) = port.unread_advertisement(*router)
            {
                port.feed(*router, Input::Advertisement(advertisement), arrived);
            }
        }
    }

    fn share_lease(&self, ports: &mut [Port]) {
        let Some(until) = shared_lease(self.cores(ports)) else { return };
        for Place { port, router } in &self.members {
            if ports[*port].routers[*router].core.serves() {
                ports[*port].hold(*router, until);
            }
        }
    }
}

impl Port {
    /// Makes the lease of a virtual router that this host owns end at `until`, unless it has lapsed.
    fn hold(&mut self, index: usize, until: Instant) {
        let slot = self.routers[index].slot;
        let now = clock::now();
        if !self.owns(index, now) {
            self.feed(index, Input::LeaseLapsed, now);
        } else if self.ownerships.read(slot) != Ownership::Held(until) {
            self.ownerships.set(slot, Ownership::Held(until));
        }
    }
}
