//! What ends the hold of a virtual router that has started: the first frame which shows that the network lets frames through
//! to this host. Advertisements reach the election thread by themselves; all other frames are counted by XDP, and the
//! counts are looked at here while somebody is held.
//!
//! In generic mode a multicast of this host's own that the kernel loops back is counted, too.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::control::server::Server;
use crate::driver::Command;

/// How often the counts are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Who listens, for every interface.
pub(super) struct Holds(Vec<Arc<Notify>>);

impl Holds {
    /// Listeners for the interfaces of `server`, which wait to be needed.
    pub(super) fn begin(runtime: &Runtime, server: &Arc<Server>) -> Self {
        let listener = |port| {
            let needed = Arc::new(Notify::new());
            runtime.spawn(run(Arc::clone(server), port, Arc::clone(&needed)));
            needed
        };
        Self((0..server.ports.len()).map(listener).collect())
    }

    /// A virtual router on `port` has started.
    pub(super) fn listen(&self, port: usize) {
        if let Some(listener) = self.0.get(port) {
            listener.notify_one();
        }
    }
}

async fn run(server: Arc<Server>, port: usize, needed: Arc<Notify>) {
    let held = &server.ports[port];
    let hold = held.routers.iter().map(|router| router.config.startup_hold).max().unwrap_or_default();
    loop {
        needed.notified().await;
        let (before, end) = (held.counters.let_through(), Instant::now() + hold);
        while Instant::now() < end {
            sleep(LOOK).await;
            if held.counters.let_through() > before {
                // An election thread that does not take commands is noticed elsewhere.
                let _ = server.remote.send(Command::FrameHeard { port });
                break;
            }
        }
    }
}
