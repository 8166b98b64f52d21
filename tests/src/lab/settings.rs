//! What an operator decides about a pair, and the virtual routers of a node.

use std::net::Ipv4Addr;

use baton::config::XdpChoice;

use super::keepalived::priority;
use super::{Host, VRID};

/// How both nodes of a pair are configured. What is a matter of Baton alone means nothing to the others.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Advertisement_Interval in milliseconds, a multiple of 10.
    pub interval_ms: u16,
    /// Whether the better node takes the addresses again when it comes back.
    pub preempt: bool,
    /// `xdp` of Baton.
    pub xdp: XdpChoice,
    /// `checksum` of Baton.
    pub checksum: &'static str,
    /// `sbfd` of Baton.
    pub sbfd: &'static str,
    /// Further lines of Baton's `[[router]]`.
    pub more: &'static str,
}

impl Settings {
    /// What most suites and all measurements use: 10 ms, and an owner that stays owner until something befalls it.
    pub const USUAL: Self = Self {
        interval_ms: 10,
        preempt: false,
        xdp: XdpChoice::Auto,
        checksum: "auto",
        sbfd: "auto",
        // The segment is silent until somebody is probed for.
        more: "startup_hold_ms = 0\n",
    };
    /// VRRP's own, for a system about which nothing was decided.
    pub const DEFAULTS: Self = Self { interval_ms: 1000, preempt: true, ..Self::USUAL };
}

/// A virtual router on one node. `A` is the address type of the family.
#[derive(Clone, Copy, Debug)]
pub struct Router<'a, A = Ipv4Addr> {
    /// Its identifier.
    pub vrid: u8,
    /// The node's priority in its election.
    pub priority: u8,
    /// Its addresses.
    pub vips: &'a [A],
}

impl<'a> Router<'a> {
    /// The lab's usual one: [`VRID`], which prefers node a.
    pub const fn usual(host: Host, vips: &'a [Ipv4Addr]) -> Self {
        Self { vrid: VRID, priority: priority(host), vips }
    }
}
