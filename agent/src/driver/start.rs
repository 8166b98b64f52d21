//! How an interface's elections begin: with the leases that an earlier run has left, and without.

use std::time::Duration;

use super::port::{Port, SOCKET_BUFFER};
use crate::clock;
use crate::sbfd::Profile;
use crate::vrrp::{Input, Instant, Ownership, Role};

/// Packets of the time before a restart that the VRRP socket can hold, or a few more.
const OLD_NEWS: usize = 1024;
/// How long nobody listens while an agent passes its addresses on to the next, at the most.
const PASSING_ON: Duration = Duration::from_millis(20);

impl Port {
    /// Takes up the leases that an earlier run has left where it ended: while one holds nobody else takes over, and a restart
    /// need not change the role. Where that run has not left them to this one (`takes_over`), another router may have taken
    /// the role meanwhile.
    pub(super) fn take_up_leases(&mut self, profile: Option<Profile>, takes_over: bool) {
        self.liveness.peers.set_profile(profile);
        if self.drained {
            self.feed_all(Input::Drain, clock::now());
        }
        if takes_over {
            self.forget_heard();
        }
        for index in 0..self.routers.len() {
            let router = &mut self.routers[index];
            router.heard = Instant::from_nanos(self.mailboxes.read(router.slot).arrived_ns);
            let now = clock::now();
            if let Ownership::Held(lease_until) | Ownership::Offered(lease_until) =
                self.ownerships.read(router.slot)
                && router.usable
                && !self.drained
                && now < lease_until
                && (takes_over || !router.has_spoken_since(lease_until))
            {
                // Perhaps in the moment in which nobody listened. What the agent before this one has handled does no harm.
                if router.has_spoken_since(lease_until) && now < router.heard + PASSING_ON {
                    router.heard = Instant::default();
                }
                self.feed(index, Input::StartupWithLease(lease_until), now);
                if let Some((_, advertisement)) = self.unread_advertisement(index) {
                    self.feed(index, Input::Advertisement(advertisement), now);
                }
            }
        }
    }

    /// What waits in the socket was heard by the agent before this one.
    fn forget_heard(&mut self) {
        let mut buffer = [0; SOCKET_BUFFER];
        for socket in &mut self.vrrp_sockets {
            for _ in 0..OLD_NEWS {
                if socket.receive(&mut buffer).is_none() {
                    break;
                }
            }
        }
    }

    /// Begins the elections of the virtual routers that have not taken up a lease. One that lingers wants to be succeeded.
    pub(super) fn begin(&mut self, now: Instant) {
        for index in 0..self.routers.len() {
            let router = &self.routers[index];
            if router.core.role() == Role::Initialize {
                self.ownerships.set(router.slot, Ownership::Released);
                if router.usable {
                    self.feed(index, Input::Startup, now);
                }
            }
        }
    }
}
