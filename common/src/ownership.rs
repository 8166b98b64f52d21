//! The memory-mapped cells of a virtual router: who owns it (written by the agent, read by the XDP program), and what was
//! last heard and first served (written by the XDP program, read by the agent).

use core::mem::{offset_of, size_of};

use crate::maps::Address;

/// Who may answer and serve for a virtual router's addresses, and until when.
///
/// This host owns the virtual router while `bpf_ktime_get_boot_ns() < lease_until_ns`, which is CLOCK_BOOTTIME. One
/// aligned 8-byte store of `lease_until_ns` is the whole switchover; the other fields are set before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Ownership {
    /// End of the lease in ns of CLOCK_BOOTTIME; 0 when this host does not own the virtual router.
    pub lease_until_ns: u64,
    /// How often this host has taken the virtual router over since the map was made; decides nothing.
    pub epoch: u32,
    /// [`LEAVING`] or nothing.
    pub flags: u32,
    /// The MAC that stands for the VIPs in ARP and neighbour discovery: the virtual MAC, or the device's own for `mac = "interface"`.
    pub mac: [u8; 6],
    /// Where packets go: [`GATEWAY`], [`NOT_ACCEPTED`] and [`BALANCED`], or with none of them the traffic to the VIPs, and no
    /// other, to the owner's kernel.
    pub delivery: u8,
    /// Always zero.
    pub _pad: u8,
    /// With [`LEAVING`]: the primary address of the only router that may succeed, or zero for any.
    pub successor: Address,
}

/// Flag in [`Ownership::flags`]: this host serves on for the rest of the lease and wants to be succeeded. Probes are told
/// that it is out of service (S-BFD AdminDown), or only those of [`Ownership::successor`].
pub const LEAVING: u32 = 1;

/// Flag in [`Ownership::delivery`]: packets to the virtual MAC that are for others, too. This host is the gateway of whoever
/// sends them.
pub const GATEWAY: u8 = 1;
/// Flag in [`Ownership::delivery`]: no traffic to the VIPs (RFC 9568 6.1, Accept_Mode False).
pub const NOT_ACCEPTED: u8 = 2;
/// Flag in [`Ownership::delivery`]: some of the VIPs have services, see [`crate::maps::FRONTENDS`].
pub const BALANCED: u8 = 4;

/// The last valid advertisement that reached a virtual router (VRID, TTL, length and checksum checked in XDP).
///
/// The cell is not written atomically as a whole: a reader that races with a writer may see the fields of two valid
/// advertisements mixed. A mailbox can therefore confirm that somebody is Active, postpone a takeover, or make an owner
/// that reads it twice give way to a better one; it never causes a takeover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Mailbox {
    /// Arrival in ns of CLOCK_BOOTTIME; written last, 0 while nothing has arrived.
    pub arrived_ns: u64,
    /// Advertisements so far.
    pub count: u64,
    /// The sender.
    pub source: Address,
    /// Its Max Advertise Interval in centiseconds, 1 to 4095.
    pub interval_cs: u16,
    /// Its priority, 0 to 255.
    pub priority: u8,
    /// The checksum flavour that the last of VRRPv3 used: [`crate::maps::ACCEPT_RFC9568`] or [`crate::maps::ACCEPT_PSEUDO`]; 0
    /// while there was none. VRRPv2 has but one, which tells nothing of what peers accept in VRRPv3.
    pub checksum: u8,
    /// The Ethernet source it came from.
    pub mac: [u8; 6],
    /// Its version of VRRP, 2 or 3.
    pub version: u8,
    /// Always zero.
    pub _pad: [u8; 21],
}

/// When the addresses of a virtual router were first of use to somebody after the last takeover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Service {
    /// Arrival of the first frame to a VIP that was accepted, in ns of CLOCK_BOOTTIME.
    pub first_ns: u64,
    /// The [`Ownership::epoch`] that it came in; written last.
    pub epoch: u32,
    /// Always zero.
    pub _pad: [u8; 4],
}

const _: () = assert!(size_of::<Service>() == 16);
const _: () = assert!(size_of::<Ownership>() == 40 && offset_of!(Ownership, lease_until_ns) == 0);
// The program reads it as two words.
const _: () = assert!(offset_of!(Ownership, successor).is_multiple_of(8));
const _: () = assert!(size_of::<Mailbox>() == 64 && offset_of!(Mailbox, arrived_ns) == 0);
