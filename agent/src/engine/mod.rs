//! The engine: spreads the flows of services over real servers. It is a wing of its own: XDP gives it frames only while this host owns
//! their VIP, and nothing of the election waits for it.
//!
//! ```text
//!  XDP: owned VIP, a service's port -> AF_XDP ring of the receive queue
//!                                        | worker, one for each queue, which shares nothing with others
//!                                        v
//!     packet::parse -> flows: has it a backend? -> plan: which pool? -> maglev: which backend? -> Ethernet addresses -> same ring
//!                                                                         ^
//!     kernel's neighbour table, checks -> watch (tokio) -> pools, swapped as a whole
//! ```
//!
//! Two nodes with the same pools and the same view of their backends choose the same backend for a flow: connections survive that
//! the VIP moves.

mod flow;
mod flows;
mod forwarder;
mod maglev;
mod packet;
mod plan;
mod pools;
mod traffic;
mod watch;
mod worker;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;

pub use flow::Flow;
pub use forwarder::Forwarder;
pub use maglev::Table;
pub use packet::Signal;
pub use plan::{Backend, Plan};
pub use pools::{Condition, Pools};
pub use traffic::{Loss, Traffic};

use crate::datapath::Sockets;
use crate::host::neighbours::Neighbours;
use crate::wire::Mac;
use crate::xsk::{ForwardingRing, MAX_FRAME, RingError};
use watch::Watch;
use worker::Worker;

/// Flows that a worker remembers.
const FLOWS: usize = 131_072;

/// A queue that is busy belongs to an agent that ended this moment: the kernel frees it within some 50 ms, later where it
/// has much to do.
const BUSY_TRIES: u32 = 250;
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Ethernet header and two VLAN tags, which are not counted in the MTU.
const LINK_HEADER: usize = 14 + 8;
/// The largest MTU with which every frame fits into one buffer.
pub const MAX_MTU: usize = MAX_FRAME - LINK_HEADER;

/// The engine of one interface.
#[derive(Debug)]
pub struct Engine {
    /// What it is to do.
    pub plan: Arc<Plan>,
    pools: Arc<ArcSwap<Pools>>,
    /// What each worker has done.
    traffic: Vec<Arc<Traffic>>,
    device_mac: Mac,
    interface: String,
}

impl Engine {
    /// One that forwards nothing yet, for `interface` with so many receive queues.
    pub fn new(plan: Plan, interface: &str, device_mac: Mac, queues: u32) -> Self {
        let traffic = || Arc::new(Traffic::new(plan.backends.len()));
        let traffic = (0..queues).map(|_| traffic()).collect();
        let pools = Arc::new(ArcSwap::from_pointee(Pools::new(
            &plan,
            vec![Condition::Unreachable; plan.backends.len()],
        )));
        let (plan, interface) = (Arc::new(plan), interface.to_owned());
        Self { plan, pools, traffic, device_mac, interface }
    }

    /// The pools as they are at this moment.
    pub fn pools(&self) -> Arc<Pools> {
        self.pools.load_full()
    }

    /// What each worker has done.
    pub fn traffic(&self) -> impl Iterator<Item = &Traffic> {
        self.traffic.iter().map(AsRef::as_ref)
    }

    /// Starts the workers, each as soon as its queue is free, with `sockets` for their places.
    ///
    /// # Errors
    ///
    /// There is no thread for it.
    pub fn start(&self, sockets: Sockets) -> io::Result<()> {
        let forwarders: Vec<Forwarder> = self
            .traffic
            .iter()
            .map(|traffic| {
                Forwarder::new(Arc::clone(&self.plan), FLOWS, self.device_mac, Arc::clone(traffic))
            })
            .collect();
        let (pools, interface) = (Arc::clone(&self.pools), self.interface.clone());
        let opening = move || open(&interface, forwarders, sockets, &pools);
        thread::Builder::new().name("engine".to_owned()).spawn(opening).map(drop)
    }

    /// Keeps the pools as the host's neighbours and the checks of the backends have them.
    pub async fn keep_pools(self: Arc<Self>, neighbours: Neighbours) {
        let Self { plan, pools, interface, .. } = &*self;
        Watch { plan, pools, neighbours, interface }.run().await;
    }
}

/// Opens the ring of each queue and starts its worker, which works until the process ends.
fn open(interface: &str, forwarders: Vec<Forwarder>, mut sockets: Sockets, pools: &Arc<ArcSwap<Pools>>) {
    let queues = forwarders.len();
    for (queue, forwarder) in (0..).zip(forwarders) {
        let ring = match open_ring(interface, queue) {
            Ok(ring) => ring,
            Err(error) => {
                return tracing::error!(interface, %error, "the engine does not run; services are down");
            }
        };
        let socket = ring.raw_fd();
        let worker = Worker { ring, forwarder, pools: Arc::clone(pools) };
        let run = move || {
            worker::pin(queue);
            worker.run();
        };
        let started = thread::Builder::new().name(format!("engine-{queue}")).spawn(run);
        if let Err(error) = started {
            return tracing::error!(interface, %error, "no thread for the engine; services are down");
        }
        if let Err(error) = sockets.set(queue, socket) {
            return tracing::error!(interface, %error, "the engine gets no frames; services are down");
        }
    }
    tracing::info!(interface, queues, "engine up");
}

fn open_ring(interface: &str, queue: u32) -> Result<ForwardingRing, RingError> {
    for _ in 1..BUSY_TRIES {
        match ForwardingRing::open(interface, queue) {
            Err(error) if error.is_busy() => thread::sleep(BUSY_PAUSE),
            opened => return opened,
        }
    }
    ForwardingRing::open(interface, queue)
}
