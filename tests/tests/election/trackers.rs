//! What trackers say: a router whose service is out of order serves only where nobody else does.

use baton::vrrp::{Parameters, Role, VirtualRouter};

use super::{
    Drain, HIGHER, Handover, HandoverTo, Hears, LOCAL, OutOfService, Recovers, Shutdown, Startup,
    StartupWithLease, Timer, TimerDue, TrackersFail, Unreachable, WeightFails, active, feed, ms, parameters,
    router,
};

/// A Backup of priority 100 that fails and has heard an Active router of `priority` at 1000 ms.
fn failing_backup(priority: u8) -> VirtualRouter<std::net::Ipv4Addr> {
    let mut router = router(100);
    feed(&mut router, Startup, ms(0.0));
    feed(&mut router, TrackersFail, ms(500.0));
    feed(&mut router, Hears(priority, HIGHER), ms(1000.0));
    router
}

#[test]
fn a_failing_owner_asks_to_be_relieved_and_preempts_again_when_it_recovers() {
    let mut router = active();
    let asks = feed(&mut router, TrackersFail, ms(4500.0));
    assert_eq!(asks, "linger until 5504; send 0; Active -> Active (tracker-failed)");
    let relieved = feed(&mut router, Hears(50, HIGHER), ms(4600.0));
    assert_eq!(relieved, "linger until 4602; Active -> Backup (succeeded)");
    assert!(!router.yielded());
    assert_eq!(feed(&mut router, Hears(50, HIGHER), ms(5100.0)), "nothing");
    feed(&mut router, Recovers, ms(5200.0));
    let due = router.deadline().expect("a Backup waits");
    feed(&mut router, Hears(50, HIGHER), ms(5600.0));
    assert_eq!(router.deadline(), Some(due), "the weaker one does not postpone the preemption");
    let takes = feed(&mut router, TimerDue, due);
    assert!(takes.ends_with("Backup -> Active (preempted)"), "{takes}");
}

#[test]
fn where_nobody_relieves_it_a_failing_owner_serves_on_as_the_last_resort_and_asks_once() {
    let mut router = active();
    feed(&mut router, TrackersFail, ms(4500.0));
    let refused = feed(&mut router, Timer, ms(5502.0));
    assert_eq!(refused, "own until 8502; send 1; announce; Active -> Active (handover-refused)");
    assert_eq!(feed(&mut router, TrackersFail, ms(5600.0)), "nothing");
    assert_eq!(feed(&mut router, Recovers, ms(5700.0)), "send 100");
    assert_eq!(router.role(), Role::Active);
}

#[test]
fn a_weight_is_told_at_once_so_that_a_better_router_can_preempt() {
    let mut router = active();
    assert_eq!(feed(&mut router, WeightFails, ms(4500.0)), "send 90");
    assert_eq!(feed(&mut router, WeightFails, ms(4600.0)), "nothing");
    assert_eq!(feed(&mut router, Recovers, ms(4700.0)), "send 100");
}

#[test]
fn a_failing_backup_takes_nothing_from_a_router_that_serves_or_asks() {
    let mut router = failing_backup(50);
    assert_eq!(router.deadline(), Some(ms(2998.046875)), "it does not preempt a weaker one");
    feed(&mut router, Hears(0, HIGHER), ms(1100.0));
    assert_eq!(router.deadline(), Some(ms(2100.046875)), "whoever is fit goes first, then the one that asks");
    assert_eq!(feed(&mut router, OutOfService, ms(1200.0)), "nothing");
}

#[test]
fn a_failing_backup_is_better_than_nobody() {
    let mut router = failing_backup(200);
    let takes = feed(&mut router, Unreachable, ms(1200.0));
    assert!(takes.ends_with("Backup -> Active (active-unreachable)"), "{takes}");
    let mut router = failing_backup(200);
    let takes = feed(&mut router, TimerDue, ms(5000.0));
    assert_eq!(takes, "own until 8000; send 1; announce; Backup -> Active (active-down)");
}

#[test]
fn a_backup_that_fails_or_becomes_weaker_gives_up_a_preemption_under_way() {
    for (news, due) in [(TrackersFail, 5196.09375), (WeightFails, 4848.4375)] {
        let mut router = router(100);
        feed(&mut router, Startup, ms(0.0));
        feed(&mut router, Hears(95, HIGHER), ms(1000.0));
        feed(&mut router, news, ms(1200.0));
        assert_eq!(router.deadline(), Some(ms(due)), "{news:?}");
    }
}

#[test]
fn whoever_is_fit_relieves_the_last_resort_even_without_preemption() {
    let without_preemption = Parameters { preempt: false, ..parameters(100, LOCAL) };
    for (priority, due) in [(1, 3609.375), (2, 2804.6875)] {
        let mut router = VirtualRouter::new(without_preemption, None);
        feed(&mut router, Startup, ms(0.0));
        feed(&mut router, Hears(priority, HIGHER), ms(1000.0));
        assert_eq!(router.deadline(), Some(ms(due)), "{priority}");
    }
    // Not even the operator's handover holds it back.
    let mut router = active();
    feed(&mut router, Handover, ms(4500.0));
    feed(&mut router, Hears(50, HIGHER), ms(4600.0));
    let due = router.deadline();
    feed(&mut router, Hears(1, HIGHER), ms(5100.0));
    assert_eq!(router.deadline(), due);
}

#[test]
fn an_address_owner_waits_until_its_trackers_have_looked() {
    let mut router = VirtualRouter::new(parameters(255, LOCAL), None).tracked();
    assert_eq!(feed(&mut router, Startup, ms(0.0)), "Initialize -> Backup (startup)");
    let takes = feed(&mut router, TrackersFail, ms(1.0));
    assert_eq!(takes, "nothing");
    let mut router = VirtualRouter::new(parameters(255, LOCAL), None).tracked();
    feed(&mut router, Startup, ms(0.0));
    let recovered = baton::vrrp::Input::Tracked {
        priority: baton::vrrp::Priority::ADDRESS_OWNER,
        fitness: baton::vrrp::Fitness::Fit,
    };
    let takes = baton_tests::lan::text::actions(router.handle(recovered, ms(2.0)));
    assert_eq!(takes, "own until 3002; send 255; announce; Backup -> Active (address-owner)");
}

#[test]
fn a_lease_that_is_taken_up_is_kept_until_the_trackers_have_looked() {
    let mut router = VirtualRouter::new(parameters(100, LOCAL), None).tracked();
    let resumes = feed(&mut router, StartupWithLease, ms(0.0));
    assert_eq!(resumes, "own until 500; send 100; announce; Initialize -> Active (resumed)");
    let asks = feed(&mut router, TrackersFail, ms(10.0));
    assert_eq!(asks, "linger until 500; send 0; Active -> Active (tracker-failed)");
}

#[test]
fn a_backup_that_recovers_relieves_the_one_that_has_asked() {
    let mut router = failing_backup(200);
    feed(&mut router, Hears(0, HIGHER), ms(1100.0));
    feed(&mut router, Recovers, ms(1150.0));
    assert_eq!(router.deadline(), Some(ms(1454.6875)), "a Skew_Time");
}

#[test]
fn a_handover_to_one_that_ends_while_the_trackers_fail_asks_the_others() {
    let mut router = active();
    feed(&mut router, HandoverTo(HIGHER), ms(4500.0));
    assert_eq!(feed(&mut router, TrackersFail, ms(4600.0)), "nothing");
    let asks = feed(&mut router, TimerDue, ms(5502.0));
    assert_eq!(asks, "linger until 6506; send 0; Active -> Active (tracker-failed)");
}

#[test]
fn a_handover_of_a_router_that_asks_for_relief_keeps_it_from_preempting() {
    let mut router = active();
    feed(&mut router, TrackersFail, ms(4500.0));
    assert_eq!(feed(&mut router, Handover, ms(4600.0)), "Active -> Active (handover)");
    feed(&mut router, Hears(50, HIGHER), ms(4700.0));
    assert!(router.yielded());
}

#[test]
fn an_operator_who_stops_or_drains_a_router_that_asks_for_relief_gets_his_way() {
    let mut router = active();
    feed(&mut router, TrackersFail, ms(4500.0));
    assert_eq!(feed(&mut router, Drain, ms(4600.0)), "Active -> Active (drained)");
    feed(&mut router, Hears(50, HIGHER), ms(4700.0));
    assert!(router.drained());
    let mut router = active();
    feed(&mut router, TrackersFail, ms(4500.0));
    assert_eq!(feed(&mut router, Shutdown, ms(4600.0)), "Active -> Active (shutdown)");
}
