//! What becomes of a frame: a decision and a rewriting, without IO.

use std::sync::Arc;

use baton_common::flow::{CachedFlow, Flow, Translation};

use super::buffer::Buffer;
use super::choice::Choice;
use super::flow;
use super::flows::{self, Flows, Found, Target};
use super::head::{Head, Heads};
use super::inquiry::Desk;
use super::nat::{Leg, Nat, Translator};
use super::packet::Signal;
use super::plan::{Backend, Plan, Way};
use super::pools::Pools;
use super::schedule::Schedulers;
use super::too_long::{self, Allowance};
use super::traffic::{Loss, Traffic};
use crate::datapath::{BackendName, Cached, FlowCache};
use crate::vrrp::Instant;
use crate::wire::Mac;
use crate::xsk::RingLosses;

/// The arm with the services and their clients.
const HOME: usize = 0;

/// Octets of the two addresses that an Ethernet frame begins with.
const ETHERNET_ADDRESSES: usize = 12;

/// How long it takes to look after all flows, in ns; and after how many sets of them at most at once, so that no frame waits for long.
const PASS_NS: u64 = 30_000_000_000;
const MOST_AT_ONCE: usize = 256;

/// Who forwards the frames of established flows, which are not seen here then.
pub trait Bypass {
    /// Forwards frames of a flow from now on, if there is room for it.
    fn put(&mut self, cached: Cached);
    /// Forwards no more of `flow`.
    fn remove(&mut self, flow: &Flow);
    /// What it knows of `flow`.
    fn find(&self, flow: &Flow) -> Option<Cached>;
    /// Looks at some more of its flows, about so many, and forwards no more of those that are over.
    fn sweep(&mut self, count: usize, is_over: impl Fn(&Cached) -> bool);
}

impl Bypass for FlowCache {
    fn put(&mut self, cached: Cached) {
        Self::put(self, cached);
    }

    fn remove(&mut self, flow: &Flow) {
        Self::remove(self, flow);
    }

    fn find(&self, flow: &Flow) -> Option<Cached> {
        Self::find(self, flow)
    }

    fn sweep(&mut self, count: usize, is_over: impl Fn(&Cached) -> bool) {
        Self::sweep(self, count, is_over);
    }
}

/// What forwards the frames of one receive queue.
pub struct Forwarder<B> {
    plan: Arc<Plan>,
    schedulers: Schedulers,
    flows: Flows,
    bypass: Option<B>,
    /// What translates; none if nothing is to be.
    translator: Option<Translator>,
    /// When flows were looked after.
    swept: Instant,
    /// What frames are sent from by each arm. Never a virtual MAC: switches would send the owner's traffic here.
    macs: Box<[Mac]>,
    traffic: Arc<Traffic>,
    /// Clients that may be told that their packets are too long.
    allowance: Allowance,
}

impl<B: Bypass> Forwarder<B> {
    /// One with room for so many `flows`, which counts in `traffic`. Established flows go to the `bypass`. Its interfaces have these
    /// `macs`, that of the services, arm 0, first.
    pub fn new(
        plan: Arc<Plan>,
        flows: usize,
        bypass: Option<B>,
        translator: Option<Translator>,
        macs: impl Into<Box<[Mac]>>,
        traffic: Arc<Traffic>,
    ) -> Self {
        let (schedulers, flows, allowance) = (Schedulers::new(&plan), Flows::new(flows), Allowance::new());
        let (swept, macs) = (Instant::default(), macs.into());
        Self { plan, schedulers, flows, bypass, translator, swept, macs, traffic, allowance }
    }

    /// Readdresses `frame` to the backend of its flow, or an answer to its client, or makes of it what the client is to be told. The arm
    /// that it is to be sent by, if it is.
    ///
    /// With direct server return the packet stays as it is, and the backend answers the client itself. On the segment nothing but
    /// the Ethernet addresses changes, elsewhere the packet is wrapped. With NAT packets are translated in both directions.
    pub fn forward(&mut self, frame: &mut impl Buffer, pools: &Pools, now: Instant) -> Option<usize> {
        let head = Head::of(frame, frame.behind());
        self.forward_head(frame, head, pools, now)
    }

    /// Reads the `heads` of a batch, each of which [`forward_head`](Self::forward_head) is given next. Of each frame there is what is in
    /// its first buffer, and how many octets come behind.
    pub fn look_ahead<'a>(&self, frames: impl Iterator<Item = (&'a [u8], usize)> + Clone, heads: &mut Heads) {
        heads.read(frames, &self.flows);
    }

    /// [`forward`](Self::forward) for a `frame` that has this `head`.
    pub fn forward_head(
        &mut self,
        frame: &mut impl Buffer,
        head: Option<Head>,
        pools: &Pools,
        now: Instant,
    ) -> Option<usize> {
        self.try_to_forward(frame, head, pools, now).unwrap_or_else(|loss| {
            self.traffic.lost(loss);
            None
        })
    }

    fn try_to_forward(
        &mut self,
        frame: &mut impl Buffer,
        head: Option<Head>,
        pools: &Pools,
        now: Instant,
    ) -> Result<Option<usize>, Loss> {
        let head = head.ok_or(Loss::NoFlow)?;
        if let Some(translator) = &self.translator
            && self.plan.service(&head.flow).is_none()
        {
            let octets = frame.len() + frame.behind();
            let Translation { client_mac, backend, service, .. } =
                translator.to_client(&head.flow, frame, head.signal, now)?;
            self.traffic.answered(Target { backend, service, port: 0 }, octets);
            return Ok(self.address(frame, HOME, client_mac));
        }
        let (target, mac) = self.backend_of(&head, pools, now)?;
        self.send(frame, &head, target, mac, now)
    }

    /// Readdresses `frame` to the backend of `target`, which is at `mac`.
    fn send(
        &mut self,
        frame: &mut impl Buffer,
        head: &Head,
        target: Target,
        mac: Mac,
        now: Instant,
    ) -> Result<Option<usize>, Loss> {
        let octets = frame.len() + frame.behind();
        let Backend { way, arm, .. } = self.plan.backends[usize::from(target.backend)];
        match way {
            Way::Direct => {}
            Way::Tunnel(tunnel) => match tunnel.wrap(frame) {
                Ok(()) => {}
                Err(Loss::TooLong) => {
                    self.traffic.lost(Loss::TooLong);
                    let is_told = self.allowance.take(now)
                        && too_long::answer(frame, tunnel.longest(), self.macs[HOME]).is_some();
                    return Ok(is_told.then_some(HOME));
                }
                Err(loss) => return Err(loss),
            },
            Way::Nat(nat) => {
                let translator = self.translator.as_ref().ok_or(Loss::NoPort)?;
                let leg = Leg { plan: &self.plan, nat, flow: &head.flow, target };
                translator.to_backend(&leg, frame, head.signal, now)?;
            }
        }
        self.traffic.forwarded(target, octets);
        Ok(self.address(frame, arm, mac))
    }

    /// Gives `frame` the Ethernet addresses of whoever gets it by `arm` and of this host.
    fn address(&self, frame: &mut [u8], arm: usize, mac: Mac) -> Option<usize> {
        let addresses = frame.first_chunk_mut::<ETHERNET_ADDRESSES>()?;
        addresses[..6].copy_from_slice(&mac);
        addresses[6..].copy_from_slice(&self.macs[arm]);
        Some(arm)
    }

    /// Looks after those flows whose turn it is, and tells what the table looks like to whoever asks.
    pub fn tend(&mut self, now: Instant) {
        let passed = now.as_nanos().saturating_sub(self.swept.as_nanos());
        let due = (self.flows.sets() as u64).saturating_mul(passed) / PASS_NS;
        if let due @ 1.. = usize::try_from(due).unwrap_or(usize::MAX).min(MOST_AT_ONCE) {
            self.swept = now;
            let (flows, elsewhere) = self.flows_and_elsewhere();
            flows.sweep(due, now, |flow, target| elsewhere.seen(flow, target));
            self.settle();
            if let Some(bypass) = &mut self.bypass {
                // Those that no worker has room to remember; a look in some minutes will do.
                bypass.sweep(due, |cached| flows::is_over(&cached.flow, cached.seen, now));
            }
        }
        self.traffic.set_flows(self.flows.live(), self.flows.evicted());
    }

    /// Counts what was lost beside this.
    pub(super) fn note_losses(&self, losses: RingLosses) {
        self.traffic.set_lost(losses);
    }

    /// Answers a part of what is asked at `desk`. Whether there is more to do.
    pub(super) fn answer(&self, desk: &mut Desk, now: Instant) -> bool {
        desk.attend(&self.plan, &self.flows, now)
    }

    fn backend_of(&mut self, head: &Head, pools: &Pools, now: Instant) -> Result<(Target, Mac), Loss> {
        let &Head { flow, hash, signal, sender } = head;
        let found = self.find(&flow, hash, signal, now).filter(|found| self.has_port(&flow, found.target));
        let choice = {
            let Self { plan, schedulers, flows, .. } = self;
            let choose = |pool| {
                if signal == Signal::Error {
                    // It is about a flow that others know: it takes nobody's turn.
                    return schedulers.by_slot(pool, &flow, hash, pools);
                }
                schedulers.choose(pool, &flow, hash, pools, flows)
            };
            Choice::make(plan, pools, &flow, found.map(|found| found.target), choose)?
        };
        let Choice { mut target, mac, is_kept } = choice;
        match signal {
            Signal::End if is_kept => self.end_bypass(&flow),
            Signal::Continue | Signal::Datagram if is_kept => {
                if found.is_some_and(|found| found.is_established) {
                    self.begin_bypass(flow, target, sender, now);
                }
            }
            Signal::Begin if is_kept => {}
            Signal::Begin | Signal::Continue | Signal::Datagram | Signal::End => {
                // Where its own is lost, another backend resets the connection, so that the client knows at once.
                self.flows.forget(&flow, hash);
                target = self.begin(head, target, now)?;
            }
            // An error begins nothing, and of a flow that is not known there is no translation.
            Signal::Error if is_kept || self.nat(target).is_none() => {}
            Signal::Error => return Err(Loss::NoFlow),
        }
        Ok((target, mac))
    }

    /// Gives a flow the backend that was chosen for it, and a port if its packets are to be translated. One that is forgotten for it
    /// and is not translated is bypassed further on: its frames would have to push out others by turns.
    fn begin(&mut self, head: &Head, chosen: Target, now: Instant) -> Result<Target, Loss> {
        let &Head { flow, hash, signal, sender } = head;
        // What an earlier connection with the same ends has had, or this one with a backend that is lost.
        self.settle();
        self.end_bypass(&flow);
        let port = self.port_for(&flow, chosen, sender, now)?;
        let target = Target { port, ..chosen };
        self.traffic.begun(target);
        let (flows, elsewhere) = self.flows_and_elsewhere();
        flows.put(flow, hash, signal, target, now, |flow, target| elsewhere.seen(flow, target));
        self.settle();
        Ok(target)
    }

    /// The port that packets of `flow` come from at the backend that was `chosen` for it; 0 if they are not translated.
    fn port_for(&mut self, flow: &Flow, chosen: Target, sender: Mac, now: Instant) -> Result<u16, Loss> {
        let Self { plan, bypass, translator: Some(translator), .. } = self else { return Ok(0) };
        let Some(nat) = plan.backends[usize::from(chosen.backend)].nat() else { return Ok(0) };
        let leg = Leg { plan, nat, flow, target: chosen };
        if let Some(port) = translator.begin(&leg, sender, now) {
            return Ok(port);
        }
        let loser = translator.loser(&leg, now).ok_or(Loss::NoPort)?;
        // Before the port is another's: no packet of it is to come from there any more.
        if let Some(bypass) = bypass {
            bypass.remove(&loser.value.flow);
        }
        translator.take_over(&leg, &loser, sender, now).ok_or(Loss::NoPort)
    }

    /// Whether packets of `flow` may go on as they did: another one may have got its port.
    fn has_port(&self, flow: &Flow, target: Target) -> bool {
        let leg = |nat| Leg { plan: &self.plan, nat, flow, target };
        let translation = self.translator.as_ref().zip(self.nat(target));
        translation.is_none_or(|(translator, nat)| translator.has_port(&leg(nat)))
    }

    /// Takes up a flow that the agent before has forwarded to the backend with this `name`, and bypasses it again, unless it is over.
    /// It may come twice. Whether it was taken up.
    pub fn inherit(&mut self, cached: &Cached, name: &BackendName, now: Instant) -> bool {
        let &Cached { flow, value: CachedFlow { client_mac, .. }, seen } = cached;
        let hash = flow::hash(&flow);
        let Some(target) = self.plan.resumed(cached, name) else { return false };
        let is_known = self.flows.peek(&flow, hash, now).is_some();
        let translator = self.translator.as_ref();
        if is_known || !translator.is_none_or(|translator| translator.resume(&self.plan, cached, target)) {
            return false;
        }
        self.adopt(flow, hash, target, seen, now);
        let is_there = self.flows.peek(&flow, hash, now).is_some();
        if is_there {
            self.begin_bypass(flow, target, client_mac, seen);
        } else {
            // It is over.
            self.free_port(&flow, target);
        }
        is_there
    }

    /// What is known of `flow`, of which a packet has come that says `signal`, here or by the bypass: that knows flows which
    /// another worker has begun.
    fn find(&mut self, flow: &Flow, hash: u64, signal: Signal, now: Instant) -> Option<Found> {
        let found = self.flows.find(flow, hash, signal, now);
        if found.is_some() || signal == Signal::Begin {
            return found;
        }
        let Cached { value, seen, .. } = self.bypass.as_ref()?.find(flow)?;
        self.adopt(*flow, hash, value.into(), seen, now);
        self.flows.find(flow, hash, signal, now)
    }

    /// Remembers an established flow that was last `seen` elsewhere.
    fn adopt(&mut self, flow: Flow, hash: u64, target: Target, seen: Instant, now: Instant) {
        let (flows, elsewhere) = self.flows_and_elsewhere();
        flows.adopt(flow, hash, target, seen, now, |flow, target| elsewhere.seen(flow, target));
        self.settle();
    }

    /// Frees what flows have had that went.
    fn settle(&mut self) {
        while let Some((flow, target)) = self.flows.gone() {
            // Another worker may have begun it anew.
            let is_same = |cached: &Cached| Target::from(cached.value) == target;
            if self.bypass.as_ref().and_then(|bypass| bypass.find(&flow)).as_ref().is_some_and(is_same) {
                self.end_bypass(&flow);
            }
            self.free_port(&flow, target);
        }
    }

    fn free_port(&self, flow: &Flow, target: Target) {
        if let (Some(translator), Some(nat)) = (&self.translator, self.nat(target)) {
            translator.end(&Leg { plan: &self.plan, nat, flow, target });
        }
    }

    fn begin_bypass(&mut self, flow: Flow, target: Target, sender: Mac, seen: Instant) {
        let translation = self.translator.as_ref().zip(self.nat(target));
        let client_mac = translation.map(|_| sender).unwrap_or_default();
        if let Some((translator, nat)) = translation {
            translator.establish(&Leg { plan: &self.plan, nat, flow: &flow, target });
        }
        if let Some(bypass) = &mut self.bypass {
            let Target { backend, service, port } = target;
            bypass.put(Cached { flow, value: CachedFlow { backend, service, port, client_mac }, seen });
            // Another worker may have given its port away meanwhile.
            if !self.has_port(&flow, target) {
                self.end_bypass(&flow);
            }
        }
    }

    fn end_bypass(&mut self, flow: &Flow) {
        if let Some(bypass) = &mut self.bypass {
            bypass.remove(flow);
        }
    }

    /// How packets to the backend of `target` are translated, if they are.
    fn nat(&self, target: Target) -> Option<Nat> {
        self.plan.backends[usize::from(target.backend)].nat()
    }

    fn flows_and_elsewhere(&mut self) -> (&mut Flows, Elsewhere<'_, B>) {
        let Self { plan, flows, bypass, translator, .. } = self;
        (flows, Elsewhere { plan, bypass: bypass.as_ref(), translator: translator.as_ref() })
    }
}

/// Who else sees packets of flows.
struct Elsewhere<'a, B> {
    plan: &'a Plan,
    bypass: Option<&'a B>,
    translator: Option<&'a Translator>,
}

impl<B: Bypass> Elsewhere<'_, B> {
    /// When others have seen `flow` to this backend last. A flow with the same ports that has another is another flow, which a
    /// worker has begun that knows better.
    fn seen(&self, flow: &Flow, target: Target) -> Option<Instant> {
        let cached = self.bypass.and_then(|bypass| bypass.find(flow));
        let forwarded =
            cached.filter(|cached| Target::from(cached.value) == target).map(|cached| cached.seen);
        let nat = self.plan.backends[usize::from(target.backend)].nat();
        let translated = self
            .translator
            .zip(nat)
            .and_then(|(translator, nat)| translator.seen(&Leg { plan: self.plan, nat, flow, target }));
        forwarded.max(translated)
    }
}
