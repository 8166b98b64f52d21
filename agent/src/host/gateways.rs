//! The default gateways that an interface leads to, and which of our addresses they take for a neighbour's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::Handle;

use super::HostError;
use super::netlink::Interface;
use super::routes::{hops, route};

/// Addresses that nothing but a default route leads to: nobody has a network of theirs. One lookup tells as much as all routes,
/// of which there may be a million.
const ELSEWHERE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(0, 0, 0, 1)), IpAddr::V6(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 1))];

/// The addresses whose first bits are those of one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Ours.
    pub address: IpAddr,
    /// How many bits they share.
    pub length: u8,
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        let (ours, theirs) = (bits(self.address), bits(address));
        self.address.is_ipv4() == address.is_ipv4()
            && (ours ^ theirs).leading_zeros() >= u32::from(self.length)
    }
}

/// The bits of an address, the first one the highest.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The default gateways that an interface leads to, and its networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateways {
    addresses: Vec<IpAddr>,
    networks: Vec<Network>,
}

impl Gateways {
    /// Those that have `vip` in a network of theirs. Others would not believe what they are told of it. Every network of an
    /// IPv6 link is one of a gateway with a link-local address.
    pub fn of(&self, vip: IpAddr) -> impl Iterator<Item = IpAddr> {
        let is_near = move |gateway: &IpAddr| {
            let networks = self.networks.iter().filter(|network| network.contains(vip));
            networks.into_iter().any(|network| network.contains(*gateway) || is_of_link(*gateway, vip))
        };
        self.addresses.iter().copied().filter(move |gateway| *gateway != vip && is_near(gateway))
    }
}

fn is_of_link(gateway: IpAddr, vip: IpAddr) -> bool {
    match (gateway, vip) {
        (IpAddr::V6(gateway), IpAddr::V6(_)) => gateway.is_unicast_link_local(),
        (IpAddr::V4(_) | IpAddr::V6(_), _) => false,
    }
}

/// The default gateways that `interface` leads to.
pub(super) async fn gateways(handle: &Handle, interface: &Interface) -> Result<Gateways, HostError> {
    let mut addresses = Vec::new();
    for elsewhere in ELSEWHERE {
        match route(handle, elsewhere, interface.index).await {
            Ok(Some(route)) if route.header.destination_prefix_length == 0 => {
                addresses.extend(hops(&route, interface.index).into_iter().flatten());
            }
            Ok(Some(_) | None) => {}
            Err(source) => {
                let what = format!("looking for the gateways of {}", interface.name);
                return Err(HostError::Netlink { what, source });
            }
        }
    }
    Ok(Gateways { addresses, networks: interface.networks.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_gateway_is_asked_by_the_vips_of_its_own_networks() {
        let networks = [("192.0.2.7", 25), ("198.51.100.1", 32), ("fe80::7", 64), ("2001:db8::7", 64)];
        let networks = networks.map(|(text, length)| Network { address: address(text), length });
        let addresses = ["192.0.2.1", "203.0.113.1", "fe80::1", "2001:db8::1"].map(address);
        let gateways = Gateways { addresses: addresses.to_vec(), networks: networks.to_vec() };
        for (vip, expected) in [
            ("192.0.2.100", &["192.0.2.1"][..]),
            ("192.0.2.200", &[]),
            ("192.0.2.1", &[]),
            ("198.51.100.2", &[]),
            ("203.0.113.2", &[]),
            ("fe80::51", &["fe80::1"]),
            ("2001:db8::100", &["fe80::1", "2001:db8::1"]),
            ("2001:db8:0:1::100", &[]),
        ] {
            let found: Vec<IpAddr> = gateways.of(address(vip)).collect();
            assert_eq!(found, expected.iter().map(|text| address(text)).collect::<Vec<_>>(), "{vip}");
        }
    }
}
