//! Backends that do not know the virtual addresses: packets to them get the backend's address, and those that it answers with get
//! the service's again (RFC 2663, RFC 3022). Unlike the other ways this host sees both directions of a flow.
//!
//! ```text
//!  client:51515 -> VIP:443    becomes   client:51515 -> backend:8443    forward = "nat": the backend's way to clients leads here
//!                                       node:4711    -> backend:8443    forward = "full-nat": the backend answers this host
//! ```
//!
//! An answer may come on another receive queue than the packet that it answers, so workers share what they know of translations.

mod change;
mod ports;
mod rewrite;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use baton_common::flow::{CachedFlow, Flow, Translation};

pub use ports::Ports;
use rewrite::{End, Ends, translate, translate_error};

use super::flow;
use super::flows::Target;
use super::packet::Signal;
use super::plan::Plan;
use super::traffic::Loss;
use crate::address;
use crate::datapath::{Cached, Translated, TranslationTable};
use crate::vrrp::Instant;
use crate::wire::Mac;

/// How packets are translated for a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat {
    /// What they seem to come from; the client, if nothing.
    pub source: Option<IpAddr>,
    /// The backend's port; the service's, if none.
    pub port: Option<u16>,
}

impl Nat {
    /// As the XDP program needs to know it, for the backend with this `address`.
    pub fn to_map(&self, backend: IpAddr) -> baton_common::flow::Nat {
        baton_common::flow::Nat {
            source: self.source.map(address::to_map).unwrap_or_default(),
            destination: address::to_map(backend),
            port: self.port.unwrap_or_default(),
            _pad: [0; 6],
        }
    }
}

/// What the workers and the XDP program share: by the flow of an answer, what becomes of it.
pub trait Translations: Send + Sync {
    /// Has answers translated. `false` if another flow has the same, or if there is no room.
    fn put(&self, translated: Translated) -> bool;
    /// Has answers translated for another flow than the `known` one, unless that is not as it was. Whether it did.
    fn replace(&self, known: &Translated, translated: Translated) -> bool;
    /// Notes whether the client goes on with the flow.
    fn establish(&self, answer: &Flow, is_established: bool);
    /// Ends that. A flow that is not there is what is wanted.
    fn remove(&self, answer: &Flow);
    /// What becomes of an answer.
    fn find(&self, answer: &Flow) -> Option<Translated>;
    /// Notes that a packet has come; if it is the client's, from where and to which worker.
    fn note(&self, answer: &Flow, seen: Instant, client: Option<(Mac, u16)>);
}

impl Translations for TranslationTable {
    fn put(&self, translated: Translated) -> bool {
        Self::put(self, translated)
    }

    fn replace(&self, known: &Translated, translated: Translated) -> bool {
        Self::replace(self, known, translated)
    }

    fn establish(&self, answer: &Flow, is_established: bool) {
        Self::establish(self, answer, is_established);
    }

    fn remove(&self, answer: &Flow) {
        Self::remove(self, answer);
    }

    fn find(&self, answer: &Flow) -> Option<Translated> {
        Self::find(self, answer)
    }

    fn note(&self, answer: &Flow, seen: Instant, client: Option<(Mac, u16)>) {
        Self::note(self, answer, seen, client);
    }
}

/// How long a flow that is not established keeps its port from others who need it: a client asks again after a second.
const PATIENCE: Duration = Duration::from_secs(3);

/// What translates, for one worker.
#[derive(Clone)]
pub struct Translator {
    /// What is shared with others.
    pub translations: Arc<dyn Translations>,
    /// What packets of this host may come from.
    pub ports: Ports,
    /// The number of the worker.
    pub worker: u16,
}

/// A flow of a client, and the backend that it goes to.
#[derive(Clone, Copy)]
pub(super) struct Leg<'a> {
    pub(super) plan: &'a Plan,
    pub(super) nat: Nat,
    pub(super) flow: &'a Flow,
    pub(super) target: Target,
}

impl Leg<'_> {
    /// The ends of the packets that the backend gets.
    fn ends(&self, port: u16) -> Ends {
        let Self { plan, nat, flow, target } = self;
        let source = nat.source.unwrap_or_else(|| address::from_map(flow.source));
        let backend = plan.backends[usize::from(target.backend)].address;
        Ends {
            source: End { address: source, port },
            destination: End { address: backend, port: nat.port.unwrap_or(flow.destination_port) },
        }
    }

    /// The flow of the backend's answers.
    fn answer(&self, port: u16) -> Flow {
        self.ends(port).reversed().flow(self.flow.protocol)
    }
}

impl Ends {
    fn of(flow: &Flow) -> Self {
        Self {
            source: End { address: address::from_map(flow.source), port: flow.source_port },
            destination: End { address: address::from_map(flow.destination), port: flow.destination_port },
        }
    }

    fn flow(&self, protocol: u8) -> Flow {
        Flow {
            source: address::to_map(self.source.address),
            destination: address::to_map(self.destination.address),
            source_port: self.source.port,
            destination_port: self.destination.port,
            protocol,
            _pad: [0; 3],
        }
    }
}

impl Translator {
    /// The port that packets of a new flow come from at the backend, whose answers are translated from now on; `None` if all that
    /// were tried belong to other flows to that backend, or have no room in the table.
    pub(super) fn begin(&self, leg: &Leg<'_>, client_mac: Mac, now: Instant) -> Option<u16> {
        self.ports_for(leg).find(|port| self.take(leg, *port, client_mac, now))
    }

    fn ports_for(&self, leg: &Leg<'_>) -> impl Iterator<Item = u16> {
        // The client's own, which is nobody else's at its address as a rule.
        let own = leg.nat.source.is_none().then_some(leg.flow.source_port).filter(|port| *port != 0);
        own.into_iter().chain(self.ports.for_flow(flow::hash(leg.flow)))
    }

    /// Of the flows that have the ports which a new one might have, the one to give way: with which its client has not gone on, or
    /// which the backend has ended, some time ago. So a flood of flows of one packet each keeps ports from nobody but itself.
    pub(super) fn loser(&self, leg: &Leg<'_>, now: Instant) -> Option<Translated> {
        let known = self.ports_for(leg).filter_map(|port| self.translations.find(&leg.answer(port)));
        let given_up = known.filter(|known| known.value.is_established == 0 && known.seen + PATIENCE <= now);
        given_up.min_by_key(|known| known.seen)
    }

    /// The port of `loser`, which is the flow's from now on; `None` if that has changed.
    pub(super) fn take_over(
        &self,
        leg: &Leg<'_>,
        loser: &Translated,
        client_mac: Mac,
        now: Instant,
    ) -> Option<u16> {
        let value = self.translation(leg, client_mac);
        let translated = Translated { flow: loser.flow, value, seen: now };
        self.translations.replace(loser, translated).then_some(loser.flow.destination_port)
    }

    fn translation(&self, leg: &Leg<'_>, client_mac: Mac) -> Translation {
        let (Target { backend, service, .. }, worker) = (leg.target, self.worker);
        Translation { backend, service, flow: *leg.flow, client_mac, worker, ..Translation::default() }
    }

    /// Has answers to this port translated, unless it is another flow's. Another worker, or the agent before, may have had it done.
    fn take(&self, leg: &Leg<'_>, port: u16, client_mac: Mac, seen: Instant) -> bool {
        let (flow, value) = (leg.answer(port), self.translation(leg, client_mac));
        if self.translations.put(Translated { flow, value, seen }) {
            return true;
        }
        let is_same = |known: &Translated| {
            let Translation { backend, service, flow, .. } = known.value;
            (backend, service, flow) == (value.backend, value.service, value.flow)
        };
        let is_ours = self.translations.find(&flow).as_ref().is_some_and(is_same);
        if is_ours {
            self.translations.note(&flow, seen, Some((client_mac, self.worker)));
        }
        is_ours
    }

    /// Whether the flow still has its port.
    pub(super) fn has_port(&self, leg: &Leg<'_>) -> bool {
        self.find(leg).is_some()
    }

    /// Notes that the client goes on with the flow.
    pub(super) fn establish(&self, leg: &Leg<'_>) {
        self.translations.establish(&leg.answer(leg.target.port), true);
    }

    /// Has answers of a flow that the agent before has translated go on to be so. Whether its port is free.
    pub fn resume(&self, plan: &Plan, cached: &Cached, target: Target) -> bool {
        let &Cached { ref flow, value: CachedFlow { client_mac, .. }, seen } = cached;
        let Some(nat) = plan.backends[usize::from(target.backend)].nat() else { return true };
        let leg = Leg { plan, nat, flow, target };
        let is_free = self.take(&leg, target.port, client_mac, seen);
        if is_free {
            self.establish(&leg);
        }
        is_free
    }

    /// Frees the port of a flow that is over here, if it is not another's, nor the flow another worker's by now.
    pub(super) fn end(&self, leg: &Leg<'_>) {
        if self.find(leg).is_some_and(|translated| translated.value.worker == self.worker) {
            self.translations.remove(&leg.answer(leg.target.port));
        }
    }

    /// When a packet of the flow was seen last, in either direction.
    pub(super) fn seen(&self, leg: &Leg<'_>) -> Option<Instant> {
        self.find(leg).map(|translated| translated.seen)
    }

    fn find(&self, leg: &Leg<'_>) -> Option<Translated> {
        let translated = self.translations.find(&leg.answer(leg.target.port))?;
        (translated.value.flow == *leg.flow).then_some(translated)
    }

    /// Makes a packet of the client one for the backend.
    ///
    /// # Errors
    ///
    /// It has passed too many routers.
    pub(super) fn to_backend(
        &self,
        leg: &Leg<'_>,
        frame: &mut [u8],
        signal: Signal,
        now: Instant,
    ) -> Result<(), Loss> {
        let ends = leg.ends(leg.target.port);
        if signal == Signal::Error {
            let quoted = ends.reversed();
            return translate_error(frame, leg.nat.source, ends.destination.address, &quoted);
        }
        translate(frame, &ends)?;
        let client = frame.get(6..).and_then(<[u8]>::first_chunk).map(|mac| (*mac, self.worker));
        self.translations.note(&leg.answer(leg.target.port), now, client);
        Ok(())
    }

    /// Makes an answer of a backend, or an error about what it was sent, one of the service for the client, and tells what it
    /// belongs to.
    ///
    /// # Errors
    ///
    /// It answers nothing, or has passed too many routers.
    pub(super) fn to_client(
        &self,
        answer: &Flow,
        frame: &mut [u8],
        signal: Signal,
        now: Instant,
    ) -> Result<Translation, Loss> {
        let translation = self.translations.find(answer).ok_or(Loss::NoService)?.value;
        let ends = Ends::of(&translation.flow).reversed();
        if signal == Signal::Error {
            // It comes from the service, whoever has sent it: nobody is to learn of what is behind (RFC 5508 7.2).
            let (vip, client) = (ends.source.address, ends.destination.address);
            translate_error(frame, Some(vip), client, &ends.reversed())?;
        } else {
            translate(frame, &ends)?;
            self.translations.note(answer, now, None);
            if signal == Signal::End {
                self.translations.establish(answer, false);
            }
        }
        Ok(translation)
    }
}
