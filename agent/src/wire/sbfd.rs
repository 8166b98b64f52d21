//! S-BFD probes (RFC 7880 7.3.2, RFC 7881 5) with Baton's trailer.

use std::net::IpAddr;
use std::time::Duration;

use baton_common::maps::VlanId;
use baton_common::sbfd::{CONTROL, DEMAND, POLL, PORT, STATE_DOWN, STATE_UP, TRAILER, VERSION_1};

use super::checksum::Sum;
use super::ip::{self, CS6, Header, Outline};
use super::link::{BuildError, Mac};

/// Octets of a UDP header.
const UDP_HEADER: usize = 8;
const DATAGRAM: usize = UDP_HEADER + CONTROL + TRAILER;
const UDP: u8 = 17;

/// A probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SbfdProbe {
    /// Ethernet source: the device's own, for a Backup must not use the virtual MAC.
    pub mac: Mac,
    /// Where the peer's advertisements come from.
    pub peer_mac: Mac,
    /// The link.
    pub vlan: VlanId,
    /// Primary address of the interface.
    pub source: IpAddr,
    /// Primary address of the peer.
    pub peer: IpAddr,
    /// UDP source port, the same for all probes of a session.
    pub port: u16,
    /// Whether the session is Up.
    pub up: bool,
    /// Whether an answer with Final is wanted.
    pub poll: bool,
    /// Detection multiplier.
    pub multiplier: u8,
    /// My Discriminator.
    pub my_discriminator: u32,
    /// The reflector's.
    pub your_discriminator: u32,
    /// Desired Min TX Interval.
    pub interval: Duration,
    /// The probe's number.
    pub sequence: u32,
    /// This host's priority.
    pub priority: u8,
}

impl SbfdProbe {
    /// Writes the frame into the beginning of `buffer` and answers with its length.
    pub fn build(&self, buffer: &mut [u8]) -> Result<usize, BuildError> {
        let header = Header { source: self.source, destination: self.peer, protocol: UDP, class: CS6 };
        let outline = Outline { to: self.peer_mac, from: self.mac, vlan: self.vlan, header };
        let (udp, len) = ip::start(buffer, &outline, DATAGRAM)?;
        udp.fill(0);
        udp[..2].copy_from_slice(&self.port.to_be_bytes());
        udp[2..4].copy_from_slice(&PORT.to_be_bytes());
        let [.., high, low] = DATAGRAM.to_be_bytes();
        udp[4..6].copy_from_slice(&[high, low]);
        let (control, trailer) = udp[UDP_HEADER..].split_at_mut(CONTROL);
        let state = if self.up { STATE_UP } else { STATE_DOWN };
        let [.., control_length] = CONTROL.to_be_bytes();
        control[..4].copy_from_slice(&[
            VERSION_1,
            state | DEMAND | if self.poll { POLL } else { 0 },
            self.multiplier,
            control_length,
        ]);
        control[4..8].copy_from_slice(&self.my_discriminator.to_be_bytes());
        control[8..12].copy_from_slice(&self.your_discriminator.to_be_bytes());
        // Required Min RX and Required Min Echo RX stay 0: nothing is to be sent to an initiator unasked.
        let interval_us = u32::try_from(self.interval.as_micros()).unwrap_or(u32::MAX);
        control[12..16].copy_from_slice(&interval_us.to_be_bytes());
        trailer[..4].copy_from_slice(&self.sequence.to_be_bytes());
        trailer[4] = self.priority;

        let sum = Sum::pseudo_header(self.source, self.peer, UDP, DATAGRAM);
        let checksum = match sum.add(udp).field() {
            // RFC 768: 0 would say that there is none.
            [0, 0] => [0xff, 0xff],
            field => field,
        };
        udp[6..8].copy_from_slice(&checksum);
        Ok(len)
    }
}
