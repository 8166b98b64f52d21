//! Map names, capacities, keys and the values that the agent writes and the XDP program only reads.
//!
//! All types are plain bytes: `repr(C)`, explicit padding, sizes asserted. Addresses are in network order and of either
//! family, see [`Address`]; counts and identifiers are in the byte order of the host, which both sides share.

use core::mem::size_of;

/// Version of everything in this crate. Pinned maps live in a directory of this name, so that an agent never
/// adopts maps whose layout it does not know. Raise it with every change of a type, name, clock or capacity here.
pub const LAYOUT_VERSION: u32 = 12;

/// One [`Device`]: the interface that the programs run on.
pub const DEVICE: &str = "DEVICE";
/// [`RouterKey`] to [`Router`]: the virtual routers configured on the interface.
pub const ROUTERS: &str = "ROUTERS";
/// [`VipKey`] to the slot of the virtual router that the address belongs to, or to [`SOURCE`].
pub const VIPS: &str = "VIPS";
/// One [`crate::ownership::Ownership`] per slot, memory-mapped. The agent's driver is its only writer;
/// when that is dead, the guardian shortens leases.
pub const OWNERSHIP: &str = "OWNERSHIP";
/// One [`crate::ownership::Mailbox`] per slot, memory-mapped. The XDP program is its only writer.
pub const MAILBOXES: &str = "MAILBOXES";
/// [`DiscriminatorKey`] to the slot of the virtual router that it stands for.
pub const DISCRIMINATORS: &str = "DISCRIMINATORS";
/// One [`crate::sbfd::Answer`] per slot, memory-mapped. The XDP program is its only writer.
pub const ANSWERS: &str = "ANSWERS";
/// One [`crate::sbfd::Standby`] per slot, memory-mapped. The XDP program is its only writer.
pub const STANDBYS: &str = "STANDBYS";
/// One [`crate::ownership::Service`] per slot, memory-mapped. The XDP program is its only writer.
pub const SERVICES: &str = "SERVICES";
/// [`PeerKey`] to the same slot: from whom advertisements are accepted that come by unicast.
pub const PEERS: &str = "PEERS";
/// AF_XDP socket per receive queue, for advertisements. Not pinned: nothing whose loss matters may depend on it.
pub const XSKS: &str = "XSKS";
/// [`FrontendKey`] to the number of the service: what the engine balances. Not pinned: each agent brings its own.
pub const FRONTENDS: &str = "FRONTENDS";
/// AF_XDP socket per receive queue of each arm, see [`engine_socket`], for what the engine balances. Not pinned, as [`XSKS`].
pub const ENGINE_XSKS: &str = "ENGINE_XSKS";
/// One [`crate::flow::Arm`] for each number of an arm. Not pinned, as [`FRONTENDS`].
pub const ARMS: &str = "ARMS";
/// [`ANSWER_PROGRAM`] of the engine on another interface that this one is an arm of, if it is. Pinned: it goes on when the agent does not.
pub const ENGINE_PROGRAM: &str = "ENGINE_PROGRAM";
/// Frames counted per CPU, one cell per [`crate::verdict::Verdict`].
pub const COUNTERS: &str = "COUNTERS";

/// A table of [`crate::flow::CachedFlow`], see [`crate::line`]: what XDP forwards by itself. Each agent brings its own, and pins it for
/// the next one before it takes up what that of the agent before holds.
pub const FLOW_CACHE: &str = "FLOW_CACHE";
/// The [`crate::flow::Flow`] in each line of [`FLOW_CACHE`], for agents alone. Pinned with that.
pub const CACHED_FLOWS: &str = "CACHED_FLOWS";
/// One [`crate::flow::NamedBackend`] for each number in [`FLOW_CACHE`], and pinned with that.
pub const FLOW_BACKENDS: &str = "FLOW_BACKENDS";
/// One [`crate::flow::Backend`] for each number of a backend. Not pinned, as [`FRONTENDS`].
pub const BACKENDS: &str = "BACKENDS";
/// One [`crate::flow::Tunnel`] for each number of a backend. Not pinned, as [`FRONTENDS`].
pub const TUNNELS: &str = "TUNNELS";
/// One [`crate::flow::Nat`] for each number of a backend. Not pinned, as [`FRONTENDS`].
pub const NATS: &str = "NATS";
/// A table of [`crate::flow::Translation`], see [`crate::line`]: what becomes of answers. Not pinned: it follows from [`FLOW_CACHE`].
pub const TRANSLATIONS: &str = "TRANSLATIONS";
/// One [`crate::flow::Carried`] for each number of a backend, per CPU. Not pinned, as [`FRONTENDS`].
pub const CARRIED: &str = "CARRIED";
/// One [`crate::flow::Carried`] for each number of a service, per CPU. Not pinned, as [`FRONTENDS`].
pub const SERVED: &str = "SERVED";

/// Addresses of the nodes that may wrap packets for a backend, each with 0. Only `baton decap` fills it.
pub const DECAP_NODES: &str = "DECAP_NODES";
/// Addresses for which packets are unwrapped, each with 0. Only `baton decap` fills it.
pub const DECAP_VIPS: &str = "DECAP_VIPS";
/// How many packets were unwrapped, per CPU.
pub const UNWRAPPED: &str = "UNWRAPPED";

/// The XDP program's constant that says how many lines [`FLOW_CACHE`] has, a `u32`, or 0 if it is not used.
pub const FLOW_LINES: &str = "FLOW_LINES";
/// The XDP program's constant that says how many lines [`TRANSLATIONS`] has, a `u32`, or 0 if nothing is translated.
pub const TRANSLATION_LINES: &str = "TRANSLATION_LINES";
/// The XDP program's constant that says whether its interface is an arm of an engine whose services are on another one, a `u32`, 1 or 0.
pub const IS_OTHER_ARM: &str = "IS_OTHER_ARM";
/// The XDP program's constant that says what the hashes of flows depend on, a [`crate::line::Seed`].
pub const LINES_SEED: &str = "LINES_SEED";

/// The XDP program's name.
pub const XDP_PROGRAM: &str = "baton_xdp";
/// The name of the XDP program that [`XDP_PROGRAM`] of an arm without services gives frames to that are nothing of its own. It has the
/// maps of the interface with the services.
pub const ANSWER_PROGRAM: &str = "baton_answer";
/// The name of the XDP program of a backend that gets its packets wrapped.
pub const DECAP_PROGRAM: &str = "baton_decap";
/// The tcx ingress program's name: marks frames to a virtual MAC as frames for this host.
pub const TCX_INGRESS_PROGRAM: &str = "baton_ingress";
/// The tcx egress program's name: keeps the kernel from speaking for a VIP that this host does not own.
pub const TCX_EGRESS_PROGRAM: &str = "baton_egress";

/// Virtual routers per interface: 255 per address family, and one slot to spare each.
pub const MAX_ROUTERS: u32 = 512;
/// Unicast peers of a virtual router.
pub const MAX_PEERS: u32 = 8;
/// Virtual addresses per interface.
pub const MAX_VIPS: u32 = 8192;
/// What [`VIPS`] has room for: beside the virtual addresses those that adverts come from, before a change and after it.
pub const MAX_ADDRESSES: u32 = MAX_VIPS + 2 * MAX_ROUTERS;
/// Entries of [`FRONTENDS`].
pub const MAX_FRONTENDS: u32 = 16_384;
/// Services: each has two frontends at the least.
pub const MAX_SERVICES: u32 = MAX_FRONTENDS / 2;
/// Backends of all pools.
pub const MAX_BACKENDS: u32 = 16_384;
/// The lines of [`FLOW_CACHE`] unless the agent says otherwise when it loads the programs.
pub const FLOW_CACHE_LINES: u32 = 1024;
/// The lines of [`TRANSLATIONS`] unless the agent says otherwise when it loads the programs.
pub const TRANSLATION_TABLE_LINES: u32 = 1024;
/// Nodes that may wrap packets for a backend.
pub const MAX_DECAP_NODES: u32 = 64;
/// Addresses for which packets are unwrapped.
pub const MAX_DECAP_VIPS: u32 = MAX_VIPS;
/// Receive queues per interface.
pub const MAX_QUEUES: u32 = 64;
/// Interfaces of an engine: the one with its services, which is arm 0, and others that have backends.
pub const MAX_ARMS: u32 = 8;

/// The place in [`ENGINE_XSKS`] of the socket for a receive queue of an arm.
#[inline]
pub const fn engine_socket(arm: u32, queue: u32) -> u32 {
    arm * MAX_QUEUES + queue
}

/// An IPv6 address, or an IPv4 address as IPv6 maps it, ::ffff:a.b.c.d (RFC 4291 2.5.5.2), which no frame has. Its 0xffff is
/// nothing to the Internet checksum, so a pseudo-header's sum is the same for both.
pub type Address = [u8; 16];

/// The IPv4 address `octets` as an [`Address`].
#[inline]
pub const fn mapped(octets: [u8; 4]) -> Address {
    let [a, b, c, d] = octets;
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// The interface that the programs run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Device {
    /// The interface's own MAC address.
    pub mac: [u8; 6],
    /// Always zero.
    pub _pad: [u8; 2],
}

/// VLAN tags of a frame, folded into one number: 0 for an untagged frame, the VID for one tag,
/// `outer VID << 12 | inner VID` for two (802.1Q, 802.1ad). A tag with VID 0 carries a priority and names no VLAN: it
/// does not count, wherever it stands.
pub type VlanId = u32;

/// What identifies a virtual router on an interface (RFC 9568 5.2.3; VLANs are links of their own).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct RouterKey {
    /// The link.
    pub vlan: VlanId,
    /// The virtual router identifier, 1 to 255.
    pub vrid: u8,
    /// A [`crate::vrid::Family`] as its number.
    pub family: u8,
    /// Always zero.
    pub _pad: [u8; 2],
}

/// A virtual router as the XDP program needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Router {
    /// Index of its cells in [`OWNERSHIP`] and [`MAILBOXES`], below [`MAX_ROUTERS`].
    pub slot: u32,
    /// Checksums that are accepted of VRRPv3 over IPv4: [`ACCEPT_RFC9568`], [`ACCEPT_PSEUDO`] or both.
    pub checksums: u32,
    /// This host's primary address, as far as this virtual router goes. Adverts from it are our own.
    pub primary: Address,
    /// The multicast group that advertisements come to; zero if they come by unicast, from those in [`PEERS`].
    pub multicast: Address,
    /// The versions of VRRP that are accepted: [`ACCEPT_V3`], [`ACCEPT_V2`] or both.
    pub versions: u8,
    /// The authentication type of VRRPv2: [`NO_AUTHENTICATION`] or [`PASSWORD`].
    pub authentication: u8,
    /// Always zero.
    pub _pad: u8,
    /// The lowest TTL, or Hop Limit, that is accepted.
    pub least_hops: u8,
    /// The Advertisement_Interval in seconds that VRRPv2 must name, which wants it to be the same on all routers; 0 for any.
    pub interval_s: u32,
    /// The password of VRRPv2, filled up with zeroes.
    pub password: [u8; 8],
}

/// Authentication type 0 of VRRPv2 (RFC 3768 5.3.6).
pub const NO_AUTHENTICATION: u8 = 0;
/// Authentication type 1 of VRRPv2: a password that everybody can read (RFC 2338 5.3.6.2).
pub const PASSWORD: u8 = 1;

/// Flag in [`Router::versions`]: VRRPv3 (RFC 9568).
pub const ACCEPT_V3: u8 = 1;
/// Flag in [`Router::versions`]: VRRPv2 (RFC 3768).
pub const ACCEPT_V2: u8 = 2;

/// Flag in [`Router::checksums`]: the sum covers the VRRP message alone (RFC 9568 5.2.8).
pub const ACCEPT_RFC9568: u32 = 1;
/// Flag in [`Router::checksums`]: the sum covers an IPv4 pseudo-header too (keepalived, FRR).
pub const ACCEPT_PSEUDO: u32 = 2;

/// In [`VIPS`], instead of a slot: an address of this host that its adverts come from, to which peers speak.
pub const SOURCE: u32 = u32::MAX;

/// A virtual address on a link, or one of this host's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct VipKey {
    /// The link.
    pub vlan: VlanId,
    /// The address.
    pub address: Address,
}

/// An S-BFD discriminator of this host on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct DiscriminatorKey {
    /// The link.
    pub vlan: VlanId,
    /// The discriminator, see [`crate::sbfd::discriminator`].
    pub discriminator: u32,
    /// A [`crate::vrid::Family`] as its number: what the packet with the discriminator belongs to.
    pub family: u8,
    /// Always zero.
    pub _pad: [u8; 3],
}

/// A unicast peer of a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct PeerKey {
    /// The slot of the virtual router.
    pub slot: u32,
    /// The address that the peer's advertisements come from.
    pub address: Address,
}

/// What clients of a service send to: an address, a protocol and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FrontendKey {
    /// The link.
    pub vlan: VlanId,
    /// The virtual address.
    pub address: Address,
    /// The port, or [`ANY_PORT`].
    pub port: u16,
    /// The protocol's number: TCP or UDP.
    pub protocol: u8,
    /// Always zero.
    pub _pad: u8,
}

/// Bit of [`FrontendKey::protocol`], with [`ANY_PORT`]: some port of the address has a service of that protocol. No packet is of
/// such a protocol.
pub const SOME_PORT: u8 = 0x80;

/// In [`FrontendKey::port`]: every port that has no entry of its own. No packet is for port 0.
pub const ANY_PORT: u16 = 0;

const _: () = assert!(size_of::<FrontendKey>() == 24);
const _: () = assert!(size_of::<Device>() == 8);
const _: () = assert!(size_of::<RouterKey>() == 8);
const _: () = assert!(size_of::<Router>() == 56);
const _: () = assert!(size_of::<VipKey>() == 20);
const _: () = assert!(size_of::<DiscriminatorKey>() == 12);
const _: () = assert!(size_of::<PeerKey>() == 20);
