//! Advertisements of VRRPv3 over both families (RFC 9568 5 and 7) and of VRRPv2 (RFC 3768 5 and 7).

use std::net::{IpAddr, Ipv6Addr};

use baton_common::maps::{NO_AUTHENTICATION, PASSWORD, VlanId};
use baton_common::vrid::{Family, Vrid};

use super::checksum::{PROTOCOL, matching, message_sum};
use super::discard::Discard;
use super::ip::{self, CS6, HOPS, Header, IPV6_HEADER, Outline};
use super::link::{self, BuildError, IPV4, IPV6, Mac};
use crate::address;
use crate::vrrp::{Advertisement, Checksum, ChecksumMode, Interval, Standing, Version, Versions};

/// RFC 9568 5.2.2.
const ADVERTISEMENT: u8 = 1;
/// Octets of the message before its addresses.
const MESSAGE_HEADER: usize = 8;
/// Octets behind them in VRRPv2.
const MESSAGE_PASSWORD: usize = 8;
/// Octets of the longest IP packet.
pub(super) const MAX_DATAGRAM: usize = IPV6_HEADER + MESSAGE_HEADER + max_addresses(Family::Ipv6) * 16;

/// The most addresses that an advertisement can name: the count is an octet (RFC 9568 5.2.5), and a frame has 1500 octets.
#[must_use]
pub const fn max_addresses(family: Family) -> usize {
    match family {
        Family::Ipv4 => 255,
        Family::Ipv6 => 90,
    }
}

/// What the parser has to know of a configured virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected<'a> {
    /// This host's primary address: what comes from it is our own.
    pub primary: IpAddr,
    /// The multicast group that adverts come to; `None` if they come by unicast.
    pub multicast: Option<IpAddr>,
    /// Who may send by unicast.
    pub peers: &'a [IpAddr],
    /// The lowest TTL, or Hop Limit: [`HOPS`](super::HOPS), but for unicast peers that are further away.
    pub least_hops: u8,
    /// The VRRP that is spoken.
    pub versions: Versions,
    /// Advertisement_Interval, which is the same on all routers where VRRPv2 alone is spoken.
    pub interval: Interval,
    /// Which checksums are accepted of VRRPv3 over IPv4.
    pub checksum: ChecksumMode,
}

impl Expected<'_> {
    /// The same of a virtual router whose adverts come to VRRP's own group.
    #[must_use]
    pub fn multicast(
        primary: IpAddr,
        versions: Versions,
        interval: Interval,
        checksum: ChecksumMode,
    ) -> Self {
        let multicast = Some(address::vrrp_group(address::family(primary)));
        Self { primary, multicast, peers: &[], least_hops: HOPS, versions, interval, checksum }
    }
}

/// A checked advertisement and where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// The link it came over.
    pub vlan: VlanId,
    /// The family of the virtual router.
    pub family: Family,
    /// The virtual router.
    pub vrid: Vrid,
    /// What the election needs.
    pub advertisement: Advertisement<IpAddr>,
    addresses: &'a [u8],
}

impl Received<'_> {
    /// The virtual addresses that the sender has configured. A difference to our own is worth a log line, no more (RFC
    /// 9568 7.1).
    pub fn addresses(&self) -> impl ExactSizeIterator<Item = IpAddr> + '_ {
        let family = self.family;
        self.addresses.chunks_exact(octets(family)).map(move |octets| match family {
            Family::Ipv4 => IpAddr::from(<[u8; 4]>::try_from(octets).unwrap_or_default()),
            Family::Ipv6 => IpAddr::from(<[u8; 16]>::try_from(octets).unwrap_or_default()),
        })
    }
}

/// Octets of an address.
const fn octets(family: Family) -> usize {
    match family {
        Family::Ipv4 => 4,
        Family::Ipv6 => 16,
    }
}

/// Parses an Ethernet frame without FCS. `find` answers what is configured for a virtual router.
pub fn parse_frame<'e>(
    frame: &[u8],
    find: impl FnOnce(VlanId, Family, Vrid) -> Option<Expected<'e>>,
) -> Result<Received<'_>, Discard> {
    match link::split(frame) {
        Some((vlan, IPV4, packet)) => parse_datagram(packet, Family::Ipv4, vlan, find),
        Some((vlan, IPV6, packet)) => parse_datagram(packet, Family::Ipv6, vlan, find),
        Some(_) | None => Err(Discard::NotVrrp),
    }
}

/// Parses an IP packet of `family`, header included, that came over `vlan`. The checks have the order of the XDP program's.
pub fn parse_datagram<'e>(
    packet: &[u8],
    family: Family,
    vlan: VlanId,
    find: impl FnOnce(VlanId, Family, Vrid) -> Option<Expected<'e>>,
) -> Result<Received<'_>, Discard> {
    let ether_type = if family == Family::Ipv4 { IPV4 } else { IPV6 };
    let Some((PROTOCOL, destination)) = ip::peek(ether_type, packet) else {
        return Err(Discard::NotVrrp);
    };
    let is_unicast = !destination.is_multicast();
    let ip::Packet { source, hops, payload: message, .. } =
        ip::parse(ether_type, packet).ok_or(Discard::IpHeader)?;
    let (header, rest) = message.split_first_chunk::<MESSAGE_HEADER>().ok_or(Discard::Length)?;
    let [version_type, vrid, priority, count, ..] = *header;
    let unknown = Discard::UnknownRouter(vrid);
    let vrid = Vrid::new(vrid).ok_or(unknown)?;
    let expected = find(vlan, family, vrid).ok_or(unknown)?;
    if is_unicast && destination != expected.primary {
        return Err(Discard::NotVrrp);
    }
    if source == expected.primary {
        return Err(Discard::Own);
    }
    if is_unicast == expected.multicast.is_some() {
        return Err(Discard::Destination);
    }
    // Those who advertise to another group are another virtual router.
    if !is_unicast && Some(destination) != expected.multicast {
        return Err(unknown);
    }
    if is_unicast && !expected.peers.contains(&source) {
        return Err(Discard::NotPeer);
    }
    if hops < expected.least_hops {
        return Err(Discard::Ttl(hops));
    }
    let number = version_type >> 4;
    let version = expected.versions.numbered(number).ok_or(Discard::Version(number))?;
    if version_type & 0xf != ADVERTISEMENT {
        return Err(Discard::Type(version_type & 0xf));
    }
    let addresses = addresses(rest, family, count, version)?;
    // keepalived wants no such address of unicast peers.
    if family == Family::Ipv6 && !is_unicast && !begins_link_local(addresses) {
        return Err(Discard::Address);
    }
    let interval = interval(header, version, &expected)?;
    authenticate(header, message, version)?;
    // Only VRRPv3 over IPv4 has two.
    let checksum = match (version, family) {
        (Version::V3, Family::Ipv4) => expected.checksum,
        (Version::V3, Family::Ipv6) | (Version::V2 { .. }, _) => ChecksumMode::Only(Checksum::Rfc9568),
    };
    let checksum = matching(checksum, source, destination, message).ok_or(Discard::Checksum)?;
    let standing = Standing::from_octet(priority);
    let advertisement = Advertisement { source, standing, interval, version, checksum };
    Ok(Received { vlan, family, vrid, advertisement, addresses })
}

/// The `count` addresses at the beginning of `rest`, which is no longer than it must be: RFC 9568 7.1 asks for a complete
/// message; keepalived, FRR and Baton for one of exactly that length.
fn addresses(rest: &[u8], family: Family, count: u8, version: Version) -> Result<&[u8], Discard> {
    let behind = match version {
        Version::V3 => 0,
        Version::V2 { .. } => MESSAGE_PASSWORD,
    };
    let length = octets(family) * usize::from(count);
    if count == 0 || rest.len() != length + behind {
        return Err(Discard::Length);
    }
    rest.get(..length).ok_or(Discard::Length)
}

/// Whether the first of these IPv6 addresses is link-local.
fn begins_link_local(addresses: &[u8]) -> bool {
    let is_link_local = |octets: &[u8; 16]| Ipv6Addr::from(*octets).is_unicast_link_local();
    addresses.first_chunk().is_some_and(is_link_local)
}

fn interval(
    header: &[u8; MESSAGE_HEADER],
    version: Version,
    expected: &Expected<'_>,
) -> Result<Interval, Discard> {
    let [.., high, low, _, _] = *header;
    match (version, expected.versions) {
        // 5.2.6: the four bits before the interval are reserved, ignored on reception.
        (Version::V3, _) => Interval::from_centiseconds(u16::from_be_bytes([high & 0x0f, low])),
        // RFC 9568 8.4.2: as in VRRPv3, it is learned.
        (Version::V2 { .. }, Versions::Both { .. }) => Interval::from_seconds(low),
        // RFC 3768 7.1.
        (Version::V2 { .. }, Versions::Only(_)) => {
            Some(expected.interval).filter(|interval| interval.seconds() == Some(low.into()))
        }
    }
    .ok_or(Discard::Interval)
}

/// RFC 3768 7.1. The password is compared as a whole, whatever its first octets are.
fn authenticate(header: &[u8; MESSAGE_HEADER], message: &[u8], version: Version) -> Result<(), Discard> {
    let is_authentic = match version {
        Version::V3 => true,
        Version::V2 { password: None } => header[4] == NO_AUTHENTICATION,
        Version::V2 { password: Some(password) } => {
            let found = message.last_chunk().map(|octets| u64::from_ne_bytes(*octets));
            header[4] == PASSWORD && found == Some(u64::from_ne_bytes(password))
        }
    };
    if is_authentic { Ok(()) } else { Err(Discard::Authentication) }
}

/// An advertisement to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// Ethernet source: the virtual MAC, or the device's own for `mac = "interface"` (RFC 9568 7.2).
    pub mac: Mac,
    /// The link.
    pub vlan: VlanId,
    /// Primary address of the interface: over IPv6 its link-local address.
    pub source: IpAddr,
    /// The version of VRRP.
    pub version: Version,
    /// The virtual router.
    pub vrid: Vrid,
    /// The priority octet.
    pub standing: Standing,
    /// Max Advertise Interval; whole seconds for VRRPv2.
    pub interval: Interval,
    /// The checksum to make, which is a choice for VRRPv3 over IPv4.
    pub checksum: Checksum,
    /// The virtual addresses, 1 to [`max_addresses`], of the family of `source`.
    pub addresses: &'a [IpAddr],
}

impl Outgoing<'_> {
    /// Writes the frame to the multicast group `group` into the beginning of `buffer` and answers with its length.
    pub fn build(&self, group: IpAddr, buffer: &mut [u8]) -> Result<usize, BuildError> {
        let to = address::multicast_mac(group);
        let outline = Outline { to, from: self.mac, vlan: self.vlan, header: self.header(group) };
        let (message, length) = ip::start(buffer, &outline, self.length()?)?;
        self.write(message, group)?;
        Ok(length)
    }

    /// Writes the packet to `peer` into the beginning of `buffer` and answers with its length. The link's header is the business
    /// of whoever knows the way there.
    pub fn build_packet(&self, peer: IpAddr, buffer: &mut [u8]) -> Result<usize, BuildError> {
        let (message, length) = ip::start_packet(buffer, &self.header(peer), self.length()?)?;
        self.write(message, peer)?;
        Ok(length)
    }

    fn header(&self, destination: IpAddr) -> Header {
        Header { source: self.source, destination, protocol: PROTOCOL, class: CS6 }
    }

    /// The number of addresses, if an advertisement can name so many.
    fn count(&self) -> Result<u8, BuildError> {
        match u8::try_from(self.addresses.len()) {
            Ok(count @ 1..) if usize::from(count) <= max_addresses(address::family(self.source)) => Ok(count),
            Ok(_) | Err(_) => Err(BuildError::AddressCount(self.addresses.len())),
        }
    }

    /// Octets of the message.
    fn length(&self) -> Result<usize, BuildError> {
        let addresses = octets(address::family(self.source)) * usize::from(self.count()?);
        let (_, password) = self.fields();
        Ok(MESSAGE_HEADER + addresses + password.map_or(0, |octets| octets.len()))
    }

    /// Writes the message to `destination`, which has [`Self::length`] octets.
    fn write(&self, message: &mut [u8], destination: IpAddr) -> Result<(), BuildError> {
        let (family, count) = (address::family(self.source), self.count()?);
        let length = octets(family) * usize::from(count);
        let (fields, password) = self.fields();
        let (header, rest) = message.split_at_mut(MESSAGE_HEADER);
        let (addresses, behind) = rest.split_at_mut(length);
        let [high, low] = fields;
        let version_type = self.version.number() << 4 | ADVERTISEMENT;
        header.copy_from_slice(&[
            version_type,
            self.vrid.get(),
            self.standing.octet(),
            count,
            high,
            low,
            0,
            0,
        ]);
        for (place, address) in addresses.chunks_exact_mut(octets(family)).zip(self.addresses) {
            match address {
                IpAddr::V4(address) if family == Family::Ipv4 => place.copy_from_slice(&address.octets()),
                IpAddr::V6(address) if family == Family::Ipv6 => place.copy_from_slice(&address.octets()),
                IpAddr::V4(_) | IpAddr::V6(_) => return Err(BuildError::MixedFamilies),
            }
        }
        behind.copy_from_slice(password.as_ref().map_or(&[], |octets| octets));
        let checksum = match self.version {
            Version::V3 => self.checksum,
            Version::V2 { .. } => Checksum::Rfc9568,
        };
        let sum = message_sum(checksum, self.source, destination, message);
        message[6..8].copy_from_slice(&sum.field());
        Ok(())
    }

    /// The two octets behind the count, and what stands behind the addresses.
    fn fields(&self) -> ([u8; 2], Option<[u8; MESSAGE_PASSWORD]>) {
        // One that VRRPv2 cannot name is refused in the configuration, and none is longer than 40 s.
        let [_, seconds] = self.interval.seconds().unwrap_or(1).to_be_bytes();
        match self.version {
            Version::V3 => (self.interval.centiseconds().to_be_bytes(), None),
            Version::V2 { password: None } => ([NO_AUTHENTICATION, seconds], Some([0; MESSAGE_PASSWORD])),
            Version::V2 { password: Some(password) } => ([PASSWORD, seconds], Some(password)),
        }
    }
}
