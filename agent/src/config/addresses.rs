//! The addresses of a `[[router]]` table, and what they must be to each other.

use std::net::IpAddr;

use super::findings::Spot;
use super::router::{MULTICAST, SOURCE, VIPS};
use super::section::Section;
use crate::address;

/// The addresses that are right, each with its place, and of one family.
pub(super) fn vips(section: &mut Section<'_>, is_unicast: bool) -> Vec<(Spot, IpAddr)> {
    let vips = section.read(&VIPS).unwrap_or_default();
    let Some(&(at, first)) = vips.first() else { return vips };
    if let Some((at, vip)) = vips.iter().find(|(_, vip)| vip.is_ipv4() != first.is_ipv4()) {
        let remedy = "give each family a [[router]] of its own; both may have the same vrid";
        section.note(*at, format!("vip {vip} is of another family than {first}"), remedy);
    }
    if !is_unicast && is_global(first) {
        let remedy = "RFC 9568 5.2.9: put a link-local address of the virtual router first, such as \"fe80::51\", on all nodes the same";
        section.note(at, format!("the first vip, {first}, is not link-local"), remedy);
    }
    vips
}

/// The address that adverts about `vips` come from, if one was chosen, with its place.
pub(super) fn source(
    section: &mut Section<'_>,
    vips: &[(Spot, IpAddr)],
    is_unicast: bool,
) -> Option<(Spot, IpAddr)> {
    let source = section.read(&SOURCE).flatten()?;
    let at = section.spot_of(&SOURCE);
    if is_of_another_family(source, vips) {
        let remedy = "write an address of the family of the vips";
        section.note(at, format!("source {source} is of another family than the vips"), remedy);
    } else if !is_unicast && is_global(source) {
        let remedy = "RFC 9568 5.1.2.1: adverts to the group come from a link-local address of the interface";
        section.note(at, format!("source {source} is not link-local"), remedy);
    }
    Some((at, source))
}

/// The multicast group that adverts about `vips` go to where there are no peers; VRRP's own if nothing is written.
pub(super) fn multicast(
    section: &mut Section<'_>,
    vips: &[(Spot, IpAddr)],
    is_unicast: bool,
) -> Option<IpAddr> {
    let (_, first) = vips.first()?;
    let Some(multicast) = section.read(&MULTICAST)? else {
        return Some(address::vrrp_group(address::family(*first)));
    };
    let at = section.spot_of(&MULTICAST);
    if is_unicast {
        section.add(at, "multicast beside peers", &MULTICAST);
    }
    if is_of_another_family(multicast, vips) {
        let what = format!("multicast {multicast} is of another family than the vips");
        section.note(at, what, MULTICAST.remedy);
    }
    Some(multicast)
}

/// Notes peers that adverts about `vips` cannot go to. Those that come from a chosen `source` may cross routers.
pub(super) fn check_peers(
    section: &mut Section<'_>,
    peers: &[(Spot, IpAddr)],
    vips: &[(Spot, IpAddr)],
    source: Option<(Spot, IpAddr)>,
) {
    for (index, &(at, peer)) in peers.iter().enumerate() {
        let has = |addresses: &[(Spot, IpAddr)]| addresses.iter().any(|(_, address)| *address == peer);
        if has(&peers[..index]) {
            section.note(at, format!("peer {peer} is named twice"), "remove one of the two");
        }
        if has(vips) {
            let remedy = "write the address that the node has of its own";
            section.note(at, format!("peer {peer} is a vip"), remedy);
        }
        if is_of_another_family(peer, vips) {
            let remedy = "write addresses of the family of the vips";
            section.note(at, format!("peer {peer} is of another family than the vips"), remedy);
        } else if is_global(peer) && !source.is_some_and(|(_, source)| is_global(source)) {
            let remedy = "adverts come from the link-local address: write the peers', such as \"fe80::2\", or give each node a `source`";
            section.note(at, format!("peer {peer} is not link-local"), remedy);
        }
    }
}

fn is_of_another_family(address: IpAddr, vips: &[(Spot, IpAddr)]) -> bool {
    vips.first().is_some_and(|(_, vip)| vip.is_ipv4() != address.is_ipv4())
}

/// Whether it is an IPv6 address of more than one link.
fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    }
}
