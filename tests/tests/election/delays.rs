//! What a Backup may wait for beyond the RFC's timers.

use std::net::Ipv4Addr;
use std::time::Duration;

use baton::vrrp::{Parameters, Role, VirtualRouter};

use super::{
    HIGHER, Hears, LOCAL, OutOfService, Recovers, Startup, TimerDue, TrackersFail, Unreachable, WeightFails,
    active, feed, ms, parameters,
};

/// A router of priority 100 that lets a weaker one serve for five seconds, and starts at 0.
fn patient() -> VirtualRouter<Ipv4Addr> {
    let preempt_delay = Duration::from_secs(5);
    let mut router = VirtualRouter::new(Parameters { preempt_delay, ..parameters(100, LOCAL) }, None);
    feed(&mut router, Startup, ms(0.0));
    router
}

#[test]
fn until_its_delay_is_over_a_router_follows_a_weaker_one_and_then_preempts_as_always() {
    let mut router = patient();
    for (heard, due) in [(1000.0, 2804.6875), (4900.0, 6704.6875), (5400.0, 6704.6875)] {
        assert_eq!(feed(&mut router, Hears(50, HIGHER), ms(heard)), "nothing");
        assert_eq!(router.deadline(), Some(ms(due)), "heard at {heard}");
    }
    let takes = feed(&mut router, TimerDue, ms(6704.6875));
    assert!(takes.ends_with("Backup -> Active (preempted)"), "{takes}");
}

#[test]
fn the_delay_keeps_nobody_from_a_router_that_is_dead_or_leaves() {
    let waiting = || {
        let mut router = patient();
        feed(&mut router, Hears(50, HIGHER), ms(1000.0));
        router
    };
    let takes = feed(&mut waiting(), TimerDue, ms(2804.6875));
    assert!(takes.ends_with("(active-down)"), "{takes}");
    let takes = feed(&mut waiting(), Unreachable, ms(1200.0));
    assert!(takes.ends_with("(active-unreachable)"), "{takes}");
    let takes = feed(&mut waiting(), OutOfService, ms(1200.0));
    assert!(takes.ends_with("(active-out-of-service)"), "{takes}");
    let mut router = waiting();
    feed(&mut router, Hears(0, HIGHER), ms(1200.0));
    assert_eq!(router.deadline(), Some(ms(1504.6875)));
}

#[test]
fn the_delay_keeps_nobody_from_the_last_resort() {
    let mut router = patient();
    feed(&mut router, Hears(1, HIGHER), ms(1000.0));
    assert_eq!(router.deadline(), Some(ms(3609.375)), "the timer runs on, and its expiry is the preemption");
}

#[test]
fn the_delay_begins_again_when_trackers_recover_and_not_when_they_fail() {
    for failure in [TrackersFail, WeightFails] {
        let mut router = patient();
        feed(&mut router, failure, ms(7000.0));
        assert_eq!(router.preempts_from(), Some(ms(5000.0)), "{failure:?}");
        feed(&mut router, Recovers, ms(8000.0));
        assert_eq!(router.preempts_from(), Some(ms(13_000.0)), "{failure:?}");
        feed(&mut router, Recovers, ms(9000.0));
        assert_eq!(router.preempts_from(), Some(ms(13_000.0)), "nothing has recovered");
    }
}

#[test]
fn a_router_that_has_given_way_or_was_stalled_is_as_patient_as_one_that_starts() {
    let mut router = patient();
    feed(&mut router, TimerDue, ms(3609.375));
    feed(&mut router, Hears(200, HIGHER), ms(4000.0));
    assert_eq!((router.role(), router.preempts_from()), (Role::Backup, Some(ms(9000.0))));
    assert_eq!(active().preempts_from(), None);
}
