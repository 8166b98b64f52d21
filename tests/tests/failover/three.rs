//! Two Backups: the better one, the next in line, takes over at once, and the third only when that one is dead, too. The third
//! agent runs on the client, so what is watched is what the nodes themselves say.

use std::time::Duration;

use anyhow::Result;
use baton_tests::lab::{Host, Lab, Testimony, Witness, pause, wait_until};
use nix::sys::signal::Signal;

use super::support::{EVERY_100_MS, LINGER_US, NOBODY_US, SOON, WATCH, router, wait_for_active, with_three};

/// T-122.
#[test]
fn the_better_of_two_backups_succeeds_a_dead_agent_and_the_other_stays_backup() -> Result<()> {
    with_three(EVERY_100_MS, |lab, pair| {
        let testimony = witnessed(lab, || {
            lab.signal_agent(Host::A, Signal::SIGKILL)?;
            wait_for_active(lab, Host::B)
        })?;
        assert_bounds(&testimony);
        assert_eq!(router(lab, Host::Client)?.role, "Backup");
        assert_eq!(router(lab, Host::Client)?.epoch, 0, "the worse Backup never was Active");
        pair.restart(Host::A)
    })
}

#[test]
fn the_third_succeeds_a_dead_agent_whose_next_in_line_has_died_with_it() -> Result<()> {
    with_three(EVERY_100_MS, |lab, pair| {
        let testimony = witnessed(lab, || {
            pair.agent(Host::B)?.kill_tree()?;
            lab.signal_agent(Host::A, Signal::SIGKILL)?;
            wait_for_active(lab, Host::Client)
        })?;
        assert_bounds(&testimony);
        pair.restart(Host::B)?;
        pair.restart(Host::A)
    })
}

/// Cut off, node a goes on as owner; it is the better one when it is heard again.
#[test]
fn the_third_succeeds_a_silent_owner_whose_next_in_line_has_died_with_it() -> Result<()> {
    with_three(EVERY_100_MS, |lab, pair| {
        pair.agent(Host::B)?.kill_tree()?;
        lab.cut(Host::A)?;
        wait_for_active(lab, Host::Client)?;
        lab.heal(Host::A)?;
        let third = || Ok(router(lab, Host::Client)?.role == "Backup");
        wait_until("the third to give way", SOON, third)?;
        assert_eq!(router(lab, Host::A)?.role, "Active");
        pair.restart(Host::B)
    })
}

fn witnessed(lab: &Lab, event: impl FnOnce() -> Result<()>) -> Result<Testimony> {
    let witness = Witness::start(lab, &Host::ALL)?;
    event()?;
    pause(WATCH)?;
    witness.finish()
}

fn assert_bounds(testimony: &Testimony) {
    let [linger, nobody] = [LINGER_US, NOBODY_US].map(Duration::from_micros);
    assert_eq!(testimony.conflict, Duration::ZERO, "two owners, none of which lingers");
    assert!(testimony.overlap <= linger && testimony.gap <= nobody, "{testimony:?}");
}
