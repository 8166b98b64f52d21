//! The engine: spreads the flows of services over real servers. It is a wing of its own: XDP gives it frames only while this host owns
//! their VIP, and nothing of the election waits for it.
//!
//! ```text
//!  XDP: owned VIP, a service's port, flow not in the flow cache -> AF_XDP ring of the receive queue
//!       (one that is goes to its backend from there)             | worker, for a queue of each arm; they share only the tables that XDP reads
//!                                                               v
//!     packet::parse -> flows: has it a backend? -> plan: which pool? -> schedule, maglev: which backend? -> its Ethernet address, tunnel or nat -> ring of its arm
//!                        | established: into the flow cache               ^
//!     kernel's neighbour table, checks -> watch (tokio) -> pools, swapped as a whole
//!                                     other nodes' digests <-> agreement (tokio), for the operator
//! ```
//!
//! Its interfaces are its arms: arm 0 has the services, others have backends only. A worker serves queues of all of them.
//!
//! Two nodes with the same pools and the same view of their backends choose the same backend for a flow: connections survive that
//! the VIP moves, but for those that have kept a backend through a change of its pool.

mod adjustments;
mod agreement;
mod buffer;
mod choice;
mod flow;
mod flows;
mod forwarder;
mod head;
mod health;
mod inquiry;
mod maglev;
mod marks;
mod nat;
mod packet;
mod plan;
mod pools;
mod pulse;
mod schedule;
mod too_long;
mod traffic;
mod tunnel;
mod watch;
mod worker;

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use baton_common::flow::{Carried, Flow};
use baton_common::maps::engine_socket;
use baton_common::vrid::Family;
use tokio::sync::Notify;

pub use adjustments::{Adjustment, Adjustments};
pub use agreement::{Accord, Circle, Datagram, MAX_LENGTH, PORT, PeerTable, PoolDigest, hash_of_name};
pub use buffer::Buffer;
pub use choice::{Choice, slot};
pub use flows::{Remembered, State, Target};
pub use forwarder::{Bypass, Forwarder};
pub use head::{Head, Heads};
pub use health::Health;
pub use inquiry::{Filter, Known, NoAnswer};
pub use maglev::{SLOTS, Table};
pub use nat::{Nat, Ports, Translations, Translator};
pub use plan::{Backend, Plan, Way};
pub use pools::{Condition, Pools, Resort};
pub use traffic::{Carriage, Loss, Traffic};
pub use tunnel::Tunnel;
pub use watch::Checks;

use crate::clock;
use crate::datapath::{
    Arm, BackendName, Backends, Cached, DatapathError, FlowCache, FlowHandover, Forwarded, Heritage, Sockets,
};
use crate::host::neighbours::Neighbours;
use crate::program::ProgramError;
use crate::xsk::{ForwardingRing, MAX_FRAME, Queues, RingError};
use agreement::{Comparison, Peers};
use health::Shift;
use inquiry::{Desk, Desks};
use watch::Watch;
use worker::Worker;

/// A queue that is busy belongs to an agent that ends: it has sockets until its last hook is done.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// After so many tries, five seconds, it is worth a word.
const BUSY_TRIES: u64 = 250;

/// The stack of a worker, which needs little. All memory is locked.
const STACK: usize = 256 * 1024;

/// Ethernet header and two VLAN tags, which are not counted in the MTU.
const LINK_HEADER: usize = 14 + 8;
/// The largest MTU whose frames all can be forwarded.
pub const MAX_MTU: usize = MAX_FRAME - LINK_HEADER;

/// The engine of one interface.
pub struct Engine {
    /// What it is to do.
    pub plan: Arc<Plan>,
    pools: Arc<ArcSwap<Pools>>,
    /// What each worker has done.
    traffic: Vec<Arc<Traffic>>,
    /// What went past them, and of which flows.
    forwarded: Forwarded,
    cached: Option<FlowCache>,
    /// Where workers are asked, once they are started.
    desks: OnceLock<Desks>,
    /// Rings when backends were given other weights.
    adjusted: Notify,
    /// What other nodes say of their tables.
    peers: Mutex<Peers>,
    health: Arc<Health>,
    /// Its interfaces, that of the services first.
    pub arms: Arc<[Arm]>,
    interface: String,
}

impl Engine {
    /// One that forwards nothing yet, between these `arms`, that of the services first. The one with the fewest receive queues says how
    /// many workers there are: each needs a queue of every arm to send by.
    pub fn new(
        plan: Plan,
        adjustments: &Adjustments,
        arms: Vec<Arm>,
        forwarded: Forwarded,
        cached: Option<FlowCache>,
    ) -> Self {
        let workers = arms.iter().map(|arm| arm.queues).min().unwrap_or_default();
        let interface = arms.first().map(|arm| arm.name.clone()).unwrap_or_default();
        let traffic = || Arc::new(Traffic::new(plan.backends.len(), plan.services.len()));
        let traffic = (0..workers).map(|_| traffic()).collect();
        let weights = adjustments.weights(&plan);
        let pools = Pools::unknown(&plan).reweighted(&plan, weights);
        let pools = Arc::new(ArcSwap::from_pointee(pools));
        let peers = Mutex::new(Peers::new(&plan));
        let (plan, interface) = (Arc::new(plan), interface.to_owned());
        let health = Arc::new(Health::new(Arc::clone(&plan), Arc::clone(&pools), workers as usize));
        Self {
            plan,
            pools,
            traffic,
            forwarded,
            cached,
            desks: OnceLock::new(),
            adjusted: Notify::new(),
            peers,
            health,
            arms: arms.into(),
            interface,
        }
    }

    /// The pools as they are at this moment.
    pub fn pools(&self) -> Arc<Pools> {
        self.pools.load_full()
    }

    /// Gives the backends the weights that follow from `adjustments`. Flows that have a backend keep it.
    ///
    /// On the thread of [`keep_pools`](Self::keep_pools), which replaces the pools without waiting in between, too: neither undoes what
    /// the other does.
    pub fn adjust(&self, adjustments: &Adjustments) {
        let weights = adjustments.weights(&self.plan);
        self.pools.store(self.pools().reweighted(&self.plan, weights).into());
        self.adjusted.notify_one();
    }

    /// What each worker has done.
    pub fn traffic(&self) -> impl Iterator<Item = &Traffic> {
        self.traffic.iter().map(AsRef::as_ref)
    }

    /// What went to each backend, through the workers and past them.
    pub fn per_backend(&self) -> Vec<Carriage> {
        let past = |backend| self.forwarded.to_backend(backend);
        self.sum(self.plan.backends.len(), past, |traffic| Box::new(traffic.per_backend()))
    }

    /// What was for each service, through the workers and past them.
    pub fn per_service(&self) -> Vec<Carriage> {
        let past = |service| self.forwarded.of_service(service);
        self.sum(self.plan.services.len(), past, |traffic| Box::new(traffic.per_service()))
    }

    fn sum<'a>(
        &'a self,
        count: usize,
        past: impl Fn(u16) -> Carried,
        through: impl Fn(&'a Traffic) -> Box<dyn Iterator<Item = Carriage> + 'a>,
    ) -> Vec<Carriage> {
        let past = |number| {
            let Carried { frames, octets, answers, answer_octets } = past(number);
            Carriage { frames, octets, begun: 0, answers, answer_octets }
        };
        let mut sums: Vec<Carriage> = (0..).map(past).take(count).collect();
        for traffic in &self.traffic {
            sums.iter_mut().zip(through(traffic)).for_each(|(sum, of_worker)| sum.add(of_worker));
        }
        sums
    }

    /// Some of the flows that the workers remember and `filter` lets through, `limit` at most, and how many there are.
    ///
    /// # Errors
    ///
    /// The workers do not answer.
    pub async fn flows(&self, filter: Filter, limit: usize) -> Result<Known, NoAnswer> {
        self.desks.get().ok_or(NoAnswer)?.flows(&self.plan, filter, limit).await
    }

    /// What the workers remember of `flow`.
    ///
    /// # Errors
    ///
    /// The workers do not answer.
    pub async fn find(&self, flow: Flow) -> Result<Option<Remembered>, NoAnswer> {
        self.desks.get().ok_or(NoAnswer)?.find(&self.plan, flow).await
    }

    /// What XDP knows of `flow`.
    pub fn cached(&self, flow: &Flow) -> Option<Cached> {
        self.cached.as_ref()?.find(flow)
    }

    /// Starts the workers, as soon as all queues are free.
    ///
    /// # Errors
    ///
    /// There is no thread for it.
    pub fn start(&self, entries: Entries) -> io::Result<()> {
        let Entries { sockets, flow_handover, translator, translated, flows } = entries;
        let macs: Vec<_> = self.arms.iter().map(|arm| arm.mac).collect();
        let forwarder = |(worker, traffic): (u16, &Arc<Traffic>)| {
            let (plan, cache, traffic) = (Arc::clone(&self.plan), self.cached.clone(), Arc::clone(traffic));
            let translator = translator.clone().map(|translator| Translator { worker, ..translator });
            Forwarder::new(plan, flows, cache, translator, macs.clone(), traffic)
        };
        let mut forwarders: Vec<_> = (0..).zip(&self.traffic).map(forwarder).collect();
        let (ways, desks): (Vec<_>, Vec<_>) = self.traffic.iter().map(|_| Desk::new()).unzip();
        let _ = self.desks.set(Desks(ways.into()));
        let (pools, health) = (Arc::clone(&self.pools), Arc::clone(&self.health));
        let (plan, arms, interface) =
            (Arc::clone(&self.plan), Arc::clone(&self.arms), self.interface.clone());
        self.health.begin();
        let opening = move || {
            // Before the queues are waited for: XDP forwards these flows already.
            match flow_handover.map(|handover| inherit(&handover, translated, &plan, &mut forwarders)) {
                Some(Ok((flows @ 1.., took))) => {
                    tracing::info!(interface, flows, ?took, "flows of the agent before taken up");
                }
                Some(Err(error)) => {
                    tracing::warn!(interface, %error, "flows of the agent before, or of this one for the next, begin anew");
                }
                Some(Ok((0, _))) | None => {}
            }
            match open(&arms, forwarders, desks, sockets, &pools, &health) {
                Ok(()) => tracing::info!(interface, "engine up"),
                // For another agent.
                Err(_) if health.is_over() => {}
                Err(error) => {
                    tracing::error!(interface, "the engine does not run: {error:#}");
                    health.refuse(format!("{error:#}"));
                    health.end();
                }
            }
        };
        thread::Builder::new().name("engine".to_owned()).stack_size(STACK).spawn(opening).map(drop)
    }

    /// Whether it does its work.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Ends the workers, so that the next agent's get the queues.
    pub fn end(&self) {
        self.health.end();
    }

    /// What looks at its backends.
    ///
    /// # Errors
    ///
    /// A check is to run a program as a user that there is not.
    pub fn checks(&self) -> Result<Checks, ProgramError> {
        watch::checks(&self.plan)
    }

    /// Compares its tables for ever with those of the other nodes of `circles`, which are of `family`, on the interface with the index
    /// `index`. What comes of it is for the operator alone.
    pub async fn compare(self: Arc<Self>, family: Family, index: u32, circles: Vec<Circle>) {
        let Self { plan, pools, peers, interface, .. } = &*self;
        Comparison { plan, pools, peers, interface, circles }.run(family, index).await;
    }

    /// What other nodes say of their tables of `pool`.
    pub fn peers_of(&self, pool: usize) -> Vec<PeerTable> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).of_pool(pool).collect()
    }

    /// Keeps the pools, and what the data plane knows of the `backends`, as the host's neighbours on each arm and the `checks` have them.
    pub async fn keep_pools(
        self: Arc<Self>,
        neighbours: Vec<Neighbours>,
        backends: Backends,
        checks: Checks,
    ) {
        let Self { plan, pools, adjusted, interface, .. } = &*self;
        let told = vec![None; plan.backends.len()];
        let hops = plan.backends.iter().map(|backend| Some(backend.address)).collect();
        let is_refused = false;
        Watch { plan, pools, backends, neighbours, adjusted, told, hops, interface, is_refused }
            .run(checks)
            .await;
    }
}

/// The workers' ways into the data plane.
pub struct Entries {
    /// Where frames come from.
    pub sockets: Sockets,
    /// From where and to where established flows go when agents change; none if there are none.
    pub flow_handover: Option<FlowHandover>,
    /// What translates, if packets for some backends are to be translated.
    pub translator: Option<Translator>,
    /// The flows of the agent before that it translates already.
    pub translated: Vec<(Cached, BackendName)>,
    /// Flows that each worker remembers.
    pub flows: usize,
}

/// Makes this agent's cache, whose numbers are those of `plan`, the one that the next agent finds, and takes up what the agent before
/// has cached, each flow by one of `forwarders`. How many flows that were, and how long it took.
///
/// In this order: a flow that this agent has given another backend must not be found with its old one by the next. If this one is
/// killed before it is done, the flows begin anew that it has not come to.
fn inherit(
    handover: &FlowHandover,
    translated: Vec<(Cached, BackendName)>,
    plan: &Plan,
    forwarders: &mut [Forwarder<FlowCache>],
) -> Result<(u64, Duration), DatapathError> {
    let begun = clock::now();
    let before = handover.before();
    // Whatever the one before has left: the next agent is to find this one's.
    handover.pin(plan.names())?;
    let before = before?;
    // Any worker will do: another one that gets a frame finds the flow in the cache.
    let workers = forwarders.len() as u64;
    let mut count = 0;
    // Those that are translated by now may have ended meanwhile: they come again, and end here.
    for (cached, name) in translated.into_iter().chain(before.iter().flat_map(Heritage::flows)) {
        let worker = usize::try_from(flow::hash(&cached.flow) % workers.max(1)).unwrap_or_default();
        if let Some(forwarder) = forwarders.get_mut(worker) {
            count += u64::from(forwarder.inherit(&cached, &name, begun));
        }
    }
    Ok((count, clock::now().saturating_since(begun)))
}

/// Opens the ring of each worker and starts that. None gets a frame before all can.
fn open(
    arms: &[Arm],
    forwarders: Vec<Forwarder<FlowCache>>,
    desks: Vec<Desk>,
    mut sockets: Sockets,
    pools: &Arc<ArcSwap<Pools>>,
    health: &Arc<Health>,
) -> anyhow::Result<()> {
    let workers = forwarders.len();
    let rings: Vec<_> = (0..)
        .take(workers)
        .map(|worker| open_ring(arms, worker, workers, health))
        .collect::<Result<_, _>>()?;
    let descriptors: Vec<_> = rings.iter().flat_map(ForwardingRing::sockets).collect();
    for (worker, ((ring, forwarder), desk)) in (0..).zip(rings.into_iter().zip(forwarders).zip(desks)) {
        let (pools, shift) = (Arc::clone(pools), Shift::begin(health, worker));
        let run = move || {
            worker::pin(worker);
            Worker { ring, forwarder, pools, desk, shift }.run();
        };
        thread::Builder::new().name(format!("engine-{worker}")).stack_size(STACK).spawn(run)?;
    }
    for (arm, queue, socket) in descriptors {
        sockets.set(engine_socket(u32::try_from(arm)?, queue), socket)?;
    }
    Ok(())
}

/// Opens the ring of a worker, as soon as its queues are free: each of so many `workers` has those of every arm whose turn it is.
fn open_ring(
    arms: &[Arm],
    worker: u32,
    workers: usize,
    health: &Health,
) -> Result<ForwardingRing, RingError> {
    let numbers = |arm: &Arm| (worker..arm.queues).step_by(workers).collect();
    let queues: Vec<_> =
        arms.iter().map(|arm| Queues { interface: &arm.name, numbers: numbers(arm) }).collect();
    let mut tries = 0;
    loop {
        match ForwardingRing::open(&queues) {
            Err(error) if error.is_busy() && !health.is_over() => {
                tries += 1;
                if tries == BUSY_TRIES {
                    tracing::warn!(%error, "the engine waits for it; services are down");
                }
                thread::sleep(BUSY_PAUSE);
            }
            opened => return opened,
        }
    }
}
