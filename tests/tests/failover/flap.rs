//! Links that go down and up again several times, faster than the kernel follows: roles change with them and not of themselves,
//! and in the end there is one owner.

use std::time::Duration;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Host, Lab, pause};

use super::support::{EVERY_100_MS, assert_sole_owner, epochs, watch, with_settings};

const TIMES: u32 = 5;
/// Within an interval, and within the second that the kernel takes to notice.
const PAUSE: Duration = Duration::from_millis(40);
/// Until the kernel has noticed the last change, and some adverts.
const LONG: Duration = Duration::from_secs(3);

#[test]
fn the_link_of_the_owner_flaps() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        let before = epochs(lab)?;
        flap(lab, Host::A)?;
        pause(LONG)?;
        let after = epochs(lab)?;
        ensure!(
            after.iter().zip(before).all(|(after, before)| after - before <= TIMES + 1),
            "{before:?} {after:?}"
        );
        let owner = pair.settle()?;
        pause(LONG)?;
        assert_sole_owner(pair, owner)?;
        assert_eq!(epochs(lab)?, after, "nobody took over without a reason");
        Ok(())
    })
}

#[test]
fn the_link_of_the_backup_flaps() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        let before = epochs(lab)?;
        let (outcome, _) = watch(lab, || {
            flap(lab, Host::B)?;
            pause(LONG)
        })?;
        assert_eq!(outcome.after, Some(Host::A), "{outcome:?}");
        let after = epochs(lab)?;
        ensure!(after[0] == before[0] && after[1] - before[1] <= TIMES, "{before:?} {after:?}");
        assert_sole_owner(pair, Host::A)
    })
}

fn flap(lab: &Lab, host: Host) -> Result<()> {
    for _ in 0..TIMES {
        lab.link_down(host)?;
        pause(PAUSE)?;
        lab.link_up(host)?;
        pause(PAUSE)?;
    }
    Ok(())
}
