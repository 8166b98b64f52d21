//! Who owns the VIP, read from the ownership cells of all nodes at once: what their data planes go by, whatever reaches the
//! client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow};
use baton::clock;
use baton::datapath::{Leases, Pins};
use baton::vrrp::{Instant, Ownership};

use super::{Host, Lab};

/// How often it looks.
const LOOK: Duration = Duration::from_micros(100);
/// Looks that are further apart have seen nothing of the time between them: this process was held up.
const BLIND: Duration = Duration::from_millis(1);

/// A witness at work.
#[derive(Debug)]
pub struct Witness {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Testimony>,
}

/// The longest times that were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Testimony {
    /// With two owners or more.
    pub overlap: Duration,
    /// With two owners or more that do not linger.
    pub conflict: Duration,
    /// Without an owner.
    pub gap: Duration,
}

impl Witness {
    /// Begins to watch `hosts`, on each of which an agent has run.
    pub fn start(lab: &Lab, hosts: &[Host]) -> Result<Self> {
        let pins = |host: &Host| Pins::new(&lab.directory().join("bpf").join(host.name()), "eth0");
        let leases = hosts.iter().map(|host| Ok(Leases::pinned(&pins(host))?)).collect::<Result<Vec<_>>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || watch(&leases, &told));
        Ok(Self { stop, thread })
    }

    /// Stops it and hears what it saw.
    pub fn finish(self) -> Result<Testimony> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the witness panicked"))
    }
}

fn watch(leases: &[Leases], stop: &AtomicBool) -> Testimony {
    let (mut overlap, mut conflict, mut gap) = (Stretch::default(), Stretch::default(), Stretch::default());
    while !stop.load(Ordering::Relaxed) {
        let (mut owners, mut holders) = (0, 0);
        let found: Vec<Ownership> = leases.iter().map(|leases| leases.read(0)).collect();
        let now = clock::now();
        for ownership in found {
            let (until, holds) = match ownership {
                Ownership::Held(until) => (until, true),
                Ownership::Lingering(until) | Ownership::Offered(until) => (until, false),
                Ownership::Released => continue,
            };
            owners += u32::from(now < until);
            holders += u32::from(now < until && holds);
        }
        overlap.see(owners > 1, now);
        conflict.see(holders > 1, now);
        gap.see(owners == 0, now);
        thread::sleep(LOOK);
    }
    Testimony { overlap: overlap.longest, conflict: conflict.longest, gap: gap.longest }
}

/// How long something was so.
#[derive(Default)]
struct Stretch {
    /// Since when, and when it was last seen.
    current: Option<(Instant, Instant)>,
    longest: Duration,
}

impl Stretch {
    fn see(&mut self, is_so: bool, now: Instant) {
        let current = self.current.filter(|(_, last)| now.saturating_since(*last) < BLIND);
        self.current = is_so.then_some((current.map_or(now, |(since, _)| since), now));
        if let Some((since, last)) = self.current {
            self.longest = self.longest.max(last.saturating_since(since));
        }
    }
}
