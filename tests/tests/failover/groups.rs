//! Virtual routers of a group, on two network cards: what befalls one of them moves both.

use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Echo, Host, Lab, Process, Router, Settings, leftovers, output, vips, wait_until};

use super::support::SOON;

/// Where the second card of each node is.
const SECOND: [(Host, Ipv4Addr); 2] =
    [(Host::A, Ipv4Addr::new(10, 77, 0, 3)), (Host::B, Ipv4Addr::new(10, 77, 0, 4))];
const SETTINGS: Settings = Settings {
    preempt: true,
    more: "startup_hold_ms = 0\ngroup = \"edge\"\ntrack = [\"flag\"]\n",
    ..Settings::USUAL
};

#[test]
fn a_card_that_loses_its_link_takes_the_other_router_with_it_and_both_come_back() -> Result<()> {
    with_group(|lab, _| {
        lab.run(Host::A, "ip", &["link", "set", "eth1", "down"])?;
        wait_owner(lab, Host::B)?;
        lab.run(Host::A, "ip", &["link", "set", "eth1", "up"])?;
        wait_owner(lab, Host::A)
    })
}

#[test]
fn what_one_of_them_tracks_moves_both() -> Result<()> {
    with_group(|lab, _| {
        let flag = lab.host_directory(Host::A).join("flag");
        fs::write(&flag, "1")?;
        wait_owner(lab, Host::B)?;
        fs::remove_file(&flag)?;
        wait_owner(lab, Host::A)
    })
}

#[test]
fn a_handover_of_one_of_them_is_one_of_both() -> Result<()> {
    with_group(|lab, _| {
        let told = output(lab.baton(Host::A, "handover")?.args(["--vrid", "52"]))?;
        ensure!(
            told.contains("eth0 vrid 51: handed over") && told.contains("eth1 vrid 52: handed over"),
            "{told}"
        );
        wait_owner(lab, Host::B)?;
        let refused = lab.baton(Host::B, "handover")?.args(["--to", "10.77.0.1"]).output()?;
        let said = String::from_utf8_lossy(&refused.stderr);
        ensure!(!refused.status.success() && said.contains("hand over without --to"), "{said}");
        Ok(())
    })
}

/// A cut of one link is not noticed by its carrier, and the nodes still see each other on the other.
#[test]
fn a_link_that_is_cut_in_silence_moves_nothing() -> Result<()> {
    with_group(|lab, _| {
        let before = epochs(lab)?;
        lab.cut(Host::A)?;
        wait_until("the router on the cut link to wait for its group", SOON, || {
            let routers = lab.baton_status(Host::B)?.routers;
            Ok(routers.iter().map(|router| router.ready).eq([true, false]))
        })?;
        let told = output(&mut lab.baton(Host::B, "explain")?)?;
        ensure!(told.contains("waits for its group"), "{told}");
        wait_owner(lab, Host::A)?;
        lab.heal(Host::A)?;
        wait_until("it to listen to the other node again", SOON, || {
            let routers = lab.baton_status(Host::B)?.routers;
            Ok(routers.iter().all(|router| router.role == "Backup" && !router.ready))
        })?;
        wait_owner(lab, Host::A)?;
        assert_eq!(epochs(lab)?, before, "nobody has taken anything over");
        Ok(())
    })
}

#[test]
fn both_links_cut_move_both_and_the_better_node_takes_both_back() -> Result<()> {
    with_group(|lab, _| {
        lab.cut(Host::A)?;
        lab.plug_second_card(Host::A, false)?;
        // Node a cannot know that its other link is cut, but it has nothing to do there without the first.
        wait_owner(lab, Host::B)?;
        lab.heal(Host::A)?;
        lab.plug_second_card(Host::A, true)?;
        wait_owner(lab, Host::A)
    })
}

#[test]
fn both_own_their_addresses_before_either_says_so() -> Result<()> {
    with_group(|lab, _| {
        output(&mut lab.baton(Host::A, "handover")?)?;
        wait_owner(lab, Host::B)?;
        let status = lab.baton_status(Host::B)?;
        let takeovers = || status.routers.iter().filter_map(|router| router.transitions.last());
        let stored: Vec<u64> = takeovers().filter_map(|takeover| takeover.stored_ns).collect();
        let said: Vec<u64> = takeovers().filter_map(|takeover| takeover.transmitted_ns).collect();
        ensure!(stored.len() == 2 && said.len() == 2, "{stored:?} {said:?}");
        ensure!(stored.iter().max() <= said.iter().min(), "{stored:?} {said:?}");
        Ok(())
    })
}

#[test]
fn the_leases_of_both_end_in_the_same_moment() -> Result<()> {
    with_group(|lab, _| {
        for _ in 0..50 {
            let status = lab.baton_status(Host::A)?;
            let left: Vec<u64> = status.routers.iter().map(|router| router.lease_left_us).collect();
            ensure!(left.len() == 2 && left[0] > 0 && left[0] == left[1], "{left:?} us are left");
        }
        Ok(())
    })
}

/// Runs `test` on a lab with a router of the group on each card of both nodes, node a owning both.
fn with_group(test: impl FnOnce(&Lab, &[Process; 2]) -> Result<()>) -> Result<()> {
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    let addresses = vips(2);
    let mut echoes = Vec::new();
    for (host, second) in SECOND {
        lab.add_second_card(host, second)?;
        configure(&lab, host, &addresses)?;
        for vip in &addresses {
            echoes.push(Echo::start(&lab, host, *vip)?);
        }
    }
    let first = lab.start_baton(Host::A)?;
    wait_owner(&lab, Host::A)?;
    let agents = [first, lab.start_baton(Host::B)?];
    wait_until("node b to be Backup", SOON, || {
        let status = lab.baton_status(Host::B);
        Ok(status.is_ok_and(|status| status.routers.iter().all(|router| router.role == "Backup")))
    })?;
    test(&lab, &agents)?;
    drop((agents, echoes, lab));
    assert_eq!(leftovers(&id), Vec::<String>::new());
    Ok(())
}

fn configure(lab: &Lab, host: Host, vips: &[Ipv4Addr]) -> Result<()> {
    let priority = if host == Host::A { 200 } else { 100 };
    let routers = [51, 52].map(|vrid| Router { vrid, priority, vips: &vips[usize::from(vrid - 51)..][..1] });
    let file = lab.configure_routers(host, MacMode::Virtual, &SETTINGS, &routers)?;
    let text = fs::read_to_string(&file)?;
    // The second one has the second card, and tracks nothing of its own.
    let at = text.rfind("[[router]]").expect("two routers");
    let second = text[at..].replace("eth0", "eth1").replace("track = [\"flag\"]\n", "");
    let flag = lab.host_directory(host).join("flag");
    let tracker = format!("[[track]]\nname = \"flag\"\nfile = \"{}\"\n", flag.display());
    fs::write(&file, format!("{}{second}{tracker}", &text[..at]))?;
    Ok(())
}

/// How often each of both routers was taken over, on node a and node b.
fn epochs(lab: &Lab) -> Result<[Vec<u32>; 2]> {
    let of = |host| -> Result<Vec<u32>> {
        Ok(lab.baton_status(host)?.routers.iter().map(|router| router.epoch).collect())
    };
    Ok([of(Host::A)?, of(Host::B)?])
}

/// Waits until `host` owns both by the accounts of both nodes.
fn wait_owner(lab: &Lab, host: Host) -> Result<()> {
    wait_until(&format!("node {} to own both", host.name()), SOON, || {
        let owns = |host: Host| -> Vec<bool> {
            let routers = lab.baton_status(host).map(|status| status.routers).unwrap_or_default();
            routers.iter().map(|router| router.role == "Active" && router.lease_left_us > 0).collect()
        };
        Ok(owns(host) == [true, true] && !owns(host.other()).contains(&true))
    })
}
