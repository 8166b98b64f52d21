//! AF_XDP sockets for the interfaces, opened while the elections run on the raw sockets and added to them when all queues
//! of an interface have one. With some queues deaf, what is heard would depend on the sender's hash.

use std::thread;
use std::time::Duration;

use crate::datapath::Sockets;
use crate::driver::{Command, Remote, Renewal, Rings};
use crate::xsk::Ring;

/// A queue that is busy belongs to an agent that ended this moment: the kernel frees it within some 50 ms, later where it
/// has much to do.
const BUSY_TRIES: u32 = 250;
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// All memory is locked, and libxdp wants little.
const STACK: usize = 256 * 1024;

/// The rings of an interface that is to hear through AF_XDP, as far as they are open.
pub(super) struct PendingRings {
    port: usize,
    interface: String,
    queues: u32,
    sockets: Sockets,
    rings: Vec<Ring<Option<Renewal>>>,
}

impl PendingRings {
    /// For all `queues` of `interface`, which is that of `port`, for whose sockets there are places in `sockets`.
    pub(super) fn new(port: usize, interface: &str, queues: u32, sockets: Sockets) -> Self {
        Self { port, interface: interface.to_owned(), queues, sockets, rings: Vec::new() }
    }
}

/// Opens `pending`, and tells the election thread of each one when it is complete. An interface whose
/// queues stay busy, or whose driver has no AF_XDP, is left with the raw sockets.
pub(super) fn open(pending: Vec<PendingRings>, remote: Remote) {
    let opening = move || {
        let mut left = pending;
        for tries_left in (0..BUSY_TRIES).rev() {
            left = left.into_iter().filter_map(|rings| rings.try_open(&remote, tries_left == 0)).collect();
            if left.is_empty() {
                return;
            }
            thread::sleep(BUSY_PAUSE);
        }
    };
    if let Err(error) = thread::Builder::new().name("af-xdp".to_owned()).stack_size(STACK).spawn(opening) {
        tracing::warn!(%error, "no thread for AF_XDP; adverts go through raw sockets");
    }
}

impl PendingRings {
    /// Opens what is missing. Answers with itself if it has to be tried again.
    fn try_open(mut self, remote: &Remote, last: bool) -> Option<Self> {
        for queue in (0..self.queues).skip(self.rings.len()) {
            match Ring::open(&self.interface, queue) {
                Ok(ring) => self.rings.push(ring),
                Err(error) if error.is_busy() && !last => return Some(self),
                Err(error) => {
                    refused(&self.interface, &error);
                    return None;
                }
            }
        }
        let Self { port, interface, queues, sockets, rings } = self;
        match Rings::new(rings, sockets) {
            Ok(rings) => {
                if remote.send(Command::AddRings { port, rings }).is_ok() {
                    tracing::info!(interface, queues, "AF_XDP up");
                }
            }
            Err(error) => refused(&interface, &error),
        }
        None
    }
}

fn refused(interface: &str, error: &dyn std::error::Error) {
    tracing::warn!(interface, %error, "no AF_XDP; adverts go through raw sockets");
}
