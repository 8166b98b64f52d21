//! What is for a service: TCP and UDP to a port that the agent has configured. The engine decides about the first packets of a
//! flow, and this program forwards the others as it has decided.

use aya_ebpf::programs::XdpContext;
use baton_common::flow::Flow;
use baton_common::verdict::Verdict;
use baton_common::vrid::Family;

use crate::classify::{ETH_DESTINATION, ETH_SOURCE, Link};
use crate::ip::{DESTINATION, FRAGMENT, IPV4, IPV6, Ip, SOURCE};
use crate::maps;
use crate::packet::Frame;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Where the flags are in a TCP header, and those that begin or end a connection: FIN, SYN, RST.
const FLAGS: usize = 13;
const TURNING: u8 = 0x07;

/// The verdict about the packet behind `link`, to a VIP of an owned virtual router; `None` if it is for no service. Fragments are
/// not, which have no ports but in the first of them, nor what has IPv6 extension headers: the kernel gets them.
#[inline(never)]
pub(crate) fn received<const FAMILY: u8>(ctx: &XdpContext, link: &Link, now: u64) -> Option<Verdict> {
    let frame = &mut Frame::received(ctx);
    let (destination, ports, flow) =
        if FAMILY == Family::Ipv6 as u8 { ipv6(frame, link)? } else { ipv4(frame, link)? };
    let is_known = match flow.protocol {
        TCP => frame.get::<1>(ports + FLAGS)?[0] & TURNING == 0,
        UDP => true,
        _ => return None,
    };
    if is_known && forward(frame, &flow, now).is_some() {
        return Some(Verdict::VipForwarded);
    }
    let is_for_service = maps::is_frontend(link.vlan, destination, flow.protocol, flow.destination_port);
    is_for_service.then_some(Verdict::VipBalanced)
}

/// Addresses the frame to the backend of its flow, if that is known and up.
#[inline(always)]
fn forward(frame: &mut Frame<'_>, flow: &Flow, now: u64) -> Option<()> {
    let backend = maps::backend_of(flow, frame.length(), now)?;
    let device_mac = maps::device_mac()?;
    frame.set(ETH_DESTINATION, &backend)?;
    frame.set(ETH_SOURCE, &device_mac)
}

#[inline(always)]
fn ipv4(frame: &Frame<'_>, link: &Link) -> Option<(Ip, usize, Flow)> {
    let header = frame.get::<IPV4>(link.payload)?;
    let length = usize::from(header[0] & 0x0f) * 4;
    if u16::from_be_bytes([header[6], header[7]]) & FRAGMENT != 0 || length < IPV4 {
        return None;
    }
    let source = Ip::mapped([header[12], header[13], header[14], header[15]]);
    let destination = Ip::mapped([header[16], header[17], header[18], header[19]]);
    let protocol = header[9];
    let ports = frame.blur::<128>(link.payload + length);
    Some((destination, ports, flow(frame, [source, destination], protocol, ports)?))
}

#[inline(always)]
fn ipv6(frame: &Frame<'_>, link: &Link) -> Option<(Ip, usize, Flow)> {
    let protocol = frame.get::<IPV6>(link.payload)?[6];
    let source = Ip::read(frame, link.payload + SOURCE)?;
    let destination = Ip::read(frame, link.payload + DESTINATION)?;
    let ports = link.payload + IPV6;
    Some((destination, ports, flow(frame, [source, destination], protocol, ports)?))
}

#[inline(always)]
fn flow(frame: &Frame<'_>, ends: [Ip; 2], protocol: u8, ports: usize) -> Option<Flow> {
    let [a, b, c, d] = *frame.get::<4>(ports)?;
    Some(Flow {
        source: ends[0].address(),
        destination: ends[1].address(),
        source_port: u16::from_be_bytes([a, b]),
        destination_port: u16::from_be_bytes([c, d]),
        protocol,
        _pad: [0; 3],
    })
}
