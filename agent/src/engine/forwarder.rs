//! What becomes of a frame: a decision and a rewriting, without IO.

use std::sync::Arc;

use baton_common::flow::{CachedFlow, Flow};

use super::buffer::Buffer;
use super::choice::Choice;
use super::flow;
use super::flows::{Flows, Found, Target};
use super::head::{Head, Heads};
use super::inquiry::Desk;
use super::packet::Signal;
use super::plan::Plan;
use super::pools::Pools;
use super::schedule::Schedulers;
use super::too_long::{self, Allowance};
use super::traffic::{Loss, Traffic};
use crate::address;
use crate::datapath::FlowCache;
use crate::vrrp::Instant;
use crate::wire::Mac;

/// Octets of the two addresses that an Ethernet frame begins with.
const ETHERNET_ADDRESSES: usize = 12;

/// How long it takes to look after all flows, in ns; and after how many sets of them at most at once, so that no frame waits for long.
const PASS_NS: u64 = 30_000_000_000;
const MOST_AT_ONCE: usize = 256;

/// Who forwards the frames of established flows, which are not seen here then.
pub trait Bypass {
    /// Forwards frames of `flow` from now on, if there is room for it.
    fn put(&mut self, flow: Flow, cached: CachedFlow);
    /// Forwards no more of `flow`.
    fn remove(&mut self, flow: &Flow);
    /// What it knows of `flow`.
    fn find(&self, flow: &Flow) -> Option<CachedFlow>;
}

impl Bypass for FlowCache {
    fn put(&mut self, flow: Flow, cached: CachedFlow) {
        Self::put(self, flow, cached);
    }

    fn remove(&mut self, flow: &Flow) {
        Self::remove(self, flow);
    }

    fn find(&self, flow: &Flow) -> Option<CachedFlow> {
        Self::find(self, flow)
    }
}

/// What forwards the frames of one receive queue.
pub struct Forwarder<B> {
    plan: Arc<Plan>,
    schedulers: Schedulers,
    flows: Flows,
    bypass: Option<B>,
    /// When flows were looked after.
    swept: Instant,
    /// What frames are sent from. Never a virtual MAC: switches would send the owner's traffic here.
    device_mac: Mac,
    traffic: Arc<Traffic>,
    /// Clients that may be told that their packets are too long.
    allowance: Allowance,
}

impl<B: Bypass> Forwarder<B> {
    /// One with room for so many `flows`, which counts in `traffic`. Established flows go to the `bypass`.
    pub fn new(
        plan: Arc<Plan>,
        flows: usize,
        bypass: Option<B>,
        device_mac: Mac,
        traffic: Arc<Traffic>,
    ) -> Self {
        let (schedulers, flows, allowance) = (Schedulers::new(&plan), Flows::new(flows), Allowance::new());
        Self { plan, schedulers, flows, bypass, swept: Instant::default(), device_mac, traffic, allowance }
    }

    /// Readdresses `frame` to the backend of its flow, or makes of it what the client is to be told. Whether it is to be sent.
    ///
    /// Direct server return: the packet stays as it is, and the backend answers the client itself. On the segment nothing but the
    /// Ethernet addresses changes, elsewhere the packet is wrapped.
    pub fn forward(&mut self, frame: &mut impl Buffer, pools: &Pools, now: Instant) -> bool {
        self.forward_head(frame, Head::of(frame), pools, now)
    }

    /// Reads the `heads` of a batch, each of which [`forward_head`](Self::forward_head) is given next.
    pub fn look_ahead<'a>(&self, frames: impl Iterator<Item = &'a [u8]> + Clone, heads: &mut Heads) {
        heads.read(frames, &self.flows);
    }

    /// [`forward`](Self::forward) for a `frame` that has this `head`.
    pub fn forward_head(
        &mut self,
        frame: &mut impl Buffer,
        head: Option<Head>,
        pools: &Pools,
        now: Instant,
    ) -> bool {
        match self.backend_of(head, pools, now) {
            Ok(chosen) => self.send(frame, chosen, now),
            Err(loss) => {
                self.traffic.lost(loss);
                false
            }
        }
    }

    /// Readdresses `frame` to a backend.
    fn send(&mut self, frame: &mut impl Buffer, (target, mac): (Target, Mac), now: Instant) -> bool {
        let octets = frame.len();
        if let Some(tunnel) = &self.plan.backends[usize::from(target.backend)].tunnel
            && tunnel.wrap(frame).is_none()
        {
            self.traffic.lost(Loss::TooLong);
            return self.allowance.take(now)
                && too_long::answer(frame, tunnel.longest(), self.device_mac).is_some();
        }
        self.traffic.forwarded(target, octets);
        let Some(addresses) = frame.first_chunk_mut::<ETHERNET_ADDRESSES>() else { return false };
        addresses[..6].copy_from_slice(&mac);
        addresses[6..].copy_from_slice(&self.device_mac);
        true
    }

    /// Looks after those flows whose turn it is, and tells what the table looks like to whoever asks.
    pub fn tend(&mut self, now: Instant) {
        let Self { flows, bypass, .. } = self;
        let passed = now.as_nanos().saturating_sub(self.swept.as_nanos());
        let due = (flows.sets() as u64).saturating_mul(passed) / PASS_NS;
        if let due @ 1.. = usize::try_from(due).unwrap_or(usize::MAX).min(MOST_AT_ONCE) {
            self.swept = now;
            let mut over = Vec::new();
            let seen = |flow: &Flow, target| seen_by(bypass.as_ref(), flow, target);
            flows.sweep(due, now, seen, |flow| over.push(*flow));
            over.iter().for_each(|flow| self.end_bypass(flow));
        }
        self.traffic.set_flows(self.flows.live(), self.flows.evicted());
    }

    /// Answers a part of what is asked at `desk`. Whether there is more to do.
    pub(super) fn answer(&self, desk: &mut Desk, now: Instant) -> bool {
        desk.attend(&self.plan, &self.flows, now)
    }

    fn backend_of(&mut self, head: Option<Head>, pools: &Pools, now: Instant) -> Result<(Target, Mac), Loss> {
        let Head { flow, hash, signal } = head.ok_or(Loss::NoFlow)?;
        let found = self.find(&flow, hash, signal, now);
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
        let Choice { target, mac, is_kept } = choice;
        match signal {
            Signal::End if is_kept => self.end_bypass(&flow),
            Signal::Continue | Signal::Datagram if is_kept => {
                if found.is_some_and(|found| found.is_established) {
                    self.begin_bypass(flow, target, now);
                }
            }
            Signal::Begin if is_kept => {}
            Signal::Begin | Signal::Continue | Signal::Datagram | Signal::End => {
                // Where its own is lost, another backend resets the connection, so that the client knows at once.
                self.flows.forget(&flow, hash);
                self.begin(flow, hash, signal, target, now);
            }
            // An error begins nothing.
            Signal::Error => {}
        }
        Ok((target, mac))
    }

    /// Gives a flow the backend that was chosen for it.
    fn begin(&mut self, flow: Flow, hash: u64, signal: Signal, target: Target, now: Instant) {
        self.traffic.begun(target);
        // Of an earlier connection with the same ports, or of a backend that is lost.
        self.end_bypass(&flow);
        let Self { flows, bypass, .. } = self;
        let seen = |flow: &Flow, target| seen_by(bypass.as_ref(), flow, target);
        if let Some(evicted) = flows.put(flow, hash, signal, target, now, seen) {
            self.end_bypass(&evicted);
        }
    }

    /// Takes up a flow that the agent before has forwarded, and bypasses it again, unless it is over. It may come twice.
    pub fn inherit(&mut self, flow: Flow, cached: CachedFlow, now: Instant) {
        let (seen, hash) = (Instant::from_nanos(cached.seen_ns), flow::hash(&flow));
        let Some(target) = self.plan.target(&flow, cached.address) else { return };
        if self.flows.peek(&flow, hash, now).is_some() {
            return;
        }
        self.adopt(flow, hash, target, seen, now);
        if self.flows.peek(&flow, hash, now).is_some() {
            self.begin_bypass(flow, target, seen);
        }
    }

    /// What is known of `flow`, of which a packet has come that says `signal`, here or by the bypass: that knows flows which
    /// another worker has begun.
    fn find(&mut self, flow: &Flow, hash: u64, signal: Signal, now: Instant) -> Option<Found> {
        let found = self.flows.find(flow, hash, signal, now);
        if found.is_some() || signal == Signal::Begin {
            return found;
        }
        let cached = self.bypass.as_ref()?.find(flow)?;
        let target = self.plan.target(flow, cached.address)?;
        self.adopt(*flow, hash, target, Instant::from_nanos(cached.seen_ns), now);
        self.flows.find(flow, hash, signal, now)
    }

    /// Remembers an established flow that was last `seen` elsewhere.
    fn adopt(&mut self, flow: Flow, hash: u64, target: Target, seen: Instant, now: Instant) {
        let Self { flows, bypass, .. } = self;
        let seen_elsewhere = |flow: &Flow, target| seen_by(bypass.as_ref(), flow, target);
        if let Some(evicted) = flows.adopt(flow, hash, target, seen, now, seen_elsewhere) {
            self.end_bypass(&evicted);
        }
    }

    fn begin_bypass(&mut self, flow: Flow, target: Target, seen: Instant) {
        if let Some(bypass) = &mut self.bypass {
            let address = address::to_map(self.plan.backends[usize::from(target.backend)].address);
            let (backend, service) = (target.backend.into(), target.service.into());
            bypass.put(flow, CachedFlow { seen_ns: seen.as_nanos(), address, backend, service });
        }
    }

    fn end_bypass(&mut self, flow: &Flow) {
        if let Some(bypass) = &mut self.bypass {
            bypass.remove(flow);
        }
    }
}

/// When the `bypass` has last forwarded a frame of `flow` to this backend. A flow with the same ports that has another is another
/// flow, which a worker has begun that knows better.
fn seen_by<B: Bypass>(bypass: Option<&B>, flow: &Flow, target: Target) -> Option<Instant> {
    let cached = bypass?.find(flow).filter(|cached| cached.backend == u32::from(target.backend))?;
    Some(Instant::from_nanos(cached.seen_ns))
}
