//! A handover whose successor dies: before it begins, in its middle, or when it is over. Either way there is an owner soon, and
//! that is the one that is left.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};
use baton_tests::lab::{Host, Process, Witness, pause, wait_until};
use baton_tests::random::Random;

use super::support::{LINGER_US, NOBODY_US, SOON, WATCH, in_rounds, router, wait_for_next_in_line, watch};

/// What befalls the Backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    Killed,
    /// It may go on owning what it has taken, to no effect.
    CutOff,
}

#[test]
fn a_handover_to_a_backup_that_is_killed_leaves_an_owner() -> Result<()> {
    interrupted("handover, and death of the Backup", Death::Killed)
}

#[test]
fn a_handover_to_a_backup_that_is_cut_off_leaves_an_owner() -> Result<()> {
    interrupted("handover, and silence of the Backup", Death::CutOff)
}

fn interrupted(what: &str, death: Death) -> Result<()> {
    let mut random = Random::new(1);
    in_rounds(what, |lab, pair, owner| {
        let backup = owner.other();
        wait_for_next_in_line(lab, backup)?;
        // A command needs some milliseconds to begin.
        let moment = Duration::from_micros(random.between(0, 15_000));
        let witness = Witness::start(lab, &Host::NODES)?;
        let (outcome, _) = watch(lab, || {
            let mut command = lab.baton(owner, "handover")?;
            let mut handover = Process::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
            pause(moment)?;
            match death {
                Death::Killed => pair.agent(backup)?.kill_tree()?,
                Death::CutOff => lab.cut(backup)?,
            }
            let end = handover.wait(SOON)?;
            ensure!(end.code().is_some(), "it was killed: {end}");
            wait_until("the host to go on as Active", SOON, || Ok(router(lab, owner)?.role == "Active"))?;
            pause(WATCH)
        })?;
        assert_eq!(outcome.after, Some(owner), "{moment:?}: {outcome:?}");
        ensure!(
            outcome.outage_us <= NOBODY_US + outcome.stall_us,
            "{moment:?}: nobody answered: {outcome:?}"
        );
        let testimony = witness.finish()?;
        let linger = Duration::from_micros(LINGER_US);
        ensure!(death == Death::CutOff || testimony.overlap <= linger, "{moment:?}: {testimony:?}");
        lab.heal(backup)?;
        pair.restart_if_ended(backup)
    })
}
