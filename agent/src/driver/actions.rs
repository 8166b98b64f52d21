//! What the core asks for: the lease into the map, frames onto the wire, transitions into the recorder and the log.

use super::command::Event;
use super::port::Port;
use super::transmitter::Renewal;
use crate::clock;
use crate::recorder::Record;
use crate::vrrp::{Checksum, Input, Instant, Role, Standing, Transition};
use crate::wire::Operation;

impl Port {
    pub(super) fn set_ownership(&mut self, index: usize, until: Option<Instant>) {
        let router = &mut self.routers[index];
        self.ownerships.set_lease(router.slot, until);
        router.stages.stored = Some(clock::now());
    }

    /// Sends an advertisement; one with the own priority is worth a renewal of the lease once it has left.
    pub(super) fn transmit(&mut self, index: usize, standing: Standing, checksum: Checksum) {
        let router = &self.routers[index];
        let renewal = match standing {
            Standing::Active(_) => Some(Renewal { router: index, begun: clock::now() }),
            Standing::Leaving => None,
        };
        let build = |frame: &mut [u8]| router.advertisement(standing, checksum).build(frame);
        match self.transmitter.send(renewal, build) {
            Ok(left) => {
                self.routers[index].stages.transmitted = Some(clock::now());
                self.has_left(left);
            }
            Err(_) => self.outcomes.push((index, Input::TransmitFailed)),
        }
    }

    /// A frame has left. A renewal counts only with a carrier: without one the driver drops frames and calls them sent.
    pub(super) fn has_left(&mut self, renewal: Option<Renewal>) {
        if let Some(Renewal { router, begun }) = renewal {
            let running = self.ethtool.is_running();
            let outcome = if running { Input::Transmitted(begun) } else { Input::TransmitFailed };
            self.outcomes.push((router, outcome));
        }
    }

    pub(super) fn start_announcing(&mut self, index: usize, now: Instant) {
        self.routers[index].announcer.start(now);
        self.announce(index, now);
    }

    /// Sends the announcements that are due. One that cannot be sent is repeated by the next round.
    pub(super) fn announce(&mut self, index: usize, now: Instant) {
        let router = &mut self.routers[index];
        for vip in router.announcer.poll(router.vips().len(), now) {
            for operation in [Operation::Request, Operation::Reply] {
                let router = &mut self.routers[index];
                let Some(announcement) = router.announcement(operation, vip) else { continue };
                if self.transmitter.send(None, |frame| announcement.build(frame)).is_ok() {
                    router.stages.announced.get_or_insert_with(clock::now);
                }
            }
        }
    }

    pub(super) fn report(&mut self, index: usize, transition: Transition) {
        let router = &mut self.routers[index];
        if router.core.role() != Role::Active || router.core.leaving() {
            router.announcer.stop();
        }
        if transition.to == Role::Active && transition.from != Role::Active {
            self.ownerships.next_epoch(router.slot);
        }
        let record = Record { transition, stages: router.stages };
        router.recorder.push(record);
        let _ = self.events.try_send(Event::Transition { port: self.index, router: index, record });
    }
}
