//! The condition of the backends: where they are, by the kernel's neighbour table, which is made to keep them there; and what their
//! checks say. Both nodes look all the time, so that they have the same tables when the VIP moves.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::plan::{Backend, Plan};
use super::pools::{Condition, Pools};
use crate::datapath::Backends;
use crate::host::neighbours::{Neighbour, Neighbours};
use crate::track::{self, State, Tracker};

/// How often the kernel is reminded of the backends, without which it would forget those that it has nothing to send to.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the kernel may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The least from one look to the next: a thousand neighbours may come at once.
const PAUSE: Duration = Duration::from_millis(10);

/// What keeps the pools of an interface.
pub(super) struct Watch<'a> {
    pub(super) plan: &'a Plan,
    pub(super) pools: &'a ArcSwap<Pools>,
    /// What the data plane knows of the backends.
    pub(super) backends: Backends,
    pub(super) neighbours: Neighbours,
    pub(super) interface: &'a str,
    /// Whether the kernel has refused to look for a backend, which is said once.
    pub(super) is_refused: bool,
}

impl Watch<'_> {
    /// Keeps them for ever.
    pub(super) async fn run(mut self) {
        let (opinions, mut states) = watch::channel(vec![State::Good; self.plan.backends.len()]);
        let _looking = track::begin(trackers(self.plan, &opinions).into_iter(), &opinions);
        loop {
            let said = states.borrow_and_update().clone();
            if let Some(known) = self.look(&said).await {
                self.remind(&known).await;
            }
            let following = async {
                loop {
                    sleep(PAUSE).await;
                    tokio::select! {
                        () = self.neighbours.changed() => {}
                        // The channel is open: this function has its sender.
                        _ = states.changed() => {}
                    }
                    let said = states.borrow_and_update().clone();
                    self.look(&said).await;
                }
            };
            let _: Result<(), _> = timeout(INTERVAL, following).await;
        }
    }

    /// Makes the kernel look for all backends, but for those that an operator has entered.
    async fn remind(&mut self, known: &HashMap<IpAddr, Neighbour>) {
        let mut refusal = None;
        for Backend { address, .. } in &self.plan.backends {
            if known.get(address).is_some_and(|neighbour| neighbour.entered) {
                continue;
            }
            // It is done again in any case.
            if let Ok(Err(error)) = timeout(PATIENCE, self.neighbours.ask_for(*address)).await {
                refusal = Some(error);
            }
        }
        if let (Some(error), false) = (&refusal, self.is_refused) {
            let interface = self.interface;
            tracing::warn!(interface, %error, "the kernel does not look for all backends; where they are many, raise net.ipv4.neigh.default.gc_thresh2 and gc_thresh3, or those of ipv6");
        }
        self.is_refused = refusal.is_some();
    }

    /// Makes pools of what the kernel knows of the neighbours, with which it answers if it can, and of what the checks say.
    async fn look(&mut self, states: &[State]) -> Option<HashMap<IpAddr, Neighbour>> {
        let interface = self.interface;
        match timeout(PATIENCE, self.neighbours.list()).await {
            Ok(Ok(known)) => {
                let before = self.pools.load_full();
                let condition = |((backend, before), state): ((&Backend, &Condition), _)| {
                    before.then(known.get(&backend.address), state)
                };
                let backends = self.plan.backends.iter().zip(before.conditions()).zip(states);
                self.replace(&before, backends.map(condition).collect());
                return Some(known);
            }
            Ok(Err(error)) => tracing::warn!(interface, %error, "not known where the backends are"),
            Err(_) => tracing::warn!(interface, "the kernel does not tell its neighbours"),
        }
        None
    }

    /// Makes other pools if the condition of a backend is another, and says so.
    fn replace(&mut self, before: &Pools, conditions: Vec<Condition>) {
        if before.conditions() == conditions {
            return;
        }
        let all = (0..).zip(&self.plan.backends).zip(before.conditions().iter().zip(&conditions));
        for ((number, backend), (old, new)) in all {
            let (interface, pool, address) =
                (self.interface, &self.plan.pools[backend.pool].name, backend.address);
            let condition = new.name(before.weights()[usize::from(number)]);
            if old.mac() != new.mac()
                && let Err(error) = self.backends.set(number, new.mac())
            {
                tracing::error!(interface, pool, %address, %error, "the data plane does not know the backend");
            }
            match (old.mac(), new.mac()) {
                (None, Some(_)) => tracing::info!(interface, pool, %address, "backend {condition}"),
                (Some(_), None) => tracing::warn!(interface, pool, %address, "backend {condition}"),
                (Some(old), Some(new)) if old != new => {
                    tracing::info!(interface, pool, %address, "backend has another MAC address");
                }
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        self.pools.store(before.then(self.plan, conditions).into());
    }
}

/// What looks at the backends that have a check, each with the place of its opinion, of which there is none yet.
fn trackers(plan: &Plan, opinions: &watch::Sender<Vec<State>>) -> Vec<(usize, Tracker)> {
    let tracker = |(index, backend): (usize, &Backend)| {
        let config = plan.pools[backend.pool].tracker(backend.address)?;
        opinions.send_modify(|states| states[index] = State::Unknown);
        // It runs no program, and so as no user that there may not be.
        Some((index, Tracker::new(&config, &track::no_engine).ok()?))
    };
    plan.backends.iter().enumerate().filter_map(tracker).collect()
}
