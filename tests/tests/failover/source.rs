//! Hosts with several addresses on an interface, whose `source` says which of them adverts come from.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton::control::protocol::RouterStatus;
use baton::vrrp::{Checksum, ChecksumMode, Interval, Version, Versions};
use baton::wire::{Expected, parse_frame};
use baton_tests::lab::{Fault, Host, Lab, VIP, VIPS6, VRID, output, wait_until};
use baton_tests::network::{Hears, Listener};

use super::support::{
    EVERY_100_MS, SOON, assert_moved, assert_sole_owner, epochs, reconfigure, refused_and_unchanged, router,
    router6_table, start_alone, wait_for_active, wait_for_next_in_line, watch, with_settings,
};

/// Adverts to the group, and by unicast.
#[test]
fn the_vip_moves_between_nodes_that_advertise_from_a_second_address() -> Result<()> {
    for peers in ["", "peers = [\"10.77.1.1\", \"10.77.1.2\"]\n"] {
        with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
            for host in Host::NODES {
                add_address(lab, host)?;
                let lines = format!("vips = [\"{VIP}\"]\nsource = \"{}\"\n{peers}", second_address(host));
                edit(lab, host, &format!("vips = [\"{VIP}\"]\n"), &lines)?;
            }
            // Between two reloads one goes by unicast, and the other does not.
            let before = epochs(lab)?;
            for host in Host::NODES {
                output(&mut lab.baton(host, "reload")?)?;
            }
            ensure!(!peers.is_empty() || epochs(lab)? == before, "a reload is no reason to move");
            assert_sole_owner(pair, Host::A)?;

            wait_for_next_in_line(lab, Host::B)?;
            assert_eq!(watched(lab, Host::B)?, Some(second_address(Host::A).into()));
            if peers.is_empty() {
                assert_eq!(sources(lab)?, BTreeSet::from([second_address(Host::A).into()]));
            }
            let (outcome, _) = watch(lab, || pair.inject(Fault::SilentDeath).map(drop))?;
            assert_moved(&outcome, Host::B, 0);
            assert_eq!(router(lab, Host::B)?.reason.as_deref(), Some("active-unreachable"));
            pair.restore()?;
            assert_sole_owner(pair, Host::A)?;

            for owner in Host::NODES {
                wait_for_next_in_line(lab, owner.other())?;
                let to = second_address(owner.other()).to_string();
                let told = output(lab.baton(owner, "handover")?.args(["--to", &to]))?;
                ensure!(told.contains(&format!("handed over to {to}")), "{told}");
                assert_sole_owner(pair, owner.other())?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// A global address, which other links can reach, and unicast peers that have such.
#[test]
fn ipv6_peers_may_advertise_from_addresses_of_more_than_their_link() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, _| {
        lab.enable_ipv6()?;
        let [a, b] = Host::NODES.map(Host::address6);
        for host in Host::NODES {
            let more = format!(
                "startup_hold_ms = 0\nsource = \"{}\"\npeers = [\"{a}\", \"{b}\"]\n",
                host.address6()
            );
            edit(lab, host, "\n[[router]]", &format!("{}\n[[router]]", router6_table(host, &more)))?;
            output(&mut lab.baton(host, "reload")?)?;
            wait_for_active(lab, Host::A)?;
        }
        wait_for_next_in_line(lab, Host::B)?;
        let watched = router(lab, Host::B)?;
        assert_eq!((watched.vips[1], watched.watch.map(|it| it.peer)), (VIPS6[1].into(), Some(a.into())));
        lab.cut(Host::A)?;
        wait_for_active(lab, Host::B)?;
        assert_eq!(router(lab, Host::B)?.reason.as_deref(), Some("active-unreachable"));
        lab.heal(Host::A)?;
        wait_until("a single owner", SOON, || Ok(router(lab, Host::B)?.role == "Backup"))
    })
}

#[test]
fn a_router_whose_source_is_taken_off_gives_up_and_its_neighbour_on_the_interface_serves_on() -> Result<()> {
    let lab = Lab::up()?;
    add_address(&lab, Host::A)?;
    let source = second_address(Host::A);
    let file = lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let second = format!(
        "[[router]]\ninterface = \"eth0\"\nvrid = 52\ninterval_ms = 10\nstartup_hold_ms = 0\nsource = \"{source}\"\n\
         vips = [\"10.77.0.101\"]\n"
    );
    fs::write(&file, fs::read_to_string(&file)? + &second)?;
    let _agent = start_alone(&lab)?;
    let roles = || Ok::<_, anyhow::Error>(lab.baton_status(Host::A)?.routers.into_iter().map(said).collect());
    let waits = |what: &str, expected: [(&str, &str); 2]| {
        wait_until(what, SOON, || {
            let roles: Vec<(String, String)> = roles()?;
            Ok(roles.iter().map(|(role, reason)| (role.as_str(), reason.as_str())).eq(expected))
        })
    };
    waits("both to be Active", [("Active", "active-down"), ("Active", "active-down")])?;
    let epoch = router(&lab, Host::A)?.epoch;
    lab.run(Host::A, "ip", &["address", "del", &format!("{source}/16"), "dev", "eth0"])?;
    waits("the second one to give up", [("Active", "active-down"), ("Initialize", "link-down")])?;
    add_address(&lab, Host::A)?;
    waits("it to begin again", [("Active", "active-down"), ("Active", "active-down")])?;
    assert_eq!(router(&lab, Host::A)?.epoch, epoch, "the first one was Active all the while");
    Ok(())
}

#[test]
fn a_source_that_the_interface_does_not_have_is_refused() -> Result<()> {
    let lab = Lab::up()?;
    reconfigure(&lab, "vrid = 51\n", "vrid = 51\nsource = \"10.77.1.1\"\n")?;
    let missing = "router eth0 vrid 51: its source, 10.77.1.1, is no address of eth0";
    refused_and_unchanged(&lab, &[missing, "`ip address add 10.77.1.1/LENGTH dev eth0`"])
}

fn second_address(host: Host) -> Ipv4Addr {
    let [a, b, _, last] = host.address().octets();
    Ipv4Addr::new(a, b, 1, last)
}

fn add_address(lab: &Lab, host: Host) -> Result<()> {
    let address = format!("{}/16", second_address(host));
    lab.run(host, "ip", &["address", "add", &address, "dev", "eth0"]).map(drop)
}

/// Replaces `from` in the configuration of `host`.
fn edit(lab: &Lab, host: Host, from: &str, to: &str) -> Result<()> {
    let file = lab.host_directory(host).join("baton.toml");
    let text = fs::read_to_string(&file)?;
    ensure!(text.contains(from), "the configuration has no `{from}`");
    Ok(fs::write(&file, text.replace(from, to))?)
}

/// Role, and the reason for it.
fn said(router: RouterStatus) -> (String, String) {
    (router.role, router.reason.unwrap_or_default())
}

/// Whom `host` watches.
fn watched(lab: &Lab, host: Host) -> Result<Option<IpAddr>> {
    Ok(router(lab, host)?.watch.map(|watch| watch.peer))
}

/// Whom the next adverts come from that the client hears.
fn sources(lab: &Lab) -> Result<BTreeSet<IpAddr>> {
    let client = lab.namespace(Host::Client).within(|| Ok(Listener::open("eth0", Hears::Everything)?))?;
    let expected = Expected::multicast(
        Host::Client.address().into(),
        Versions::Only(Version::V3),
        Interval::from_centiseconds(1).expect("not 0"),
        ChecksumMode::Auto(Checksum::Pseudo),
    );
    let mut sources = Vec::new();
    wait_until("adverts at the client", SOON, || {
        let mut buffer = [0; 2048];
        while let Some(frame) = client.next(&mut buffer) {
            let of_ours = |_, _, vrid: baton_common::vrid::Vrid| (vrid.get() == VRID).then_some(expected);
            if let Ok(received) = parse_frame(frame, of_ours) {
                sources.push(received.advertisement.source);
            }
        }
        Ok(sources.len() > 3)
    })?;
    Ok(sources.into_iter().collect())
}
