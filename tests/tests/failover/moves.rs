//! The VIP moves from node to node, on request and by failure, with a MAC of its own and with the interfaces'.

use anyhow::{Context as _, Result, ensure};
use baton::clock;
use baton::config::MacMode;
use baton_tests::lab::{Fault, Host, Prober, VIP, analyse, mac_text, pause};
use nix::sys::signal::Signal;

use super::support::{
    LEASE_US, SOON, WATCH, assert_moved, assert_silent_before, assert_sole_owner, watch, with_pair,
};

#[test]
fn a_stopped_agent_hands_the_vip_over_and_leaves_its_fence() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        let (outcome, _) = watch(lab, || pair.agent(Host::A)?.signal(Signal::SIGTERM))?;
        assert_moved(&outcome, Host::B, LEASE_US);
        pair.end_of(Host::A)?;
        let links = lab.run(Host::A, "ip", &["link", "show", "eth0"])?;
        ensure!(links.contains("xdp"), "the fence went with the agent: {links}");
        pair.restart(Host::A)?;
        assert_sole_owner(pair, Host::B)
    })
}

#[test]
fn a_handover_moves_the_vip_there_and_back_with_a_virtual_mac() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        let mac = lab.neighbour(VIP)?;
        for _ in 0..2 {
            // On a busy machine a lease may have lapsed since: whoever owns is the one to move from.
            let successor = pair.settle()?.other();
            let (outcome, _) = watch(lab, || pair.inject(Fault::Planned).map(drop))?;
            assert_moved(&outcome, successor, LEASE_US);
            pair.restore()?;
            assert_sole_owner(pair, successor)?;
            assert_eq!(lab.neighbour(VIP)?, mac, "the client keeps its neighbour entry");
            assert_eq!(
                lab.learned_at("00:00:5e:00:01:33")?,
                Some(successor),
                "the switch has learned the move"
            );
        }
        assert_eq!(mac.as_deref(), Some("00:00:5e:00:01:33"));
        Ok(())
    })
}

#[test]
fn a_handover_moves_the_vip_there_and_back_with_the_interfaces_macs() -> Result<()> {
    with_pair(MacMode::Interface, |lab, pair| {
        assert_eq!(lab.neighbour(VIP)?, Some(mac_text(Host::A.mac())));
        for _ in 0..2 {
            // On a busy machine a lease may have lapsed since: whoever owns is the one to move from.
            let successor = pair.settle()?.other();
            let (outcome, _) = watch(lab, || pair.inject(Fault::Planned).map(drop))?;
            assert_moved(&outcome, successor, LEASE_US);
            pair.restore()?;
            assert_sole_owner(pair, successor)?;
            assert_eq!(
                lab.neighbour(VIP)?,
                Some(mac_text(successor.mac())),
                "the client has learned the new MAC"
            );
        }
        Ok(())
    })
}

#[test]
fn a_hung_agent_is_fenced_before_the_successor_speaks_and_stays_out_when_it_wakes() -> Result<()> {
    with_pair(MacMode::Interface, |lab, pair| {
        let (outcome, recording) = watch(lab, || pair.inject(Fault::AgentHang).map(drop))?;
        assert_moved(&outcome, Host::B, 0);
        assert_silent_before(&recording, Host::A, Host::B)?;

        let (outcome, _) = watch(lab, || pair.restore())?;
        assert_eq!((outcome.after, outcome.overlap_us, outcome.flips), (Some(Host::B), 0, 0), "{outcome:?}");
        assert_sole_owner(pair, Host::B)?;
        let status = lab.baton_status(Host::A)?;
        let interface = status.interfaces.first().context("an agent has an interface")?;
        // The client broadcasts its ARP requests, so the fenced node has seen and refused some.
        let refused = interface.verdicts.get("arp-not-owner").copied().unwrap_or_default();
        ensure!(refused > 0, "node a refused no ARP request: {:?}", interface.verdicts);
        Ok(())
    })
}

#[test]
fn a_hung_agent_with_a_virtual_mac_is_no_second_owner() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        let (outcome, _) = watch(lab, || pair.inject(Fault::AgentHang).map(drop))?;
        assert_moved(&outcome, Host::B, 0);
        let (outcome, _) = watch(lab, || pair.restore())?;
        assert_eq!((outcome.after, outcome.overlap_us, outcome.flips), (Some(Host::B), 0, 0), "{outcome:?}");
        assert_sole_owner(pair, Host::B)
    })
}

#[test]
fn an_agent_that_is_killed_with_its_guardian_is_fenced_before_the_successor_speaks_and_returns_as_backup()
-> Result<()> {
    with_pair(MacMode::Interface, |lab, pair| {
        let (outcome, recording) = watch(lab, || pair.inject(Fault::DeathOfAll).map(drop))?;
        assert_moved(&outcome, Host::B, 0);
        assert_silent_before(&recording, Host::A, Host::B)?;
        let (outcome, _) = watch(lab, || pair.restore())?;
        assert_eq!((outcome.after, outcome.overlap_us, outcome.flips), (Some(Host::B), 0, 0), "{outcome:?}");
        assert_sole_owner(pair, Host::B)
    })
}

#[test]
fn an_agent_that_is_killed_with_its_guardian_and_has_a_virtual_mac_is_no_second_owner() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        for _ in 0..2 {
            // On a busy machine a lease may have lapsed since: whoever owns is the one to move from.
            let successor = pair.settle()?.other();
            let (outcome, _) = watch(lab, || pair.inject(Fault::DeathOfAll).map(drop))?;
            assert_moved(&outcome, successor, 0);
            pair.restore()?;
            assert_sole_owner(pair, successor)?;
        }
        Ok(())
    })
}

#[test]
fn a_handover_that_nobody_takes_fails_and_the_vip_stays_served() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        pair.agent(Host::B)?.signal_tree(Signal::SIGSTOP)?;
        let before = clock::now().as_nanos();
        let prober = Prober::start(lab, VIP, SOON)?;
        let command = lab.baton(Host::A, "handover")?.output()?;
        let said = String::from_utf8_lossy(&command.stdout);
        assert_eq!(command.status.code(), Some(1), "{said}");
        ensure!(said.contains("eth0 vrid 51: not handed over: no Backup took over"), "{said}");
        pause(WATCH)?;
        let outcome = analyse(&prober.finish()?, before);
        assert_eq!((outcome.after, outcome.flips), (Some(Host::A), 0), "{outcome:?}");
        pair.agent(Host::B)?.signal_tree(Signal::SIGCONT)?;
        pair.settle().map(drop)
    })
}
