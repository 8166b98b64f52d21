//! Processes that are stopped (SIGSTOP) and go on, or are killed while they are stopped: agents within their lease and beyond it,
//! and guardians. Owners that only hang are in `repeated`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{
    Fault, Host, Outcome, Pair, Settings, Witness, has_ended, has_stopped, pause, wait_until,
};
use nix::sys::signal::{Signal, kill};

use super::support::{
    EVERY_100_MS, EVERY_SECOND, LINGER_US, SOON, WATCH, assert_moved, assert_sole_owner, router, watch,
    with_settings,
};

const WITHIN_THE_LEASE: Duration = Duration::from_millis(150);
const BEYOND_THE_LEASE: Duration = Duration::from_millis(400);

#[test]
fn a_backup_that_goes_on_takes_nothing() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        for span in [WITHIN_THE_LEASE, BEYOND_THE_LEASE] {
            let (outcome, _) = watch(lab, || {
                lab.signal_agent(Host::B, Signal::SIGSTOP)?;
                pause(span)?;
                pair.agent(Host::B)?.signal_tree(Signal::SIGCONT)
            })?;
            assert_undisturbed(&outcome, Host::A);
            assert_eq!(router(lab, Host::B)?.epoch, 0);
        }
        Ok(())
    })
}

#[test]
fn an_owner_that_may_miss_many_adverts_goes_on_when_it_was_stopped_for_a_few() -> Result<()> {
    let tolerant = Settings { more: "startup_hold_ms = 0\ndown_timer_adverts = 30\n", ..EVERY_100_MS };
    with_settings(MacMode::Virtual, tolerant, |lab, pair| {
        let (outcome, _) = watch(lab, || {
            lab.signal_agent(Host::A, Signal::SIGSTOP)?;
            pause(BEYOND_THE_LEASE)?;
            pair.agent(Host::A)?.signal_tree(Signal::SIGCONT)
        })?;
        assert_undisturbed(&outcome, Host::A);
        assert_eq!(router(lab, Host::A)?.epoch, 1);
        Ok(())
    })
}

#[test]
fn a_stopped_owner_that_is_killed_within_its_lease_leaves_it_to_its_guardian() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        let (outcome, _) = watch(lab, || stop_and_kill(pair, Duration::from_millis(50)))?;
        assert_moved(&outcome, Host::B, LINGER_US);
        pair.restart(Host::A)?;
        assert_sole_owner(pair, Host::B)
    })
}

#[test]
fn a_stopped_owner_that_is_killed_beyond_its_lease_has_nothing_to_leave() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        let (outcome, _) = watch(lab, || stop_and_kill(pair, BEYOND_THE_LEASE))?;
        assert_moved(&outcome, Host::B, 0);
        assert_eq!(outcome.flips, 1, "{outcome:?}");
        pair.restart(Host::A)?;
        assert_sole_owner(pair, Host::B)
    })
}

#[test]
fn a_stopped_guardian_leaves_the_lease_to_lapse_and_does_nothing_when_it_goes_on() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        let (outcome, _) = watch(lab, || {
            kill_agent_of_stopped_guardian(pair)?;
            pause(BEYOND_THE_LEASE)
        })?;
        assert_moved(&outcome, Host::B, 0);
        let (outcome, _) = watch(lab, || pair.agent(Host::A)?.signal(Signal::SIGCONT))?;
        assert_undisturbed(&outcome, Host::B);
        pair.end_of(Host::A)?.context("a guardian was started")?;
        pair.restart(Host::A)?;
        assert_sole_owner(pair, Host::B)
    })
}

/// The guardian hears of its agent's death when another agent holds the lease already.
#[test]
fn a_guardian_that_is_late_leaves_the_lease_of_a_new_agent_alone() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_SECOND, |lab, pair| {
        let witness = Witness::start(lab, &Host::NODES)?;
        let (outcome, _) = watch(lab, || {
            kill_agent_of_stopped_guardian(pair)?;
            let mut agent = lab.start_baton(Host::A)?;
            wait_until("the new agent to resume", SOON, || {
                ensure!(agent.is_running(), "it ended");
                Ok(router(lab, Host::A).is_ok_and(|router| router.role == "Active"))
            })?;
            pair.agent(Host::A)?.signal(Signal::SIGCONT)?;
            pair.end_of(Host::A)?.context("a guardian was started")?;
            pause(WATCH)?;
            let resumed = router(lab, Host::A)?;
            assert_eq!((resumed.role.as_str(), resumed.reason.as_deref()), ("Active", Some("resumed")));
            agent.kill_tree()
        })?;
        assert_undisturbed(&outcome, Host::A);
        let testimony = witness.finish()?;
        assert_eq!(testimony.overlap, Duration::ZERO);
        pair.restart(Host::A)?;
        pair.settle().map(drop)
    })
}

/// Stops the agent of node a and kills it after `span`.
fn stop_and_kill(pair: &mut Pair<'_>, span: Duration) -> Result<()> {
    pair.inject(Fault::AgentHang)?;
    pause(span)?;
    let agent = *pair.agent(Host::A)?.tree().first().context("an agent")?;
    kill(agent, Signal::SIGKILL)?;
    pair.end_of(Host::A)?.context("a guardian was started")?;
    Ok(())
}

/// Stops the guardian of node a, then kills its agent.
fn kill_agent_of_stopped_guardian(pair: &Pair<'_>) -> Result<()> {
    let guardian = pair.agent(Host::A)?;
    let agent = *guardian.tree().first().context("an agent")?;
    guardian.signal(Signal::SIGSTOP)?;
    wait_until("the guardian to stop", SOON, || Ok(has_stopped(guardian.pid())))?;
    kill(agent, Signal::SIGKILL)?;
    wait_until("the agent's end", SOON, || Ok(has_ended(agent)))
}

/// Asserts that `owner` served all the time, and nobody else.
fn assert_undisturbed(outcome: &Outcome, owner: Host) {
    assert_eq!((outcome.after, outcome.flips, outcome.overlap_us), (Some(owner), 0, 0), "{outcome:?}");
}
