//! The host whose data plane is measured, and the frames.

use std::net::IpAddr;
use std::time::Duration;

use baton::wire::SbfdProbe;
use baton_common::flow::Flow;
use baton_common::maps::{ACCEPT_PSEUDO, ACCEPT_RFC9568, mapped};
use baton_common::ownership::BALANCED;
use baton_common::sbfd::{FIRST_SOURCE_PORT, discriminator};
use baton_common::verdict::Verdict;
use baton_common::vrid::Family;
use baton_tests::datapath::Datapath;
use baton_tests::frames::{self, ip_checksummed, tagged, with};

const DEVICE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
const PRIMARY: [u8; 4] = [192, 0, 2, 9];
const PRIMARY6: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
const SLOT: u32 = 0;

/// A virtual address with a service.
const BALANCED_VIP: [u8; 4] = [192, 0, 2, 101];
const TCP: u8 = 6;

/// Offsets in an untagged frame.
const TCP_FLAGS: usize = 47;
const SOURCE: usize = 26;
const DESTINATION: usize = 30;

/// The interface of the test vectors, among other virtual routers.
pub(crate) fn host(log_level: u8, lease_until_ns: u64) -> Datapath {
    let mut host = Datapath::load_with_log_level(log_level);
    host.set_device(DEVICE_MAC, PRIMARY, PRIMARY6);
    for vrid in 51..59 {
        let slot = SLOT + u32::from(vrid) - 51;
        host.add_router(0, vrid, slot, ACCEPT_RFC9568 | ACCEPT_PSEUDO, PRIMARY);
        host.add_discriminator(0, Family::Ipv4, discriminator(mapped(PRIMARY), vrid), slot);
        host.set_ownership(slot, lease_until_ns, [0x00, 0x00, 0x5e, 0x00, 0x01, vrid]);
    }
    host.add_vip(0, [192, 0, 2, 100], SLOT);
    for index in 1..4_000_u16 {
        let [high, low] = index.to_be_bytes();
        host.add_vip(0, [198, 18, high, low], SLOT);
    }
    balance(&mut host, lease_until_ns);
    host
}

/// A service at a VIP of the next virtual router, and a flow whose backend is known. That has the MAC of the interface: the frame
/// is the same for the next run of the program.
fn balance(host: &mut Datapath, lease_until_ns: u64) {
    host.set_delivery(SLOT + 1, lease_until_ns, [0x00, 0x00, 0x5e, 0x00, 0x01, 52], BALANCED);
    host.add_vip(0, BALANCED_VIP, SLOT + 1);
    host.add_frontend(0, BALANCED_VIP, TCP, 443);
    host.set_backend(0, Some(DEVICE_MAC));
    let flow = Flow {
        source: mapped([203, 0, 113, 7]),
        destination: mapped(BALANCED_VIP),
        source_port: 51_515,
        destination_port: 443,
        protocol: TCP,
        _pad: [0; 3],
    };
    host.cache_flow(flow, 0);
}

/// A received frame for every verdict; whether this host is the owner.
pub(crate) fn received() -> Vec<(Verdict, bool, &'static str, Vec<u8>)> {
    let traffic = frames::octets("lb-tcp-syn-vip");
    let to_host = [&DEVICE_MAC[..], &with(&traffic, DESTINATION, &PRIMARY)[6..]].concat();
    let in_vlan = tagged(&to_host, &[(0x8100, 10)]);
    let syn = with(&with(&traffic, DESTINATION, &BALANCED_VIP), 0, &DEVICE_MAC);
    let of_flow = with(&syn, TCP_FLAGS, &[0x10]);
    let not_vip = with(&traffic, DESTINATION, &[192, 0, 2, 99]);
    vec![
        (Verdict::Other, true, "TCP to the host", to_host),
        (Verdict::Other, true, "TCP to the host, one tag", in_vlan),
        (Verdict::Other, true, "IPv6 neighbour solicitation", frames::octets("nd-ns-vip")),
        (Verdict::ArpAnswered, true, "ARP request", frames::octets("arp-request-vip")),
        (Verdict::ArpNotOwner, false, "ARP request", frames::octets("arp-request-vip")),
        (Verdict::VipAnnounced, true, "gratuitous ARP", frames::octets("arp-garp-request-rfc9568")),
        (Verdict::VrrpReceived, false, "advert, 1 address", frames::octets("vrrp3-v4-std-p100")),
        (
            Verdict::VrrpReceived,
            false,
            "advert, 1 address, pseudo-header",
            frames::octets("vrrp3-v4-ph-p100"),
        ),
        (Verdict::VrrpReceived, false, "advert, 255 addresses", frames::octets("vrrp3-v4-std-p100-255ip")),
        (Verdict::VrrpUnknownRouter, false, "advert of VRID 0", frames::octets("bad-vrrp3-vrid0")),
        (Verdict::VrrpOwn, false, "advert from the host", own_advert()),
        (Verdict::VrrpIpHeader, false, "advert, fragment", frames::octets("bad-vrrp3-frag-mf")),
        (Verdict::VrrpTtl, false, "advert, TTL 254", frames::octets("bad-vrrp3-std-ttl254")),
        (Verdict::VrrpVersion, false, "advert, version 2", frames::octets("vrrp2-v4-noauth-p100-3ip")),
        (Verdict::VrrpType, false, "advert, type 0", frames::octets("bad-vrrp3-std-type0")),
        (Verdict::VrrpLength, false, "advert, no address", frames::octets("bad-vrrp3-std-count0")),
        (Verdict::VrrpInterval, false, "advert, interval 0", frames::octets("bad-vrrp3-std-adv0")),
        (Verdict::VrrpChecksum, false, "advert, checksum wrong", frames::octets("bad-vrrp3-std-checksum")),
        (Verdict::SbfdUp, true, "S-BFD probe", probe()),
        (Verdict::SbfdAdminDown, false, "S-BFD probe", probe()),
        (Verdict::VipDelivered, true, "TCP", traffic.clone()),
        (Verdict::VipNotOwner, false, "TCP", traffic),
        (Verdict::VipForwarded, true, "TCP of a known flow to a service", of_flow),
        (Verdict::VipBalanced, true, "TCP to a service, the first of a flow", syn),
        (Verdict::VirtualMacNotOwner, false, "TCP to another address", not_vip.clone()),
        (Verdict::VirtualMacNotVip, true, "TCP to another address", not_vip),
    ]
}

/// The vector, from this host's primary address. The checksum of RFC 9568 does not cover the addresses.
fn own_advert() -> Vec<u8> {
    ip_checksummed(&with(&frames::octets("vrrp3-v4-std-p100"), SOURCE, &PRIMARY))
}

/// A probe of a peer, with Baton's trailer.
fn probe() -> Vec<u8> {
    let probe = SbfdProbe {
        mac: [0x02, 0, 0, 0, 0, 0x02],
        peer_mac: DEVICE_MAC,
        vlan: 0,
        source: IpAddr::from([192, 0, 2, 2]),
        peer: IpAddr::from(PRIMARY),
        port: FIRST_SOURCE_PORT,
        up: true,
        poll: false,
        multiplier: 3,
        my_discriminator: discriminator(mapped([192, 0, 2, 2]), 51),
        your_discriminator: discriminator(mapped(PRIMARY), 51),
        interval: Duration::from_micros(100),
        sequence: 1,
        priority: 100,
    };
    let mut frame = vec![0; 128];
    let length = probe.build(&mut frame).expect("the buffer is large enough");
    frame.truncate(length);
    frame
}

/// A frame of the host for everything that the egress program does; `None` is to let it pass, uncounted.
pub(crate) fn sent() -> Vec<(Option<Verdict>, bool, &'static str, Vec<u8>)> {
    let advert = || frames::octets("vrrp3-v4-std-p100");
    vec![
        (None, true, "TCP from the host", frames::octets("lb-dsr-l2")),
        (None, true, "advert", advert()),
        (None, true, "gratuitous ARP", frames::octets("arp-garp-request-rfc9568")),
        (Some(Verdict::EgressArp), false, "gratuitous ARP", frames::octets("arp-garp-request-rfc9568")),
        (Some(Verdict::EgressVirtualMac), false, "advert", advert()),
    ]
}
