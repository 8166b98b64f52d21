//! The guardian: what becomes of a host whose agent dies, whose guardian dies, or which is told to stop by way of either.
//! What becomes of one where both die is told beside the other kinds of failure, in `main`.

use std::fs;
use std::net::IpAddr;

use anyhow::{Context as _, Result, bail, ensure};
use baton::clock;
use baton::config::MacMode;
use baton::datapath::{Leases, Pins};
use baton::vrrp::{Checksum, ChecksumMode, Interval, Ownership, Version, Versions};
use baton::wire::{Expected, parse_frame};
use baton_tests::lab::{Fault, Host, Lab, Pair, VIP, output, pause, wait_until};
use baton_tests::network::{Hears, Listener};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::support::{LEASE_US, SOON, WATCH, assert_moved, assert_sole_owner, start_alone, watch, with_pair};

/// What the guardian logs when it acts.
const GASP: &str = "the agent has died";
/// What the agent logs when it is told to stop.
const STOPPING: &str = "stopping: handing over";
const SECOND: &str = "second signal";

#[test]
fn a_killed_agent_is_succeeded_and_owns_nothing_after_the_linger() -> Result<()> {
    for mac in [MacMode::Virtual, MacMode::Interface] {
        with_pair(mac, |lab, pair| {
            let (outcome, _) = watch(lab, || pair.inject(Fault::AgentDeath).map(drop))?;
            assert_moved(&outcome, Host::B, LEASE_US);
            let end = pair.end_of(Host::A)?.context("a guardian was started")?;
            assert_eq!(end.code(), Some(128 + Signal::SIGKILL as i32), "what systemd restarts");
            match lease(lab, Host::A)? {
                Ownership::Lingering(until) => {
                    ensure!(until < clock::now(), "the guardian left before its lease")
                }
                other @ (Ownership::Released | Ownership::Held(_) | Ownership::Offered(_)) => {
                    bail!("node a was not left in order: {other:?}")
                }
            }
            assert_eq!(said(lab, Host::A, GASP)?, 1);
            assert_succeeded(lab, Host::B)?;
            pair.restore()?;
            assert_sole_owner(pair, Host::B)
        })?;
    }
    Ok(())
}

#[test]
fn the_vip_goes_there_and_back_when_one_agent_is_killed_after_the_other() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        for _ in 0..2 {
            // On a busy machine a lease may have lapsed since: whoever owns is the one to move from.
            let successor = pair.settle()?.other();
            let (outcome, _) = watch(lab, || pair.inject(Fault::AgentDeath).map(drop))?;
            assert_moved(&outcome, successor, LEASE_US);
            pair.restore()?;
            assert_sole_owner(pair, successor)?;
        }
        Ok(())
    })
}

#[test]
fn a_killed_backup_says_nothing() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        let client = lab.namespace(Host::Client).within(|| Ok(Listener::open("eth0", Hears::Everything)?))?;
        lab.signal_agent(Host::B, Signal::SIGKILL)?;
        let end = pair.end_of(Host::B)?.context("a guardian was started")?;
        ensure!(!end.success(), "an agent that was killed looks well: {end}");
        let mut buffer = [0; 128];
        let mut heard = 0;
        wait_until("some adverts of node a", SOON, || {
            while let Some(frame) = client.next(&mut buffer) {
                let Some(advertisement) = advertisement(frame) else { continue };
                assert_eq!(advertisement, (Host::A.address().into(), 254));
                heard += 1;
            }
            Ok(heard > 20)
        })?;
        pair.restart(Host::B)?;
        assert_sole_owner(pair, Host::A)
    })
}

#[test]
fn an_agent_without_its_guardian_serves_on_and_says_so_and_hands_over() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        let guardian = pair.agent(Host::A)?.pid();
        wait_until("a guardian that is ready", SOON, || {
            Ok(lab.baton_status(Host::A)?.guardian == u32::try_from(guardian.as_raw()).ok())
        })?;
        let (outcome, _) = watch(lab, || pair.agent(Host::A)?.signal(Signal::SIGKILL))?;
        assert_eq!((outcome.after, outcome.overlap_us, outcome.flips), (Some(Host::A), 0, 0), "{outcome:?}");
        let status = lab.baton_status(Host::A)?;
        assert_eq!((status.guardian, status.routers[0].role.as_str()), (None, "Active"));
        let text = output(&mut lab.baton(Host::A, "status")?)?;
        ensure!(text.contains("NO GUARDIAN"), "{text}");
        assert_eq!(said(lab, Host::A, "the guardian has died")?, 1);

        let agent = Pid::from_raw(i32::try_from(status.pid)?);
        let (outcome, _) = watch(lab, || Ok(kill(agent, Signal::SIGTERM)?))?;
        assert_moved(&outcome, Host::B, LEASE_US);
        let socket = lab.host_directory(Host::A).join("control.sock");
        wait_until("the agent's end", SOON, || Ok(!socket.exists()))?;
        assert_eq!([STOPPING, SECOND].map(|words| said(lab, Host::A, words).unwrap_or_default()), [1, 0]);
        pair.restart(Host::A)?;
        assert_sole_owner(pair, Host::B)
    })
}

#[test]
fn a_guardian_that_is_told_to_stop_passes_it_on_and_has_nothing_to_say() -> Result<()> {
    stops_in_order(|pair| pair.agent(Host::A)?.signal(Signal::SIGTERM))
}

#[test]
fn a_service_manager_that_signals_both_processes_has_asked_once() -> Result<()> {
    stops_in_order(|pair| pair.agent(Host::A)?.signal_tree(Signal::SIGTERM))
}

/// Node a, which is told to stop by `signal`, hands over, ends well, and its guardian does nothing.
fn stops_in_order(signal: impl FnOnce(&Pair<'_>) -> Result<()>) -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        let (outcome, _) = watch(lab, || signal(pair))?;
        assert_moved(&outcome, Host::B, LEASE_US);
        let end = pair.end_of(Host::A)?.context("a guardian was started")?;
        ensure!(end.success(), "it did not end in order: {end}");
        let words = [STOPPING, SECOND, GASP].map(|words| said(lab, Host::A, words).unwrap_or_default());
        assert_eq!(words, [1, 0, 0]);
        pair.restart(Host::A)?;
        assert_sole_owner(pair, Host::B)
    })
}

#[test]
fn a_second_signal_ends_a_lone_agent_without_a_gasp() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 1000, &[VIP])?;
    let mut guardian = start_alone(&lab)?;
    guardian.signal(Signal::SIGTERM)?;
    wait_until("the agent to begin its handover", SOON, || Ok(said(&lab, Host::A, STOPPING)? == 1))?;
    guardian.signal(Signal::SIGTERM)?;
    let end = guardian.wait(SOON)?;
    ensure!(end.success(), "it did not end in order: {end}");
    assert_eq!([SECOND, GASP].map(|words| said(&lab, Host::A, words).unwrap_or_default()), [1, 0]);
    Ok(())
}

#[test]
fn a_hangup_is_passed_on_and_changes_nothing_where_the_configuration_has_not() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let mut guardian = start_alone(&lab)?;
    guardian.signal(Signal::SIGHUP)?;
    let nothing = "nothing in the configuration has changed";
    wait_until("the agent to look", SOON, || Ok(said(&lab, Host::A, nothing)? == 1))?;
    ensure!(guardian.is_running(), "it ended");
    assert_eq!(lab.baton_status(Host::A)?.routers[0].role, "Active");
    Ok(())
}

#[test]
fn an_agent_that_starts_within_the_linger_does_not_resume_and_keeps_what_it_then_takes() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 2000, &[VIP])?;
    let mut dead = start_alone(&lab)?;
    let process = format!("/proc/{}", lab.baton_status(Host::A)?.pid);
    lab.signal_agent(Host::A, Signal::SIGKILL)?;
    wait_until("the agent's end", SOON, || Ok(!fs::exists(&process)?))?;
    let mut agent = lab.start_baton(Host::A)?;
    wait_until("a new agent", SOON, || Ok(lab.baton_status(Host::A).is_ok()))?;
    ensure!(dead.is_running(), "the linger of two seconds was over too soon to tell anything");
    let status = lab.baton_status(Host::A)?;
    assert_eq!(status.routers[0].transitions[0].reason, "startup");
    wait_until("the new agent to become Active", SOON, || {
        Ok(lab.baton_status(Host::A)?.routers[0].role == "Active")
    })?;
    pause(WATCH)?;
    ensure!(matches!(lease(&lab, Host::A)?, Ownership::Held(_)), "it does not hold its lease");
    ensure!(!dead.wait(SOON)?.success(), "an agent that was killed looks well");
    agent.stop(SOON)?;
    Ok(())
}

/// What the ownership map of `host` says of its only router.
fn lease(lab: &Lab, host: Host) -> Result<Ownership> {
    let pins = Pins::new(&lab.directory().join("bpf").join(host.name()), "eth0");
    Ok(Leases::pinned(&pins)?.read(0))
}

/// The sender and the priority of the advertisement in `frame`, if it is one.
fn advertisement(frame: &[u8]) -> Option<(IpAddr, u8)> {
    let expected = Expected::multicast(
        Host::Client.address().into(),
        Versions::Only(Version::V3),
        Interval::from_centiseconds(1).expect("not 0"),
        ChecksumMode::Auto(Checksum::Pseudo),
    );
    let received = parse_frame(frame, |_, _, _| Some(expected)).ok()?.advertisement;
    Some((received.source, received.standing.octet()))
}

/// How often the log of `host` has `words`.
fn said(lab: &Lab, host: Host, words: &str) -> Result<usize> {
    Ok(fs::read_to_string(lab.baton_log(host))?.matches(words).count())
}

/// Asserts that `host` took over because it was told, not because it heard nothing.
fn assert_succeeded(lab: &Lab, host: Host) -> Result<()> {
    let router = lab.baton_status(host)?.routers.into_iter().next().context("an agent has a router")?;
    let reason = router.reason.unwrap_or_default();
    ensure!(["active-left", "active-out-of-service"].contains(&reason.as_str()), "it took over for {reason}");
    Ok(())
}
