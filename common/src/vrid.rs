//! Virtual router identifiers and the virtual MAC addresses made from them (RFC 9568 7.3).

use core::num::NonZeroU8;

use crate::maps::{Address, mapped};

/// Address family of a virtual router. VRIDs of the two families are independent (RFC 9568 5.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Family {
    /// IPv4: group 224.0.0.18, virtual MAC 00-00-5E-00-01-{VRID}.
    Ipv4 = 4,
    /// IPv6: group ff02::12, virtual MAC 00-00-5E-00-02-{VRID}.
    Ipv6 = 6,
}

impl Family {
    /// The multicast group of VRRP (RFC 9568 5.1.1.2, 5.1.2.2).
    pub const fn vrrp_group(self) -> Address {
        match self {
            Self::Ipv4 => mapped([224, 0, 0, 18]),
            Self::Ipv6 => [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12],
        }
    }

    /// The name in output: `ipv4` or `ipv6`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// Virtual Router Identifier, 1 to 255 (RFC 9568 5.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Vrid(NonZeroU8);

/// The first five octets of every IPv4 virtual MAC.
const IPV4_PREFIX: [u8; 5] = [0x00, 0x00, 0x5e, 0x00, 0x01];
/// The first five octets of every IPv6 virtual MAC.
const IPV6_PREFIX: [u8; 5] = [0x00, 0x00, 0x5e, 0x00, 0x02];

impl Vrid {
    /// The identifier for `octet`, or `None` for the reserved value 0.
    #[inline]
    pub const fn new(octet: u8) -> Option<Self> {
        match NonZeroU8::new(octet) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The octet as it stands in an advertisement.
    #[inline]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// The virtual router MAC address of this VRID (RFC 9568 7.3).
    #[inline]
    pub const fn virtual_mac(self, family: Family) -> [u8; 6] {
        let p = match family {
            Family::Ipv4 => IPV4_PREFIX,
            Family::Ipv6 => IPV6_PREFIX,
        };
        [p[0], p[1], p[2], p[3], p[4], self.get()]
    }

    /// The virtual router that `mac` belongs to, if it is a virtual router MAC at all.
    #[inline]
    pub const fn of_virtual_mac(mac: [u8; 6]) -> Option<(Family, Self)> {
        let family = match mac {
            [0x00, 0x00, 0x5e, 0x00, 0x01, _] => Family::Ipv4,
            [0x00, 0x00, 0x5e, 0x00, 0x02, _] => Family::Ipv6,
            _ => return None,
        };
        match Self::new(mac[5]) {
            Some(vrid) => Some((family, vrid)),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_macs_are_those_of_the_rfc() {
        let vrid = Vrid::new(51).expect("51 is not 0");
        assert_eq!(vrid.virtual_mac(Family::Ipv4), [0x00, 0x00, 0x5e, 0x00, 0x01, 0x33]);
        assert_eq!(vrid.virtual_mac(Family::Ipv6), [0x00, 0x00, 0x5e, 0x00, 0x02, 0x33]);
    }

    #[test]
    fn a_virtual_mac_leads_back_to_its_router() {
        for octet in 1..=255 {
            let vrid = Vrid::new(octet).expect("not 0");
            for family in [Family::Ipv4, Family::Ipv6] {
                assert_eq!(Vrid::of_virtual_mac(vrid.virtual_mac(family)), Some((family, vrid)));
            }
        }
    }

    #[test]
    fn other_macs_belong_to_no_virtual_router() {
        assert_eq!(Vrid::new(0), None);
        assert_eq!(Vrid::of_virtual_mac([0x00, 0x00, 0x5e, 0x00, 0x01, 0x00]), None);
        assert_eq!(Vrid::of_virtual_mac([0x00, 0x00, 0x5e, 0x00, 0x03, 0x33]), None);
        assert_eq!(Vrid::of_virtual_mac([0x02, 0x00, 0x5e, 0x00, 0x01, 0x33]), None);
    }
}
