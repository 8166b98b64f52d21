//! The maps, by the names and with the capacities that `baton_common::maps` fixes, and safe access to their cells.

use core::mem::{offset_of, size_of};
use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};

use aya_ebpf::Global;
use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::helpers::{bpf_ktime_get_boot_ns, bpf_redirect};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, ProgramArray, XskMap};
use aya_ebpf::programs::XdpContext;
use baton_common::flow::{Arm, Backend, CachedFlow, Carried, Flow, NamedBackend, Nat, Translation, Tunnel};
use baton_common::line::{FLOW_WORDS, Line};
use baton_common::maps::{
    ANY_PORT, Address, Device, DiscriminatorKey, FLOW_CACHE_LINES, FrontendKey, MAX_ADDRESSES, MAX_ARMS,
    MAX_BACKENDS, MAX_DECAP_NODES, MAX_DECAP_VIPS, MAX_FRONTENDS, MAX_PEERS, MAX_QUEUES, MAX_ROUTERS,
    MAX_SERVICES, PeerKey, Router, RouterKey, SOME_PORT, SOURCE, TRANSLATION_TABLE_LINES, VipKey, VlanId,
    engine_socket,
};
use baton_common::ownership::{BALANCED, GATEWAY, LEAVING, Mailbox, NOT_ACCEPTED, Ownership, Service};
use baton_common::sbfd::{Answer, Standby};
use baton_common::verdict::Verdict;
use baton_common::vrid::Family;

use crate::ip::Ip;
use crate::lines::{self, FlowKey, Place};

/// A [`VipKey`], in words.
#[repr(C)]
struct VipWords {
    vlan: VlanId,
    address: [u32; 4],
}

/// A [`FrontendKey`], in words.
#[repr(C)]
struct FrontendWords {
    vlan: VlanId,
    address: [u32; 4],
    port: u16,
    protocol: u16,
}

const _: () = assert!(size_of::<VipWords>() == size_of::<VipKey>());
const _: () = assert!(size_of::<FrontendWords>() == size_of::<FrontendKey>());

/// How many lines the flow cache has, 0 if the engine does not fill it. The agent sets it before it loads the program, and the verifier
/// removes what a constant forbids.
#[unsafe(no_mangle)]
static FLOW_LINES: Global<u32> = Global::new(FLOW_CACHE_LINES);

/// How many lines the table of translations has, 0 if nothing is translated; as [`FLOW_LINES`].
#[unsafe(no_mangle)]
static TRANSLATION_LINES: Global<u32> = Global::new(TRANSLATION_TABLE_LINES);

/// Whether the interface is an arm of an engine whose services are on another one; as [`FLOW_LINES`].
#[unsafe(no_mangle)]
static IS_OTHER_ARM: Global<u32> = Global::new(1);

#[map]
static DEVICE: Array<Device> = Array::with_max_entries(1, 0);

#[map]
static ROUTERS: HashMap<RouterKey, Router> = HashMap::with_max_entries(MAX_ROUTERS, 0);

#[map]
static VIPS: HashMap<VipWords, u32> = HashMap::with_max_entries(MAX_ADDRESSES, 0);

#[map]
static OWNERSHIP: Array<Ownership> = Array::with_max_entries(MAX_ROUTERS, BPF_F_MMAPABLE);

#[map]
static MAILBOXES: Array<Mailbox> = Array::with_max_entries(MAX_ROUTERS, BPF_F_MMAPABLE);

#[map]
static DISCRIMINATORS: HashMap<DiscriminatorKey, u32> = HashMap::with_max_entries(MAX_ROUTERS, 0);

#[map]
static ANSWERS: Array<Answer> = Array::with_max_entries(MAX_ROUTERS, BPF_F_MMAPABLE);

#[map]
static STANDBYS: Array<Standby> = Array::with_max_entries(MAX_ROUTERS, BPF_F_MMAPABLE);

#[map]
static SERVICES: Array<Service> = Array::with_max_entries(MAX_ROUTERS, BPF_F_MMAPABLE);

#[map]
static PEERS: HashMap<PeerKey, u32> = HashMap::with_max_entries(MAX_ROUTERS * MAX_PEERS, 0);

#[map]
pub(crate) static XSKS: XskMap = XskMap::with_max_entries(MAX_QUEUES, 0);

#[map]
static FRONTENDS: HashMap<FrontendWords, u32> = HashMap::with_max_entries(MAX_FRONTENDS, 0);

#[map]
static FLOW_CACHE: Array<Line<CachedFlow>> = Array::with_max_entries(FLOW_CACHE_LINES, BPF_F_MMAPABLE);

#[map]
static CACHED_FLOWS: Array<Flow> = Array::with_max_entries(FLOW_CACHE_LINES, BPF_F_MMAPABLE);

#[map]
static FLOW_BACKENDS: Array<NamedBackend> = Array::with_max_entries(MAX_BACKENDS, 0);

#[map]
static BACKENDS: Array<Backend> = Array::with_max_entries(MAX_BACKENDS, 0);

#[map]
static TUNNELS: Array<Tunnel> = Array::with_max_entries(MAX_BACKENDS, 0);

#[map]
static NATS: Array<Nat> = Array::with_max_entries(MAX_BACKENDS, 0);

#[map]
static TRANSLATIONS: Array<Line<Translation>> =
    Array::with_max_entries(TRANSLATION_TABLE_LINES, BPF_F_MMAPABLE);

#[map]
static CARRIED: PerCpuArray<Carried> = PerCpuArray::with_max_entries(MAX_BACKENDS, 0);

#[map]
static SERVED: PerCpuArray<Carried> = PerCpuArray::with_max_entries(MAX_SERVICES, 0);

#[map]
pub(crate) static ENGINE_XSKS: XskMap = XskMap::with_max_entries(engine_socket(MAX_ARMS, 0), 0);

#[map]
static ARMS: Array<Arm> = Array::with_max_entries(MAX_ARMS, 0);

#[map]
static ENGINE_PROGRAM: ProgramArray = ProgramArray::with_max_entries(1, 0);

#[map]
static DECAP_NODES: HashMap<Address, u8> = HashMap::with_max_entries(MAX_DECAP_NODES, 0);

#[map]
static DECAP_VIPS: HashMap<Address, u8> = HashMap::with_max_entries(MAX_DECAP_VIPS, 0);

#[map]
static UNWRAPPED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Verdict::COUNT, 0);

/// How long a host counts as standby after its last probe. All virtual routers of a peer share its probes: 255 of them are
/// asked about in turn, at the slowest every 128 ms.
const STANDBY_NS: u64 = 200_000_000;

/// The MAC address of the interface.
#[inline(always)]
pub(crate) fn device_mac() -> Option<[u8; 6]> {
    DEVICE.get(0).map(|device| device.mac)
}

/// The arm of the engine with its services, which the programs of the engine run on but for the one that is for other arms.
pub(crate) const HOME: u32 = 0;

/// Leaves the frame to the engine that this interface is an arm of. Comes back if it is none.
#[inline(always)]
pub(crate) fn leave_to_engine(ctx: &XdpContext) {
    if IS_OTHER_ARM.load() != 0 {
        // SAFETY: the program there is for the same context.
        unsafe { ENGINE_PROGRAM.tail_call(ctx, 0) };
    }
}

/// The arm without services whose interface has this index.
#[inline(always)]
pub(crate) fn arm_at(interface: u32) -> Option<u32> {
    (HOME + 1..MAX_ARMS).find(|arm| ARMS.get(*arm).is_some_and(|arm| arm.interface == interface))
}

/// The MAC address of an arm.
#[inline(always)]
pub(crate) fn arm_mac(arm: u32) -> Option<[u8; 6]> {
    if arm == HOME { device_mac() } else { ARMS.get(arm).map(|arm| arm.mac) }
}

/// Where a frame leaves this host.
pub(crate) struct Exit {
    /// What it comes from there.
    pub(crate) mac: [u8; 6],
    /// The index of an interface that it has not come in by; else 0.
    other: u32,
}

impl Exit {
    /// To an arm, for a frame that came in by `entry`. `None` if only the engine can send it there.
    #[inline(always)]
    pub(crate) fn new(entry: u32, arm: u32) -> Option<Self> {
        if entry == arm {
            return Some(Self { mac: arm_mac(arm)?, other: 0 });
        }
        let &Arm { interface, mac, takes_redirected, .. } = ARMS.get(arm)?;
        (takes_redirected != 0).then_some(Self { mac, other: interface })
    }

    /// Has the frame leave.
    #[inline(always)]
    pub(crate) fn take(&self) -> Verdict {
        if self.other == 0 {
            return Verdict::VipForwarded;
        }
        // SAFETY: the helper notes the interface for the kernel, which the program tells to redirect the frame.
        unsafe { bpf_redirect(self.other, 0) };
        Verdict::VipCrossed
    }
}

/// The virtual router that is configured under this VRID on this link.
///
/// The agent replaces and removes entries while frames arrive. The kernel may reuse an entry that a program is still
/// looking at, so that one frame is judged by the router that follows; its slot is a valid one all the same.
#[inline(always)]
pub(crate) fn router(vlan: VlanId, family: Family, vrid: u8) -> Option<&'static Router> {
    let key = RouterKey { vlan, vrid, family: family as u8, _pad: [0; 2] };
    // SAFETY: entries live as long as the map, and mixing two of them up is harmless, as said above.
    unsafe { ROUTERS.get(key) }
}

/// The slot of the virtual router that `address` belongs to on this link, or [`SOURCE`] if this host advertises from it. Changes
/// as [`router`] does.
#[inline(always)]
pub(crate) fn slot_or_source(vlan: VlanId, address: Ip) -> Option<u32> {
    // SAFETY: as in `router`.
    unsafe { VIPS.get(VipWords { vlan, address: address.words() }) }.copied()
}

/// The slot of the virtual router that `address` belongs to on this link.
#[inline(always)]
pub(crate) fn slot_of_vip(vlan: VlanId, address: Ip) -> Option<u32> {
    slot_or_source(vlan, address).filter(|slot| *slot != SOURCE)
}

/// Whether there is a service at `port` of `address` on this link. Changes as [`router`] does.
#[inline(always)]
pub(crate) fn is_frontend(vlan: VlanId, address: Ip, protocol: u8, port: u16) -> bool {
    let protocol = u16::from_ne_bytes([protocol, 0]);
    let mut key = FrontendWords { vlan, address: address.words(), port, protocol };
    // SAFETY: as in `router`.
    if unsafe { FRONTENDS.get(&key) }.is_some() {
        return true;
    }
    key.port = ANY_PORT;
    // SAFETY: as in `router`.
    unsafe { FRONTENDS.get(&key) }.is_some()
}

/// Whether there is a service of `protocol` at some port of `address` on this link. Changes as [`router`] does.
#[inline(always)]
pub(crate) fn has_services(vlan: VlanId, address: Ip, protocol: u8) -> bool {
    let protocol = u16::from_ne_bytes([protocol | SOME_PORT, 0]);
    let key = FrontendWords { vlan, address: address.words(), port: ANY_PORT, protocol };
    // SAFETY: as in `router`.
    unsafe { FRONTENDS.get(&key) }.is_some()
}

/// A flow that is known, and its backend, which can be given frames. Of an `Option` of it the verifier must be able to tell that
/// there is none by the pointer, so no other field may have values to spare.
pub(crate) struct KnownFlow {
    place: Place<CachedFlow>,
    /// The head of its line, which has the numbers of the backend and of the service.
    head: u64,
    /// Where frames for it go.
    pub(crate) hop: [u8; 6],
    /// `DIRECT`, `TUNNELLED` or `TRANSLATED`.
    pub(crate) way: u8,
    /// One more than the number of the arm that it is behind.
    exit: u8,
}

/// What is known of `flow`.
#[inline(always)]
pub(crate) fn known_flow(flow: &FlowKey) -> Option<KnownFlow> {
    let lines = FLOW_LINES.load();
    if lines == 0 {
        return None;
    }
    let (place, head) = lines::find(&FLOW_CACHE, lines, flow)?;
    let [number, _] = numbers(head);
    let backend = BACKENDS.get_ptr(number)?;
    // SAFETY: as in `owned`; the agent replaces the cell as one aligned word.
    let [hop @ .., exit, way] = unsafe { read_volatile(backend.cast::<u64>()) }.to_ne_bytes();
    (exit != 0).then_some(KnownFlow { place, head, hop, way, exit })
}

/// The numbers of the backend and of the service, with which a value begins, of a line with this head.
#[inline(always)]
fn numbers(head: u64) -> [u32; 2] {
    let [.., a, b, c, d] = head.to_ne_bytes();
    [[a, b], [c, d]].map(|number| u32::from(u16::from_ne_bytes(number)))
}

/// Whether flows are forwarded without the engine.
#[inline(always)]
pub(crate) fn caches_flows() -> bool {
    FLOW_LINES.load() != 0
}

impl KnownFlow {
    /// The number of its backend.
    #[inline(always)]
    pub(crate) fn backend(&self) -> u32 {
        let [backend, _] = numbers(self.head);
        backend
    }

    /// Where its frames leave this host.
    #[inline(always)]
    pub(crate) fn exit(&self) -> Option<Exit> {
        Exit::new(HOME, u32::from(self.exit) - 1)
    }

    /// The port that its packets come from at the backend, and the Ethernet address that they come from on this link.
    #[inline(always)]
    pub(crate) fn translated_from(&self) -> Option<(u16, [u8; 6])> {
        let port = offset_of!(Line<CachedFlow>, value) + offset_of!(CachedFlow, port);
        let [word] = self.place.read(port, self.head)?;
        let [a, b, client_mac @ ..] = word.to_ne_bytes();
        Some((u16::from_ne_bytes([a, b]), client_mac))
    }

    /// Notes that a frame of `octets` is forwarded `now`.
    #[inline(always)]
    pub(crate) fn note(&self, octets: usize, now: u64) {
        self.place.note(now);
        for carried in carried(self.head) {
            // SAFETY: as in `count`.
            unsafe {
                (*carried).frames += 1;
                (*carried).octets += octets as u64;
            }
        }
    }
}

/// The counters of the backend and of the service of a line with this head.
#[inline(always)]
fn carried(head: u64) -> impl Iterator<Item = *mut Carried> {
    let [backend, service] = numbers(head);
    [CARRIED.get_ptr_mut(backend), SERVED.get_ptr_mut(service)].into_iter().flatten()
}

/// The line of an answer that is to be translated. As in [`KnownFlow`] no field but the pointer may have values to spare.
pub(crate) struct KnownAnswer {
    place: Place<Translation>,
    head: u64,
}

/// Whether there may be answers that are to be translated.
#[inline(always)]
pub(crate) fn translates() -> bool {
    TRANSLATION_LINES.load() != 0
}

/// What is known of an answer of this flow.
#[inline(always)]
pub(crate) fn known_answer(answer: &FlowKey) -> Option<KnownAnswer> {
    let (place, head) = lines::find(&TRANSLATIONS, TRANSLATION_LINES.load(), answer)?;
    Some(KnownAnswer { place, head })
}

impl KnownAnswer {
    const VALUE: usize = offset_of!(Line<Translation>, value);
    const FLOW: usize = Self::VALUE + offset_of!(Translation, flow);

    /// The virtual address that it is to come from.
    #[inline(always)]
    pub(crate) fn vip(&self) -> Option<Ip> {
        let words: [u64; 2] = self.place.read(Self::FLOW + offset_of!(Flow, destination), self.head)?;
        Some(Ip::of_halves(words.map(u64::to_ne_bytes)))
    }

    /// The words of the client's flow, and the Ethernet address that its packets come from.
    #[inline(always)]
    pub(crate) fn flow(&self) -> Option<([u64; FLOW_WORDS], [u8; 6])> {
        let flow = self.place.read(Self::FLOW, self.head)?;
        let [word] = self.place.read(Self::VALUE + offset_of!(Translation, client_mac), self.head)?;
        let [client_mac @ .., _, _] = word.to_ne_bytes();
        Some((flow, client_mac))
    }

    /// Notes that an answer of `octets` is forwarded.
    #[inline(always)]
    pub(crate) fn note(&self, octets: usize) {
        // SAFETY: the helper reads a clock.
        self.place.note(unsafe { bpf_ktime_get_boot_ns() });
        for carried in carried(self.head) {
            // SAFETY: as in `count`.
            unsafe {
                (*carried).answers += 1;
                (*carried).answer_octets += octets as u64;
            }
        }
    }
}

/// How packets for a backend are translated. Changes as [`tunnel`] does.
#[inline(always)]
pub(crate) fn nat(backend: u32) -> Option<&'static Nat> {
    NATS.get(backend)
}

/// How packets for a backend are wrapped. The agent changes it while frames arrive, by whole fields that may be of two tunnels.
#[inline(always)]
pub(crate) fn tunnel(backend: u32) -> Option<&'static Tunnel> {
    TUNNELS.get(backend)
}

/// Whether the host at `address` is a unicast peer of the virtual router at `slot`. Changes as [`router`] does.
#[inline(always)]
pub(crate) fn is_peer(slot: u32, address: Ip) -> bool {
    // SAFETY: as in `router`.
    unsafe { PEERS.get(PeerKey { slot, address: address.address() }) }.is_some()
}

/// The ownership cell of a virtual router, the end of its lease and the time, if this host owns it at this moment. This
/// is the one place that decides about ownership.
#[inline(always)]
fn owned(slot: u32) -> Option<(*const Ownership, u64, u64)> {
    let cell = OWNERSHIP.get_ptr(slot)?;
    // SAFETY: the map returned the cell, it lives as long as the map. The agent stores into the same memory at any
    // time; the lease is an aligned word, which the processor reads in one piece, and volatile keeps the compiler from
    // splitting or repeating the read.
    let lease_until_ns = unsafe { read_volatile(addr_of!((*cell).lease_until_ns)) };
    // SAFETY: the helper reads a clock.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    (now < lease_until_ns).then_some((cell, lease_until_ns, now))
}

/// What this host, which owns a virtual router, is to it.
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    /// The MAC address that stands for the VIPs.
    pub(crate) mac: [u8; 6],
    /// When that was so.
    pub(crate) now: u64,
    delivery: u8,
}

impl Owner {
    /// Whether it routes what others send through the virtual router.
    #[inline(always)]
    pub(crate) fn is_gateway(self) -> bool {
        self.delivery & GATEWAY != 0
    }

    /// Whether some of the VIPs have services.
    #[inline(always)]
    pub(crate) fn balances(self) -> bool {
        self.delivery & BALANCED != 0
    }

    /// Whether it can be reached at the VIPs.
    #[inline(always)]
    pub(crate) fn accepts(self) -> bool {
        self.delivery & NOT_ACCEPTED == 0
    }
}

/// What this host is to a virtual router, if it owns it.
#[inline(always)]
pub(crate) fn owner(slot: u32) -> Option<Owner> {
    let (cell, _, now) = owned(slot)?;
    // SAFETY: as in `owned`; both were set before the lease.
    let (mac, delivery) =
        unsafe { (read_volatile(addr_of!((*cell).mac)), read_volatile(addr_of!((*cell).delivery))) };
    Some(Owner { mac, now, delivery })
}

/// The MAC address that stands for the VIPs of a virtual router, if this host owns it.
#[inline(always)]
pub(crate) fn owner_mac(slot: u32) -> Option<[u8; 6]> {
    owner(slot).map(|owner| owner.mac)
}

/// Notes that a frame to a VIP was accepted, if it is the first since this host took the virtual router over.
#[inline(always)]
pub(crate) fn note_service(slot: u32) {
    let (Some(owner), Some(cell)) = (OWNERSHIP.get_ptr(slot), SERVICES.get_ptr_mut(slot)) else {
        return;
    };
    // SAFETY: as in `owned` and `deliver`. CPUs that write at once write nearly the same.
    unsafe {
        let epoch = read_volatile(addr_of!((*owner).epoch));
        if read_volatile(addr_of!((*cell).epoch)) != epoch {
            write_volatile(addr_of_mut!((*cell).first_ns), bpf_ktime_get_boot_ns());
            write_volatile(addr_of_mut!((*cell).epoch), epoch);
        }
    }
}

/// What this host says of its service to somebody who may succeed it.
#[derive(Clone, Copy)]
pub(crate) enum Availability {
    /// It serves on; what is left of the lease in us.
    Up(u32),
    /// It does not, or wants to be succeeded by whoever is next in line.
    Down,
    /// It wants to be succeeded by the one who asks.
    Offered,
}

/// What this host says of its service for the virtual router to the host at `asker`.
#[inline(always)]
pub(crate) fn availability(slot: u32, asker: Ip) -> Availability {
    let Some((cell, lease_until_ns, now)) = owned(slot) else { return Availability::Down };
    // SAFETY: as in `owned`; the flags and the halves of the successor are aligned words. The agent names a successor, or
    // nobody, before it raises the flag.
    let (flags, successor) = unsafe {
        let flags = read_volatile(addr_of!((*cell).flags));
        (flags, read_volatile(addr_of!((*cell).successor).cast::<[u64; 2]>()))
    };
    if flags & LEAVING != 0 && successor == [0, 0] {
        return Availability::Down;
    }
    if flags & LEAVING != 0 && successor == asker.halves().map(u64::from_ne_bytes) {
        return Availability::Offered;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the longest lease, 100 * 40.95 s, is below 2^32 us")]
    Availability::Up(((lease_until_ns - now) / 1000) as u32)
}

/// The slot of the virtual router that a discriminator of this host stands for. Changes as [`router`] does.
#[inline(always)]
pub(crate) fn slot_of_discriminator(vlan: VlanId, family: Family, discriminator: [u8; 4]) -> Option<u32> {
    let discriminator = u32::from_be_bytes(discriminator);
    let key = DiscriminatorKey { vlan, discriminator, family: family as u8, _pad: [0; 3] };
    // SAFETY: as in `router`.
    unsafe { DISCRIMINATORS.get(key) }.copied()
}

/// Notes that the host at `address` probes the virtual router, and says whether it is the best that does.
#[inline(always)]
pub(crate) fn is_next_in_line(slot: u32, priority: u8, address: Ip) -> Option<bool> {
    let cell = STANDBYS.get_ptr_mut(slot)?;
    // SAFETY: the map returned the cell, it lives as long as the map. Two CPUs may write at once, and the next probe
    // sets it right.
    unsafe {
        let now = bpf_ktime_get_boot_ns();
        let seen = read_volatile(addr_of!((*cell).seen_ns));
        let best = read_volatile(addr_of!((*cell).priority));
        let best_address = Ip::of(read_volatile(addr_of!((*cell).address)));
        let fresh = now.saturating_sub(seen) < STANDBY_NS;
        // Its own priority may have sunk.
        let is_another = best_address != address;
        if fresh && is_another && (priority, address) < (best, best_address) {
            return Some(false);
        }
        write_volatile(addr_of_mut!((*cell).priority), priority);
        write_volatile(addr_of_mut!((*cell).address), address.address());
        write_volatile(addr_of_mut!((*cell).seen_ns), now);
    }
    Some(true)
}

/// Puts the answer to a probe into the cell of its virtual router, stamped with the time.
#[inline(always)]
pub(crate) fn keep_answer(slot: u32, answer: &Answer) -> Option<()> {
    let cell = ANSWERS.get_ptr_mut(slot)?;
    // SAFETY: as in `deliver`; the sequence number, by which the agent knows the answer, follows what it is about.
    unsafe {
        write_volatile(addr_of_mut!((*cell).discriminator), answer.discriminator);
        write_volatile(addr_of_mut!((*cell).lease_left_us), answer.lease_left_us);
        write_volatile(addr_of_mut!((*cell).required_min_rx_us), answer.required_min_rx_us);
        write_volatile(addr_of_mut!((*cell).state), answer.state);
        write_volatile(addr_of_mut!((*cell).next_in_line), answer.next_in_line);
        write_volatile(addr_of_mut!((*cell).sequence), answer.sequence);
        write_volatile(addr_of_mut!((*cell).arrived_ns), bpf_ktime_get_boot_ns());
    }
    Some(())
}

/// An advertisement that passed all checks.
pub(crate) struct Advert {
    pub(crate) source: Ip,
    pub(crate) mac: [u8; 6],
    pub(crate) interval_cs: u16,
    pub(crate) priority: u8,
    /// 2 or 3.
    pub(crate) version: u8,
    /// `ACCEPT_RFC9568` or `ACCEPT_PSEUDO` of VRRPv3, which has both; 0 of VRRPv2.
    pub(crate) checksum: u32,
}

/// Puts an advertisement into the mailbox of a virtual router, stamped with the time.
#[inline(always)]
pub(crate) fn deliver(slot: u32, advert: &Advert) -> Option<()> {
    let cell = MAILBOXES.get_ptr_mut(slot)?;
    #[expect(clippy::cast_possible_truncation, reason = "both flags are below 256")]
    let checksum = advert.checksum as u8;
    // SAFETY: the map returned the cell, it lives as long as the map. The agent only reads it, and knows that it may
    // see the fields of two adverts mixed. Volatile keeps the order of the stores: the arrival comes last.
    unsafe {
        write_volatile(addr_of_mut!((*cell).count), read_volatile(addr_of!((*cell).count)).wrapping_add(1));
        write_volatile(addr_of_mut!((*cell).source), advert.source.address());
        write_volatile(addr_of_mut!((*cell).mac), advert.mac);
        write_volatile(addr_of_mut!((*cell).interval_cs), advert.interval_cs);
        write_volatile(addr_of_mut!((*cell).priority), advert.priority);
        write_volatile(addr_of_mut!((*cell).version), advert.version);
        if checksum != 0 {
            write_volatile(addr_of_mut!((*cell).checksum), checksum);
        }
        write_volatile(addr_of_mut!((*cell).arrived_ns), bpf_ktime_get_boot_ns());
    }
    Some(())
}

/// Whether the host at `address` may wrap packets for this one. Changes as [`router`] does.
#[inline(always)]
pub(crate) fn is_node(address: Ip) -> bool {
    // SAFETY: as in `router`.
    unsafe { DECAP_NODES.get(address.address()) }.is_some()
}

/// Whether packets for `address` are unwrapped. Changes as [`router`] does.
#[inline(always)]
pub(crate) fn is_unwrapped(address: Ip) -> bool {
    // SAFETY: as in `router`.
    unsafe { DECAP_VIPS.get(address.address()) }.is_some()
}

/// Counts a packet that was unwrapped on this CPU.
#[inline(always)]
pub(crate) fn count_unwrapped() {
    if let Some(counter) = UNWRAPPED.get_ptr_mut(0) {
        // SAFETY: as in `count`.
        unsafe { *counter += 1 };
    }
}

/// Counts a frame on this CPU.
#[inline(always)]
pub(crate) fn count(verdict: Verdict) {
    if let Some(counter) = COUNTERS.get_ptr_mut(verdict as u32) {
        // SAFETY: the map returned this CPU's cell, and no other program runs on it until this one has returned.
        unsafe { *counter += 1 };
    }
}
