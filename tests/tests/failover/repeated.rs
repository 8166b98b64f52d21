//! Each kind of failure again and again, at any moment of the advertisement interval: never two owners beyond the linger, never
//! nobody for longer than a Backup waits. A few times usually, many times with `cargo xtask test --deep`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton_tests::lab::{Fault, Host, Lab, Outcome, Pair, Witness, has_ended, pause, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::support::{LINGER_US, NOBODY_US, SOON, in_rounds, wait_for_guardian, watch};

#[test]
fn a_planned_move_repeated() -> Result<()> {
    moves_again_and_again(Fault::Planned, LINGER_US)
}

#[test]
fn the_death_of_an_agent_repeated() -> Result<()> {
    moves_again_and_again(Fault::AgentDeath, LINGER_US)
}

#[test]
fn the_death_of_agent_and_guardian_repeated() -> Result<()> {
    moves_again_and_again(Fault::DeathOfAll, 0)
}

#[test]
fn an_agent_that_hangs_until_its_lease_has_lapsed_repeated() -> Result<()> {
    moves_again_and_again(Fault::AgentHang, 0)
}

#[test]
fn a_silent_death_repeated() -> Result<()> {
    moves_again_and_again(Fault::SilentDeath, 0)
}

#[test]
fn an_agent_that_hangs_within_its_lease_repeated() -> Result<()> {
    stays_again_and_again("a short hang", |_, pair, _| {
        pair.inject(Fault::AgentHang)?;
        // What is left of a lease in any case are two intervals.
        pause(Duration::from_millis(150))?;
        pair.restore()
    })
}

#[test]
fn the_death_of_a_guardian_repeated() -> Result<()> {
    stays_again_and_again("guardian death", |lab, pair, owner| {
        wait_for_guardian(lab, owner)?;
        pair.agent(owner)?.signal(Signal::SIGKILL)
    })
}

/// Lets `fault` befall the owner in every round, whose other node takes over.
fn moves_again_and_again(fault: Fault, overlap_us: u64) -> Result<()> {
    in_rounds(fault.name(), |lab, pair, mut owner| {
        let (outcome, _) = watch(lab, || {
            owner = pair.inject(fault)?;
            Ok(())
        })?;
        assert_bounds(&outcome, overlap_us);
        assert_eq!(outcome.after, Some(owner.other()), "{outcome:?}");
        let (outcome, _) = watch(lab, || pair.restore())?;
        // Whoever was cut off has gone on, and is met again.
        assert_bounds(&outcome, if fault == Fault::SilentDeath { NOBODY_US } else { 0 });
        Ok(())
    })
}

/// Lets `event` befall the owner in every round, which stays owner; its processes are new in the next one. On a busy machine its
/// Backup may take it for dead now and then, which is within the bounds.
fn stays_again_and_again<F>(what: &str, mut event: F) -> Result<()>
where
    F: FnMut(&Lab, &mut Pair<'_>, Host) -> Result<()>,
{
    let (mut rounds, mut undisturbed) = (0, 0);
    in_rounds(what, |lab, pair, owner| {
        let witness = Witness::start(lab, &Host::NODES)?;
        let (outcome, _) = watch(lab, || event(lab, pair, owner))?;
        let testimony = witness.finish()?;
        ensure!(testimony.overlap <= Duration::from_micros(LINGER_US), "two owners: {testimony:?}");
        ensure!(outcome.outage_us <= NOBODY_US + outcome.stall_us, "nobody answered: {outcome:?}");
        rounds += 1;
        undisturbed += u32::from(outcome.before == outcome.after && outcome.flips == 0);
        let agent = Pid::from_raw(i32::try_from(lab.baton_status(owner)?.pid)?);
        kill(agent, Signal::SIGTERM)?;
        // Its lock goes with it, some time after its socket.
        wait_until("the agent's end", SOON, || Ok(has_ended(agent)))?;
        pair.restart(owner).context("start it again")
    })?;
    ensure!(undisturbed * 2 >= rounds, "it stayed owner in {undisturbed} of {rounds} rounds");
    Ok(())
}

fn assert_bounds(outcome: &Outcome, overlap_us: u64) {
    assert!(outcome.overlap_us <= overlap_us, "two nodes answered: {outcome:?}");
    assert!(outcome.outage_us <= NOBODY_US + outcome.stall_us, "nobody answered: {outcome:?}");
}
