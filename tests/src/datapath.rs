//! The BPF object under BPF_PROG_TEST_RUN: loaded into the kernel with maps of its own, attached to nothing, fed one
//! frame at a time.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray};
use aya::programs::{Program, ProgramError, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader, Pod, TestRun, TestRunOptions, TestRunResult};
use baton::address;
use baton::datapath::object::OBJECT;
use baton::datapath::plain::Plain;
use baton_common::flow::{
    Arm, Backend, CachedFlow, Carried, DIRECT, Flow, Nat, TRANSLATED, TUNNELLED, Translation, Tunnel,
};
use baton_common::line::{self, Line, SEED_WORDS, Seed, WAYS};
use baton_common::maps::{
    self, ANY_PORT, Address, Device, DiscriminatorKey, FrontendKey, PeerKey, Router, RouterKey, SOME_PORT,
    VipKey, VlanId,
};
use baton_common::ownership::{LEAVING, Mailbox, Ownership, Service};
use baton_common::sbfd::{Answer, Standby};
use baton_common::verdict::Verdict;
use baton_common::vrid::Family;
use nix::unistd::geteuid;

/// XDP: drop the frame.
pub const XDP_DROP: u32 = 1;
/// XDP: the kernel gets the frame.
pub const XDP_PASS: u32 = 2;
/// XDP: the frame goes out where it came in.
pub const XDP_TX: u32 = 3;
/// XDP: the frame goes out by another interface.
pub const XDP_REDIRECT: u32 = 4;
/// tcx: the next program decides. As the kernel returns it, -1.
pub const TCX_NEXT: u32 = u32::MAX;
/// tc: drop the frame.
pub const TC_ACT_SHOT: u32 = 2;

/// A lease that no test outlives.
pub const FOREVER: u64 = u64::MAX;

/// What the hashes of flows depend on.
const SEED: Seed = {
    let (mut seed, mut at) = ([0; SEED_WORDS], 0);
    while at < seed.len() {
        seed[at] = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        at += 1;
    }
    seed
};

/// What an answer may have more than its question.
const LONGER: usize = 64;

/// What became of a frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The program's return value.
    pub action: u32,
    /// The counters that moved, and by how much.
    pub counted: BTreeMap<Verdict, u64>,
    /// The frame as the program left it.
    pub frame: Vec<u8>,
}

/// The loaded object.
pub struct Datapath {
    bpf: Ebpf,
}

impl Datapath {
    /// Loads the object without events, as the agent does.
    pub fn load() -> Self {
        Self::load_with_log_level(0)
    }

    /// Loads the object with events up to `level`, of which 0 is none and 4 is debug.
    pub fn load_with_log_level(level: u8) -> Self {
        assert!(
            geteuid().is_root(),
            "loading BPF programs needs root: run this suite with `cargo xtask test`"
        );
        let mut bpf = EbpfLoader::new()
            .override_global("AYA_LOG_LEVEL", &level, true)
            .override_global(maps::LINES_SEED, &SEED[..], true)
            .load(OBJECT)
            .expect("the kernel accepts the maps");
        for name in [maps::XDP_PROGRAM, maps::ANSWER_PROGRAM, maps::DECAP_PROGRAM] {
            let xdp: &mut Xdp = program_mut(&mut bpf, name);
            xdp.load().unwrap_or_else(|error| refused(name, &error));
        }
        for name in [maps::TCX_INGRESS_PROGRAM, maps::TCX_EGRESS_PROGRAM] {
            let classifier: &mut SchedClassifier = program_mut(&mut bpf, name);
            classifier.load().unwrap_or_else(|error| refused(name, &error));
        }
        Self { bpf }
    }

    /// The object as aya sees it.
    pub fn bpf(&self) -> &Ebpf {
        &self.bpf
    }

    /// The object as aya sees it, to be changed.
    pub fn bpf_mut(&mut self) -> &mut Ebpf {
        &mut self.bpf
    }

    /// Sets the interface's MAC address, and one address of each family that adverts come from.
    pub fn set_device(&mut self, mac: [u8; 6], ipv4: [u8; 4], ipv6: [u8; 16]) {
        let device = Device { mac, _pad: [0; 2] };
        self.array(maps::DEVICE).set(0, Plain(device), 0).expect("DEVICE has one cell");
        self.add_source(0, IpAddr::from(ipv4));
        self.add_source(0, IpAddr::from(ipv6));
    }

    /// Lets adverts come from one more address of the host.
    pub fn add_source(&mut self, vlan: VlanId, address: impl Into<IpAddr>) {
        self.add_vip(vlan, address, maps::SOURCE);
    }

    /// Lets `discriminator` stand for the virtual router of `family` at `slot`.
    pub fn add_discriminator(&mut self, vlan: VlanId, family: Family, discriminator: u32, slot: u32) {
        let key = DiscriminatorKey { vlan, discriminator, family: family as u8, _pad: [0; 3] };
        self.hash(maps::DISCRIMINATORS).insert(Plain(key), slot, 0).expect("DISCRIMINATORS has room");
    }

    /// The answer cell of the virtual router at `slot`.
    pub fn answer(&self, slot: u32) -> Answer {
        let map: Array<_, Plain<Answer>> = Array::try_from(self.map(maps::ANSWERS)).expect("an array");
        map.get(&slot, 0).expect("ANSWERS has the slot").0
    }

    /// The service cell of the virtual router at `slot`.
    pub fn service(&self, slot: u32) -> Service {
        let map: Array<_, Plain<Service>> = Array::try_from(self.map(maps::SERVICES)).expect("an array");
        map.get(&slot, 0).expect("SERVICES has the slot").0
    }

    /// The standby cell of the virtual router at `slot`.
    pub fn standby(&self, slot: u32) -> Standby {
        let map: Array<_, Plain<Standby>> = Array::try_from(self.map(maps::STANDBYS)).expect("an array");
        map.get(&slot, 0).expect("STANDBYS has the slot").0
    }

    /// Configures a virtual router of VRRPv3.
    pub fn add_router(
        &mut self,
        vlan: VlanId,
        vrid: u8,
        slot: u32,
        checksums: u32,
        primary: impl Into<IpAddr>,
    ) {
        let primary = primary.into();
        let router = Router {
            slot,
            checksums,
            primary: address::to_map(primary),
            multicast: address::family(primary).vrrp_group(),
            versions: maps::ACCEPT_V3,
            authentication: maps::NO_AUTHENTICATION,
            _pad: 0,
            least_hops: 255,
            interval_s: 1,
            password: [0; 8],
        };
        self.set_router(vlan, vrid, address::family(primary), router);
    }

    /// Configures the virtual router `router`.
    pub fn set_router(&mut self, vlan: VlanId, vrid: u8, family: Family, router: Router) {
        let key = RouterKey { vlan, vrid, family: family as u8, _pad: [0; 2] };
        self.hash(maps::ROUTERS).insert(Plain(key), Plain(router), 0).expect("ROUTERS has room");
    }

    /// Configures a unicast peer of the virtual router at `slot`.
    pub fn add_peer(&mut self, slot: u32, address: impl Into<IpAddr>) {
        let address = address::to_map(address.into());
        self.hash(maps::PEERS).insert(Plain(PeerKey { slot, address }), slot, 0).expect("PEERS has room");
    }

    /// Configures a virtual address of the virtual router at `slot`.
    pub fn add_vip(&mut self, vlan: VlanId, address: impl Into<IpAddr>, slot: u32) {
        let address = address::to_map(address.into());
        self.hash(maps::VIPS).insert(Plain(VipKey { vlan, address }), slot, 0).expect("VIPS has room");
    }

    /// Configures a service at `port` of a virtual address.
    pub fn add_frontend(&mut self, vlan: VlanId, address: impl Into<IpAddr>, protocol: u8, port: u16) {
        let address = address::to_map(address.into());
        for (port, protocol) in [(port, protocol), (ANY_PORT, protocol | SOME_PORT)] {
            let key = FrontendKey { vlan, address, port, protocol, _pad: 0 };
            self.hash(maps::FRONTENDS).insert(Plain(key), 0, 0).expect("FRONTENDS has room");
        }
    }

    /// Has the program forward `flow` to the backend with this number, as one of [`SERVICE`](Self::SERVICE).
    pub fn cache_flow(&mut self, flow: Flow, backend: u16) {
        self.write_line(flow, 0, 2, backend);
    }

    /// Has the program do with the frames of `flow` what `value` says.
    pub fn cache(&mut self, flow: Flow, value: CachedFlow) {
        let line = Line { seen_ns: 0, tag: Self::tag(flow), version: 2, value };
        self.array(maps::FLOW_CACHE).set(Self::place(flow), Plain(line), 0).expect("FLOW_CACHE has the line");
    }

    /// Has the program translate answers of this flow.
    pub fn translate(&mut self, answer: Flow, value: Translation) {
        let line = Line { seen_ns: 0, tag: Self::tag(answer), version: 2, value };
        let place = line::place(answer.words(), |part| SEED[part], maps::TRANSLATION_TABLE_LINES);
        self.array(maps::TRANSLATIONS).set(place, Plain(line), 0).expect("TRANSLATIONS has the line");
    }

    /// [`cache_flow`](Self::cache_flow) with another one of the lines in which the flow is looked for, and this version.
    pub fn write_line(&mut self, flow: Flow, way: u32, version: u32, backend: u16) {
        self.write_line_of(flow, flow, way, version, backend);
    }

    /// The same for another flow, in a line in which `flow` is looked for.
    pub fn write_line_of(&mut self, flow: Flow, other: Flow, way: u32, version: u32, backend: u16) {
        let value = CachedFlow { backend, service: Self::SERVICE, ..CachedFlow::default() };
        let line = Line { seen_ns: 0, tag: Self::tag(other), version, value };
        let place = Self::place(flow) ^ way;
        self.array(maps::FLOW_CACHE).set(place, Plain(line), 0).expect("FLOW_CACHE has the line");
    }

    /// When the program has last seen `flow`, in the first line in which it is looked for and that has it.
    pub fn seen_ns(&self, flow: Flow) -> Option<u64> {
        let lines: Array<_, Plain<Line<CachedFlow>>> =
            Array::try_from(self.map(maps::FLOW_CACHE)).expect("an array");
        let line = |way| lines.get(&(Self::place(flow) ^ way), 0).expect("FLOW_CACHE has the line").0;
        (0..WAYS).map(line).find(|line| line.tag == Self::tag(flow)).map(|line| line.seen_ns)
    }

    fn tag(flow: Flow) -> u64 {
        line::tag(flow.words(), |part| SEED[part])
    }

    fn place(flow: Flow) -> u32 {
        line::place(flow.words(), |part| SEED[part], maps::FLOW_CACHE_LINES)
    }

    /// Sets behind which address a backend is that gets packets through `tunnel`.
    pub fn set_tunnel(&mut self, backend: u32, mac: [u8; 6], tunnel: Tunnel) {
        self.array(maps::TUNNELS).set(backend, Plain(tunnel), 0).expect("TUNNELS has the cell");
        self.set_backend_cell(backend, Backend { mac, exit: 1, way: TUNNELLED });
    }

    /// Sets behind which address a backend is that gets its packets translated.
    pub fn set_nat(&mut self, backend: u32, mac: [u8; 6], nat: Nat) {
        self.array(maps::NATS).set(backend, Plain(nat), 0).expect("NATS has the cell");
        self.set_backend_cell(backend, Backend { mac, exit: 1, way: TRANSLATED });
    }

    /// Has a backend be behind this arm.
    pub fn move_backend(&mut self, backend: u32, arm: u8) {
        let mut cells = self.array::<Plain<Backend>>(maps::BACKENDS);
        let cell = cells.get(&backend, 0).expect("BACKENDS has the cell").0;
        cells.set(backend, Plain(Backend { exit: arm + 1, ..cell }), 0).expect("BACKENDS has the cell");
    }

    /// Sets an interface of the engine.
    pub fn set_arm(&mut self, number: u32, arm: Arm) {
        self.array(maps::ARMS).set(number, Plain(arm), 0).expect("ARMS has the cell");
    }

    /// Sets where a backend is, or that it is to be given nothing.
    pub fn set_backend(&mut self, backend: u32, mac: Option<[u8; 6]>) {
        self.set_backend_cell(
            backend,
            mac.map_or(Backend::default(), |mac| Backend { mac, exit: 1, way: DIRECT }),
        );
    }

    fn set_backend_cell(&mut self, backend: u32, cell: Backend) {
        self.array(maps::BACKENDS).set(backend, Plain(cell), 0).expect("BACKENDS has the cell");
    }

    /// The number of the service of flows that are cached.
    pub const SERVICE: u16 = 5;

    /// Frames and octets that the program has forwarded to a backend, over all CPUs.
    pub fn carried(&self, backend: u32) -> (u64, u64) {
        let Carried { frames, octets, .. } = self.sum(maps::CARRIED, backend);
        (frames, octets)
    }

    /// Frames of answers of a backend that the program has translated, over all CPUs.
    pub fn answers(&self, backend: u32) -> u64 {
        self.sum(maps::CARRIED, backend).answers
    }

    /// Frames and octets that the program has forwarded of a service, over all CPUs.
    pub fn served(&self, service: u16) -> (u64, u64) {
        let Carried { frames, octets, .. } = self.sum(maps::SERVED, service.into());
        (frames, octets)
    }

    fn sum(&self, name: &str, number: u32) -> Carried {
        let map = self.bpf.map(name).expect("the map");
        let map: PerCpuArray<_, Plain<Carried>> = PerCpuArray::try_from(map).expect("a per-CPU array");
        let cells = map.get(&number, 0).expect("the cell");
        let add = |sum: Carried, &Plain(cell): &Plain<Carried>| Carried {
            frames: sum.frames + cell.frames,
            octets: sum.octets + cell.octets,
            answers: sum.answers + cell.answers,
            answer_octets: sum.answer_octets + cell.answer_octets,
        };
        cells.iter().fold(Carried::default(), add)
    }

    /// Sets the lease of the virtual router at `slot` and the MAC that stands for it.
    pub fn set_ownership(&mut self, slot: u32, lease_until_ns: u64, mac: [u8; 6]) {
        self.set_cell(slot, Ownership { lease_until_ns, epoch: 1, mac, ..Ownership::default() });
    }

    /// The same, with what the owner's kernel gets.
    pub fn set_delivery(&mut self, slot: u32, lease_until_ns: u64, mac: [u8; 6], delivery: u8) {
        let cell = Ownership { lease_until_ns, epoch: 1, mac, delivery, ..Ownership::default() };
        self.set_cell(slot, cell);
    }

    /// The same for a router that wants to be succeeded.
    pub fn set_leaving(&mut self, slot: u32, lease_until_ns: u64, mac: [u8; 6]) {
        self.set_cell(
            slot,
            Ownership { lease_until_ns, epoch: 1, flags: LEAVING, mac, ..Ownership::default() },
        );
    }

    /// The same for a router that wants to be succeeded by the host at `successor` alone.
    pub fn set_offered(&mut self, slot: u32, lease_until_ns: u64, mac: [u8; 6], successor: [u8; 4]) {
        let successor = maps::mapped(successor);
        let cell =
            Ownership { lease_until_ns, epoch: 1, mac, flags: LEAVING, successor, ..Ownership::default() };
        self.set_cell(slot, cell);
    }

    fn set_cell(&mut self, slot: u32, ownership: Ownership) {
        self.array(maps::OWNERSHIP).set(slot, Plain(ownership), 0).expect("OWNERSHIP has the slot");
    }

    /// The mailbox of the virtual router at `slot`.
    pub fn mailbox(&self, slot: u32) -> Mailbox {
        let map: Array<_, Plain<Mailbox>> = Array::try_from(self.map(maps::MAILBOXES)).expect("an array");
        map.get(&slot, 0).expect("MAILBOXES has the slot").0
    }

    /// The counters of all verdicts, summed over the CPUs.
    pub fn counters(&self) -> BTreeMap<Verdict, u64> {
        let map: PerCpuArray<_, u64> = PerCpuArray::try_from(self.map(maps::COUNTERS)).expect("an array");
        let sum =
            |verdict: Verdict| map.get(&(verdict as u32), 0).expect("a cell for every verdict").iter().sum();
        Verdict::ALL.into_iter().map(|verdict| (verdict, sum(verdict))).collect()
    }

    /// Has the program of backends unwrap packets for `vip` from `node`.
    pub fn unwrap_for(&mut self, vip: impl Into<IpAddr>, node: impl Into<IpAddr>) {
        for (name, address) in [(maps::DECAP_VIPS, vip.into()), (maps::DECAP_NODES, node.into())] {
            self.hash::<Address, u8>(name).insert(address::to_map(address), 0, 0).expect("it has room");
        }
    }

    /// Lets the XDP program judge `frame`.
    pub fn receive(&self, frame: &[u8]) -> Outcome {
        self.observe(frame, self.xdp(maps::XDP_PROGRAM))
    }

    /// Lets the XDP program see `frame`, whose first buffer has so many octets of it (Linux 6.18).
    pub fn receive_split(&self, frame: &[u8], first: u32) -> Outcome {
        // The kernel's `struct xdp_md`: where the data are in it and where they end, and what is not said.
        let context = [0, first, 0, 0, 0, 0].map(u32::to_ne_bytes);
        self.observe_in(Some(context.as_flattened()), frame, self.xdp(maps::XDP_PROGRAM))
    }

    /// Lets the XDP program for other arms see `frame`, which comes in by [`Self::TEST_INTERFACE`].
    pub fn answer_to(&self, frame: &[u8]) -> Outcome {
        self.observe(frame, self.xdp(maps::ANSWER_PROGRAM))
    }

    /// The interface that frames of tests come in by: `lo`.
    pub const TEST_INTERFACE: u32 = 1;

    /// Lets the XDP program of a backend see `frame`.
    pub fn unwrap(&self, frame: &[u8]) -> Outcome {
        self.observe(frame, self.xdp(maps::DECAP_PROGRAM))
    }

    /// Lets the tcx ingress program see `frame`.
    pub fn ingress(&self, frame: &[u8]) -> Outcome {
        self.observe(frame, self.classifier(maps::TCX_INGRESS_PROGRAM))
    }

    /// Lets the tcx egress program judge `frame`.
    pub fn egress(&self, frame: &[u8]) -> Outcome {
        self.observe(frame, self.classifier(maps::TCX_EGRESS_PROGRAM))
    }

    /// The time that the XDP program takes for `frame`, the mean over `repeat` runs. A frame that the program rewrites
    /// is rewritten once: the runs after the first see what it became.
    pub fn time_receive(&self, frame: &[u8], repeat: u32) -> Duration {
        time(frame, repeat, self.xdp(maps::XDP_PROGRAM))
    }

    /// The time that the tcx egress program takes, measured likewise.
    pub fn time_egress(&self, frame: &[u8], repeat: u32) -> Duration {
        time(frame, repeat, self.classifier(maps::TCX_EGRESS_PROGRAM))
    }

    fn observe<P>(&self, frame: &[u8], program: &P) -> Outcome
    where
        P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>, Result = TestRunResult>,
    {
        self.observe_in(None, frame, program)
    }

    fn observe_in<P>(&self, context: Option<&[u8]>, frame: &[u8], program: &P) -> Outcome
    where
        P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>, Result = TestRunResult>,
    {
        let before = self.counters();
        // An answer may be longer than its question.
        let mut out = vec![0; frame.len() + LONGER];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: context,
            ..Default::default()
        };
        let result = program.test_run(options).expect("BPF_PROG_TEST_RUN");
        out.truncate(result.data_size_out as usize);
        let mut counted = self.counters();
        counted.retain(|verdict, count| {
            *count -= before[verdict];
            *count != 0
        });
        Outcome { action: result.return_value, counted, frame: out }
    }

    fn xdp(&self, name: &str) -> &Xdp {
        self.bpf.program(name).expect("the object has the program").try_into().expect("an XDP program")
    }

    fn classifier(&self, name: &str) -> &SchedClassifier {
        self.bpf.program(name).expect("the object has the program").try_into().expect("a tc program")
    }

    fn map(&self, name: &str) -> &Map {
        self.bpf.map(name).unwrap_or_else(|| panic!("the object has no map {name}"))
    }

    fn map_mut(&mut self, name: &str) -> &mut Map {
        self.bpf.map_mut(name).unwrap_or_else(|| panic!("the object has no map {name}"))
    }

    fn array<V: Pod>(&mut self, name: &str) -> Array<&mut MapData, V> {
        Array::try_from(self.map_mut(name)).expect("an array of that type")
    }

    fn hash<K: Pod, V: Pod>(&mut self, name: &str) -> HashMap<&mut MapData, K, V> {
        HashMap::try_from(self.map_mut(name)).expect("a hash map of those types")
    }
}

fn time<P>(frame: &[u8], repeat: u32, program: &P) -> Duration
where
    P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>, Result = TestRunResult>,
{
    let options = TestRunOptions { data_in: Some(frame), repeat, ..Default::default() };
    program.test_run(options).expect("BPF_PROG_TEST_RUN").duration
}

/// Panics with the end of the verifier's log, which has the reason; the whole has thousands of lines.
fn refused(program: &str, error: &ProgramError) -> ! {
    let report = format!("{error:?}");
    let lines: Vec<&str> = report.lines().collect();
    panic!("the verifier refuses {program}:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
}

fn program_mut<'a, P>(bpf: &'a mut Ebpf, name: &str) -> &'a mut P
where
    &'a mut P: TryFrom<&'a mut Program, Error: Debug>,
{
    bpf.program_mut(name).expect("the object has the program").try_into().expect("a program of that type")
}
