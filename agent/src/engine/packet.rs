//! What the engine has to know of a frame that XDP has steered to it.

use std::net::IpAddr;

use baton_common::flow::Flow;
use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice, TcpHeaderSlice, UdpHeaderSlice};

use crate::address;
use crate::wire::{IPV4, IPV6, split};

/// The number of UDP.
pub(super) const UDP: u8 = IpNumber::UDP.0;

/// What a packet says about its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// TCP: a connection is asked for.
    Begin,
    /// TCP: it goes on.
    Continue,
    /// TCP: the client ends it.
    End,
    /// UDP, which says nothing.
    Datagram,
    /// ICMP: something on the way could not deliver a packet of it.
    Error,
}

/// The flow that a frame belongs to or is about, and what it says about it: one that begins with `frame` and has so many octets
/// `behind`. `None` for all else: XDP steers no such frame here.
pub(super) fn parse(frame: &[u8], behind: usize) -> Option<(Flow, Signal)> {
    let (_, ether_type, packet) = split(frame)?;
    match ether_type {
        IPV4 => {
            let header = Ipv4HeaderSlice::from_slice(packet).ok()?;
            let payload = payload(packet, behind, header.slice().len(), usize::from(header.total_len()))?;
            let ends = [IpAddr::V4(header.source_addr()), IpAddr::V4(header.destination_addr())];
            (!header.is_fragmenting_payload()).then(|| transport(ends, header.protocol(), payload))?
        }
        IPV6 => {
            let header = Ipv6HeaderSlice::from_slice(packet).ok()?;
            let begin = header.slice().len();
            let payload = payload(packet, behind, begin, begin + usize::from(header.payload_length()))?;
            let ends = [IpAddr::V6(header.source_addr()), IpAddr::V6(header.destination_addr())];
            transport(ends, header.next_header(), payload)
        }
        _ => None,
    }
}

/// What a packet carries from `begin` to `end`, as far as it is in `packet`, if all of it is there or `behind`.
fn payload(packet: &[u8], behind: usize, begin: usize, end: usize) -> Option<&[u8]> {
    (end <= packet.len() + behind).then(|| packet.get(begin..end.min(packet.len())))?
}

/// What ICMP has before the packet that it is about.
const ICMP_HEADER: usize = 8;

/// The flow that the packet quoted by an ICMP error belongs to, as the receiver of that would see it: of a packet to the client, or
/// with NAT of one to a backend. XDP lets no other ICMP in.
fn quoted(payload: &[u8]) -> Option<(Flow, Signal)> {
    let packet = payload.get(ICMP_HEADER..)?;
    let (ends, protocol, payload) = match packet.first()? >> 4 {
        4 => {
            let header = Ipv4HeaderSlice::from_slice(packet).ok()?;
            let ends = [IpAddr::V4(header.source_addr()), IpAddr::V4(header.destination_addr())];
            (ends, header.protocol(), packet.get(header.slice().len()..)?)
        }
        6 => {
            let header = Ipv6HeaderSlice::from_slice(packet).ok()?;
            let ends = [IpAddr::V6(header.source_addr()), IpAddr::V6(header.destination_addr())];
            (ends, header.next_header(), packet.get(header.slice().len()..)?)
        }
        _ => return None,
    };
    // No more of it needs to be there than the ports.
    let [a, b, c, d] = *payload.first_chunk()?;
    let [destination, source] = ends.map(address::to_map);
    let [destination_port, source_port] = [[a, b], [c, d]].map(u16::from_be_bytes);
    let flow =
        Flow { source, destination, source_port, destination_port, protocol: protocol.0, _pad: [0; 3] };
    Some((flow, Signal::Error))
}

fn transport(ends: [IpAddr; 2], protocol: IpNumber, payload: &[u8]) -> Option<(Flow, Signal)> {
    let (ports, signal) = match protocol {
        IpNumber::TCP => {
            let header = TcpHeaderSlice::from_slice(payload).ok()?;
            let signal = match () {
                () if header.fin() || header.rst() => Signal::End,
                () if header.syn() => Signal::Begin,
                () => Signal::Continue,
            };
            ([header.source_port(), header.destination_port()], signal)
        }
        IpNumber::UDP => {
            let header = UdpHeaderSlice::from_slice(payload).ok()?;
            ([header.source_port(), header.destination_port()], Signal::Datagram)
        }
        IpNumber::ICMP | IpNumber::IPV6_ICMP => return quoted(payload),
        _ => return None,
    };
    let [source, destination] = ends.map(address::to_map);
    let [source_port, destination_port] = ports;
    Some((
        Flow { source, destination, source_port, destination_port, protocol: protocol.0, _pad: [0; 3] },
        signal,
    ))
}
