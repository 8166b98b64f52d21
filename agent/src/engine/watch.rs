//! The condition of the backends: where they are, by the kernel's neighbour table, which is made to keep them there; and what their
//! checks say. Both nodes look all the time, so that they have the same tables when the VIP moves.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::{select_all, try_join_all};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::plan::{Backend, Plan, Way};
use super::pools::{Condition, Pools, Resort};
use crate::config::TrackerConfig;
use crate::datapath::Backends;
use crate::host::neighbours::{Neighbour, Neighbours};
use crate::program::ProgramError;
use crate::track::{self, State, Tracker};
use crate::wire::Mac;

/// How often the kernel is reminded of the backends, without which it would forget those that it has nothing to send to.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the kernel may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The least from one look to the next: a thousand neighbours may come at once.
const PAUSE: Duration = Duration::from_millis(10);

/// Who is where no way leads to.
const NOBODY: Neighbour = Neighbour { mac: None, entered: false };

/// What keeps the pools of an interface.
pub(super) struct Watch<'a> {
    pub(super) plan: &'a Plan,
    pub(super) pools: &'a ArcSwap<Pools>,
    /// What the data plane knows of the backends.
    pub(super) backends: Backends,
    /// Those of each arm.
    pub(super) neighbours: Vec<Neighbours>,
    /// Rings when an operator has given backends other weights.
    pub(super) adjusted: &'a Notify,
    /// Where the data plane sends what is for each backend.
    pub(super) told: Vec<Option<Mac>>,
    /// Who is to be found to send something to each backend: itself, a gateway, or nobody.
    pub(super) hops: Vec<Option<IpAddr>>,
    pub(super) interface: &'a str,
    /// Whether the kernel has refused to look for a backend, which is said once.
    pub(super) is_refused: bool,
}

impl Watch<'_> {
    /// Keeps them for ever, by what `checks` say of the backends that have any.
    pub(super) async fn run(mut self, checks: Checks) {
        let mut states = vec![State::Good; self.plan.backends.len()];
        checks.iter().for_each(|(backend, _)| states[*backend] = State::Unknown);
        let (opinions, mut states) = watch::channel(states);
        let _looking = track::begin(checks.into_iter(), &opinions);
        loop {
            self.find_ways().await;
            let said = states.borrow_and_update().clone();
            if let Some(known) = self.look(&said).await {
                self.remind(&known).await;
            }
            let following = async {
                loop {
                    sleep(PAUSE).await;
                    tokio::select! {
                        () = any_changed(&mut self.neighbours) => {}
                        () = self.adjusted.notified() => {}
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

    /// Looks who is next on the way to the backends that need not be on the segment.
    async fn find_ways(&mut self) {
        for (backend, hop) in self.plan.backends.iter().zip(&mut self.hops) {
            if backend.way == Way::Direct {
                continue;
            }
            // It is done again in any case, and what was found before is as good as nothing.
            if let Ok(Ok(found)) =
                timeout(PATIENCE, self.neighbours[backend.arm].next_hop(backend.address)).await
            {
                *hop = found;
            }
        }
    }

    /// Makes the kernel look for all who are next, but for those that an operator has entered.
    async fn remind(&mut self, known: &[HashMap<IpAddr, Neighbour>]) {
        let mut refusal = None;
        let hops = self.plan.backends.iter().zip(&self.hops);
        let hops: BTreeSet<(usize, IpAddr)> =
            hops.filter_map(|(backend, hop)| Some((backend.arm, (*hop)?))).collect();
        for (arm, address) in hops {
            if known[arm].get(&address).is_some_and(|neighbour| neighbour.entered) {
                continue;
            }
            // It is done again in any case.
            if let Ok(Err(error)) = timeout(PATIENCE, self.neighbours[arm].ask_for(address)).await {
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
    async fn look(&mut self, states: &[State]) -> Option<Vec<HashMap<IpAddr, Neighbour>>> {
        let interface = self.interface;
        match timeout(PATIENCE, try_join_all(self.neighbours.iter().map(Neighbours::list))).await {
            Ok(Ok(known)) => {
                let before = self.pools.load_full();
                let condition =
                    |(((backend, hop), before), state): (((&Backend, &Option<IpAddr>), &Condition), _)| {
                        let neighbour = hop.map_or(Some(&NOBODY), |hop| known[backend.arm].get(&hop));
                        before.then(neighbour, state)
                    };
                let backends = self.plan.backends.iter().zip(&self.hops).zip(before.conditions()).zip(states);
                self.replace(&before, backends.map(condition).collect());
                return Some(known);
            }
            Ok(Err(error)) => tracing::warn!(interface, %error, "not known where the backends are"),
            Err(_) => tracing::warn!(interface, "the kernel does not tell its neighbours"),
        }
        None
    }

    /// Makes other pools if the condition of a backend is another, and tells the data plane what follows from that or from other
    /// weights.
    fn replace(&mut self, before: &Pools, conditions: Vec<Condition>) {
        if before.conditions() != conditions {
            let after = before.then(self.plan, conditions);
            self.say(before, &after);
            self.pools.store(after.into());
        }
        self.tell();
    }

    /// Tells the data plane where what is for each backend goes now.
    fn tell(&mut self) {
        let pools = self.pools.load();
        for ((number, backend), told) in (0..).zip(&self.plan.backends).zip(&mut self.told) {
            let mac = pools.mac(number);
            if *told == mac {
                continue;
            }
            *told = mac;
            let arm = u8::try_from(backend.arm).unwrap_or_default();
            if let Err(error) = self.backends.set(number, mac, arm, backend.way_to_map()) {
                let (interface, address) = (self.interface, backend.address);
                tracing::error!(interface, %address, %error, "the data plane does not know the backend");
            }
        }
    }

    /// Says which backends are in another condition, and which pools make do with others.
    fn say(&self, before: &Pools, after: &Pools) {
        let all = self.plan.backends.iter().zip(before.weights());
        for ((backend, weight), (old, new)) in all.zip(before.conditions().iter().zip(after.conditions())) {
            let (interface, pool, address) =
                (self.interface, &self.plan.pools[backend.pool].name, backend.address);
            let condition = new.name(*weight);
            match (old.mac(), new.mac()) {
                (None, Some(_)) => tracing::info!(interface, pool, %address, "backend {condition}"),
                (Some(_), None) => tracing::warn!(interface, pool, %address, "backend {condition}"),
                (Some(old), Some(new)) if old != new => {
                    tracing::info!(interface, pool, %address, "backend has another MAC address");
                }
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        let resorts = before.resorts().zip(after.resorts());
        for (pool, (_, resort)) in self.plan.pools.iter().zip(resorts).filter(|(_, (old, new))| old != new) {
            let (interface, pool) = (self.interface, &pool.name);
            match resort {
                Resort::Regular => tracing::info!(interface, pool, "flows go to the backends in order"),
                Resort::Backups => tracing::warn!(interface, pool, "flows go to the backups"),
                Resort::All => tracing::warn!(interface, pool, "flows go to backends that fail their check"),
                Resort::Nobody => tracing::warn!(interface, pool, "flows go nowhere"),
            }
        }
    }
}

/// Waits for the next change of any of `neighbours`.
async fn any_changed(neighbours: &mut [Neighbours]) {
    select_all(neighbours.iter_mut().map(|neighbours| Box::pin(neighbours.changed()))).await;
}

/// What looks at the backends that have a check, each with the number of its backend.
pub type Checks = Vec<(usize, Tracker)>;

/// What looks at the backends of `plan`, each in its turn.
///
/// # Errors
///
/// One is to run a program as a user that there is not.
pub(super) fn checks(plan: &Plan) -> Result<Checks, ProgramError> {
    let config = |(number, backend): (usize, &Backend)| {
        Some((number, plan.pools[backend.pool].tracker(backend.address)?))
    };
    let configs: Vec<_> = plan.backends.iter().enumerate().filter_map(config).collect();
    let check = |(turn, (number, config)): (usize, &(usize, TrackerConfig))| {
        Ok((*number, Tracker::new(config, &track::no_engine)?.in_turn(turn, configs.len())))
    };
    configs.iter().enumerate().map(check).collect()
}
