//! NAT beside that of the kernel: the same packets through both come out the same. Ours are told first, so that nftables can be told
//! to use the ports that ours has chosen.
//!
//! ```text
//!   client ==== client-side | this network | server-side ==== server
//!   frames in, frames out      nftables                       frames in, frames out
//! ```

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use baton::socket::PacketSocket;
use baton::wire::Mac;
use baton_tests::frames::{ip_checksummed, with};
use baton_tests::network::{Hears, Listener, enter_empty_network, ip};
use baton_tests::random::Random;
use nix::net::if_::if_nametoindex;

use super::bench::{ACK, Bench, FIN, SYN, mac};
use super::nat::{CLIENT_MAC, DEVICE_MAC, End, Kind, Places, bench, ends, error, frame, places};

/// Flows of each family and protocol, and packets of each, at the most.
const FLOWS: u16 = 12;
const PACKETS: u64 = 8;
/// A router on the way, which has something to say.
const ROUTERS: [&str; 2] = ["198.51.100.1", "2001:db8:1::1"];
/// The backend's port.
const PORT: u16 = 8443;
/// How long the kernel may take to forward a frame.
const PATIENCE: Duration = Duration::from_secs(5);

/// A frame that arrives, and what becomes of it.
struct Step {
    is_answer: bool,
    arrives: Vec<u8>,
    leaves: Vec<u8>,
}

/// What is said on a flow, by ours.
struct Story {
    kind: Kind,
    client: End,
    /// What the backend sees of the client.
    seen_as: End,
    steps: Vec<Step>,
}

/// A packet between these ends as a host might send it.
fn packet(random: &mut Random, kind: Kind, source: End, destination: End) -> Vec<u8> {
    let payload: Vec<u8> = (0..random.below(1300)).map(|_| random.octet()).collect();
    let frame = frame(kind, source, destination, &payload);
    match (source.0, kind) {
        (IpAddr::V4(_), kind) => {
            // Traffic class, length, identification, Don't Fragment or not.
            let frame = with(&frame, 15, &[random.octet()]);
            let frame = with(&frame, 18, &[random.octet(), random.octet(), random.pick(&[0, 0x40])]);
            let is_unchecked = matches!(kind, Kind::Udp) && random.chance(300);
            let frame = if is_unchecked { with(&frame, 40, &[0, 0]) } else { frame };
            ip_checksummed(&frame)
        }
        (IpAddr::V6(_), _) => {
            with(&frame, 14, &[0x60 | random.octet() & 0xf, random.octet(), random.octet()])
        }
    }
}

/// A flow through `bench` from beginning to end, with an error from either side.
fn tell(
    random: &mut Random,
    bench: &mut Bench,
    places: Places,
    is_full: bool,
    is_tcp: bool,
    number: u16,
) -> Story {
    let client = (places.client.0, 20_000 + number);
    let kind = |flags| if is_tcp { Kind::Tcp(flags) } else { Kind::Udp };
    let router: IpAddr = ROUTERS[usize::from(client.0.is_ipv6())].parse().expect("an address");
    let mut steps = Vec::new();
    let mut step = |is_answer, arrives: Vec<u8>| {
        let leaves = bench.forward(&arrives).expect("it is forwarded");
        steps.push(Step { is_answer, arrives, leaves: leaves.clone() });
        leaves
    };
    let first = step(false, frame(kind(SYN), client, places.vip, &[]));
    let (seen_as, backend) = ends(&first);
    assert_eq!((seen_as.0 == places.host, backend), (is_full, (places.backend, PORT)));
    let mut answer = step(true, frame(kind(SYN | ACK), backend, seen_as, &[]));
    let mut asked = step(false, frame(kind(ACK), client, places.vip, &[]));
    for _ in 0..random.between(2, PACKETS) {
        if random.chance(500) {
            answer = step(true, packet(random, kind(ACK), backend, seen_as));
        } else {
            asked = step(false, packet(random, kind(ACK), client, places.vip));
        }
    }
    let quoted = random.pick(&[48, 68, 500]);
    step(false, error(router, places.vip.0, &answer, quoted));
    step(true, error(router, seen_as.0, &asked, quoted));
    step(false, frame(kind(FIN | ACK), client, places.vip, &[]));
    step(true, frame(kind(FIN | ACK), backend, seen_as, &[]));
    Story { kind: kind(SYN), client, seen_as, steps }
}

/// What nftables is told to do the same.
fn rules(stories: &[(Places, bool, Story)]) -> String {
    let (mut before, mut after) = (String::new(), String::new());
    for (places, is_full, Story { kind, client, seen_as, .. }) in stories {
        let (family, to) = match places.vip.0 {
            IpAddr::V4(_) => ("ip", format!("{}:{PORT}", places.backend)),
            IpAddr::V6(_) => ("ip6", format!("[{}]:{PORT}", places.backend)),
        };
        let protocol = if matches!(kind, Kind::Udp) { "udp" } else { "tcp" };
        let is_it = format!("{family} saddr {} {protocol} sport {}", client.0, client.1);
        let is_vip = format!("{family} daddr {} {protocol} dport {}", places.vip.0, places.vip.1);
        writeln!(before, "{is_it} {is_vip} dnat {family} to {to}").expect("written");
        if *is_full {
            let from = match seen_as.0 {
                IpAddr::V4(address) => format!("{address}:{}", seen_as.1),
                IpAddr::V6(address) => format!("[{address}]:{}", seen_as.1),
            };
            writeln!(after, "{is_it} snat {family} to {from}").expect("written");
        }
    }
    format!(
        "table inet beside {{\n chain before {{ type nat hook prerouting priority dstnat;\n{before}}}\n \
         chain after {{ type nat hook postrouting priority srcnat;\n{after}}}\n}}\n"
    )
}

/// The interfaces of the drawing above, with nothing of this network on the outer ones.
fn build(all: &[Places]) {
    let text = |mac: Mac| mac.map(|octet| format!("{octet:02x}")).join(":");
    let mut script = String::new();
    // The outer ones have other Ethernet addresses than those that this network knows: they take nothing in.
    for (inner, outer) in [("client-side", "client"), ("server-side", "server")] {
        let address = text(DEVICE_MAC);
        writeln!(script, "link add {inner} address {address} type veth peer name {outer}").expect("written");
        writeln!(script, "link set {inner} up\nlink set {outer} up").expect("written");
    }
    for Places { client, backend, .. } in all {
        for (address, interface, mac) in
            [(client.0, "client-side", CLIENT_MAC), (*backend, "server-side", mac(0))]
        {
            writeln!(script, "route add {address} dev {interface}").expect("written");
            writeln!(script, "neigh add {address} lladdr {} dev {interface}", text(mac)).expect("written");
        }
    }
    // Errors come from somewhere.
    for router in ROUTERS {
        writeln!(script, "route add {router} dev client-side").expect("written");
    }
    enter_empty_network("link set lo up");
    for (key, value) in [
        ("net/ipv6/conf/all/accept_dad", "0"),
        ("net/ipv6/conf/default/accept_dad", "0"),
        ("net/ipv4/ip_forward", "1"),
        ("net/ipv6/conf/all/forwarding", "1"),
        ("net/ipv4/conf/default/rp_filter", "0"),
        ("net/ipv4/conf/all/rp_filter", "0"),
    ] {
        fs::write(format!("/proc/sys/{key}"), value).unwrap_or_else(|error| panic!("{key}: {error}"));
    }
    script.lines().for_each(ip);
}

fn load(rules: &str) {
    let mut nft =
        Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nftables is installed");
    nft.stdin.take().expect("piped").write_all(rules.as_bytes()).expect("written");
    assert!(nft.wait().expect("it ends").success(), "nft refuses\n{rules}");
    // The sequence numbers of the packets are made up.
    fs::write("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal", "1").expect("a sysctl");
}

/// The next IP packet that comes out at `ear`, where the kernel also speaks of its own neighbours.
fn heard(ear: &Listener, sender: Mac) -> Option<Vec<u8>> {
    let (deadline, mut buffer) = (Instant::now() + PATIENCE, [0; 2048]);
    while Instant::now() < deadline {
        match ear.next(&mut buffer) {
            // Of the frames that are sent from this end none counts.
            Some(frame) if frame[6..12] == sender && matches!(frame[12..14], [8, 0] | [0x86, 0xdd]) => {
                let is_speech = frame[12] == 0x86 && frame[20] == 58 && frame[54] >= 128;
                if !is_speech {
                    return Some(frame.to_vec());
                }
            }
            Some(_) => {}
            None => sleep(Duration::from_micros(100)),
        }
    }
    None
}

#[test]
fn the_same_packets_through_nftables_come_out_the_same() {
    const SEED: u64 = 20;
    let mut random = Random::new(SEED);
    let mut stories = Vec::new();
    let all = [false, true].map(places);
    for (places, is_full) in all.into_iter().flat_map(|places| [(places, false), (places, true)]) {
        let mut bench = bench(places, is_full.then_some(places.host), Some(PORT));
        for number in 0..2 * FLOWS {
            // Of a client's port one flow only is known to nftables.
            let number = number + if is_full { 2 * FLOWS } else { 0 };
            stories.push((
                places,
                is_full,
                tell(&mut random, &mut bench, places, is_full, number % 2 == 0, number),
            ));
        }
    }
    build(&all);
    load(&rules(&stories));
    let socket =
        |name| PacketSocket::open(if_nametoindex(name).expect("the interface")).expect("a packet socket");
    let ear = |name| Listener::open(name, Hears::Everything).expect("an ear");
    let (client, server) = ((socket("client"), ear("client")), (socket("server"), ear("server")));
    let mut count = 0;
    for (_, is_full, story) in &stories {
        for Step { is_answer, arrives, leaves } in &story.steps {
            let (from, to) = if *is_answer { (&server, &client) } else { (&client, &server) };
            from.0.transmit(&[&DEVICE_MAC, &arrives[6..]].concat()).expect("sent");
            let by_kernel = heard(&to.1, DEVICE_MAC);
            let by_kernel =
                by_kernel.unwrap_or_else(|| panic!("seed {SEED}: nothing comes out for {arrives:02x?}"));
            assert_eq!(
                leaves[14..],
                by_kernel[14..],
                "seed {SEED}, full {is_full}, {:?}, answer {is_answer}: of {arrives:02x?}",
                story.kind
            );
            count += 1;
        }
    }
    assert!(count > 700, "{count} packets");
}
