//! The words of the election: time, priority, interval, advertisement. Every type holds only what RFC 9568 allows.

use std::fmt;
use std::num::NonZeroU8;
use std::ops::Add;
use std::time::Duration;

use super::version::Version;

/// A point in time: nanoseconds of CLOCK_BOOTTIME, the clock that XDP stamps frames and judges leases with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The instant `nanos` nanoseconds after the clock's zero.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's zero.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time since `earlier`, zero when `earlier` lies ahead.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// What the ownership map says of a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Not owned.
    Released,
    /// Owned until then.
    Held(Instant),
    /// Owned until then, and whoever asks is told to succeed: the linger of a planned move.
    Lingering(Instant),
    /// Owned until then, and only [`successor`](super::VirtualRouter::successor) is told to succeed.
    Offered(Instant),
}

/// A configured priority, 1 to 255 (RFC 9568 5.2.4). 0 is not a priority: see [`Standing::Leaving`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(NonZeroU8);

impl Priority {
    /// The router that really owns the addresses; it never waits and always preempts.
    pub const ADDRESS_OWNER: Self = Self(NonZeroU8::MAX);

    /// The priority `octet`, or `None` for 0.
    pub const fn new(octet: u8) -> Option<Self> {
        match NonZeroU8::new(octet) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The last resort: what a [failing](Fitness::Failing) router advertises. Whoever is fit relieves it, whatever its
    /// Preempt_Mode.
    pub const LAST_RESORT: Self = Self(NonZeroU8::MIN);

    /// The octet as it stands in an advertisement.
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

/// Whether what a virtual router leads to is in order, as its trackers see it. Not in the RFC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fitness {
    /// The trackers have not looked yet. Nothing is taken from another router, and nothing is given up.
    Unknown,
    /// It is.
    Fit,
    /// It is not. Another router is to serve, if there is one that is fit; the addresses stay where they are if not.
    Failing,
}

impl Fitness {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Unknown, Self::Fit, Self::Failing];
}

impl fmt::Display for Fitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Fit => "fit",
            Self::Failing => "failing",
        })
    }
}

/// What the priority octet of an advertisement says of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Priority 0: the Active router stops participating (RFC 9568 5.2.4).
    Leaving,
    /// The sender is Active with this priority.
    Active(Priority),
}

impl Standing {
    /// The standing that priority octet `octet` expresses.
    pub const fn from_octet(octet: u8) -> Self {
        match Priority::new(octet) {
            Some(priority) => Self::Active(priority),
            None => Self::Leaving,
        }
    }

    /// The octet as it stands in an advertisement.
    pub const fn octet(self) -> u8 {
        match self {
            Self::Leaving => 0,
            Self::Active(priority) => priority.get(),
        }
    }
}

/// A Max Advertise Interval, 1 to 4095 centiseconds (RFC 9568 5.2.7, erratum 8301: never 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(u16);

impl Interval {
    /// A second (RFC 9568 6.1).
    pub const DEFAULT: Self = Self(100);
    /// The shortest that an advertisement can tell of.
    pub const SHORTEST: Self = Self(1);
    /// The longest.
    const LONGEST: Self = Self(4095);

    /// The interval of `centiseconds` (10 ms each), or `None` outside 1 to 4095.
    pub const fn from_centiseconds(centiseconds: u16) -> Option<Self> {
        match centiseconds {
            1..=4095 => Some(Self(centiseconds)),
            _ => None,
        }
    }

    /// The interval in centiseconds, as it stands in an advertisement.
    pub const fn centiseconds(self) -> u16 {
        self.0
    }

    /// The interval of `seconds`, which VRRPv2 counts in, as far as a VRRPv3 advertisement can tell it; `None` for 0.
    #[must_use]
    pub fn from_seconds(seconds: u8) -> Option<Self> {
        Self::from_centiseconds((u16::from(seconds) * 100).min(Self::LONGEST.0))
    }

    /// The interval in whole seconds, if it is such an interval that VRRPv2 can name.
    pub const fn seconds(self) -> Option<u16> {
        if self.0.is_multiple_of(100) { Some(self.0 / 100) } else { None }
    }

    /// So many times the interval, as far as an advertisement can tell it; at least once.
    #[must_use]
    pub fn times(self, times: u16) -> Self {
        Self(self.0.saturating_mul(times.max(1))).min(Self::LONGEST)
    }

    /// The interval as a span of time.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64 * 10)
    }
}

/// How a VRRPv3 checksum over IPv4 was made (RFC 9568 5.2.8; RFC 5798 was ambiguous).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// Over the VRRP message alone, as RFC 9568 says.
    Rfc9568,
    /// Over an IPv4 pseudo-header too, as keepalived and FRR do by default.
    Pseudo,
}

/// Which checksums are accepted and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumMode {
    /// Only this flavour, both ways.
    Only(Checksum),
    /// Accept both; send what a peer was last heard to use, and until then this one.
    Auto(Checksum),
}

/// A checked advertisement. `A` is the address type of the family, `Ipv4Addr` or `Ipv6Addr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertisement<A> {
    /// Primary address of the sender.
    pub source: A,
    /// The priority octet.
    pub standing: Standing,
    /// Max Advertise Interval.
    pub interval: Interval,
    /// The version that it came in.
    pub version: Version,
    /// The checksum flavour that matched.
    pub checksum: Checksum,
}

/// The state of a virtual router (RFC 9568 6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Waiting for Startup.
    Initialize,
    /// Watching the Active router.
    Backup,
    /// Serving the addresses.
    Active,
}

impl Role {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Initialize, Self::Backup, Self::Active];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initialize => "Initialize",
            Self::Backup => "Backup",
            Self::Active => "Active",
        })
    }
}

/// Why a role changed, or why an Active router is about to give its role up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The interface is up and has an address: the protocol starts.
    Startup,
    /// An earlier run of the agent left a lease that holds: this host is Active still.
    Resumed,
    /// The agent was told to stop.
    Shutdown,
    /// The operator handed the virtual router over.
    Handover,
    /// Nobody took over within the linger: still Active.
    HandoverRefused,
    /// The operator took this host out of the election.
    Drained,
    /// The interface lost its carrier or its address.
    LinkDown,
    /// Active_Down_Timer fired: the Active router has fallen silent.
    ActiveDown,
    /// The Active router said priority 0, and Skew_Time has passed.
    ActiveLeft,
    /// The Active router did not answer probes (S-BFD).
    ActiveUnreachable,
    /// The Active router said that it does not serve (S-BFD AdminDown).
    ActiveOutOfService,
    /// Active_Down_Timer fired although a router is Active: its priority is lower, this one preempts it.
    Preempted,
    /// This router owns the addresses (priority 255).
    AddressOwner,
    /// A router that goes before this one is Active: higher priority, or equal and a higher address.
    HigherPriority,
    /// What it leads to is out of order.
    TrackerFailed,
    /// A successor spoke up after this router had said priority 0.
    Succeeded,
    /// A member of its group has lost the role, and all of a group are on one host.
    GroupMoved,
    /// The lease ran out before it was renewed: this host was stalled, or could not transmit.
    LeaseLapsed,
    /// The data plane was taken off the interface.
    DatapathLost,
}

impl Reason {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 19] = [
        Self::Startup,
        Self::Resumed,
        Self::Shutdown,
        Self::Handover,
        Self::HandoverRefused,
        Self::Drained,
        Self::LinkDown,
        Self::ActiveDown,
        Self::ActiveLeft,
        Self::ActiveUnreachable,
        Self::ActiveOutOfService,
        Self::Preempted,
        Self::AddressOwner,
        Self::HigherPriority,
        Self::TrackerFailed,
        Self::Succeeded,
        Self::GroupMoved,
        Self::LeaseLapsed,
        Self::DatapathLost,
    ];
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Startup => "startup",
            Self::Resumed => "resumed",
            Self::Shutdown => "shutdown",
            Self::Handover => "handover",
            Self::HandoverRefused => "handover-refused",
            Self::Drained => "drained",
            Self::LinkDown => "link-down",
            Self::ActiveDown => "active-down",
            Self::ActiveLeft => "active-left",
            Self::ActiveUnreachable => "active-unreachable",
            Self::ActiveOutOfService => "active-out-of-service",
            Self::Preempted => "preempted",
            Self::AddressOwner => "address-owner",
            Self::HigherPriority => "higher-priority",
            Self::TrackerFailed => "tracker-failed",
            Self::Succeeded => "succeeded",
            Self::GroupMoved => "group-moved",
            Self::LeaseLapsed => "lease-lapsed",
            Self::DatapathLost => "datapath-lost",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_complete_and_in_order() {
        assert!(Role::ALL.into_iter().enumerate().all(|(index, role)| role as usize == index));
        assert!(Reason::ALL.into_iter().enumerate().all(|(index, reason)| reason as usize == index));
        assert_eq!(Role::ALL.last(), Some(&Role::Active));
        assert_eq!(Reason::ALL.last(), Some(&Reason::DatapathLost));
    }
}
