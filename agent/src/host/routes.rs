//! Where the kernel sends packets first.

use std::net::IpAddr;

use futures_util::stream::TryStreamExt;
use rtnetlink::Handle;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage};

/// The route to `destination` through the interface with `index`, as it stands in the table, with all of its gateways; `None` if
/// nothing leads there.
pub(super) async fn route(
    handle: &Handle,
    destination: IpAddr,
    index: u32,
) -> Result<Option<RouteMessage>, rtnetlink::Error> {
    let (family, length) = match destination {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    let mut request = RouteMessage::default();
    request.header.address_family = family;
    request.header.destination_prefix_length = length;
    request.header.flags = RouteFlags::FibMatch;
    request.attributes = vec![RouteAttribute::Destination(destination.into()), RouteAttribute::Oif(index)];
    match Box::pin(handle.route().get(request).execute()).try_next().await {
        Err(rtnetlink::Error::NetlinkError(_)) => Ok(None),
        answer => answer,
    }
}

/// Who is next on the ways of `route` through the interface with `index`, of which there may be several: a gateway, or, with
/// `None`, the destination itself.
pub(super) fn hops(route: &RouteMessage, index: u32) -> Vec<Option<IpAddr>> {
    let hops = route.attributes.iter().find_map(|attribute| {
        let RouteAttribute::MultiPath(hops) = attribute else { return None };
        Some(hops)
    });
    match hops {
        Some(hops) => {
            let hops = hops.iter().filter(|hop| hop.interface_index == index);
            hops.map(|hop| gateway(&hop.attributes)).collect()
        }
        None if route.attributes.contains(&RouteAttribute::Oif(index)) => vec![gateway(&route.attributes)],
        None => Vec::new(),
    }
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| {
        if let RouteAttribute::Gateway(RouteAddress::Inet(address)) = attribute {
            return Some(IpAddr::V4(*address));
        }
        let RouteAttribute::Gateway(RouteAddress::Inet6(address)) = attribute else { return None };
        Some(IpAddr::V6(*address))
    })
}
