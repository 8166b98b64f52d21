//! Addresses of both families, and as they stand in the maps.

use std::net::{IpAddr, Ipv6Addr};

use baton_common::maps::Address;
use baton_common::vrid::Family;

/// The family of `address`.
#[must_use]
pub const fn family(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::Ipv4,
        IpAddr::V6(_) => Family::Ipv6,
    }
}

/// `address` as the maps have it.
#[must_use]
pub const fn to_map(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// What [`to_map`] has made `address` of.
#[must_use]
pub fn from_map(address: Address) -> IpAddr {
    Ipv6Addr::from(address).to_canonical()
}

/// The multicast group of VRRP (RFC 9568 5.1.1.2, 5.1.2.2).
#[must_use]
pub fn vrrp_group(family: Family) -> IpAddr {
    from_map(family.vrrp_group())
}

/// The Ethernet address of a multicast group (RFC 1112 6.4, RFC 2464 7).
#[must_use]
pub const fn multicast_mac(group: IpAddr) -> [u8; 6] {
    match group {
        IpAddr::V4(group) => {
            let [_, b, c, d] = group.octets();
            [0x01, 0x00, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V6(group) => {
            let [.., a, b, c, d] = group.octets();
            [0x33, 0x33, a, b, c, d]
        }
    }
}

/// The group that whoever has `address` is asked in (RFC 4291 2.7.1).
#[must_use]
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from_octets([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_maps() {
        for text in ["192.0.2.1", "0.0.0.0", "2001:db8::1", "fe80::1", "::", "::1.2.3.4"] {
            let address: IpAddr = text.parse().expect("an address");
            assert_eq!(from_map(to_map(address)), address);
        }
    }
}
