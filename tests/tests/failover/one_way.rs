//! Cables that carry one direction only: a node that nobody hears is mute, one that hears nobody is deaf. Who does not hear a
//! better owner takes over beside it, and who is not heard cannot know: that is the limit of VRRP. But roles do not go to and
//! fro meanwhile, and when the cable is whole again there is one owner after an advert, and the better one.

use std::time::Duration;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Fault, Host, Lab, Outcome, Pair, Witness, pause};

use super::support::{EVERY_100_MS, assert_sole_owner, epochs, wait_for_next_in_line, watch, with_settings};

/// An advert is heard long before that.
const LEASE: Duration = Duration::from_millis(300);
/// Many intervals, and time enough to be watched by S-BFD again.
const LONG: Duration = Duration::from_secs(2);

#[test]
fn a_mute_owner_is_succeeded_at_the_client_and_is_the_only_one_when_it_is_heard_again() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        let (outcome, takeovers) = meanwhile(lab, pair, |lab| lab.mute(Host::A))?;
        // It hears node b, which is weaker: no reason to give way.
        assert_eq!((outcome.after, takeovers), (Some(Host::B), [0, 1]), "{outcome:?}");
        assert_eq!(pair.owners()?, Host::NODES);
        one_is_left(lab, pair, |lab| lab.unmute(Host::A))
    })
}

#[test]
fn a_mute_owner_that_hears_a_better_one_gives_way() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        hand_over_to_the_weaker(lab, pair)?;
        let (outcome, takeovers) = meanwhile(lab, pair, |lab| lab.mute(Host::B))?;
        assert_eq!((outcome.after, takeovers), (Some(Host::A), [1, 0]), "{outcome:?}");
        assert_eq!(pair.owners()?, [Host::A]);
        one_is_left(lab, pair, |lab| lab.unmute(Host::B))
    })
}

/// Its probes stay unanswered, which it may take for the owner's end; the owner's adverts tell it otherwise.
#[test]
fn a_mute_backup_errs_once_at_the_most_and_disturbs_nobody() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        let (outcome, takeovers) = meanwhile(lab, pair, |lab| lab.mute(Host::B))?;
        assert_eq!((outcome.after, outcome.flips), (Some(Host::A), 0), "{outcome:?}");
        ensure!(takeovers[0] == 0 && takeovers[1] <= 1, "{takeovers:?}");
        assert_eq!(pair.owners()?, [Host::A]);
        one_is_left(lab, pair, |lab| lab.unmute(Host::B))
    })
}

/// Nobody can tell it from one that is well but for its silence when it is probed, and an advert counts for more.
#[test]
fn a_deaf_owner_whose_adverts_are_heard_stays_owner_and_no_backup_comes_and_goes() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        let (_, takeovers) = meanwhile(lab, pair, |lab| lab.deafen(Host::A))?;
        ensure!(takeovers[0] == 0 && takeovers[1] <= 1, "{takeovers:?}");
        assert_eq!(pair.owners()?, [Host::A]);
        one_is_left(lab, pair, |lab| lab.undeafen(Host::A))
    })
}

#[test]
fn a_deaf_owner_that_is_weaker_is_succeeded_and_gives_way_when_it_hears_again() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        hand_over_to_the_weaker(lab, pair)?;
        let (outcome, takeovers) = meanwhile(lab, pair, |lab| lab.deafen(Host::B))?;
        assert_eq!((outcome.after, takeovers), (Some(Host::A), [1, 0]), "{outcome:?}");
        assert_eq!(pair.owners()?, Host::NODES);
        one_is_left(lab, pair, |lab| lab.undeafen(Host::B))
    })
}

#[test]
fn a_deaf_backup_takes_over_beside_the_owner_and_gives_way_when_it_hears_again() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        let (outcome, takeovers) = meanwhile(lab, pair, |lab| lab.deafen(Host::B))?;
        assert_eq!((outcome.after, takeovers), (Some(Host::A), [0, 1]), "{outcome:?}");
        assert_eq!(pair.owners()?, Host::NODES);
        one_is_left(lab, pair, |lab| lab.undeafen(Host::B))
    })
}

/// The port of a node that comes back learns before it forwards, longer than a Backup waits.
#[test]
fn a_node_behind_a_port_that_learns_first_is_one_of_two_owners_until_it_hears() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        pair.agent(Host::A)?.kill_tree()?;
        assert_sole_owner(pair, Host::B)?;
        let (outcome, _) = watch(lab, || {
            lab.learn(Host::A)?;
            pair.restart(Host::A)?;
            pause(LONG)
        })?;
        assert_eq!((outcome.after, outcome.flips), (Some(Host::B), 0), "{outcome:?}");
        assert_eq!(pair.owners()?, Host::NODES);
        one_is_left(lab, pair, |lab| lab.heal(Host::A))
    })
}

/// Node a, the better one, becomes Backup and does not preempt.
fn hand_over_to_the_weaker(lab: &Lab, pair: &mut Pair<'_>) -> Result<()> {
    pair.inject(Fault::Planned)?;
    pair.restore()?;
    assert_sole_owner(pair, Host::B)?;
    wait_for_next_in_line(lab, Host::A)
}

/// What a client sees for long after `cut`, and how often each node has taken over.
fn meanwhile(
    lab: &Lab,
    pair: &Pair<'_>,
    cut: impl FnOnce(&Lab) -> Result<()>,
) -> Result<(Outcome, [u32; 2])> {
    wait_for_next_in_line(lab, pair.settle()?.other())?;
    let before = epochs(lab)?;
    let (outcome, _) = watch(lab, || {
        cut(lab)?;
        pause(LONG)
    })?;
    let after = epochs(lab)?;
    Ok((outcome, [0, 1].map(|node| after[node] - before[node])))
}

/// Mends a cable and asserts that node a, the better one, is soon the only owner, which nobody has taken over from.
fn one_is_left(lab: &Lab, pair: &Pair<'_>, mend: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    let before = epochs(lab)?;
    let witness = Witness::start(lab, &Host::NODES)?;
    mend(lab)?;
    assert_sole_owner(pair, Host::A)?;
    pause(LONG)?;
    let testimony = witness.finish()?;
    ensure!(testimony.conflict < LEASE, "{testimony:?}");
    assert_eq!(epochs(lab)?, before, "nobody took over again");
    assert_sole_owner(pair, Host::A)
}
