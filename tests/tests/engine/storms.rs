//! Clients that mean no good, and very many that do, beside some that only want to be served.

use anyhow::{Context as _, Result, ensure};
use baton::control::protocol::FlowList;
use baton::socket::PacketSocket;
use baton_tests::frames::ip_checksummed;
use baton_tests::lab::{Balanced, Connection, Host, VIP, wait_until};
use baton_tests::random::Random;
use etherparse::PacketBuilder;
use nix::net::if_::if_nametoindex;
use nix::sys::ptrace;

use super::bench::{ACK, SYN};
use super::support::{SOON, end};

const RST: u8 = 0x04;
/// The virtual MAC of the VIP's router.
const VIRTUAL_MAC: [u8; 6] = [0, 0, 0x5e, 0, 1, 51];
/// Where an Ethernet frame with an IPv4 packet has the source address, the source port, and the flags of TCP.
const SOURCE: usize = 26;
const SOURCE_PORT: usize = 34;
const FLAGS: usize = 47;

/// Sends segments to the VIP, of which the number gives source address, port and flags: a benchmark network that nobody here has a
/// way to (RFC 2544), so that no answer goes anywhere.
fn storm(setup: &Balanced, count: u32, segment: impl Fn(u32) -> (u32, u16, u8) + Sync) -> Result<()> {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], VIRTUAL_MAC);
    let builder = builder.ipv4([198, 18, 0, 0], VIP.octets(), 64).tcp(1, 80, 1, 1024);
    builder.write(&mut frame, &[])?;
    setup.lab.namespace(Host::Client).within(|| {
        let socket = PacketSocket::open(if_nametoindex("eth0")?)?;
        for number in 0..count {
            let (host, port, flags) = segment(number);
            frame[SOURCE + 1..SOURCE + 4].copy_from_slice(&(0x12_0000 | host & 0x01_ffff).to_be_bytes()[1..]);
            frame[SOURCE_PORT..SOURCE_PORT + 2].copy_from_slice(&port.to_be_bytes());
            frame[FLAGS] = flags;
            // A full queue loses some: that is what a storm does.
            let _ = socket.transmit(&ip_checksummed(&frame));
        }
        Ok(())
    })
}

/// Nodes whose workers have room for so many flows.
fn remembering(flows: u32) -> Result<Balanced> {
    let mut setup = Balanced::prepare()?;
    for host in Host::NODES {
        setup.configure(host, Balanced::WEB)?;
        setup.set_runtime(host, &format!("flows = {flows}"))?;
        setup.start(host)?;
    }
    setup.wait_for_active(Host::A)?;
    Ok(setup)
}

/// Clients that are served during the storm as before it.
fn assert_served(setup: &Balanced, connections: &mut [Connection], before: &[String]) -> Result<()> {
    let now = connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?;
    ensure!(now == before, "{now:?} instead of {before:?}");
    ensure!(setup.lab.fetch(VIP)?.starts_with("backend"), "a new client is served, too");
    Ok(())
}

#[test]
fn connections_survive_storms_of_half_open_ones_and_of_resets() -> Result<()> {
    const SEED: u64 = 21;
    const STORM: u32 = 100_000;
    let setup = remembering(4096)?;
    let mut connections = (0..30).map(|_| Connection::open(&setup.lab)).collect::<Result<Vec<_>>>()?;
    for _ in 0..3 {
        connections.iter_mut().try_for_each(|connection| connection.ask().map(drop))?;
    }
    let before = connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?;
    let random = |number: u32| {
        let drawn = Random::new(SEED ^ u64::from(number)).draw().to_le_bytes();
        let [a, b, c, d, e, f, ..] = drawn;
        (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f]))
    };
    for flags in [&[SYN][..], &[RST], &[SYN, RST, ACK]] {
        storm(&setup, STORM, |number| {
            let (host, port) = random(number / 3);
            (host, port, flags[number as usize % flags.len()])
        })?;
        assert_served(&setup, &mut connections, &before).with_context(|| format!("flags {flags:02x?}"))?;
    }
    let engine = setup.engine(Host::A)?;
    ensure!(engine.evicted > 10_000 && engine.flows <= 2 * 4096, "{engine:?}");
    end(setup)
}

#[test]
fn a_million_flows_at_once_are_remembered() -> Result<()> {
    const FLOWS: u32 = 1_000_000;
    // Sets of the table fill unevenly, and a full one forgets.
    const SENT: u32 = FLOWS + FLOWS / 100;
    let setup = remembering(4 * FLOWS)?;
    let mut connections = (0..10).map(|_| Connection::open(&setup.lab)).collect::<Result<Vec<_>>>()?;
    let before = connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?;
    let total = || -> Result<u64> {
        let lists: Vec<FlowList> = serde_json::from_str(&setup.ask(Host::A, "flows --json --limit 1")?)?;
        Ok(lists.first().context("an engine")?.total)
    };
    // Some get lost on the way, and come again.
    let mut rounds = 0;
    while total()? < u64::from(FLOWS) {
        ensure!(rounds < 10, "{} flows after {rounds} rounds", total()?);
        storm(&setup, SENT, |number| {
            (number >> 14, 1024 + u16::try_from(number & 0x3fff).unwrap_or_default(), SYN)
        })?;
        rounds += 1;
    }
    assert_served(&setup, &mut connections, &before)?;
    let engine = setup.engine(Host::A)?;
    ensure!(engine.evicted < u64::from(FLOWS / 100), "{engine:?}");
    end(setup)
}

/// Its queue has 2048 frames, and the storm is spread over two queues.
#[test]
fn what_comes_while_a_worker_stands_still_and_finds_no_room_is_counted() -> Result<()> {
    let mut setup = Balanced::prepare()?;
    setup.configure(Host::A, Balanced::WEB)?;
    setup.start(Host::A)?;
    wait_until("node a to be Active", SOON, || {
        Ok(setup.lab.baton_status(Host::A)?.routers[0].role == "Active")
    })?;
    let lost = |why: &str| setup.engine(Host::A)?.lost.get(why).copied().context("it is counted");
    assert_eq!((lost("no-room")?, lost("refused")?), (0, 0));
    let worker = setup.hang_worker(Host::A)?;
    storm(&setup, 20_000, |number| (number, 1, SYN))?;
    ptrace::detach(worker, None)?;
    wait_until("it to be told", SOON, || Ok(lost("no-room")? > 0))?;
    ensure!(lost("no-room")? < 20_000 && lost("refused")? == 0, "{:?}", setup.engine(Host::A)?.lost);
    end(setup)
}
