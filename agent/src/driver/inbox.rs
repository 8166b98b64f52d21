//! Advertisements on their way from the sockets to the core: parsed while the frame is borrowed, handled afterwards.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::router::Router;
use crate::vrrp::Advertisement;
use crate::wire::{Discard, Received};

/// A parsed advertisement for one of the virtual routers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) router: usize,
    pub(super) advertisement: Advertisement<IpAddr>,
    pub(super) same_vips: bool,
}

/// Advertisements that one round can bring: a batch from each of up to 64 queues and one from the socket of each family.
const CAPACITY: usize = 66 * 16;

/// The advertisements of one round, in the order of arrival. It never grows beyond its first allocation.
pub(super) struct Inbox {
    heard: VecDeque<Heard>,
    /// Frames that the agent's parser refused.
    pub(super) discarded: u64,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { heard: VecDeque::with_capacity(CAPACITY), discarded: 0 }
    }

    /// Keeps what was parsed, or counts what is wrong with it. Nothing is wrong with what others on this host may want, nor
    /// with our own advertisements: the VRRP socket gets them all.
    pub(super) fn put(&mut self, routers: &[Router], parsed: Result<Received<'_>, Discard>) {
        let received = match parsed {
            Ok(received) => received,
            Err(Discard::NotVrrp | Discard::UnknownRouter(_) | Discard::Own) => return,
            Err(
                Discard::IpHeader
                | Discard::Destination
                | Discard::NotPeer
                | Discard::Ttl(_)
                | Discard::Version(_)
                | Discard::Authentication
                | Discard::Type(_)
                | Discard::Length
                | Discard::Address
                | Discard::Interval
                | Discard::Checksum,
            ) => {
                self.discarded += 1;
                return;
            }
        };
        let index =
            routers.iter().position(|router| router.is(received.vlan, received.family, received.vrid));
        if let Some(router) = index
            && self.heard.len() < CAPACITY
        {
            let same_vips = routers[router].has_vips(received.addresses());
            let advertisement = received.advertisement;
            self.heard.push_back(Heard { router, advertisement, same_vips });
        }
    }

    /// Takes the oldest out.
    pub(super) fn take(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }
}
