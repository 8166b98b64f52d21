//! What the guardian is told.

use baton_common::maps::{ACCEPT_PSEUDO, ACCEPT_RFC9568};
use baton_common::vrid::Family;

use crate::address;
use crate::config::Config;
use crate::driver::{PortParts, Router};
use crate::guardian::{Briefing, Farewell, InterfaceBriefing, RouterBriefing};
use crate::host::netlink::Interface;
use crate::vrrp::{Checksum, ChecksumMode, Version, Versions};
use crate::wire::BuildError;

/// All that the guardian has to know of `interfaces` and the ports that they become.
///
/// # Errors
///
/// A virtual router has no addresses, or too many.
pub(super) fn briefing(
    config: &Config,
    interfaces: &[Interface],
    ports: &[PortParts],
) -> Result<Briefing, BuildError> {
    let of_interface = |(interface, port): (&Interface, &PortParts)| {
        let routers =
            port.routers.iter().map(|router| of_router(router, interface)).collect::<Result<_, _>>()?;
        Ok(InterfaceBriefing { name: interface.name.clone(), index: interface.index, routers })
    };
    Ok(Briefing {
        realtime_priority: config.runtime.realtime_priority,
        pins: config.runtime.pins.clone(),
        interfaces: interfaces.iter().zip(ports).map(of_interface).collect::<Result<_, _>>()?,
    })
}

fn of_router(router: &Router, interface: &Interface) -> Result<RouterBriefing, BuildError> {
    let parameters = router.parameters();
    let checksums = match (address::family(parameters.primary), parameters.versions) {
        (Family::Ipv4, Versions::Only(Version::V3) | Versions::Both { .. }) => parameters.checksum,
        (Family::Ipv6, _) | (Family::Ipv4, Versions::Only(Version::V2 { .. })) => {
            ChecksumMode::Only(Checksum::Rfc9568)
        }
    };
    let (first, second) = match checksums {
        ChecksumMode::Only(checksum) => (checksum, None),
        ChecksumMode::Auto(Checksum::Rfc9568) => (Checksum::Rfc9568, Some(Checksum::Pseudo)),
        ChecksumMode::Auto(Checksum::Pseudo) => (Checksum::Pseudo, Some(Checksum::Rfc9568)),
    };
    let farewells =
        [Some(first), second].into_iter().flatten().flat_map(|checksum| farewells(router, checksum));
    Ok(RouterBriefing {
        slot: router.slot(),
        interval_cs: parameters.interval.centiseconds(),
        down_adverts: parameters.down_adverts.get(),
        multicast: router.unicast().is_empty().then(|| router.multicast()),
        solicited: router.vips().iter().filter_map(super::ipv6).collect(),
        virtual_mac: Some(router.mac()).filter(|mac| *mac != interface.mac),
        farewells: farewells.collect::<Result<_, _>>()?,
    })
}

/// What says priority 0 with `checksum`, in every version that is spoken: to the group, or to each unicast peer.
fn farewells(router: &Router, checksum: Checksum) -> impl Iterator<Item = Result<Farewell, BuildError>> {
    let flag = match checksum {
        Checksum::Rfc9568 => ACCEPT_RFC9568,
        Checksum::Pseudo => ACCEPT_PSEUDO,
    };
    let flag = u8::try_from(flag).unwrap_or_default();
    let (first, last) = router.parameters().versions.sent();
    let group = router.unicast().is_empty().then_some(None);
    let peers = router.unicast().iter().copied().map(Some);
    let to = group.into_iter().chain(peers);
    first.into_iter().chain([last]).flat_map(move |version| {
        to.clone().map(move |peer| {
            let octets = router.farewell(version, checksum, peer)?;
            Ok(Farewell { checksum: flag, peer, octets })
        })
    })
}
