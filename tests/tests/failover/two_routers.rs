//! Two virtual routers on one interface under one agent, each preferring another node: both nodes work, and either takes
//! the other's addresses over.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{
    Echo, Host, Lab, Outcome, Process, Router, Settings, leftovers, output, pause, vips, wait_until,
};
use nix::sys::signal::Signal;

use super::support::{LEASE_US, SOON, assert_moved, watch_vip};

/// The identifiers, with the node that each prefers.
const ROUTERS: [(u8, Host); 2] = [(51, Host::A), (52, Host::B)];
const SETTINGS: Settings = Settings { preempt: true, ..Settings::USUAL };

#[test]
fn each_node_serves_its_own_router_and_the_switch_knows_both_macs() -> Result<()> {
    with_both(|lab, vips, _| {
        for ((vip, mac), owner) in
            vips.iter().zip(["00:00:5e:00:01:33", "00:00:5e:00:01:34"]).zip(Host::NODES)
        {
            lab.wait_served_by(*vip, owner, SOON)?;
            assert_eq!(lab.neighbour(*vip)?.as_deref(), Some(mac));
            assert_eq!(lab.learned_at(mac)?, Some(owner));
        }
        Ok(())
    })
}

#[test]
fn either_node_takes_both_routers_when_the_other_is_killed_and_gives_its_own_back() -> Result<()> {
    with_both(|lab, vips, agents| {
        for (victim, moving) in Host::NODES.into_iter().zip(0..) {
            let survivor = victim.other();
            let (outcome, _) = watch_vip(lab, vips[moving], || agents.kill(victim))?;
            assert_moved(&outcome, survivor, 0);
            wait_owners(lab, [survivor, survivor])?;
            let (outcome, _) = watch_vip(lab, vips[1 - moving], || agents.start(lab, victim))?;
            assert_undisturbed(&outcome, survivor);
            wait_owners(lab, Host::NODES)?;

            let (outcome, _) = watch_vip(lab, vips[1 - moving], || agents.kill(victim))?;
            assert_undisturbed(&outcome, survivor);
            agents.start(lab, victim)?;
            wait_owners(lab, Host::NODES)?;
            lab.wait_served_by(vips[moving], victim, SOON)?;
        }
        Ok(())
    })
}

#[test]
fn a_handover_of_one_router_leaves_the_other_where_it_is() -> Result<()> {
    with_both(|lab, vips, _| {
        let hand_over =
            |vrid| output(lab.baton(Host::A, "handover")?.args(["--vrid", vrid, "--interface", "eth0"]));
        let (outcome, _) = watch_vip(lab, vips[0], || hand_over("51").map(drop))?;
        assert_moved(&outcome, Host::B, LEASE_US);
        wait_owners(lab, [Host::B, Host::B])?;
        // Node a is no owner any more: there is nothing that it could give away.
        let (outcome, _) = watch_vip(lab, vips[1], || {
            assert!(hand_over("52").is_err(), "node a handed over what it does not own");
            Ok(())
        })?;
        assert_undisturbed(&outcome, Host::B);
        wait_owners(lab, [Host::B, Host::B])
    })
}

/// They share their probes, but each has a virtual MAC of its own, and the one that moves takes its MAC along.
#[test]
fn a_router_that_moves_casts_no_doubt_on_the_other() -> Result<()> {
    with_both(|lab, _, _| {
        let hand_over = |host, vrid| {
            output(lab.baton(host, "handover")?.args(["--vrid", vrid, "--interface", "eth0"])).map(drop)
        };
        hand_over(Host::B, "52")?;
        wait_owners(lab, [Host::A, Host::A])?;
        wait_until("node b to watch node a for both", SOON, || {
            let routers = lab.baton_status(Host::B)?.routers;
            Ok(routers.iter().all(|router| router.watch.as_ref().is_some_and(|watch| watch.up)))
        })?;
        let epoch = || -> Result<u32> { Ok(lab.baton_status(Host::B)?.routers[1].epoch) };
        let before = epoch()?;
        hand_over(Host::A, "51")?;
        wait_owners(lab, [Host::B, Host::A])?;
        pause(Duration::from_secs(1))?;
        assert_eq!(epoch()?, before, "the other router was taken over by mistake");
        wait_owners(lab, [Host::B, Host::A])
    })
}

#[test]
fn a_guardian_leaves_all_that_its_agent_owned() -> Result<()> {
    with_both(|lab, vips, _| {
        // Node b does not preempt then.
        output(lab.baton(Host::B, "handover")?.args(["--vrid", "52"]))?;
        wait_owners(lab, [Host::A, Host::A])?;
        let (outcome, _) = watch_vip(lab, vips[1], || lab.signal_agent(Host::A, Signal::SIGKILL))?;
        assert_moved(&outcome, Host::B, LEASE_US);
        wait_owners(lab, [Host::B, Host::B])?;
        let log = std::fs::read_to_string(lab.baton_log(Host::A))?;
        ensure!(log.contains("the agent has died") && log.contains("left=2"), "{log}");
        Ok(())
    })
}

/// The agents of both nodes.
struct Agents([Option<Process>; 2]);

impl Agents {
    fn start(&mut self, lab: &Lab, host: Host) -> Result<()> {
        self.0[index(host)] = Some(lab.start_baton(host)?);
        Ok(())
    }

    /// Kills the agent of `host` with all its processes.
    fn kill(&mut self, host: Host) -> Result<()> {
        self.0[index(host)].take().context("kill an agent that runs").map(drop)
    }
}

/// Runs `test` on a lab with both nodes up, each owning its router, and checks that nothing is left.
fn with_both(test: impl FnOnce(&Lab, &[Ipv4Addr], &mut Agents) -> Result<()>) -> Result<()> {
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    let vips = vips(2);
    let mut echoes = Vec::new();
    for host in Host::NODES {
        let routers = [0, 1].map(|at| {
            let (vrid, preferred) = ROUTERS[at];
            let priority = if host == preferred { 200 } else { 100 };
            Router { vrid, priority, vips: &vips[at..=at] }
        });
        lab.configure_routers(host, MacMode::Virtual, &SETTINGS, &routers)?;
        for vip in &vips {
            echoes.push(Echo::start(&lab, host, *vip)?);
        }
    }
    let mut agents = Agents([None, None]);
    agents.start(&lab, Host::A)?;
    wait_owners(&lab, [Host::A, Host::A]).context("node a alone")?;
    agents.start(&lab, Host::B)?;
    wait_owners(&lab, Host::NODES).context("both nodes")?;
    test(&lab, &vips, &mut agents)?;
    drop((agents, echoes));
    drop(lab);
    assert_eq!(leftovers(&id), Vec::<String>::new());
    Ok(())
}

/// Waits until each router has exactly that owner.
fn wait_owners(lab: &Lab, wanted: [Host; 2]) -> Result<()> {
    let [first, second] = wanted.map(Host::name);
    let what = format!("node {first} to own router 51 and node {second} to own router 52");
    wait_until(
        &what,
        SOON,
        || Ok(ROUTERS.map(|(vrid, _)| owners(lab, vrid)) == wanted.map(|host| vec![host])),
    )
}

/// The nodes that own the router `vrid` by their own account.
fn owners(lab: &Lab, vrid: u8) -> Vec<Host> {
    let owns = |host: &Host| {
        lab.baton_status(*host).is_ok_and(|status| {
            status
                .routers
                .iter()
                .any(|router| router.vrid == vrid && router.role == "Active" && router.lease_left_us > 0)
        })
    };
    Host::NODES.into_iter().filter(owns).collect()
}

/// Asserts that `owner` served all the time, and nobody else.
fn assert_undisturbed(outcome: &Outcome, owner: Host) {
    assert_eq!(
        (outcome.before, outcome.after, outcome.flips, outcome.overlap_us),
        (Some(owner), Some(owner), 0, 0),
        "{outcome:?}"
    );
}

fn index(host: Host) -> usize {
    usize::from(host == Host::B)
}
