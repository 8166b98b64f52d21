//! What becomes of a frame: a decision and a rewriting, without IO.

use std::sync::Arc;

use super::flow::Flow;
use super::flows::Flows;
use super::maglev::Table;
use super::packet::{self, Signal};
use super::plan::Plan;
use super::pools::Pools;
use super::traffic::{Loss, Traffic};
use crate::vrrp::Instant;
use crate::wire::Mac;

/// Octets of the two addresses that an Ethernet frame begins with.
const ETHERNET_ADDRESSES: usize = 12;

/// What forwards the frames of one receive queue.
pub struct Forwarder {
    plan: Arc<Plan>,
    flows: Flows,
    /// What frames are sent from. Never a virtual MAC: switches would send the owner's traffic here.
    device_mac: Mac,
    traffic: Arc<Traffic>,
}

impl Forwarder {
    /// One with room for so many `flows`, which counts in `traffic`.
    pub fn new(plan: Arc<Plan>, flows: usize, device_mac: Mac, traffic: Arc<Traffic>) -> Self {
        Self { plan, flows: Flows::new(flows), device_mac, traffic }
    }

    /// Readdresses `frame` to the backend of its flow. Whether it is to be sent.
    ///
    /// Direct server return on the segment: nothing but the Ethernet addresses changes, and the backend answers the client itself.
    pub fn forward(&mut self, frame: &mut [u8], pools: &Pools, now: Instant) -> bool {
        match self.backend_of(frame, pools, now) {
            Ok((backend, mac)) => {
                self.traffic.forwarded(backend, frame.len());
                let Some(addresses) = frame.first_chunk_mut::<ETHERNET_ADDRESSES>() else { return false };
                addresses[..6].copy_from_slice(&mac);
                addresses[6..].copy_from_slice(&self.device_mac);
                true
            }
            Err(loss) => {
                self.traffic.lost(loss);
                false
            }
        }
    }

    /// Tells what the table of flows looks like to whoever asks.
    pub fn publish(&self) {
        self.traffic.set_flows(self.flows.live(), self.flows.evicted());
    }

    fn backend_of(&mut self, frame: &[u8], pools: &Pools, now: Instant) -> Result<(u16, Mac), Loss> {
        let (flow, signal) = packet::parse(frame).ok_or(Loss::NoFlow)?;
        let hash = flow.hash();
        if let Some(backend) = self.flows.find(&flow, hash, signal, now) {
            if let Some(mac) = pools.mac(backend) {
                return Ok((backend, mac));
            }
            // Another backend resets the connection, so that the client knows at once.
            self.flows.forget(&flow, hash);
        }
        self.begin(flow, hash, signal, pools, now)
    }

    /// Chooses a backend for a flow that has none.
    fn begin(
        &mut self,
        flow: Flow,
        hash: u64,
        signal: Signal,
        pools: &Pools,
        now: Instant,
    ) -> Result<(u16, Mac), Loss> {
        let pool = self.plan.pool(&flow).ok_or(Loss::NoService)?;
        let backend = pools.table(pool).and_then(|table| table.backend(Table::slot(hash)));
        let backend = backend.ok_or(Loss::NoBackend)?;
        let mac = pools.mac(backend).ok_or(Loss::NoBackend)?;
        self.flows.put(flow, hash, signal, backend, now);
        Ok((backend, mac))
    }
}
