//! The client of the measurements, and the service that it asks. Both run under SCHED_FIFO and never spin: the kernel
//! takes 50 ms of every second from a real-time process that does.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, IntoRawFd as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use baton::clock;
use baton_benches::arp::ArpSocket;
use baton_benches::realtime::{become_realtime, sleep_until};
use baton_tests::lab::{ArpProbe, Host, Probe, Recording, catch_signals, check_interrupted};
use clap::{Parser, Subcommand};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt};

/// Above the agents under test: a late probe would count as their outage.
const PRIORITY: u8 = 60;
/// How long answers may take after the last probe.
const GRACE_NS: u64 = 10_000_000;
const SOCKET_BUFFER: usize = 4 << 20;

/// Probes a virtual IP from a client, or answers such probes.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Answer every probe with its number, this node and the time.
    Echo {
        /// Address and port to serve; the address need not be there yet.
        #[arg(long)]
        bind: SocketAddrV4,
        /// The node's name, a or b.
        #[arg(long)]
        node: String,
    },
    /// Send probes and ARP requests until SIGTERM, then write what came back.
    Probe {
        /// Address and port to ask.
        #[arg(long)]
        target: SocketAddrV4,
        /// Interface for the ARP requests.
        #[arg(long, default_value = "eth0")]
        interface: String,
        /// Distance between probes.
        #[arg(long, default_value_t = 50)]
        every_us: u64,
        /// Distance between ARP requests.
        #[arg(long, default_value_t = 250)]
        arp_every_us: u64,
        /// The longest time to probe.
        #[arg(long)]
        seconds: u64,
        /// File for the recording.
        #[arg(long)]
        out: PathBuf,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().verb {
        Verb::Echo { bind, node } => echo(bind, &node),
        Verb::Probe { target, interface, every_us, arp_every_us, seconds, out } => {
            let recording = probe(target, &interface, every_us * 1000, arp_every_us * 1000, seconds)?;
            let file = File::create(&out).with_context(|| format!("create {}", out.display()))?;
            let mut file = BufWriter::new(file);
            recording.write_to(&mut file)?;
            file.flush().context("write the recording")
        }
    }
}

fn echo(address: SocketAddrV4, node: &str) -> Result<()> {
    let node = match Host::from_name(node) {
        Some(Host::A) => 1,
        Some(Host::B) => 2,
        Some(Host::Client) | None => anyhow::bail!("a node is a or b, not `{node}`"),
    };
    let service = bind_free(address)?;
    become_realtime(PRIORITY)?;
    let mut answer = [0; 24];
    loop {
        // A client that went away leaves an ICMP error behind: it is not the service's business.
        let Ok((length, client)) = service.recv_from(&mut answer[..8]) else {
            continue;
        };
        answer[8] = if length == 8 { node } else { continue };
        answer[16..].copy_from_slice(&clock::now().as_nanos().to_le_bytes());
        let _ = service.send_to(&answer, client);
    }
}

/// A UDP socket on an address that may not be on this host (yet).
fn bind_free(address: SocketAddrV4) -> Result<UdpSocket> {
    let descriptor = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&descriptor, sockopt::IpFreebind, &true).context("IP_FREEBIND")?;
    setsockopt(&descriptor, sockopt::RcvBufForce, &SOCKET_BUFFER).context("enlarge the receive buffer")?;
    bind(descriptor.as_raw_fd(), &SockaddrIn::from(address)).with_context(|| format!("bind {address}"))?;
    // SAFETY: the descriptor is a UDP socket that only this function owns.
    Ok(unsafe { UdpSocket::from_raw_fd(descriptor.into_raw_fd()) })
}

fn probe(
    target: SocketAddrV4,
    interface: &str,
    every: u64,
    arp_every: u64,
    seconds: u64,
) -> Result<Recording> {
    ensure!(
        every > 0 && arp_every > 0 && (1..=3600).contains(&seconds),
        "intervals and seconds must be positive"
    );
    let span = seconds * 1_000_000_000;
    let mut recording = Recording {
        every_ns: every,
        arp_every_ns: arp_every,
        probes: vec![Probe::default(); usize::try_from(span / every)?],
        arps: vec![ArpProbe::default(); usize::try_from(span / arp_every)?],
        announcements: Vec::with_capacity(10_000),
    };
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("open a UDP socket")?;
    setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER).context("enlarge the receive buffer")?;
    socket.set_nonblocking(true)?;
    socket.connect(SocketAddr::V4(target))?;
    let arp = ArpSocket::open(interface, *target.ip())?;
    catch_signals()?;
    become_realtime(PRIORITY)?;

    let (mut sent, mut asked) = (0, 0);
    let mut next = clock::now().as_nanos() + every;
    let mut next_arp = next;
    let end = next + span;
    let mut stop_at = None;
    loop {
        sleep_until(next)?;
        let now = clock::now().as_nanos();
        let stopping = check_interrupted().is_err() || now >= end;
        let stop_at = if stopping { *stop_at.get_or_insert(now + GRACE_NS) } else { u64::MAX };
        if now >= stop_at {
            break;
        }
        if !stopping && sent < recording.probes.len() {
            recording.probes[sent].sent_ns = now;
            // What cannot be sent is lost, as it is for a client.
            let _ = socket.send(&(sent as u64).to_le_bytes());
            sent += 1;
        }
        if !stopping && now >= next_arp && asked < recording.arps.len() {
            recording.arps[asked].sent_ns = now;
            arp.ask(asked);
            asked += 1;
            next_arp += arp_every;
        }
        collect(&socket, &mut recording.probes);
        arp.listen(now, &mut recording.arps, &mut recording.announcements);
        if sent == 100 && stop_at == u64::MAX {
            println!("probing");
        }
        // Slots that a stall of this process swallowed are skipped, not sent in a burst.
        next += every * (1 + now.saturating_sub(next) / every);
    }
    recording.probes.truncate(sent);
    recording.arps.truncate(asked);
    Ok(recording)
}

fn collect(socket: &UdpSocket, probes: &mut [Probe]) {
    let mut answer = [0; 24];
    loop {
        match socket.recv(&mut answer) {
            Ok(24) => {}
            // Somebody else's datagram, or the ICMP error for a probe that nobody took: the probe stays unanswered.
            Ok(_) => continue,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            Err(_) => continue,
        }
        let [number, node, server_ns] = [0, 8, 16].map(|at| {
            let mut octets = [0; 8];
            octets.copy_from_slice(&answer[at..at + 8]);
            u64::from_le_bytes(octets)
        });
        let Some(probe) = usize::try_from(number).ok().and_then(|number| probes.get_mut(number)) else {
            continue;
        };
        probe.answered_ns = clock::now().as_nanos();
        probe.server_ns = server_ns;
        probe.node = match node {
            1 => Some(Host::A),
            2 => Some(Host::B),
            _ => None,
        };
    }
}
