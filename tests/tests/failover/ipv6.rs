//! IPv6 beside IPv4 under one agent, with the same VRID: real nginx and curl, neighbour discovery, S-BFD, handover.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton::config::MacMode;
use baton::control::protocol::RouterStatus;
use baton::vrrp::{Checksum, ChecksumMode, Interval, Version, Versions};
use baton::wire::{Expected, parse_datagram};
use baton_common::vrid::Family;
use baton_tests::lab::{Host, Lab, Nginx, Process, VIP, VIPS6, VRID, leftovers, output, pause, wait_until};
use nix::net::if_::if_nametoindex;
use nix::sys::signal::Signal;

use super::support::{SOON, router6_table};

/// The virtual MAC of VRID 51 for IPv6.
const MAC: &str = "00:00:5e:00:02:33";

#[test]
fn both_families_go_to_the_peer_when_the_agent_dies() -> Result<()> {
    with_both_families(|lab, _| {
        wait_until("node b to watch node a over IPv6", SOON, || {
            Ok(router6(lab, Host::B)?.watch.is_some_and(|watch| watch.up && watch.next_in_line))
        })?;
        lab.signal_agent(Host::A, Signal::SIGKILL)?;
        wait_served_by(lab, Host::B)?;
        assert_eq!(lab.neighbour(VIPS6[1])?.as_deref(), Some(MAC), "neighbours need not learn anything");
        assert_eq!(lab.learned_at(MAC)?, Some(Host::B), "the switch has");
        let reason = router6(lab, Host::B)?.reason.context("it has become Active")?;
        ensure!(["active-left", "active-out-of-service"].contains(&reason.as_str()), "for {reason}");
        Ok(())
    })
}

#[test]
fn a_host_that_is_cut_off_is_succeeded_by_s_bfd() -> Result<()> {
    with_both_families(|lab, _| {
        wait_until("node b to watch node a over IPv6", SOON, || {
            Ok(router6(lab, Host::B)?.watch.is_some_and(|watch| watch.up && watch.next_in_line))
        })?;
        lab.cut(Host::A)?;
        wait_served_by(lab, Host::B)?;
        assert_eq!(router6(lab, Host::B)?.reason.as_deref(), Some("active-unreachable"));
        lab.heal(Host::A)?;
        wait_until("a single owner", SOON, || Ok(owners(lab)?.len() == 1))
    })
}

#[test]
fn a_handover_names_the_family_and_a_restart_keeps_the_role() -> Result<()> {
    with_both_families(|lab, _| {
        let told = output(&mut lab.baton(Host::A, "handover")?)?;
        ensure!(
            told.contains("eth0 vrid 51: handed over") && told.contains("vrid 51 (IPv6): handed over"),
            "{told}"
        );
        wait_served_by(lab, Host::B)?;
        // A Baton that was restarted as Active has heard of no peer yet.
        let to = router6(lab, Host::B)?.peers.first().context("a peer")?.address.to_string();
        let epoch = router6(lab, Host::B)?.epoch;
        output(&mut lab.baton(Host::B, "restart")?)?;
        let router = router6(lab, Host::B)?;
        assert_eq!((router.role.as_str(), router.epoch), ("Active", epoch));
        wait_served_by(lab, Host::B)?;
        // Only the router of that family may go there.
        let told = output(lab.baton(Host::B, "handover")?.args(["--to", &to]))?;
        ensure!(told.contains("(IPv6)") && told.lines().count() == 1, "{told}");
        wait_until("node a to serve over IPv6", SOON, || {
            Ok(lab.fetch(VIPS6[1]).is_ok_and(|body| body == "node a"))
        })?;
        assert_eq!(lab.fetch(VIP)?, "node b");
        Ok(())
    })
}

/// T-134: duplicate address detection finds the VIP in use.
#[test]
fn nobody_else_gets_the_vip() -> Result<()> {
    with_both_families(|lab, _| {
        let [link_local, vip] = VIPS6.map(|vip| vip.to_string());
        lab.namespace(Host::Client).set("net/ipv6/conf/eth0/accept_dad", "1")?;
        for (address, length) in [(&vip, 128), (&link_local, 64)] {
            lab.run(Host::Client, "ip", &["address", "add", &format!("{address}/{length}"), "dev", "eth0"])?;
            wait_until(&format!("{address} to be found in use"), SOON, || {
                Ok(lab.run(Host::Client, "ip", &["address", "show", "to", address])?.contains("dadfailed"))
            })?;
            lab.run(Host::Client, "ip", &["address", "del", &format!("{address}/{length}"), "dev", "eth0"])?;
        }
        wait_served_by(lab, Host::A)
    })
}

/// T-137, T-141. The group of IPv4 is everybody's (RFC 4541 2.1.2); of IPv6 a switch brings to a port what was asked for there.
#[test]
fn a_switch_that_asks_who_listens_goes_on_bringing_adverts() -> Result<()> {
    with_both_families(|lab, _| {
        let epoch =
            |lab: &Lab| Ok::<_, anyhow::Error>([router6(lab, Host::A)?.epoch, router6(lab, Host::B)?.epoch]);
        let before = epoch(lab)?;
        lab.snoop()?;
        let members = || lab.run_on_switch("bridge", &["mdb", "show"]);
        // Of VRRP, and of those who ask for the VIPs.
        let groups = ["ff02::12", "ff02::1:ff00:100"];
        let is_member = |table: &str, host: Host| {
            groups.iter().all(|group| table.contains(&format!("port {} grp {group} ", host.port())))
        };
        wait_until("the switch to know who listens", SOON, || {
            let table = members()?;
            Ok(is_member(&table, Host::A) && is_member(&table, Host::B))
        })?;
        // Several times what it remembers an answer for.
        pause(Duration::from_secs(8))?;
        let table = members()?;
        ensure!(is_member(&table, Host::B) && !is_member(&table, Host::Client), "{table}");
        // Without adverts node b would take over each 30 ms. A machine that stands still may make it do so once.
        let [a, b] = epoch(lab)?;
        ensure!(a + b <= before[0] + before[1] + 4, "epochs {before:?}, then {a}, {b}");
        wait_until("a single owner", SOON, || Ok(owners(lab)?.len() == 1))
    })
}

/// Where no AF_XDP socket takes them the kernel brings the adverts, with what it knows of their headers beside them.
#[test]
fn adverts_are_heard_through_a_raw_socket_as_well() -> Result<()> {
    with_both_families(|lab, _| {
        let source = lab.namespace(Host::Client).within(|| {
            let index = if_nametoindex("eth0")?;
            let mut socket = baton::socket::VrrpSocket::open(
                Family::Ipv6,
                "eth0",
                index,
                &[baton::address::vrrp_group(Family::Ipv6)].into(),
            )?;
            let expected = Expected::multicast(
                Host::Client.address6().into(),
                Versions::Only(Version::V3),
                Interval::from_centiseconds(1).context("not 0")?,
                ChecksumMode::Auto(Checksum::Pseudo),
            );
            let mut heard = None;
            wait_until("an advert", SOON, || {
                let mut buffer = [0; 2048];
                let packet = socket.receive(&mut buffer);
                let parsed =
                    packet.map(|packet| parse_datagram(packet, Family::Ipv6, 0, |_, _, _| Some(expected)));
                heard = parsed
                    .transpose()?
                    .map(|it| (it.vrid.get(), it.advertisement.source, it.addresses().count()));
                Ok(heard.is_some())
            })?;
            heard.context("it was heard")
        })?;
        let (vrid, source, addresses) = source;
        assert_eq!((vrid, addresses), (VRID, 2));
        ensure!(source.to_string().starts_with("fe80::"), "{source}");
        Ok(())
    })
}

/// The agents of both nodes.
struct Agents {
    _running: [Process; 2],
}

/// Runs `test` on a lab whose node a is Active for both families, and checks that nothing is left.
fn with_both_families(test: impl FnOnce(&Lab, &mut Agents) -> Result<()>) -> Result<()> {
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    lab.enable_ipv6()?;
    for host in Host::NODES {
        let file = lab.configure_baton(host, MacMode::Virtual, 10, &[VIP])?;
        fs::write(&file, fs::read_to_string(&file)? + &router6_table(host, ""))?;
    }
    let first = lab.start_baton(Host::A)?;
    wait_until("node a to own both", SOON, || Ok(owners(&lab)? == [Host::A]))?;
    let second = lab.start_baton(Host::B)?;
    let mut agents = Agents { _running: [first, second] };
    wait_until("node b to be Backup", SOON, || {
        Ok(lab
            .baton_status(Host::B)
            .is_ok_and(|status| status.routers.iter().all(|router| router.role == "Backup")))
    })?;
    let mut servers = Vec::new();
    for host in Host::NODES {
        servers.push(Nginx::start_for(&lab, host, &[VIP.into(), VIPS6[1].into()])?);
    }
    wait_served_by(&lab, Host::A)?;
    test(&lab, &mut agents)?;
    drop((agents, servers));
    drop(lab);
    assert_eq!(leftovers(&id), Vec::<String>::new());
    Ok(())
}

fn wait_served_by(lab: &Lab, host: Host) -> Result<()> {
    let wanted = format!("node {}", host.name());
    wait_until(&format!("{wanted} to serve both families"), SOON + Duration::from_secs(5), || {
        let served = |body: Result<String>| body.is_ok_and(|body| body == wanted);
        Ok(served(lab.fetch(VIP)) && served(lab.fetch(VIPS6[1])))
    })
}

/// The IPv6 router of `host`.
fn router6(lab: &Lab, host: Host) -> Result<RouterStatus> {
    let routers = lab.baton_status(host)?.routers;
    routers.into_iter().find(|router| router.family == "ipv6").context("an IPv6 router")
}

/// The nodes that own both routers by their own account.
fn owners(lab: &Lab) -> Result<Vec<Host>> {
    let owns = |host: &Host| {
        lab.baton_status(*host).is_ok_and(|status| {
            status.routers.len() == 2
                && status.routers.iter().all(|router| router.role == "Active" && router.lease_left_us > 0)
        })
    };
    Ok(Host::NODES.into_iter().filter(owns).collect())
}
