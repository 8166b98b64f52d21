//! What goes between the election thread and the rest of the process: commands in, events and snapshots out. All of it
//! is plain data of fixed size, but for sockets; buffers for answers are brought by whoever asks.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::oneshot;

use super::lateness::LatenessSummary;
use super::rings::Rings;
use crate::host::gateways::Gateways;
use crate::recorder::{Record, Recorder, Spans};
use crate::vrrp::{Fitness, Instant, Interval, Priority, Reason, Role, Standing};

/// Commands that may wait; more means that the election thread does not run, and the sender is told.
const QUEUE: usize = 64;

/// Where a virtual router is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the port.
    pub port: usize,
    /// Index of the virtual router on it.
    pub router: usize,
}

/// What the election thread can be told.
#[derive(Debug)]
pub enum Command {
    /// The host is ready for all virtual routers: begin the elections of those that have not taken up a lease.
    Begin,
    /// Give every virtual router up and end.
    Stop,
    /// End, and leave to the next agent what this host owns. What is leaving, or to be given up, is not left half way.
    PassOn {
        /// What the next agent does not have.
        given_up: Vec<Place>,
    },
    /// Give virtual routers to a Backup.
    Handover {
        /// Which.
        routers: Vec<Place>,
        /// Only to the router with this primary address.
        to: Option<IpAddr>,
    },
    /// Give every virtual router to a Backup and take no part.
    Drain,
    /// Take part again.
    Undrain,
    /// The trackers have looked.
    Tracked {
        /// The virtual routers that it concerns, each with its priority from here on and whether it is to serve.
        routers: Vec<(Place, Priority, Fitness)>,
    },
    /// What of the interface is usable.
    Link {
        /// Index of the port.
        port: usize,
        /// The addresses that adverts can be sent from: without a carrier none.
        sources: Vec<IpAddr>,
    },
    /// The interface leads to other default gateways than before.
    Gateways {
        /// Index of the port.
        port: usize,
        /// All that it leads to.
        gateways: Gateways,
    },
    /// A frame arrived on the interface that only a network can have sent which lets frames through.
    FrameHeard {
        /// Index of the port.
        port: usize,
    },
    /// Send and receive through rings as well.
    AddRings {
        /// Index of the port.
        port: usize,
        /// Its rings.
        rings: Rings,
    },
    /// A program of ours is on the interface no more: ownership cannot be exercised.
    DatapathLost {
        /// Index of the port.
        port: usize,
    },
    /// Say whether one of these virtual routers waits for a successor: a short answer, beside [`Status`](Self::Status), for
    /// somebody who asks again and again.
    AnyLeaving {
        /// The virtual routers.
        routers: Vec<Place>,
        /// Where the answer goes.
        reply: oneshot::Sender<bool>,
    },
    /// Describe yourself.
    Status {
        /// One snapshot per port, with room for its routers.
        into: Vec<PortSnapshot>,
        /// Where they go.
        reply: oneshot::Sender<Snapshot>,
    },
}

/// How the election thread ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has given every virtual router up.
    Stopped,
    /// It has left what this host owns to the next agent.
    PassedOn,
}

/// The election at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// All ports, in order.
    pub ports: Vec<PortSnapshot>,
    /// What it costs.
    pub load: Load,
}

/// What the election thread has used.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Time on a CPU.
    pub cpu: Duration,
    /// Time since it began.
    pub running: Duration,
    /// How late it wakes, since it began.
    pub lateness: LatenessSummary,
    /// The same, counted by bounds.
    pub late: Spans,
}

/// A port at one moment.
#[derive(Clone, Debug, Default)]
pub struct PortSnapshot {
    /// Its virtual routers, in order.
    pub routers: Vec<RouterSnapshot>,
    /// Frames that the XDP program let through and the agent's own parser refused.
    pub discarded: u64,
    /// Whether advertisements are heard through AF_XDP.
    pub rings: bool,
}

/// A virtual router at one moment.
#[derive(Clone, Copy, Debug)]
pub struct RouterSnapshot {
    /// Its state.
    pub role: Role,
    /// The last role change.
    pub since: Option<Instant>,
    /// Its reason.
    pub reason: Option<Reason>,
    /// What the trackers leave of its priority.
    pub priority: Priority,
    /// What they say.
    pub fitness: Fitness,
    /// Whether it has asked for a successor and serves until one speaks.
    pub leaving: bool,
    /// Whether it has handed over and does not preempt.
    pub yielded: bool,
    /// Until when it leaves the role to a weaker Active router, if it is Backup.
    pub preempts_from: Option<Instant>,
    /// Whether it has heard nothing since it came up, and is held back for it.
    pub deaf: bool,
    /// Whether it would be Active but for others of its group.
    pub ready: bool,
    /// Whether the operator has taken it out of the election.
    pub drained: bool,
    /// End of the lease as it stands in the map.
    pub lease: Instant,
    /// Takeovers since the map was made.
    pub epoch: u32,
    /// When the first frame to one of the addresses was accepted since the last of them.
    pub served: Option<Instant>,
    /// Who was heard.
    pub peers: [Option<PeerSnapshot>; MAX_PEERS],
    /// The last role changes.
    pub recorder: Recorder,
    /// The S-BFD session with the Active router.
    pub watch: Option<WatchSnapshot>,
}

/// An S-BFD session with the Active router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchSnapshot {
    /// The Active router.
    pub peer: IpAddr,
    /// Whether it answers that it serves.
    pub up: bool,
    /// Whether this host is to take over at once when it does not.
    pub next_in_line: bool,
    /// Probes that it has not answered.
    pub missed: u64,
    /// Those that did not count because this host was stalled.
    pub vetoed: u64,
}

/// Peers that are remembered per virtual router; the one that was silent longest makes way.
pub const MAX_PEERS: usize = 8;

/// Another router of the same VRID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerSnapshot {
    /// Its primary address.
    pub address: IpAddr,
    /// What it last said of itself.
    pub standing: Standing,
    /// Its Max Advertise Interval.
    pub interval: Interval,
    /// When it was last heard.
    pub heard: Instant,
    /// Whether its list of addresses was ours.
    pub same_vips: bool,
}

/// Something for the log.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The virtual router that it is about.
    pub place: Place,
    /// What it is.
    pub news: News,
}

/// What is new about a virtual router.
#[derive(Clone, Copy, Debug)]
pub enum News {
    /// A role changed, or a handover began or was refused.
    Transition {
        /// What, why and when.
        record: Record,
        /// Takeovers since the map was made, this one included.
        epoch: u32,
    },
    /// A peer was heard for the first time, or with other settings than before.
    Peer(PeerSnapshot),
    /// The Active router has advertised when its Backups were about to take over: of the adverts that they may miss all but
    /// one were missed.
    LongSilence {
        /// The Active router.
        peer: IpAddr,
        /// How long it was silent.
        gap: Duration,
    },
    /// An Active router that was thought dead was not.
    FalseAlarm {
        /// The Active router.
        peer: IpAddr,
        /// How long it is left to the timers of VRRP.
        wait: Duration,
    },
}

/// The rest of the process's end of the command channel.
#[derive(Clone, Debug)]
pub struct Remote {
    queue: SyncSender<Command>,
    wake: Arc<EventFd>,
}

/// The election thread's end.
pub struct Receiving {
    pub(super) queue: Receiver<Command>,
    pub(super) wake: Arc<EventFd>,
}

/// Makes the command channel.
///
/// # Errors
///
/// The process has no descriptor to spare.
pub fn channel() -> nix::Result<(Remote, Receiving)> {
    let (sender, queue) = sync_channel(QUEUE);
    let wake = Arc::new(EventFd::from_value_and_flags(0, EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
    Ok((Remote { queue: sender, wake: Arc::clone(&wake) }, Receiving { queue, wake }))
}

/// The election thread does not take commands.
#[derive(Debug, thiserror::Error)]
#[error("the election thread does not answer")]
pub struct Unresponsive;

impl Remote {
    /// Sends `command` without waiting.
    ///
    /// # Errors
    ///
    /// The thread has ended, or has not looked at its commands for long.
    pub fn send(&self, command: Command) -> Result<(), Unresponsive> {
        match self.queue.try_send(command) {
            Ok(()) => {
                // A full counter wakes as well as a raised one.
                let _ = self.wake.write(1);
                Ok(())
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Unresponsive),
        }
    }
}
