//! What becomes of a frame: a decision and a rewriting, without IO.

use std::sync::Arc;
use std::time::Duration;

use baton_common::flow::Flow;

use super::buffer::Buffer;
use super::flow;
use super::flows::Flows;
use super::packet::{self, Signal};
use super::plan::Plan;
use super::pools::Pools;
use super::schedule::Schedulers;
use super::too_long::{self, Allowance};
use super::traffic::{Loss, Traffic};
use crate::datapath::FlowCache;
use crate::vrrp::Instant;
use crate::wire::Mac;

/// Octets of the two addresses that an Ethernet frame begins with.
const ETHERNET_ADDRESSES: usize = 12;

/// How long it takes to look after all flows; and after how many sets of them at most at once, so that no frame waits for long.
const PASS: Duration = Duration::from_secs(30);
const MOST_AT_ONCE: usize = 256;

/// Who forwards the frames of established flows, which are not seen here then.
pub trait Bypass {
    /// Forwards frames of `flow` to `backend` from now on, if there is room for it.
    fn put(&mut self, flow: Flow, backend: u16);
    /// Forwards no more of `flow`.
    fn remove(&mut self, flow: &Flow);
    /// When it has forwarded a frame of `flow`, if it knows it.
    fn seen(&self, flow: &Flow) -> Option<Instant>;
}

impl Bypass for FlowCache {
    fn put(&mut self, flow: Flow, backend: u16) {
        Self::put(self, flow, backend);
    }

    fn remove(&mut self, flow: &Flow) {
        Self::remove(self, flow);
    }

    fn seen(&self, flow: &Flow) -> Option<Instant> {
        Self::seen(self, flow)
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
        match self.backend_of(frame, pools, now) {
            Ok(chosen) => self.send(frame, chosen, now),
            Err(loss) => {
                self.traffic.lost(loss);
                false
            }
        }
    }

    /// Readdresses `frame` to a backend.
    fn send(&mut self, frame: &mut impl Buffer, (backend, mac): (u16, Mac), now: Instant) -> bool {
        let octets = frame.len();
        if let Some(tunnel) = &self.plan.backends[usize::from(backend)].tunnel
            && tunnel.wrap(frame).is_none()
        {
            self.traffic.lost(Loss::TooLong);
            return self.allowance.take(now)
                && too_long::answer(frame, tunnel.longest(), self.device_mac).is_some();
        }
        self.traffic.forwarded(backend, octets);
        let Some(addresses) = frame.first_chunk_mut::<ETHERNET_ADDRESSES>() else { return false };
        addresses[..6].copy_from_slice(&mac);
        addresses[6..].copy_from_slice(&self.device_mac);
        true
    }

    /// Looks after those flows whose turn it is, and tells what the table looks like to whoever asks.
    pub fn tend(&mut self, now: Instant) {
        let Self { flows, bypass, .. } = self;
        let due = flows.sets() as u128 * now.saturating_since(self.swept).as_nanos() / PASS.as_nanos();
        if let due @ 1.. = usize::try_from(due).unwrap_or(usize::MAX).min(MOST_AT_ONCE) {
            self.swept = now;
            let mut over = Vec::new();
            let seen = |flow: &Flow| bypass.as_ref()?.seen(flow);
            flows.sweep(due, now, seen, |flow| over.push(*flow));
            over.iter().for_each(|flow| self.end_bypass(flow));
        }
        self.traffic.set_flows(self.flows.live(), self.flows.evicted());
    }

    fn backend_of(&mut self, frame: &[u8], pools: &Pools, now: Instant) -> Result<(u16, Mac), Loss> {
        let (flow, signal) = packet::parse(frame).ok_or(Loss::NoFlow)?;
        let hash = flow::hash(&flow);
        if let Some(found) = self.flows.find(&flow, hash, signal, now)
            && let Some(mac) = pools.mac(found.backend)
        {
            match signal {
                Signal::End => self.end_bypass(&flow),
                Signal::Continue | Signal::Datagram if found.is_established => {
                    if let Some(bypass) = &mut self.bypass {
                        bypass.put(flow, found.backend);
                    }
                }
                Signal::Begin | Signal::Continue | Signal::Datagram | Signal::Error => {}
            }
            return Ok((found.backend, mac));
        }
        let chosen = self.choose(&flow, hash, pools)?;
        // An error begins nothing.
        if signal != Signal::Error {
            // Where its own is lost, another backend resets the connection, so that the client knows at once.
            self.flows.forget(&flow, hash);
            self.begin(flow, hash, signal, chosen.0, now);
        }
        Ok(chosen)
    }

    /// The backend of a flow that has none.
    fn choose(&mut self, flow: &Flow, hash: u64, pools: &Pools) -> Result<(u16, Mac), Loss> {
        let pool = self.plan.pool(flow).ok_or(Loss::NoService)?;
        let backend = self.schedulers.choose(pool, flow, hash, pools, &self.flows);
        let backend = backend.ok_or(Loss::NoBackend)?;
        Ok((backend, pools.mac(backend).ok_or(Loss::NoBackend)?))
    }

    /// Gives a flow the backend that was chosen for it.
    fn begin(&mut self, flow: Flow, hash: u64, signal: Signal, backend: u16, now: Instant) {
        // Of an earlier connection with the same ports, or of a backend that is lost.
        self.end_bypass(&flow);
        let Self { flows, bypass, .. } = self;
        let seen = |flow: &Flow| bypass.as_ref()?.seen(flow);
        if let Some(evicted) = flows.put(flow, hash, signal, backend, now, seen) {
            self.end_bypass(&evicted);
        }
    }

    fn end_bypass(&mut self, flow: &Flow) {
        if let Some(bypass) = &mut self.bypass {
            bypass.remove(flow);
        }
    }
}
