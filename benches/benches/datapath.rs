//! What a frame costs in the data plane: ns for every verdict, by BPF_PROG_TEST_RUN on the object that the agent
//! carries, with 8 virtual routers and 4 000 VIPs in its maps.
//!
//! The kernel's figure includes the call and the reading of clocks. An empty program, measured in the same rounds, is
//! subtracted; it is two instructions that exist only here, and is loaded with bpf(2). The kernel repeats a run on one
//! buffer, so what rewrites a frame once and for all (an ARP request becomes its answer) is measured by single runs,
//! against single runs of the empty program. The caches are warm in all of them.
//!
//! ```text
//! cargo bench --package baton-benches --bench datapath -- [--json] [--rounds N]
//! ```

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use anyhow::{Context, Result, ensure};
use aya::maps::{MapData, RingBuf};
use baton_common::maps::{ACCEPT_PSEUDO, ACCEPT_RFC9568};
use baton_common::verdict::Verdict;
use baton_tests::datapath::{Datapath, FOREVER};
use baton_tests::frames;
use clap::Parser;
use serde::Serialize;

/// Runs in one measurement.
const REPEATED: u32 = 100_000;
/// Runs in one measurement of the events, few enough for their ring to hold them all.
const EVENTS: u32 = 500;
/// Measurements of one run each that make up a round of it.
const SINGLES: usize = 2_000;

const DEVICE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
const SLOT: u32 = 0;

#[derive(Parser)]
struct Options {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Rounds; every figure is the median over them.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One line of the result.
#[derive(Serialize)]
struct Figure {
    program: &'static str,
    frame: &'static str,
    verdict: &'static str,
    /// Median over the rounds.
    measured_ns: f64,
    /// What is left of it without the empty program.
    net_ns: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Hook {
    Xdp,
    Egress,
}

/// What a measurement runs.
enum Subject<'a> {
    Empty(&'a Empty),
    Object(&'a Datapath),
    /// With events, which are taken from their ring after every measurement.
    Events(&'a Datapath, &'a RefCell<RingBuf<MapData>>),
}

struct Measurement<'a> {
    subject: Subject<'a>,
    hook: Hook,
    repeat: u32,
    frame: &'static str,
    verdict: &'static str,
    octets: Vec<u8>,
    rounds: Vec<f64>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(options.rounds > 0, "a median needs at least one round");
    let (empty_xdp, empty_egress) = (
        Empty::load(BPF_PROG_TYPE_XDP)?,
        Empty::load(BPF_PROG_TYPE_SCHED_CLS)?,
    );
    let (active, backup) = (host(0, FOREVER), host(0, 0));
    let (info, mut debug, full) = (host(3, 0), host(4, 0), host(4, 0));
    let ring = debug
        .bpf_mut()
        .take_map("AYA_LOGS")
        .context("the object has no ring for events")?;
    let ring = RefCell::new(RingBuf::try_from(ring)?);

    let mut measurements = Vec::new();
    let mut add = |subject, hook, repeat, frame, verdict, octets: &[u8]| {
        let octets = octets.to_vec();
        measurements.push(Measurement {
            subject,
            hook,
            repeat,
            frame,
            verdict,
            octets,
            rounds: Vec::new(),
        });
    };
    let traffic = frames::octets("lb-tcp-syn-vip");
    for repeat in [REPEATED, EVENTS, 1] {
        add(
            Subject::Empty(&empty_xdp),
            Hook::Xdp,
            repeat,
            "any",
            "empty program",
            &traffic,
        );
    }
    add(
        Subject::Empty(&empty_egress),
        Hook::Egress,
        REPEATED,
        "any",
        "empty program",
        &traffic,
    );

    for (verdict, owner, frame, octets) in received() {
        let host = if owner { &active } else { &backup };
        expect(host, Hook::Xdp, Some(verdict), &octets, frame)?;
        let repeat = if verdict == Verdict::ArpAnswered {
            1
        } else {
            REPEATED
        };
        add(
            Subject::Object(host),
            Hook::Xdp,
            repeat,
            frame,
            verdict.name(),
            &octets,
        );
    }
    for (verdict, owner, frame, octets) in sent() {
        let host = if owner { &active } else { &backup };
        expect(host, Hook::Egress, verdict, &octets, frame)?;
        let name = verdict.map_or("passed", Verdict::name);
        add(
            Subject::Object(host),
            Hook::Egress,
            REPEATED,
            frame,
            name,
            &octets,
        );
    }
    let name = Verdict::VipNotOwner.name();
    add(
        Subject::Object(&backup),
        Hook::Xdp,
        EVENTS,
        "TCP, AYA_LOG_LEVEL 0",
        name,
        &traffic,
    );
    add(
        Subject::Object(&info),
        Hook::Xdp,
        EVENTS,
        "TCP, AYA_LOG_LEVEL info",
        name,
        &traffic,
    );
    add(
        Subject::Events(&debug, &ring),
        Hook::Xdp,
        EVENTS,
        "TCP, AYA_LOG_LEVEL debug",
        name,
        &traffic,
    );
    // Nobody reads this ring: it is full after the first measurements.
    add(
        Subject::Object(&full),
        Hook::Xdp,
        EVENTS,
        "TCP, debug, ring full",
        name,
        &traffic,
    );

    // Rounds over everything: what disturbs the machine for a while disturbs all of them.
    for _ in 0..options.rounds {
        for measurement in &mut measurements {
            let ns = measurement.run()?;
            measurement.rounds.push(ns);
        }
    }
    let figures = figures(measurements);
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print(&figures);
    }
    Ok(())
}

/// The interface of the test vectors, among other virtual routers.
fn host(log_level: u8, lease_until_ns: u64) -> Datapath {
    let mut host = Datapath::load_with_log_level(log_level);
    host.set_device_mac(DEVICE_MAC);
    for vrid in 51..59 {
        let slot = SLOT + u32::from(vrid) - 51;
        host.add_router(0, vrid, slot, ACCEPT_RFC9568 | ACCEPT_PSEUDO, [192, 0, 2, 9]);
        host.set_ownership(slot, lease_until_ns, [0x00, 0x00, 0x5e, 0x00, 0x01, vrid]);
    }
    host.add_vip(0, [192, 0, 2, 100], SLOT);
    for index in 1..4_000_u16 {
        let [high, low] = index.to_be_bytes();
        host.add_vip(0, [198, 18, high, low], SLOT);
    }
    host
}

/// A received frame for every verdict; whether this host is the owner.
fn received() -> Vec<(Verdict, bool, &'static str, Vec<u8>)> {
    let traffic = frames::octets("lb-tcp-syn-vip");
    let with = |at: usize, octets: &[u8]| {
        let mut frame = traffic.clone();
        frame[at..at + octets.len()].copy_from_slice(octets);
        frame
    };
    let to_host = [&DEVICE_MAC[..], &with(30, &[192, 0, 2, 9])[6..]].concat();
    let tagged = [&to_host[..12], &[0x81, 0x00, 0x00, 0x0a], &to_host[12..]].concat();
    let not_vip = with(30, &[192, 0, 2, 99]);
    vec![
        (Verdict::Other, true, "TCP to the host", to_host),
        (Verdict::Other, true, "TCP to the host, one tag", tagged),
        (
            Verdict::Other,
            true,
            "IPv6 neighbour solicitation",
            frames::octets("nd-ns-vip"),
        ),
        (
            Verdict::ArpAnswered,
            true,
            "ARP request",
            frames::octets("arp-request-vip"),
        ),
        (
            Verdict::ArpNotOwner,
            false,
            "ARP request",
            frames::octets("arp-request-vip"),
        ),
        (
            Verdict::VipAnnounced,
            true,
            "gratuitous ARP",
            frames::octets("arp-garp-request-rfc9568"),
        ),
        (
            Verdict::VrrpReceived,
            false,
            "advert, 1 address",
            frames::octets("vrrp3-v4-std-p100"),
        ),
        (
            Verdict::VrrpReceived,
            false,
            "advert, 1 address, pseudo-header",
            frames::octets("vrrp3-v4-ph-p100"),
        ),
        (
            Verdict::VrrpReceived,
            false,
            "advert, 255 addresses",
            frames::octets("vrrp3-v4-std-p100-255ip"),
        ),
        (
            Verdict::VrrpUnknownRouter,
            false,
            "advert of VRID 0",
            frames::octets("bad-vrrp3-vrid0"),
        ),
        (Verdict::VrrpOwn, false, "advert from the host", own_advert()),
        (
            Verdict::VrrpIpHeader,
            false,
            "advert, fragment",
            frames::octets("bad-vrrp3-frag-mf"),
        ),
        (
            Verdict::VrrpTtl,
            false,
            "advert, TTL 254",
            frames::octets("bad-vrrp3-std-ttl254"),
        ),
        (
            Verdict::VrrpVersion,
            false,
            "advert, version 2",
            frames::octets("vrrp2-v4-noauth-p100-3ip"),
        ),
        (
            Verdict::VrrpType,
            false,
            "advert, type 0",
            frames::octets("bad-vrrp3-std-type0"),
        ),
        (
            Verdict::VrrpLength,
            false,
            "advert, no address",
            frames::octets("bad-vrrp3-std-count0"),
        ),
        (
            Verdict::VrrpInterval,
            false,
            "advert, interval 0",
            frames::octets("bad-vrrp3-std-adv0"),
        ),
        (
            Verdict::VrrpChecksum,
            false,
            "advert, checksum wrong",
            frames::octets("bad-vrrp3-std-checksum"),
        ),
        (Verdict::VipDelivered, true, "TCP", traffic.clone()),
        (Verdict::VipNotOwner, false, "TCP", traffic),
        (
            Verdict::VirtualMacNotOwner,
            false,
            "TCP to another address",
            not_vip.clone(),
        ),
        (Verdict::VirtualMacNotVip, true, "TCP to another address", not_vip),
    ]
}

/// The vector's source and checksum, of 192.0.2.1, changed to those of 192.0.2.9.
fn own_advert() -> Vec<u8> {
    let mut frame = frames::octets("vrrp3-v4-std-p100");
    frame[29] += 8;
    frame[25] -= 8;
    frame
}

/// A frame of the host for everything that the egress program does; `None` is to let it pass, uncounted.
fn sent() -> Vec<(Option<Verdict>, bool, &'static str, Vec<u8>)> {
    let advert = || frames::octets("vrrp3-v4-std-p100");
    vec![
        (None, true, "TCP from the host", frames::octets("lb-dsr-l2")),
        (None, true, "advert", advert()),
        (
            None,
            true,
            "gratuitous ARP",
            frames::octets("arp-garp-request-rfc9568"),
        ),
        (
            Some(Verdict::EgressArp),
            false,
            "gratuitous ARP",
            frames::octets("arp-garp-request-rfc9568"),
        ),
        (Some(Verdict::EgressVirtualMac), false, "advert", advert()),
    ]
}

/// Makes sure that what will be measured is what the table says.
fn expect(host: &Datapath, hook: Hook, verdict: Option<Verdict>, octets: &[u8], frame: &str) -> Result<()> {
    let counted = match hook {
        Hook::Xdp => host.receive(octets).counted,
        Hook::Egress => host.egress(octets).counted,
    };
    let counted: Vec<Verdict> = counted.into_keys().collect();
    ensure!(
        counted == Vec::from_iter(verdict),
        "{frame}: {counted:?} instead of {verdict:?}"
    );
    Ok(())
}

impl Measurement<'_> {
    /// ns for one run of the program: the mean of the repetitions, or the median of single runs.
    fn run(&self) -> Result<f64> {
        if self.repeat > 1 {
            return self.once();
        }
        let singles: Result<Vec<f64>> = (0..SINGLES).map(|_| self.once()).collect();
        Ok(median(&mut singles?))
    }

    fn once(&self) -> Result<f64> {
        let time = |host: &Datapath| match self.hook {
            Hook::Xdp => host.time_receive(&self.octets, self.repeat),
            Hook::Egress => host.time_egress(&self.octets, self.repeat),
        };
        let ns = match self.subject {
            Subject::Empty(program) => return Ok(f64::from(program.time(&self.octets, self.repeat)?)),
            Subject::Object(host) => time(host),
            Subject::Events(host, ring) => {
                let ns = time(host);
                let mut ring = ring.borrow_mut();
                while ring.next().is_some() {}
                ns
            }
        };
        Ok(f64::from(ns.subsec_nanos()))
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn figures(mut measurements: Vec<Measurement<'_>>) -> Vec<Figure> {
    let medians: Vec<f64> = measurements
        .iter_mut()
        .map(|measurement| median(&mut measurement.rounds))
        .collect();
    let empty: HashMap<(Hook, u32), f64> = measurements
        .iter()
        .zip(&medians)
        .filter(|(measurement, _)| matches!(measurement.subject, Subject::Empty(_)))
        .map(|(measurement, ns)| ((measurement.hook, measurement.repeat), *ns))
        .collect();
    let figure = |(measurement, measured_ns): (&Measurement<'_>, f64)| Figure {
        program: match measurement.hook {
            Hook::Xdp => "xdp",
            Hook::Egress => "tcx egress",
        },
        frame: measurement.frame,
        verdict: measurement.verdict,
        measured_ns,
        net_ns: measured_ns - empty[&(measurement.hook, measurement.repeat)],
    };
    measurements.iter().zip(medians).map(figure).collect()
}

fn print(figures: &[Figure]) {
    println!(
        "{:<11} {:<22} {:<34} {:>8} {:>6}",
        "program", "verdict", "frame", "measured", "net ns"
    );
    for Figure {
        program,
        frame,
        verdict,
        measured_ns,
        net_ns,
    } in figures
    {
        println!("{program:<11} {verdict:<22} {frame:<34} {measured_ns:>8.0} {net_ns:>6.0}");
    }
}

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_PROG_TYPE_XDP: u32 = 6;

/// `r0 = 2; exit`: XDP_PASS, and for tc a drop, which costs as little.
const INSTRUCTIONS: [u64; 2] = [0x0000_0002_0000_00b7, 0x0000_0000_0000_0095];

/// A program that does nothing.
struct Empty(OwnedFd);

/// The start of `union bpf_attr` for BPF_PROG_LOAD; the kernel takes what is missing for zero.
#[repr(C)]
struct LoadAttributes {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
}

/// The start of `union bpf_attr` for BPF_PROG_TEST_RUN.
#[repr(C)]
struct TestRunAttributes {
    program: RawFd,
    return_value: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
}

impl Empty {
    fn load(program_type: u32) -> Result<Self> {
        let mut attributes = LoadAttributes {
            program_type,
            instruction_count: INSTRUCTIONS.len().try_into()?,
            instructions: INSTRUCTIONS.as_ptr() as u64,
            license: c"Dual MIT/GPL".as_ptr() as u64,
        };
        // SAFETY: the attributes are those of the command, and point to live constants of the stated length.
        let program = unsafe { bpf(BPF_PROG_LOAD, &mut attributes) }.context("loading the empty program")?;
        // SAFETY: the kernel has just made the descriptor for this process.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(program) }))
    }

    /// ns for one run, the mean of `repeat`.
    fn time(&self, frame: &[u8], repeat: u32) -> Result<u32> {
        let mut attributes = TestRunAttributes {
            program: self.0.as_raw_fd(),
            return_value: 0,
            data_size_in: frame.len().try_into()?,
            data_size_out: 0,
            data_in: frame.as_ptr() as u64,
            data_out: 0,
            repeat,
            duration: 0,
        };
        // SAFETY: the attributes are those of the command, and point to a live frame of the stated length.
        unsafe { bpf(BPF_PROG_TEST_RUN, &mut attributes) }.context("running the empty program")?;
        Ok(attributes.duration)
    }
}

/// bpf(2), whose result is a descriptor or 0.
///
/// # Safety
///
/// `attributes` must be those of `command`, and the memory that they point to must be there.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<RawFd> {
    // SAFETY: the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes as *mut T, size_of::<T>()) };
    RawFd::try_from(result)
        .ok()
        .filter(|result| *result >= 0)
        .ok_or_else(io::Error::last_os_error)
}
