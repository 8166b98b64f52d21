//! Lets a flood of datagrams in at a port of the switch, as if a client had sent them, and ends by itself.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton::clock;
use baton::wire::Mac;
use baton_benches::flood::frame;
use baton_tests::program::{Kind, Program};
use clap::Parser;
use nix::net::if_::if_nametoindex;

/// Frames between two looks at the clock.
const CHUNK: u32 = 64 * 256;

/// Floods an address for a while and writes down how many frames that were.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port at which the frames arrive; it runs native XDP.
    #[arg(long)]
    port: String,
    /// Hardware address to send to.
    #[arg(long)]
    mac: String,
    /// Address to send to.
    #[arg(long)]
    target: Ipv4Addr,
    /// For how long.
    #[arg(long)]
    seconds: u64,
    /// File for the number of frames.
    #[arg(long)]
    out: PathBuf,
}

fn main() -> Result<()> {
    let Arguments { port, mac, target, seconds, out } = Arguments::parse();
    ensure!((1..=3600).contains(&seconds), "--seconds wants 1 to 3600");
    let index = if_nametoindex(port.as_str()).with_context(|| format!("find interface {port}"))?;
    let frame = frame(parse(&mac).with_context(|| format!("{mac} is no hardware address"))?, target);
    let program = Program::empty(Kind::Xdp)?;
    let end = clock::now() + Duration::from_secs(seconds);
    let mut sent = 0u64;
    while clock::now() < end {
        program.flood(&frame, index, CHUNK)?;
        sent += u64::from(CHUNK);
    }
    fs::write(&out, format!("{sent}\n")).with_context(|| format!("write {}", out.display()))
}

fn parse(mac: &str) -> Option<Mac> {
    let octets: Option<Vec<u8>> = mac.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    octets?.try_into().ok()
}
