//! The client of the measurements, and the service that it asks. Both run under SCHED_FIFO and never spin: the kernel
//! takes 50 ms of every second from a real-time process that does.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, IntoRawFd as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use baton::clock;
use baton_benches::arp::ArpSocket;
use baton_benches::realtime::{become_realtime, sleep_until};
use baton_tests::lab::{Answer, ArpProbe, Host, Probe, Recording, catch_signals, check_interrupted};
use clap::{Parser, Subcommand};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt};

/// Above the agents under test: a late probe would count as their outage.
const PRIORITY: u8 = 60;
/// How long answers may take after the last probe.
const GRACE_NS: u64 = 10_000_000;
/// After how many probes the prober says that it is at work.
const STARTED: usize = 100;
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
        /// Addresses and ports to ask, by turns; the first one by ARP, too.
        #[arg(long, value_delimiter = ',', required = true)]
        target: Vec<SocketAddrV4>,
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
            ensure!((1..=3600).contains(&seconds), "--seconds wants 1 to 3600");
            let span = seconds * 1_000_000_000;
            let client = Client::open(target, &interface, every_us * 1000, arp_every_us * 1000, span)?;
            catch_signals()?;
            become_realtime(PRIORITY)?;
            let recording = client.run(span)?;
            let file = File::create(&out).with_context(|| format!("create {}", out.display()))?;
            let mut file = BufWriter::new(file);
            recording.write_to(&mut file)?;
            file.flush().context("write the recording")
        }
    }
}

fn echo(address: SocketAddrV4, node: &str) -> Result<()> {
    let node = Host::from_name(node).filter(|host| Host::NODES.contains(host));
    let node = node.context("a node is called a or b")?;
    let service = bind_free(address)?;
    become_realtime(PRIORITY)?;
    let mut question = [0; Answer::QUESTION];
    loop {
        // A client that went away leaves an ICMP error behind: it is not the service's business.
        let Ok((Answer::QUESTION, client)) = service.recv_from(&mut question) else {
            continue;
        };
        let server_ns = clock::now().as_nanos();
        let answer = Answer { number: u64::from_le_bytes(question), node, server_ns };
        let _ = service.send_to(&answer.to_octets(), client);
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

/// A client at work.
struct Client {
    socket: UdpSocket,
    targets: Vec<SocketAddrV4>,
    arp: ArpSocket,
    recording: Recording,
    sent: usize,
    asked: usize,
}

impl Client {
    /// A client with room for all that `span` nanoseconds hold, in memory that is there before the first probe.
    fn open(
        targets: Vec<SocketAddrV4>,
        interface: &str,
        every_ns: u64,
        arp_every_ns: u64,
        span: u64,
    ) -> Result<Self> {
        ensure!(every_ns > 0 && arp_every_ns > 0, "intervals must be positive");
        let recording = Recording {
            every_ns,
            arp_every_ns,
            probes: vec![Probe::default(); usize::try_from(span / every_ns)?],
            arps: vec![ArpProbe::default(); usize::try_from(span / arp_every_ns)?],
            announcements: Vec::with_capacity(10_000),
        };
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("open a UDP socket")?;
        setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER).context("enlarge the receive buffer")?;
        socket.set_nonblocking(true)?;
        let arp = ArpSocket::open(interface, *targets.first().context("whom to ask")?.ip())?;
        Ok(Self { socket, targets, arp, recording, sent: 0, asked: 0 })
    }

    /// Probes for `span` nanoseconds or until a signal comes, and gives what was seen.
    fn run(mut self, span: u64) -> Result<Recording> {
        let Recording { every_ns, arp_every_ns, .. } = self.recording;
        let mut next = clock::now().as_nanos() + every_ns;
        let mut next_arp = next;
        let end = next + span;
        let mut stop_at = None;
        loop {
            sleep_until(next)?;
            let now = clock::now().as_nanos();
            if stop_at.is_none() && (check_interrupted().is_err() || now >= end) {
                stop_at = Some(now + GRACE_NS);
            }
            match stop_at {
                Some(at) if now >= at => break,
                Some(_) => {}
                None => {
                    self.probe(now);
                    if now >= next_arp {
                        self.ask(now);
                        next_arp += arp_every_ns;
                    }
                }
            }
            self.collect();
            self.arp.listen(now, &mut self.recording.arps, &mut self.recording.announcements);
            // Slots that a stall of this process swallowed are skipped, not sent in a burst.
            next += every_ns * (1 + now.saturating_sub(next) / every_ns);
        }
        self.recording.probes.truncate(self.sent);
        self.recording.arps.truncate(self.asked);
        Ok(self.recording)
    }

    /// Sends the next probe. One that cannot be sent is lost, as it is for a client.
    fn probe(&mut self, now: u64) {
        if let Some(probe) = self.recording.probes.get_mut(self.sent) {
            probe.sent_ns = now;
            let _ = self
                .socket
                .send_to(&(self.sent as u64).to_le_bytes(), self.targets[self.sent % self.targets.len()]);
            self.sent += 1;
            if self.sent == STARTED {
                println!("probing");
            }
        }
    }

    /// Sends the next ARP request.
    fn ask(&mut self, now: u64) {
        if let Some(arp) = self.recording.arps.get_mut(self.asked) {
            arp.sent_ns = now;
            self.arp.ask(self.asked);
            self.asked += 1;
        }
    }

    /// Takes all answers to probes that have arrived.
    fn collect(&mut self) {
        let mut buffer = [0; Answer::LENGTH];
        loop {
            let answer = match self.socket.recv(&mut buffer) {
                Ok(length) => Answer::from_octets(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The ICMP error for a probe that nobody took: the probe stays unanswered.
                Err(_) => None,
            };
            let Some(answer) = answer else { continue };
            let number = usize::try_from(answer.number).ok();
            if let Some(probe) = number.and_then(|number| self.recording.probes.get_mut(number)) {
                probe.answered_ns = clock::now().as_nanos();
                probe.server_ns = answer.server_ns;
                probe.node = Some(answer.node);
            }
        }
    }
}
