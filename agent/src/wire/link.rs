//! The link layer: Ethernet and VLAN tags.

use baton_common::maps::VlanId;
use etherparse::{EtherType, Ethernet2Slice, SingleVlanSlice};
use thiserror::Error;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// EtherType of IPv4.
pub(crate) const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub(crate) const IPV6: u16 = 0x86dd;
/// EtherType of ARP.
pub(super) const ARP: u16 = 0x0806;
/// EtherType of a customer's VLAN tag (802.1Q).
const CUSTOMER_TAG: u16 = 0x8100;
/// EtherType of a provider's VLAN tag (802.1ad).
const PROVIDER_TAG: u16 = 0x88a8;
/// EtherType of an outer VLAN tag before 802.1ad.
const OLD_PROVIDER_TAG: u16 = 0x9100;

/// Octets of a VLAN tag.
const TAG: usize = 4;
/// Tags that name a VLAN. What is behind a third is not parsed.
const MAX_VIDS: usize = 2;
/// Tags that are looked behind at all, those without a VID included; as many as in the XDP program.
const MAX_TAGS: usize = 8;
/// The most octets before the IP or ARP packet of a frame that is built here.
pub(super) const MAX_HEADER: usize = 14 + MAX_VIDS * TAG;

/// Why a frame could not be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BuildError {
    /// An advertisement carries 1 to 255 IPv4 addresses, or 1 to 90 IPv6 addresses.
    #[error("{0} addresses do not make an advertisement")]
    AddressCount(usize),
    /// Source and destination, or the addresses, are not of one family.
    #[error("addresses of both families")]
    MixedFamilies,
    /// The buffer is shorter than the frame.
    #[error("buffer of {available} octets for a frame of {needed}")]
    BufferTooSmall {
        /// Octets of the frame.
        needed: usize,
        /// Octets of the buffer.
        available: usize,
    },
}

/// Splits an Ethernet frame into link, EtherType and packet; `None` when it is too short or has too many tags.
pub(crate) fn split(frame: &[u8]) -> Option<(VlanId, u16, &[u8])> {
    let ethernet = Ethernet2Slice::from_slice_without_fcs(frame).ok()?;
    let (mut ether_type, mut packet) = (ethernet.ether_type(), ethernet.payload_slice());
    let (mut vlan, mut vids) = (0, 0);
    for _ in 0..MAX_TAGS {
        if !is_tag(ether_type) {
            break;
        }
        let tag = SingleVlanSlice::from_slice(packet).ok()?;
        let vid = VlanId::from(tag.vlan_identifier().value());
        // VID 0 carries a priority and names no VLAN (802.1Q 9.6), wherever it stands.
        if vid != 0 {
            if vids == MAX_VIDS {
                break;
            }
            vids += 1;
            vlan = vlan << 12 | vid;
        }
        (ether_type, packet) = (tag.ether_type(), tag.payload_slice());
    }
    Some((vlan, ether_type.0, packet))
}

fn is_tag(ether_type: EtherType) -> bool {
    matches!(ether_type.0, CUSTOMER_TAG | PROVIDER_TAG | OLD_PROVIDER_TAG)
}

/// Octets of the link header for `vlan`.
const fn header_len(vlan: VlanId) -> usize {
    match vlan {
        0 => 14,
        1..=0xfff => 14 + TAG,
        _ => 14 + 2 * TAG,
    }
}

/// Writes the link header for `vlan` into `buffer` and answers with the `len` octets behind it and the frame's length.
pub(super) fn start(
    buffer: &mut [u8],
    destination: Mac,
    source: Mac,
    vlan: VlanId,
    ether_type: u16,
    len: usize,
) -> Result<(&mut [u8], usize), BuildError> {
    let needed = header_len(vlan) + len;
    let available = buffer.len();
    let frame = buffer.get_mut(..needed).ok_or(BuildError::BufferTooSmall { needed, available })?;
    let (header, packet) = frame.split_at_mut(header_len(vlan));
    let (addresses, rest) = header.split_at_mut(12);
    addresses[..6].copy_from_slice(&destination);
    addresses[6..].copy_from_slice(&source);
    let outer = tag(PROVIDER_TAG, vlan >> 12);
    let inner = tag(CUSTOMER_TAG, vlan);
    match rest.len() - 2 {
        0 => {}
        TAG => rest[..TAG].copy_from_slice(&inner),
        _ => {
            rest[..TAG].copy_from_slice(&outer);
            rest[TAG..2 * TAG].copy_from_slice(&inner);
        }
    }
    let at = rest.len() - 2;
    rest[at..].copy_from_slice(&ether_type.to_be_bytes());
    Ok((packet, needed))
}

/// A tag with priority 0 and the low 12 bits of `vid`.
fn tag(ether_type: u16, vid: VlanId) -> [u8; TAG] {
    let [high, low] = ether_type.to_be_bytes();
    let [_, _, vid_high, vid_low] = (vid & 0xfff).to_be_bytes();
    [high, low, vid_high, vid_low]
}
