//! `preempt = true`, the default: the better node takes the VIP again when it comes back. It serves before it speaks, and
//! the weaker one releases when it hears it, so the VIP is never without an owner. Both own it for the way of one advert;
//! if the weaker one is held up, until its lease lapses.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use baton::config::MacMode;
use baton::control::protocol::TransitionStatus;
use baton_tests::lab::{Fault, Host, Lab, Outcome, Pair, Settings, pause, wait_until};
use nix::sys::signal::Signal;

use super::support::{LEASE_US, SOON, WATCH, assert_moved, assert_sole_owner, watch, with_settings};

const PREEMPT: Settings = Settings { preempt: true, ..Settings::USUAL };

#[test]
fn a_better_node_that_was_stopped_takes_the_vip_again_without_a_gap() -> Result<()> {
    for mac in [MacMode::Virtual, MacMode::Interface] {
        with_settings(mac, PREEMPT, |lab, pair| {
            pair.agent(Host::A)?.signal(Signal::SIGTERM)?;
            pair.end_of(Host::A)?;
            assert_sole_owner(pair, Host::B)?;
            let outcome = returns(lab, pair, |pair| pair.restart(Host::A))?;
            assert_preempted(lab, pair, &outcome)
        })?;
    }
    Ok(())
}

#[test]
fn a_better_node_that_was_killed_takes_the_vip_again_without_a_gap() -> Result<()> {
    with_settings(MacMode::Virtual, PREEMPT, |lab, pair| {
        let (outcome, _) = watch(lab, || pair.inject(Fault::AgentDeath).map(drop))?;
        assert_moved(&outcome, Host::B, LEASE_US);
        let outcome = returns(lab, pair, Pair::restore)?;
        assert_preempted(lab, pair, &outcome)
    })
}

#[test]
fn a_better_node_that_hung_takes_the_vip_again_without_a_gap() -> Result<()> {
    with_settings(MacMode::Virtual, PREEMPT, |lab, pair| {
        let (outcome, _) = watch(lab, || pair.inject(Fault::AgentHang).map(drop))?;
        assert_moved(&outcome, Host::B, 0);
        let outcome = returns(lab, pair, Pair::restore)?;
        assert_preempted(lab, pair, &outcome)
    })
}

#[test]
fn a_weaker_node_that_returns_stays_backup() -> Result<()> {
    with_settings(MacMode::Virtual, PREEMPT, |lab, pair| {
        pair.agent(Host::B)?.kill_tree()?;
        let (outcome, _) = watch(lab, || pair.restart(Host::B))?;
        assert_eq!((outcome.after, outcome.overlap_us, outcome.flips), (Some(Host::A), 0, 0), "{outcome:?}");
        assert_sole_owner(pair, Host::A)
    })
}

#[test]
fn a_better_node_that_handed_over_waits_for_its_restart() -> Result<()> {
    with_settings(MacMode::Virtual, PREEMPT, |lab, pair| {
        pair.inject(Fault::Planned)?;
        pair.restore()?;
        assert_sole_owner(pair, Host::B)?;
        pause(WATCH)?;
        assert_sole_owner(pair, Host::B)?;
        ensure!(lab.baton_status(Host::A)?.routers[0].yielded, "node a does not say that it handed over");
        pair.agent(Host::A)?.signal(Signal::SIGTERM)?;
        let outcome = returns(lab, pair, |pair| pair.restart(Host::A))?;
        assert_preempted(lab, pair, &outcome)
    })
}

#[test]
fn a_better_node_that_returns_lets_the_weaker_one_serve_for_its_delay() -> Result<()> {
    const DELAY: Duration = Duration::from_millis(1500);
    let patient = Settings { more: "startup_hold_ms = 0\npreempt_delay_ms = 1500\n", ..PREEMPT };
    with_settings(MacMode::Virtual, patient, |lab, pair| {
        pair.agent(Host::A)?.signal(Signal::SIGTERM)?;
        pair.end_of(Host::A)?;
        let outcome = returns(lab, pair, |pair| pair.restart(Host::A))?;
        assert_preempted(lab, pair, &outcome)?;
        let router =
            lab.baton_status(Host::A)?.routers.into_iter().next().context("an agent has a router")?;
        let [.., started, taken] = &router.transitions[..] else { bail!("{:?}", router.transitions) };
        assert_eq!(started.reason, "startup");
        let waited = Duration::from_nanos(taken.decided_ns - started.decided_ns);
        ensure!(waited >= DELAY, "node a has preempted after {waited:?}");
        Ok(())
    })
}

/// What a client sees while node a comes back and until it owns the VIP.
fn returns<'lab>(
    lab: &Lab,
    pair: &mut Pair<'lab>,
    event: impl FnOnce(&mut Pair<'lab>) -> Result<()>,
) -> Result<Outcome> {
    let (outcome, _) = watch(lab, || {
        event(pair)?;
        wait_until("node a to take the VIP again", SOON, || Ok(pair.owners()?.contains(&Host::A)))
    })?;
    Ok(outcome)
}

/// Asserts that node a preempted node b, that b released because it heard a, and that a served before that.
fn assert_preempted(lab: &Lab, pair: &Pair<'_>, outcome: &Outcome) -> Result<()> {
    assert_moved(outcome, Host::A, LEASE_US);
    assert_sole_owner(pair, Host::A)?;
    let released = last_change(lab, Host::B)?;
    if released.reason == "lease-lapsed" {
        // A busy machine has held node b up for a whole lease: a took over from silence, and there is no more to claim.
        return Ok(());
    }
    assert_eq!(released.reason, "higher-priority");
    let taken = last_change(lab, Host::A)?;
    assert_eq!(taken.reason, "preempted");
    let stored_ns = taken.stored_ns.context("an owner has stored its lease")?;
    ensure!(
        stored_ns <= released.decided_ns,
        "node b released before node a served: {taken:?}, {released:?}"
    );
    // Faster than any takeover from silence, but for what the prober itself could not see.
    assert!(outcome.outage_us <= LEASE_US + outcome.stall_us, "the VIP was lost: {outcome:?}");
    Ok(())
}

fn last_change(lab: &Lab, host: Host) -> Result<TransitionStatus> {
    let router = lab.baton_status(host)?.routers.into_iter().next().context("an agent has a router")?;
    router.transitions.into_iter().next_back().context("a router has changed its role")
}
