//! Groups: virtual routers that are on one host, all of them or none. Two nodes with groups are in the simulation.

use std::net::Ipv4Addr;

use baton::vrrp::{Role, VirtualRouter, is_group_ready, shared_lease};

use super::{
    Drain, GroupMoved, GroupReady, HIGHER, Handover, Hears, LOCAL, Startup, TimerDue, TrackersFail,
    Unreachable, feed, ms, parameters,
};

/// A member of a group, of `priority`, that is Backup since 0.
fn member(priority: u8) -> VirtualRouter<Ipv4Addr> {
    let mut member = VirtualRouter::new(parameters(priority, LOCAL), None).grouped();
    feed(&mut member, Startup, ms(0.0));
    member
}

/// A member of priority 100 that is Active since 4000 ms.
fn active() -> VirtualRouter<Ipv4Addr> {
    let mut member = member(100);
    feed(&mut member, TimerDue, ms(4000.0));
    feed(&mut member, GroupReady, ms(4000.0));
    member
}

#[test]
fn a_member_takes_the_role_when_its_wait_is_over_and_all_of_the_group_are_ready() {
    let mut member = member(100);
    assert_eq!(feed(&mut member, GroupReady, ms(1000.0)), "nothing");
    assert_eq!(feed(&mut member, TimerDue, ms(3609.375)), "nothing");
    assert_eq!((member.role(), member.ready(), member.deadline()), (Role::Backup, true, None));
    let takes = feed(&mut member, GroupReady, ms(5000.0));
    assert_eq!(takes, "own until 8000; send 100; announce; Backup -> Active (active-down)");
}

#[test]
fn a_member_is_not_ready_any_more_when_it_hears_whom_it_listens_to() {
    let mut member = member(100);
    feed(&mut member, TimerDue, ms(4000.0));
    feed(&mut member, Hears(50, HIGHER), ms(4500.0));
    assert!(member.ready(), "the weaker one is preempted");
    feed(&mut member, Hears(200, HIGHER), ms(5000.0));
    assert!(!member.ready());
    assert_eq!(feed(&mut member, GroupReady, ms(5100.0)), "nothing");
    assert_eq!(feed(&mut member, Unreachable, ms(5200.0)), "nothing");
    assert!(member.ready());
    let takes = feed(&mut member, GroupReady, ms(5200.0));
    assert!(takes.ends_with("Backup -> Active (active-unreachable)"), "{takes}");
}

#[test]
fn an_address_owner_waits_for_its_group_alone() {
    let mut owner = member(255);
    assert!(owner.ready());
    let takes = feed(&mut owner, GroupReady, ms(1.0));
    assert_eq!(takes, "own until 3001; send 255; announce; Backup -> Active (address-owner)");
}

#[test]
fn a_member_follows_its_group_whether_or_not_somebody_takes_over() {
    let mut router = active();
    let asks = feed(&mut router, GroupMoved, ms(4500.0));
    assert_eq!(asks, "linger until 5504; send 0; Active -> Active (group-moved)");
    let left = feed(&mut router, TimerDue, ms(5502.0));
    assert_eq!(left, "disown; Active -> Backup (group-moved)");

    let mut router = active();
    feed(&mut router, Handover, ms(4500.0));
    assert_eq!(feed(&mut router, GroupMoved, ms(4600.0)), "nothing");
    assert_eq!(feed(&mut router, TimerDue, ms(5502.0)), "disown; Active -> Backup (group-moved)");
    assert!(router.yielded(), "it was handed over");

    for (leaves, left) in [
        (TrackersFail, "disown; Active -> Backup (group-moved)"),
        (Drain, "disown; Active -> Initialize (group-moved)"),
    ] {
        let mut router = active();
        feed(&mut router, leaves, ms(4500.0));
        assert_eq!(feed(&mut router, GroupMoved, ms(4600.0)), "nothing");
        assert_eq!(feed(&mut router, TimerDue, ms(5502.0)), left);
    }

    let mut router = active();
    feed(&mut router, GroupMoved, ms(4500.0));
    let succeeded = feed(&mut router, Hears(50, HIGHER), ms(4510.0));
    assert_eq!(succeeded, "linger until 4512; Active -> Backup (succeeded)");
    assert!(!router.yielded());
}

#[test]
fn a_group_is_ready_when_nobody_is_waited_for() {
    let (mut ready, waiting, serving) = (member(100), member(100), active());
    feed(&mut ready, TimerDue, ms(4000.0));
    let mut leaving = active();
    feed(&mut leaving, Handover, ms(4500.0));
    let down = VirtualRouter::new(parameters(100, LOCAL), None).grouped();
    for (members, is_ready) in [
        (vec![&ready], true),
        (vec![&ready, &ready], true),
        (vec![&ready, &serving], true),
        (vec![&ready, &down], false),
        (vec![&ready, &waiting], false),
        (vec![&ready, &leaving], false),
        (vec![&serving, &serving], false),
        (vec![&serving, &waiting], false),
        (vec![&down], false),
    ] {
        assert_eq!(is_group_ready(members.iter().copied()), is_ready, "{members:#?}");
    }
    assert_eq!(shared_lease([&serving, &leaving, &waiting].into_iter()), serving.lease_until());
}
