//! Nodes that advertise to each other by unicast.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use baton::address;
use baton::config::MacMode;
use baton::socket::{PacketSocket, PeerSocket, VrrpSocket};
use baton::vrrp::{Checksum, Interval, Standing, Version};
use baton::wire::{MAX_ADVERTISEMENT_FRAME, Outgoing};
use baton_common::vrid::{Family, Vrid};
use baton_tests::lab::{Fault, Host, Lab, Settings, VIP, VRID, pause, wait_until};
use nix::net::if_::if_nametoindex;

use super::support::{LINGER_US, SOON, assert_moved, assert_sole_owner, watch, with_settings};

/// One list for all nodes, each of which leaves itself out.
const UNICAST: Settings = Settings {
    interval_ms: 100,
    more: "startup_hold_ms = 0\npeers = [\"10.77.0.1\", \"10.77.0.2\"]\n",
    ..Settings::USUAL
};

#[test]
fn the_vip_moves_and_no_advert_goes_to_the_group() -> Result<()> {
    for mac in [MacMode::Virtual, MacMode::Interface] {
        with_settings(mac, UNICAST, |lab, pair| {
            let groups = [address::vrrp_group(Family::Ipv4)].into();
            let mut group = lab
                .namespace(Host::Client)
                .within(|| Ok(VrrpSocket::open(Family::Ipv4, "eth0", if_nametoindex("eth0")?, &groups)?))?;
            for (fault, both_us) in
                [(Fault::Planned, LINGER_US), (Fault::AgentDeath, LINGER_US), (Fault::SilentDeath, 0)]
            {
                let successor = pair.settle()?.other();
                let (outcome, _) = watch(lab, || pair.inject(fault).map(drop))?;
                assert_moved(&outcome, successor, both_us);
                // A host that was cut off, and is the better one, has it back then.
                pair.restore()?;
            }
            pair.settle()?;
            ensure!(group.receive(&mut [0; 2048]).is_none(), "an advert went to the group");
            Ok(())
        })?;
    }
    Ok(())
}

/// T-089, T-090: a priority of 255 is nothing if it comes from a stranger, or to the group.
#[test]
fn strangers_and_the_group_change_nothing() -> Result<()> {
    with_settings(MacMode::Virtual, UNICAST, |lab, pair| {
        let owner = pair.settle()?;
        let (outcome, _) = watch(lab, || intrude(lab))?;
        assert_eq!((outcome.after, outcome.flips), (Some(owner), 0), "{outcome:?}");
        for host in Host::NODES {
            let counts = lab.baton_status(host)?.interfaces.remove(0).verdicts;
            for verdict in ["vrrp-not-peer", "vrrp-destination"] {
                ensure!(counts[verdict] > 0, "node {} has seen no {verdict}: {counts:?}", host.name());
            }
        }
        assert_sole_owner(pair, owner)
    })
}

/// A peer whose address nobody has is no reason not to serve, nor is one that comes late.
#[test]
fn a_lone_node_serves_and_its_peer_becomes_backup_when_it_comes() -> Result<()> {
    with_settings(MacMode::Virtual, UNICAST, |lab, pair| {
        pair.inject(Fault::DeathOfAll)?;
        wait_until("node b to serve alone", SOON, || Ok(pair.settle()? == Host::B))?;
        pause(4 * Duration::from_millis(u64::from(UNICAST.interval_ms)))?;
        lab.wait_served_by(VIP, Host::B, SOON)?;
        pair.restore()?;
        assert_sole_owner(pair, Host::B)
    })
}

/// Sends what the owner of the addresses would say from the client, to both nodes and to the group.
fn intrude(lab: &Lab) -> Result<()> {
    let advertisement = Outgoing {
        mac: Host::Client.mac(),
        vlan: 0,
        source: Host::Client.address().into(),
        version: Version::V3,
        vrid: Vrid::new(VRID).expect("not 0"),
        standing: Standing::from_octet(255),
        interval: Interval::from_centiseconds(10).expect("not 0"),
        checksum: Checksum::Pseudo,
        addresses: &[VIP.into()],
    };
    lab.namespace(Host::Client).within(|| {
        let index = if_nametoindex("eth0")?;
        let (packets, frames) = (PeerSocket::open(Family::Ipv4, "eth0", index)?, PacketSocket::open(index)?);
        let mut buffer = [0; MAX_ADVERTISEMENT_FRAME];
        for _ in 0..10 {
            for host in Host::NODES {
                let peer = IpAddr::from(host.address());
                let length = advertisement.build_packet(peer, &mut buffer)?;
                packets.transmit(&buffer[..length], peer)?;
            }
            let length = advertisement.build(address::vrrp_group(Family::Ipv4), &mut buffer)?;
            frames.transmit(&buffer[..length])?;
            pause(Duration::from_millis(10))?;
        }
        Ok(())
    })
}
