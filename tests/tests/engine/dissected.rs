//! What Wireshark's dissectors, which others have written, make of the frames that a backend gets: no remark, every checksum right, and
//! nothing lost or added. In every way of forwarding, of both families and protocols, by the engine and by the flow cache.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton::address;
use baton::socket::PacketSocket;
use baton_common::vrid::{Family, Vrid};
use baton_tests::lab::{Balanced, Host, Process, VIP, VIPS6, VRID, output, pause, wait_until};
use etherparse::PacketBuilder;
use nix::net::if_::if_nametoindex;

use super::support::{SOON, end};

/// What is asked about each frame.
const FIELDS: [&str; 17] = [
    "frame.protocols",
    "_ws.expert.severity",
    "_ws.expert.message",
    "eth.padding",
    "eth.trailer",
    "ip.checksum.status",
    "tcp.checksum.status",
    "udp.checksum.status",
    "udp.checksum",
    "ip.src",
    "ipv6.src",
    "ip.dst",
    "ipv6.dst",
    "tcp.dstport",
    "udp.dstport",
    "tcp.len",
    "udp.length",
];
/// A severity from which on a remark is a warning or an error.
const WARNING: u32 = 0x0060_0000;
/// What Wireshark says of a checksum that it has found right, and of one that there is none.
const GOOD: &str = "1";
const ABSENT: &str = "3";

/// Longer than a frame takes, or dumpcap from its socket to its first frame.
const A_WHILE: Duration = Duration::from_millis(500);

/// The port of translated packets.
const TRANSLATED: u16 = 9000;
const CLIENT_PORT: u16 = 51_515;
const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 17;

/// A way to a backend that nobody is: packets for it come to a host that throws them away.
struct Way {
    name: &'static str,
    forward: &'static str,
    vip: IpAddr,
    backend: IpAddr,
    port: u16,
}

/// Every way, each with a port of its own.
fn ways() -> Vec<Way> {
    let (vip, vip6): (IpAddr, IpAddr) = (VIP.into(), VIPS6[1].into());
    let way = |(port, (name, forward, vip, backend)): (u16, (&'static str, &'static str, IpAddr, &str))| {
        Way { name, forward, vip, backend: backend.parse().expect("an address"), port }
    };
    let all = [
        ("direct4", "direct", vip, "10.77.0.41"),
        ("tunnel44", "tunnel", vip, "10.77.0.42"),
        ("tunnel46", "tunnel", vip, "fd77::42"),
        ("nat4", "nat", vip, "10.77.0.43"),
        ("full4", "full-nat", vip, "10.77.0.44"),
        ("direct6", "direct", vip6, "fd77::51"),
        ("tunnel66", "tunnel", vip6, "fd77::52"),
        ("tunnel64", "tunnel", vip6, "10.77.0.52"),
        ("nat6", "nat", vip6, "fd77::53"),
        ("full6", "full-nat", vip6, "fd77::54"),
    ];
    (8001..).zip(all).map(way).collect()
}

impl Way {
    fn translates(&self) -> bool {
        self.forward.ends_with("nat")
    }

    /// Its pool and its services.
    fn tables(&self) -> String {
        let Self { name, forward, vip, backend, port } = self;
        let other_port = if self.translates() { format!(", port = {TRANSLATED}") } else { String::new() };
        let service = |protocol| {
            format!(
                "[[service]]\nvip = \"{vip}\"\nprotocol = \"{protocol}\"\nport = {port}\npool = \"{name}\"\n"
            )
        };
        format!(
            "[[pool]]\nname = \"{name}\"\nforward = \"{forward}\"\nbackend = [{{ address = \"{backend}\"{other_port} }}]\n{}{}",
            service("tcp"),
            service("udp")
        )
    }

    /// The addresses that a packet comes from and goes to at the backend, those of all its headers, and the port that it is for.
    fn ends(&self) -> (BTreeSet<IpAddr>, BTreeSet<IpAddr>, u16) {
        let of = |host: Host, family| match family {
            Family::Ipv4 => IpAddr::from(host.address()),
            Family::Ipv6 => IpAddr::from(host.address6()),
        };
        let client = of(Host::Client, address::family(self.vip));
        let node = of(Host::A, address::family(self.backend));
        match self.forward {
            "direct" => ([client].into(), [self.vip].into(), self.port),
            "tunnel" => ([node, client].into(), [self.backend, self.vip].into(), self.port),
            "nat" => ([client].into(), [self.backend].into(), TRANSLATED),
            _ => ([node].into(), [self.backend].into(), TRANSLATED),
        }
    }

    /// A frame of the client with this payload: of TCP, if it has flags.
    fn frame(&self, flags: Option<u8>, payload: &[u8]) -> Vec<u8> {
        let mac = Vrid::new(VRID).expect("not 0").virtual_mac(address::family(self.vip));
        let builder = PacketBuilder::ethernet2(Host::Client.mac(), mac);
        let builder = match self.vip {
            IpAddr::V4(vip) => builder.ipv4(Host::Client.address().octets(), vip.octets(), 64),
            IpAddr::V6(vip) => builder.ipv6(Host::Client.address6().octets(), vip.octets(), 64),
        };
        let mut frame = Vec::new();
        match flags {
            None => builder.udp(CLIENT_PORT, self.port).write(&mut frame, payload).expect("it fits"),
            Some(flags) => {
                let mut tcp = builder.tcp(CLIENT_PORT, self.port, 1, 65_535);
                tcp = if flags & SYN != 0 { tcp.syn() } else { tcp.ack(1) };
                tcp = if flags == FIN { tcp.fin() } else { tcp };
                tcp.write(&mut frame, payload).expect("it fits");
            }
        }
        frame
    }

    /// A datagram whose sender has spared itself the checksum, as over IPv4 it may.
    fn without_checksum(&self) -> Option<Vec<u8>> {
        let mut frame = self.frame(None, &[5; 77]);
        self.vip.is_ipv4().then(|| {
            frame[40..42].fill(0);
            frame
        })
    }
}

/// The lengths of payloads with even and odd ends, up to what fits into every tunnel.
const LENGTHS: [usize; 4] = [0, 1, 535, 1300];
/// Short payloads, for checksums of all kinds.
const SHORT: u16 = 64;

/// What the client sends for each way: the first packets of its flows, and when the flow cache knows these, the others.
fn frames(way: &Way) -> [Vec<Vec<u8>>; 2] {
    let payload = |length| (0..=255).cycle().take(length).collect::<Vec<u8>>();
    let first = vec![
        way.frame(Some(SYN), &[]),
        way.frame(Some(ACK), &[]),
        way.frame(None, &[]),
        way.frame(None, &[1]),
    ];
    let mut others: Vec<Vec<u8>> = Vec::new();
    for flags in [Some(ACK), None] {
        others.extend(LENGTHS.map(|length| way.frame(flags, &payload(length))));
        others.extend((0..SHORT).map(|number| way.frame(flags, &(number * 1021).to_be_bytes())));
    }
    others.extend(way.without_checksum());
    others.push(way.frame(Some(FIN), &[]));
    [first, others]
}

/// What a frame is known by at the backend: the ends, whether it is of TCP, and the length of its payload.
type Kind = (BTreeSet<IpAddr>, BTreeSet<IpAddr>, u16, bool, usize);

/// A frame as Wireshark sees it: what it has of [`FIELDS`], of a field that is there several times, all.
#[derive(Debug)]
struct Dissected(Vec<String>);

impl Dissected {
    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let index = FIELDS.iter().position(|field| *field == name);
        let text = &self.0[index.unwrap_or_else(|| panic!("{name} is not asked for"))];
        text.split(',').filter(|word| !word.is_empty())
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.all(name).next()?.parse().ok()
    }

    fn kind(&self) -> Option<Kind> {
        let ends = |names: [&str; 2]| {
            let all = names.into_iter().flat_map(|name| self.all(name));
            all.map(str::parse).collect::<Result<BTreeSet<IpAddr>, _>>().ok()
        };
        let (sources, destinations) = (ends(["ip.src", "ipv6.src"])?, ends(["ip.dst", "ipv6.dst"])?);
        let (port, is_tcp, length) = match self.number("tcp.len") {
            Some(length) => (self.number("tcp.dstport")?, true, length),
            None => (self.number("udp.dstport")?, false, self.number("udp.length")?.checked_sub(8)?),
        };
        Some((sources, destinations, u16::try_from(port).ok()?, is_tcp, length))
    }

    /// Whether there is nothing to be said against it.
    fn is_sound(&self) -> bool {
        let are_good = |field| self.all(field).all(|status| status == GOOD);
        let has_none =
            self.all("udp.checksum").eq(["0x0000"]) && self.all("udp.checksum.status").eq([ABSENT]);
        let protocols = &self.0[0];
        // As many as there are headers.
        let headers = protocols.split(':').filter(|name| *name == "ip").count();
        let is_remarkable = |severity: &str| severity.parse::<u32>().is_ok_and(|it| it >= WARNING);
        !self.all("_ws.expert.severity").any(is_remarkable)
            && self.all("eth.padding").chain(self.all("eth.trailer")).next().is_none()
            && self.all("ip.checksum.status").count() == headers
            && self.all("tcp.checksum.status").chain(self.all("udp.checksum.status")).count() == 1
            && are_good("ip.checksum.status")
            && are_good("tcp.checksum.status")
            && (are_good("udp.checksum.status") || has_none)
    }
}

#[test]
fn wireshark_finds_every_frame_at_the_backend_sound() -> Result<()> {
    let mut setup = Balanced::prepare()?;
    setup.lab.enable_ipv6()?;
    let [link_local, vip6] = VIPS6;
    let tables: String = ways().iter().map(Way::tables).collect();
    setup.configure(
        Host::A,
        &format!(
            "{tables}[[router]]\ninterface = \"eth0\"\nvrid = {VRID}\npriority = 200\ninterval_ms = 10\nstartup_hold_ms = 0\n\
             vips = [\"{link_local}\", \"{vip6}\"]\n"
        ),
    )?;
    setup.set_runtime(Host::A, "flows = 4096")?;
    enter_backends(&setup)?;
    setup.start(Host::A)?;
    wait_until("node a to be Active", SOON, || {
        let routers = setup.lab.baton_status(Host::A)?.routers;
        Ok(routers.len() == 2 && routers.iter().all(|router| router.role == "Active"))
    })?;

    let file = setup.lab.directory().join("backend.pcapng");
    let mut recorder = record(&setup, &file)?;
    let [first, others] = [0, 1].map(|turn| {
        ways()
            .iter()
            .flat_map(|way| frames(way).into_iter().nth(turn).unwrap_or_default())
            .collect::<Vec<_>>()
    });
    send(&setup, &first)?;
    send(&setup, &others)?;
    recorder.stop(SOON)?;
    let verdicts = &setup.lab.baton_status(Host::A)?.interfaces[0].verdicts;
    let [forwarded, balanced] = ["vip-forwarded", "vip-balanced"].map(|verdict| verdicts[verdict]);
    ensure!(forwarded > 1000 && balanced >= 40, "{forwarded} by the flow cache, {balanced} by the engine");

    let mut expected = BTreeMap::<Kind, usize>::new();
    for way in ways() {
        let (sources, destinations, port) = way.ends();
        for frame in frames(&way).concat() {
            let (is_tcp, length) = payload(&frame);
            *expected.entry((sources.clone(), destinations.clone(), port, is_tcp, length)).or_default() += 1;
        }
    }
    let mut seen = BTreeMap::<Kind, usize>::new();
    for frame in dissect(&file)? {
        // What is for others, too, comes to every host on the switch.
        let Some(kind) = frame.kind().filter(|kind| expected.contains_key(kind)) else { continue };
        ensure!(frame.is_sound(), "{frame:?}");
        *seen.entry(kind).or_default() += 1;
    }
    let missing: Vec<_> = expected.iter().filter(|(kind, count)| seen.get(kind) != Some(count)).collect();
    ensure!(missing.is_empty(), "{missing:?}");
    end(setup)
}

/// The same eyes see what is wrong with a frame.
#[test]
fn wireshark_finds_a_damaged_frame() -> Result<()> {
    let directory = std::env::temp_dir().join(format!("baton-dissected-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let file = directory.join("frame");
    let ways = ways();
    for (way, flags) in [(&ways[0], Some(ACK)), (&ways[0], None), (&ways[5], Some(ACK)), (&ways[5], None)] {
        let frame = way.frame(flags, &[1, 2, 3]);
        let last = frame.len() - 1;
        fs::write(&file, capture_of(&frame))?;
        ensure!(dissect(&file)?.iter().all(Dissected::is_sound), "{}", way.name);
        // The payload, an address, the length, and an octet too much.
        for at in [last, 25, 17 + usize::from(way.vip.is_ipv6()) * 2] {
            let mut damaged = frame.clone();
            damaged[at] ^= 1;
            fs::write(&file, capture_of(&damaged))?;
            ensure!(!dissect(&file)?.iter().any(Dissected::is_sound), "{} with another octet {at}", way.name);
        }
        fs::write(&file, capture_of(&[&frame[..], &[0]].concat()))?;
        ensure!(!dissect(&file)?.iter().any(Dissected::is_sound), "{} with one more octet", way.name);
    }
    Ok(fs::remove_dir_all(&directory)?)
}

/// Whether the frame of a client is of TCP, and the length of its payload.
fn payload(frame: &[u8]) -> (bool, usize) {
    let at = if frame[12..14] == [8, 0] { 34 } else { 54 };
    let is_tcp = frame[if at == 34 { 23 } else { 20 }] == 6;
    (is_tcp, frame.len() - at - if is_tcp { 20 } else { 8 })
}

/// Has node a send what is for the backends to the first host behind the switch, to which their addresses mean nothing.
fn enter_backends(setup: &Balanced) -> Result<()> {
    let link = output(setup.backends[0].namespace().command("ip").args(["-o", "link", "show", "eth0"]))?;
    let mut words = link.split_whitespace().skip_while(|word| *word != "link/ether");
    let mac = words.nth(1).context("an address")?;
    for Way { backend, .. } in ways() {
        let words =
            ["neighbour", "replace", &backend.to_string(), "lladdr", mac, "dev", "eth0", "nud", "permanent"];
        setup.lab.run(Host::A, "ip", &words)?;
    }
    Ok(())
}

/// Begins to write what that host gets into `file`.
fn record(setup: &Balanced, file: &Path) -> Result<Process> {
    let mut command = setup.backends[0].namespace().command("dumpcap");
    command.args(["-q", "-i", "eth0", "-f", "inbound", "-B", "16", "-w"]).arg(file);
    let recorder = Process::start(&mut command, &setup.lab.directory().join("dumpcap.log"))?;
    // It has its file before it listens. Behind a line of headings there is one for each packet socket.
    let sockets = || Ok(fs::read_to_string("/proc/thread-self/net/packet")?.lines().count() - 1);
    wait_until("dumpcap to begin", SOON, || Ok(setup.backends[0].namespace().within(sockets)? > 0))?;
    pause(A_WHILE)?;
    Ok(recorder)
}

/// Has the client send `frames`, and waits until the node has sent all of them on.
fn send(setup: &Balanced, frames: &[Vec<u8>]) -> Result<()> {
    let carried = || -> Result<u64> {
        let pools = setup.engine(Host::A)?.pools;
        Ok(pools.iter().flat_map(|pool| &pool.backends).map(|backend| backend.frames).sum())
    };
    let before = carried()?;
    setup.lab.namespace(Host::Client).within(|| {
        let socket = PacketSocket::open(if_nametoindex("eth0")?)?;
        for frame in frames {
            socket.transmit(frame)?;
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    })?;
    wait_until("all frames to be sent on", SOON, || Ok(carried()? - before >= frames.len() as u64))?;
    // They are counted before they are there.
    pause(A_WHILE)
}

/// Has Wireshark take the frames of `file` apart, with all checksums looked at and all payloads taken for what they are.
fn dissect(file: &Path) -> Result<Vec<Dissected>> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-n", "-d", "tcp.port==1-65535,data", "-d", "udp.port==1-65535,data"]);
    for preference in [
        "ip.check_checksum:TRUE",
        "tcp.check_checksum:TRUE",
        "udp.check_checksum:TRUE",
        "ip.tso_support:FALSE",
        // They make no sense, and are not meant to.
        "tcp.analyze_sequence_numbers:FALSE",
    ] {
        command.args(["-o", preference]);
    }
    command.args(["-T", "fields", "-E", "separator=|", "-E", "occurrence=a"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let text = output(&mut command).context("is the package tshark installed?")?;
    Ok(text.lines().map(|line| Dissected(line.split('|').map(str::to_owned).collect())).collect())
}

/// A file with `frame` in it, in the format of libpcap.
fn capture_of(frame: &[u8]) -> Vec<u8> {
    const ETHERNET: u32 = 1;
    let length = u32::try_from(frame.len()).expect("no frame is that long");
    let header = [0xa1b2_c3d4, 0x0002_0004, 0, 0, 0xffff, ETHERNET];
    let words = header.into_iter().chain([0, 0, length, length]);
    words.flat_map(u32::to_be_bytes).chain(frame.iter().copied()).collect()
}
