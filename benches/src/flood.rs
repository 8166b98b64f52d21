//! A flood of datagrams to the VIP, let in at the switch's port of the client, and how much of it arrives.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton::wire::Mac;
use baton_tests::frames::ip_checksummed;
use baton_tests::lab::{Host, Lab, Process, binary};
use serde::Serialize;

/// Where the nodes drop what comes. Were the port closed, each frame would cost them the making of an ICMP error.
const DISCARD_PORT: u16 = 9;
const LENGTH: usize = 60;

/// What a flood was, in frames per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FloodRate {
    /// How many the generator sent.
    pub sent_per_second: u64,
    /// How many frames the owner's interface received, adverts and probes among them. The owner is who it was at first.
    pub received_per_second: u64,
}

/// A generator at work.
#[derive(Debug)]
pub struct Flood {
    process: Process,
    file: PathBuf,
    span: Duration,
    received_before: u64,
    _sinks: Vec<UdpSocket>,
}

impl Flood {
    /// Starts a process that floods the host which the client knows as `vip` for `span`, and then ends.
    pub fn start(lab: &Lab, vip: Ipv4Addr, owner: Host, span: Duration) -> Result<Self> {
        let mac = lab.neighbour(vip)?.context("the client has a neighbour entry for the VIP")?;
        let file = lab.directory().join("flood");
        let sink =
            |host| lab.namespace(host).within(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, DISCARD_PORT))?));
        let sinks = Host::NODES.into_iter().map(sink).collect::<Result<Vec<UdpSocket>>>()?;
        // As strong as an ordinary process can be, or the busy loops would take its time.
        let mut command = lab.switch().command("nice");
        command.args(["-n", "-20"]).arg(binary("flood")?);
        command.args(["--port", Host::Client.port(), "--mac", &mac, "--target", &vip.to_string()]);
        command.args(["--seconds", &span.as_secs().max(1).to_string()]).arg("--out").arg(&file);
        let received_before = received(lab, owner)?;
        let process = Process::start(&mut command, &lab.directory().join("flood.log"))?;
        Ok(Self { process, file, span, received_before, _sinks: sinks })
    }

    /// Waits for its end and gives what it was.
    pub fn finish(mut self, lab: &Lab, owner: Host) -> Result<FloodRate> {
        let received = received(lab, owner)? - self.received_before;
        let status = self.process.wait(Duration::from_secs(30))?;
        let log = fs::read_to_string(lab.directory().join("flood.log")).unwrap_or_default();
        ensure!(status.success(), "the flood failed: {}", log.trim());
        let sent: u64 = fs::read_to_string(&self.file)?.trim().parse().context("a number of frames")?;
        let seconds = self.span.as_secs().max(1);
        Ok(FloodRate { sent_per_second: sent / seconds, received_per_second: received / seconds })
    }
}

/// The frame of a flood from the client to `target`, which is to be found at `mac`: a small UDP datagram without checksum.
pub fn frame(mac: Mac, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = vec![0; LENGTH];
    frame[..6].copy_from_slice(&mac);
    frame[6..12].copy_from_slice(&Host::Client.mac());
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17]);
    frame[26..30].copy_from_slice(&Host::Client.address().octets());
    frame[30..34].copy_from_slice(&target.octets());
    frame[34..36].copy_from_slice(&DISCARD_PORT.to_be_bytes());
    frame[36..38].copy_from_slice(&DISCARD_PORT.to_be_bytes());
    frame[38..40].copy_from_slice(&26u16.to_be_bytes());
    ip_checksummed(&frame)
}

/// Frames that `eth0` of `host` has received.
fn received(lab: &Lab, host: Host) -> Result<u64> {
    let text = lab.run(host, "ip", &["-s", "-j", "link", "show", "dev", "eth0"])?;
    let links: serde_json::Value = serde_json::from_str(&text).context("understand `ip -j`")?;
    links[0]["stats64"]["rx"]["packets"].as_u64().context("a link counts its frames")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_a_datagram_that_the_kernel_takes() {
        let frame = frame([2, 0, 0, 0, 0, 0x0a], Ipv4Addr::new(10, 77, 0, 100));
        let sum: u32 = frame[14..34].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
        assert_eq!((sum >> 16) + (sum & 0xffff), 0xffff, "the header's checksum");
        assert_eq!(
            (frame[16..18].to_vec(), frame[38..40].to_vec()),
            (vec![0, 46], vec![0, 26]),
            "the lengths"
        );
        assert_eq!(frame.len(), 14 + 46);
    }
}
