//! What a Backup may wait for beyond the RFC's timers.

use std::net::Ipv4Addr;
use std::time::Duration;

use baton::vrrp::{Parameters, Role, VirtualRouter};

use super::{
    HIGHER, Hears, HearsFrame, LOCAL, OutOfService, Recovers, Startup, Timer, TimerDue, TrackersFail,
    Unreachable, WeightFails, active, feed, ms, parameters,
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
fn a_router_about_to_preempt_whose_tracker_recovers_begins_anew() {
    let mut router = patient();
    feed(&mut router, WeightFails, ms(100.0));
    feed(&mut router, Hears(50, HIGHER), ms(4500.0));
    feed(&mut router, Hears(50, HIGHER), ms(5200.0));
    feed(&mut router, Recovers, ms(5300.0));
    assert_eq!((router.preempts_from(), router.deadline()), (Some(ms(10_300.0)), Some(ms(7104.6875))));
}

#[test]
fn a_router_that_has_given_way_or_was_stalled_is_as_patient_as_one_that_starts() {
    let mut router = patient();
    feed(&mut router, TimerDue, ms(3609.375));
    feed(&mut router, Hears(200, HIGHER), ms(4000.0));
    assert_eq!((router.role(), router.preempts_from()), (Role::Backup, Some(ms(9000.0))));
    assert_eq!(active().preempts_from(), None);
}

/// A router of that priority which is held back for 35 seconds as long as it hears nothing, and starts at 0.
fn held(priority: u8) -> VirtualRouter<Ipv4Addr> {
    let startup_hold = Duration::from_secs(35);
    let mut router = VirtualRouter::new(Parameters { startup_hold, ..parameters(priority, LOCAL) }, None);
    feed(&mut router, Startup, ms(0.0));
    router
}

#[test]
fn a_router_that_hears_nothing_since_it_started_does_not_count_the_silence_until_its_hold_is_over() {
    let mut router = held(100);
    assert!(router.deaf());
    assert_eq!(feed(&mut router, Timer, ms(38_609.374)), "nothing");
    let takes = feed(&mut router, Timer, ms(38_609.375));
    assert!(takes.ends_with("Backup -> Active (active-down)"), "{takes}");
}

#[test]
fn the_first_frame_begins_the_wait_that_the_hold_has_put_off_and_no_other_does() {
    let mut router = held(100);
    feed(&mut router, HearsFrame, ms(20.0));
    assert_eq!((router.deaf(), router.deadline()), (false, Some(ms(3629.375))));
    feed(&mut router, HearsFrame, ms(2000.0));
    assert_eq!(router.deadline(), Some(ms(3629.375)));
}

#[test]
fn a_frame_late_in_the_hold_is_waited_for_as_long() {
    let mut router = held(100);
    feed(&mut router, HearsFrame, ms(34_000.0));
    assert_eq!(router.deadline(), Some(ms(37_609.375)));
}

#[test]
fn an_advertisement_ends_the_hold_whatever_it_says() {
    for (priority, due) in [(200, 11804.6875), (50, 13609.375), (0, 10609.375)] {
        let mut router = held(100);
        feed(&mut router, Hears(priority, HIGHER), ms(10_000.0));
        assert_eq!((router.deaf(), router.deadline()), (false, Some(ms(due))), "{priority}");
    }
}

#[test]
fn an_address_owner_and_a_router_that_was_stalled_are_not_held() {
    assert_eq!(held(255).role(), Role::Active);
    let mut router = held(100);
    feed(&mut router, TimerDue, ms(39_000.0));
    feed(&mut router, Timer, ms(50_000.0));
    assert_eq!((router.deaf(), router.deadline()), (false, Some(ms(53_609.375))));
}
