//! What the dissectors of Wireshark, which others have written, make of every kind of frame that Baton sends: nothing is
//! malformed, every checksum is right, and the fields are what was configured.

use std::fs;
use std::net::{Ipv6Addr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton::config::MacMode;
use baton_tests::frames;
use baton_tests::lab::{
    Echo, Host, Lab, Process, Settings, VIP, VIPS6, leftovers, output, pause, wait_until,
};

use super::LONG;

/// Longer than a router of VRRPv2 takes to be silent once.
const A_WHILE: Duration = Duration::from_millis(1500);
/// The router whose checksum is the RFC's. Wireshark knows both ways, and has to be told which is meant.
const RFC9568: &str = "62";

/// What is asked about each frame.
const FIELDS: [&str; 33] = [
    "frame.number",
    "frame.protocols",
    "_ws.expert.severity",
    "_ws.expert.message",
    "ip.checksum.status",
    "udp.checksum.status",
    "vrrp.checksum.status",
    "icmpv6.checksum.status",
    "eth.src",
    "eth.dst",
    "ip.src",
    "ip.dst",
    "ipv6.dst",
    "ip.ttl",
    "ipv6.hlim",
    "vrrp.version",
    "vrrp.virt_rtr_id",
    "vrrp.prio",
    "vrrp.adver_int",
    "vrrp.short_adver_int",
    "vrrp.auth_type",
    "vrrp.auth_string",
    "vrrp.ip_addr",
    "vrrp.ipv6_addr",
    "arp.opcode",
    "arp.src.hw_mac",
    "arp.src.proto_ipv4",
    "arp.dst.proto_ipv4",
    "icmpv6.nd.na.target_address",
    "icmpv6.nd.na.flag",
    "udp.srcport",
    "udp.dstport",
    "bfd.sta",
];
/// A severity from which on a remark is a warning or an error.
const WARNING: u32 = 0x0060_0000;
/// What Wireshark says of a checksum that it has found right.
const GOOD: &str = "1";

/// A frame as Wireshark sees it: what it has of [`FIELDS`], in their order; of a field that is there several times, all.
#[derive(Debug)]
struct Dissected(Vec<String>);

impl Dissected {
    fn field(&self, name: &str) -> &str {
        let index = FIELDS.iter().position(|field| *field == name);
        let index = index.unwrap_or_else(|| panic!("{name} is not asked for"));
        self.0.get(index).map_or("", String::as_str)
    }

    /// What is wrong with it.
    fn faults(&self) -> Option<String> {
        let protocols = self.field("frame.protocols");
        let mut severities = self.field("_ws.expert.severity").split(',').filter(|text| !text.is_empty());
        let is_remarkable =
            severities.any(|text| text.parse::<u32>().is_ok_and(|severity| severity >= WARNING));
        let is_unproven = |(protocol, status): (&str, &str)| {
            protocols.split(':').any(|name| name == protocol) && self.field(status) != GOOD
        };
        let checksums = [
            ("ip", "ip.checksum.status"),
            ("udp", "udp.checksum.status"),
            ("vrrp", "vrrp.checksum.status"),
            ("icmpv6", "icmpv6.checksum.status"),
        ];
        let is_faulty =
            is_remarkable || protocols.contains("malformed") || checksums.into_iter().any(is_unproven);
        is_faulty.then(|| format!("{}: {self:?}", self.field("_ws.expert.message")))
    }

    fn has(&self, fields: &[(&str, &str)]) -> bool {
        fields.iter().all(|(name, value)| self.field(name) == *value)
    }
}

#[test]
fn every_kind_of_frame_is_sound_and_has_the_fields_that_were_configured() -> Result<()> {
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    let file = lab.directory().join("frames.pcapng");
    record_every_kind(&lab, &file)?;
    let seen = dissect(&file)?;
    let faults: Vec<String> = seen.iter().filter_map(Dissected::faults).collect();
    ensure!(
        faults.is_empty(),
        "{} of {} frames: {:#?}",
        faults.len(),
        seen.len(),
        &faults[..faults.len().min(5)]
    );
    for (kind, fields) in kinds() {
        ensure!(
            seen.iter().any(|frame| frame.has(&fields)),
            "no {kind} with {fields:?} among {} frames, but {:#?}",
            seen.len(),
            seen.iter().filter(|frame| frame.has(&fields[..1])).take(5).collect::<Vec<_>>()
        );
    }
    drop(lab);
    assert_eq!(leftovers(&id), Vec::<String>::new());
    Ok(())
}

/// The same eyes see what is wrong with a frame.
#[test]
fn a_damaged_frame_is_found() -> Result<()> {
    let directory = std::env::temp_dir().join(format!("baton-tshark-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    // The frame, an octet that stands for another, and what is said of that.
    for (name, at, octet, said) in [
        ("vrrp3-v4-ph-p100", 36, 101, "checksum"),
        ("vrrp3-v4-ph-p100", 22, 254, "checksum"),
        ("vrrp3-v6-p100-2ip", 56, 101, "checksum"),
        ("vrrp2-v4-auth1-p100", 50, 0, "checksum"),
        ("nd-na-unsolicited-vip", 58, 0, "checksum"),
        ("sbfd-init-up", 50, 0, "checksum"),
        ("sbfd6-init-up", 70, 0, "checksum"),
        ("arp-garp-request-rfc9568", 19, 60, ""),
    ] {
        let sound = frames::octets(name);
        let file = directory.join(name);
        fs::write(&file, capture_of(&sound))?;
        let faults: Vec<String> = dissect(&file)?.iter().filter_map(Dissected::faults).collect();
        ensure!(faults.is_empty(), "{name}: {faults:?}");
        fs::write(&file, capture_of(&frames::with(&sound, at, &[octet])))?;
        let faults: Vec<String> = dissect(&file)?.iter().filter_map(Dissected::faults).collect();
        ensure!(faults.len() == 1 && faults[0].contains(said), "{name} with {octet} at {at}: {faults:?}");
    }
    fs::remove_dir_all(&directory)?;
    Ok(())
}

/// Has Baton on both nodes send all that it ever does, and records it in `file`.
fn record_every_kind(lab: &Lab, file: &Path) -> Result<()> {
    lab.enable_ipv6()?;
    // What the kernel leaves to a network card to finish would look wrong.
    for host in Host::ALL {
        lab.run(host, "ethtool", &["-K", "eth0", "tx", "off"])?;
    }
    for (host, priority) in [(Host::A, 254), (Host::B, 253)] {
        // Fewer probes say as much.
        let settings = Settings { sbfd: "relaxed", ..Settings::USUAL };
        let file = lab.configure_routers(host, MacMode::Virtual, &settings, &[])?;
        fs::write(&file, fs::read_to_string(&file)? + &routers(priority))?;
    }
    let _echo = Echo::start(lab, Host::A, VIP)?;
    let mut recorder = record(lab, file)?;
    let _first = lab.start_baton(Host::A)?;
    wait_until("node a to be Active", LONG, || Ok(all_are(lab, Host::A, "Active")))?;
    let _second = lab.start_baton(Host::B)?;
    wait_until("node b to be next in line", LONG, || {
        Ok(lab.baton_status(Host::B).is_ok_and(|status| {
            let ready = |watch: &baton::control::protocol::WatchStatus| watch.up && watch.next_in_line;
            status.routers.iter().all(|router| router.watch.as_ref().is_some_and(ready))
        }))
    })?;
    // The client asks where an address is before it sends anything there.
    assert_eq!(lab.ask(VIP)?, Some(Host::A));
    lab.namespace(Host::Client).within(|| {
        UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?.send_to(&[0], (VIPS6[1], 9))?;
        Ok(())
    })?;
    pause(A_WHILE)?;
    output(&mut lab.baton(Host::A, "handover")?)?;
    wait_until("node b to be Active", LONG, || Ok(all_are(lab, Host::B, "Active")))?;
    pause(A_WHILE)?;
    recorder.stop(LONG).map(drop)
}

/// Begins to write what the nodes send into `file`, as the switch gets it.
fn record(lab: &Lab, file: &Path) -> Result<Process> {
    let mut command = lab.switch().command("dumpcap");
    command.args(["-q", "-f", "inbound", "-B", "16"]);
    for host in Host::NODES {
        command.args(["-i", host.port()]);
    }
    command.arg("-w").arg(file);
    let recorder = Process::start(&mut command, &lab.directory().join("dumpcap.log"))?;
    wait_until("dumpcap to begin", LONG, || Ok(file.exists()))?;
    Ok(recorder)
}

fn all_are(lab: &Lab, host: Host, role: &str) -> bool {
    let status = lab.baton_status(host);
    status.is_ok_and(|status| {
        !status.routers.is_empty() && status.routers.iter().all(|router| router.role == role)
    })
}

/// Every dialect.
fn routers(priority: u8) -> String {
    let [link_local, vip] = VIPS6;
    let router = |vrid: u8, vips: &str, more: &str| {
        format!(
            "\n[[router]]\ninterface = \"eth0\"\nvrid = {vrid}\npriority = {priority}\npreempt = false\n\
             startup_hold_ms = 0\nvips = [{vips}]\n{more}"
        )
    };
    [
        router(61, &format!("\"{VIP}\""), "interval_ms = 100\nchecksum = \"pseudo\"\n"),
        router(61, &format!("\"{link_local}\", \"{vip}\""), "interval_ms = 100\n"),
        router(62, "\"10.77.0.162\"", "interval_ms = 100\nchecksum = \"rfc9568\"\n"),
        router(63, "\"10.77.0.163\"", "version = 2\n"),
        router(64, "\"10.77.0.164\"", "version = 2\npassword = \"s3cret12\"\n"),
        router(65, "\"10.77.0.165\"", "version = \"2+3\"\n"),
    ]
    .concat()
}

/// Every kind of frame that Baton sends, with what it says.
fn kinds() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    const GROUP: (&str, &str) = ("ip.dst", "224.0.0.18");
    const GROUP6: (&str, &str) = ("ipv6.dst", "ff02::12");
    const FROM_A: (&str, &str) = ("ip.src", "10.77.0.1");
    const MAC: &str = "00:00:5e:00:01:3d";
    const MAC6: &str = "00:00:5e:00:02:3d";
    const CLIENT: &str = "02:00:00:00:00:0c";
    let [v3, rfc, v2, password, both] =
        ["61", RFC9568, "63", "64", "65"].map(|vrid| ("vrrp.virt_rtr_id", vrid));
    let [old, new] = ["2", "3"].map(|version| ("vrrp.version", version));
    let (best, leaving) = (("vrrp.prio", "254"), ("vrrp.prio", "0"));
    let [request, reply] = ["1", "2"].map(|operation| ("arp.opcode", operation));
    let about = [("arp.src.proto_ipv4", "10.77.0.100"), ("arp.src.hw_mac", MAC)];
    let gratuitous =
        [about[0], about[1], ("arp.dst.proto_ipv4", "10.77.0.100"), ("eth.dst", "ff:ff:ff:ff:ff:ff")];
    let target = ("icmpv6.nd.na.target_address", "fd77::100");
    let [from_mac, from_mac6] = [MAC, MAC6].map(|mac| ("eth.src", mac));
    let [probe, answer] = ["udp.dstport", "udp.srcport"].map(|port| (port, "7784"));
    let [up, out_of_service] = ["0x03", "0x00"].map(|state| ("bfd.sta", state));
    let [ttl, hops] = ["ip.ttl", "ipv6.hlim"].map(|field| (field, "255"));
    vec![
        (
            "advert of VRRPv3",
            vec![
                v3,
                best,
                GROUP,
                FROM_A,
                from_mac,
                ttl,
                ("vrrp.version", "3"),
                ("vrrp.ip_addr", "10.77.0.100"),
                ("vrrp.short_adver_int", "10"),
            ],
        ),
        ("last advert of VRRPv3", vec![v3, leaving, GROUP, from_mac]),
        ("advert with the RFC's checksum", vec![rfc, best, GROUP, ttl, ("vrrp.ip_addr", "10.77.0.162")]),
        ("last advert with the RFC's checksum", vec![rfc, leaving, GROUP]),
        (
            "advert over IPv6",
            vec![
                v3,
                best,
                GROUP6,
                from_mac6,
                hops,
                ("vrrp.version", "3"),
                ("vrrp.ipv6_addr", "fe80::100,fd77::100"),
            ],
        ),
        ("last advert over IPv6", vec![v3, leaving, GROUP6, from_mac6]),
        (
            "advert of VRRPv2",
            vec![
                v2,
                best,
                GROUP,
                ttl,
                ("vrrp.version", "2"),
                ("vrrp.auth_type", "0"),
                ("vrrp.adver_int", "1"),
                ("vrrp.ip_addr", "10.77.0.163"),
            ],
        ),
        ("last advert of VRRPv2", vec![v2, leaving, GROUP]),
        (
            "advert with a password",
            vec![password, best, GROUP, ("vrrp.auth_type", "1"), ("vrrp.auth_string", "s3cret12")],
        ),
        ("advert of both versions in VRRPv2", vec![both, best, GROUP, old, ("vrrp.adver_int", "1")]),
        ("advert of both versions in VRRPv3", vec![both, best, GROUP, new, ("vrrp.short_adver_int", "100")]),
        ("last advert of both versions in VRRPv2", vec![both, leaving, GROUP, old]),
        ("last advert of both versions in VRRPv3", vec![both, leaving, GROUP, new]),
        ("last advert with a password", vec![password, leaving, ("vrrp.auth_string", "s3cret12")]),
        ("gratuitous ARP request", [&[request, from_mac][..], &gratuitous].concat()),
        ("gratuitous ARP reply", [&[reply, from_mac][..], &gratuitous].concat()),
        (
            "answer to an ARP request",
            vec![reply, about[0], about[1], ("eth.dst", CLIENT), ("arp.dst.proto_ipv4", "10.77.0.9")],
        ),
        (
            "unsolicited neighbour advertisement",
            vec![target, from_mac6, hops, ("ipv6.dst", "ff02::1"), ("icmpv6.nd.na.flag", "0xa0000000")],
        ),
        (
            "answer to a neighbour solicitation",
            vec![target, hops, ("eth.dst", CLIENT), ("icmpv6.nd.na.flag", "0xe0000000")],
        ),
        ("S-BFD probe", vec![probe, up, ttl, ("ip.src", "10.77.0.2"), ("ip.dst", "10.77.0.1")]),
        ("S-BFD answer", vec![answer, up, ttl, FROM_A, ("ip.dst", "10.77.0.2")]),
        ("S-BFD answer out of service", vec![answer, out_of_service, ttl, FROM_A]),
        ("S-BFD probe over IPv6", vec![probe, up, hops]),
        ("S-BFD answer over IPv6", vec![answer, up, hops]),
    ]
}

/// Has Wireshark take the frames of `file` apart, with all checksums looked at.
fn dissect(file: &Path) -> Result<Vec<Dissected>> {
    let of_rfc = format!("vrrp.virt_rtr_id == {RFC9568}");
    let mut seen = dissect_some(file, true, &of_rfc)?;
    seen.extend(dissect_some(file, false, &format!("!({of_rfc})"))?);
    Ok(seen)
}

/// The frames that `filter` is true of, by the rule that adverts of VRRPv3 over IPv4 have a checksum like VRRPv2's, or by the
/// other one.
fn dissect_some(file: &Path, like_version_2: bool, filter: &str) -> Result<Vec<Dissected>> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-n", "-Y", filter]);
    for (preference, value) in [
        ("ip.check_checksum", true),
        ("udp.check_checksum", true),
        ("vrrp.v3_checksum_as_in_v2", like_version_2),
    ] {
        command.arg("-o").arg(format!("{preference}:{}", if value { "TRUE" } else { "FALSE" }));
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
