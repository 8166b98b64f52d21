//! What the election is told of the network around an interface.

use std::net::IpAddr;

use super::port::Port;
use crate::vrrp::{Input, Instant};

impl Port {
    /// Adverts can be sent from `sources` and from no other address. A virtual router that comes to have its own again begins
    /// if it `may_begin`.
    pub(super) fn set_sources(&mut self, sources: &[IpAddr], may_begin: bool, now: Instant) {
        for index in 0..self.routers.len() {
            let router = &mut self.routers[index];
            let usable = sources.contains(&router.parameters().primary);
            if usable == router.usable || (usable && !may_begin) {
                continue;
            }
            router.usable = usable;
            self.feed(index, if usable { Input::Startup } else { Input::LinkDown }, now);
        }
    }
}
