//! The election core against RFC 9568: the state table cell by cell, the timers, the clauses of the standards
//! checklist (T-nnn), and transcripts of whole situations.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use baton::vrrp::{
    Action, Advertisement, Checksum, ChecksumMode, DownAdverts, Failure, Fitness, Input, Instant, Interval,
    Ownership, Parameters, Priority, Role, Standing, Version, Versions, VirtualRouter, active_down_interval,
    learned_interval, lease_interval, linger, skew_time,
};
use baton_common::vrid::Vrid;
use baton_tests::lan::{Conditions, Disturbance, Lan, text};

#[path = "election/both_versions.rs"]
mod both_versions;
#[path = "election/delays.rs"]
mod delays;
#[path = "election/groups.rs"]
mod groups;
#[path = "election/table.rs"]
mod table;
#[path = "election/trackers.rs"]
mod trackers;
#[path = "election/transcripts.rs"]
mod transcripts;

const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 5);
const LOWER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 4);
const HIGHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 6);

/// Inputs as data. Advertisements come with an interval of 50 cs, half of our own.
#[derive(Clone, Copy, Debug)]
enum Given {
    Startup,
    StartupWithLease,
    StartupWithLapsedLease,
    Shutdown,
    Handover,
    HandoverTo(Ipv4Addr),
    Drain,
    Undrain,
    TrackersFail,
    WeightFails,
    Recovers,
    LinkDown,
    Hears(u8, Ipv4Addr),
    HearsFrame,
    Timer,
    TimerDue,
    Unreachable,
    UnreachableButOther,
    OutOfService,
    OutOfServiceButOther,
    Transmitted,
    TransmitFailed,
    GroupReady,
    GroupMoved,
    LeaseLapsed,
    DatapathLost,
}

use Given::{
    DatapathLost, Drain, GroupMoved, GroupReady, Handover, HandoverTo, Hears, HearsFrame, LeaseLapsed,
    LinkDown, OutOfService, OutOfServiceButOther, Recovers, Shutdown, Startup, StartupWithLapsedLease,
    StartupWithLease, Timer, TimerDue, TrackersFail, TransmitFailed, Transmitted, Undrain, Unreachable,
    UnreachableButOther, WeightFails,
};

const VERSION_3: Versions = Versions::Only(Version::V3);
const VERSION_2: Versions = Versions::Only(Version::V2 { password: None });
const BOTH: Versions = Versions::Both { password: None };

/// T-081: in VRRPv2 Skew_Time is a part of a second.
#[test]
fn the_skew_of_version_2_does_not_grow_with_the_interval() {
    let (priority, interval) = (Priority::new(100).expect("not 0"), centiseconds(300));
    assert_eq!(skew_time(priority, interval, VERSION_2), Duration::from_nanos(609_375_000));
    let down = active_down_interval(priority, interval, DownAdverts::RFC, VERSION_2);
    assert_eq!(down, Duration::from_nanos(9_609_375_000));
}

/// T-033.
#[test]
fn the_timers_are_those_of_the_rfc_to_the_nanosecond() {
    let table = [
        (100, 100, 609_375_000, 3_609_375_000),
        (254, 100, 7_812_500, 3_007_812_500),
        (1, 100, 996_093_750, 3_996_093_750),
        (100, 1, 6_093_750, 36_093_750),
        (254, 1, 78_125, 30_078_125),
        (255, 1, 39_062, 30_039_062),
        (1, 4095, 40_790_039_062, 163_640_039_062),
    ];
    for (octet, interval, skew, down) in table {
        let (priority, interval) = (Priority::new(octet).expect("not 0"), centiseconds(interval));
        assert_eq!(
            skew_time(priority, interval, VERSION_3),
            Duration::from_nanos(skew),
            "{octet} {interval:?}"
        );
        assert_eq!(
            active_down_interval(priority, interval, DownAdverts::RFC, VERSION_3),
            Duration::from_nanos(down),
            "{octet} {interval:?}"
        );
    }
    assert_eq!(linger(centiseconds(1)), Duration::from_millis(12));
}

/// Whatever a router owns, it owns no longer when a Backup with the same settings takes over, however late the advertisement
/// began to leave after the lease was counted from there.
#[test]
fn a_lease_has_run_out_before_any_backup_takes_over() {
    assert_eq!((DownAdverts::new(2), DownAdverts::new(101)), (None, None));
    for adverts in (3..=100).filter_map(DownAdverts::new) {
        for interval in [1, 2, 100, 4095].map(centiseconds) {
            for priority in (1..=255).filter_map(Priority::new) {
                let lease = lease_interval(interval, adverts);
                for versions in [VERSION_3, VERSION_2, BOTH] {
                    let down = active_down_interval(priority, interval, adverts, versions);
                    assert!(lease < down, "{adverts:?} {interval:?} {versions:?}");
                }
            }
        }
    }
}

#[test]
fn a_router_that_may_miss_five_advertisements_waits_for_five_and_owns_for_five() {
    let parameters =
        Parameters { down_adverts: DownAdverts::new(5).expect("3 to 100"), ..parameters(100, LOCAL) };
    let mut router = VirtualRouter::new(parameters, None);
    feed(&mut router, Startup, ms(0.0));
    assert_eq!(router.deadline(), Some(ms(5609.375)));
    router.handle(Input::Advertisement(advertisement(200, HIGHER, 100)), ms(1000.0));
    assert_eq!(router.deadline(), Some(ms(6609.375)));
    let takes = feed(&mut router, TimerDue, ms(6609.375));
    assert_eq!(takes, "own until 11609.375; send 100; announce; Backup -> Active (active-down)");
    assert_eq!(text::actions(router.handle(Input::Transmitted(ms(7609.0)), ms(7610.0))), "own until 12609");
}

/// T-034.
#[test]
fn a_backup_waits_by_the_interval_it_learned_and_advertises_its_own() {
    let mut router = router(100);
    feed(&mut router, Startup, ms(0.0));
    router.handle(Input::Advertisement(advertisement(200, HIGHER, 10)), ms(1000.0));
    assert_eq!(router.deadline(), Some(ms(1360.9375)));
    feed(&mut router, TimerDue, ms(1360.9375));
    assert_eq!(router.parameters().interval, centiseconds(100));
    assert_eq!(router.deadline(), Some(ms(2360.9375)));
}

/// T-037: one mistaken or forged advertisement does not make a Backup wait for two minutes.
#[test]
fn a_backup_learns_no_more_than_ten_times_its_interval_or_a_second() {
    // In centiseconds: our own interval, the advertised one, the learned one.
    for (own, advertised, learned) in [
        (1, 1, 1),
        (1, 100, 100),
        (1, 101, 100),
        (10, 4095, 100),
        (11, 4095, 110),
        (100, 10, 10),
        (100, 1000, 1000),
        (100, 1001, 1000),
        (100, 4095, 1000),
        (409, 4095, 4090),
        (410, 4095, 4095),
        (4095, 4095, 4095),
    ] {
        let (own, advertised) = (centiseconds(own), centiseconds(advertised));
        assert_eq!(learned_interval(own, advertised), centiseconds(learned), "{own:?} {advertised:?}");
    }
    let mut backup = router(100);
    feed(&mut backup, Startup, ms(0.0));
    backup.handle(Input::Advertisement(advertisement(200, HIGHER, 4095)), ms(1000.0));
    assert_eq!(backup.deadline(), Some(ms(37_093.75)));
    let mut loser = active();
    loser.handle(Input::Advertisement(advertisement(200, HIGHER, 4095)), ms(4500.0));
    assert_eq!(loser.deadline(), Some(ms(40_593.75)));
}

/// T-038.
#[test]
fn an_address_owner_is_active_at_once_and_advertises_before_it_announces() {
    let mut router = router(255);
    let actions = feed(&mut router, Startup, ms(0.0));
    assert_eq!(actions, "own until 3000; send 255; announce; Initialize -> Active (address-owner)");
}

/// T-039.
#[test]
fn priority_254_sends_nothing_before_its_down_timer_expires() {
    let mut router = router(254);
    assert_eq!(feed(&mut router, Startup, ms(0.0)), "Initialize -> Backup (startup)");
    assert_eq!(router.deadline(), Some(ms(3007.8125)));
    assert_eq!(feed(&mut router, Timer, ms(3007.8124)), "nothing");
    let actions = feed(&mut router, Timer, ms(3007.8125));
    assert_eq!(actions, "own until 6007.8125; send 254; announce; Backup -> Active (active-down)");
}

/// T-040.
#[test]
fn priority_0_teaches_no_interval() {
    let mut router = router(100);
    feed(&mut router, Startup, ms(0.0));
    router.handle(Input::Advertisement(advertisement(0, HIGHER, 4095)), ms(1000.0));
    assert_eq!(router.deadline(), Some(ms(1609.375)));
}

/// T-041.
#[test]
fn preemption_comes_when_the_timer_set_before_expires_and_not_later() {
    let mut router = router(100);
    feed(&mut router, Startup, ms(0.0));
    for second in 1..=3 {
        let weaker = Input::Advertisement(advertisement(99, HIGHER, 100));
        assert_eq!(text::actions(router.handle(weaker, ms(f64::from(second) * 1000.0))), "nothing");
        assert_eq!(router.deadline(), Some(ms(3609.375)));
    }
    feed(&mut router, TimerDue, ms(3609.375));
    assert_eq!(router.role(), Role::Active);
}

/// T-042, but for priority 1: see `trackers`.
#[test]
fn without_preempt_mode_any_advertisement_keeps_a_backup_waiting() {
    let mut router = VirtualRouter::new(Parameters { preempt: false, ..parameters(100, LOCAL) }, None);
    feed(&mut router, Startup, ms(0.0));
    router.handle(Input::Advertisement(advertisement(2, LOWER, 10)), ms(3000.0));
    assert_eq!(router.deadline(), Some(ms(3360.9375)));
    feed(&mut router, TimerDue, ms(3360.9375));
    assert_eq!(router.role(), Role::Active);
}

/// T-043.
#[test]
fn an_address_owner_preempts_without_preempt_mode_unless_it_handed_over() {
    let mut owner = VirtualRouter::new(Parameters { preempt: false, ..parameters(255, LOCAL) }, None);
    feed(&mut owner, Startup, ms(0.0));
    assert_eq!(feed(&mut owner, Timer, ms(3100.0)), "disown; Active -> Backup (lease-lapsed)");
    feed(&mut owner, Hears(254, HIGHER), ms(4000.0));
    assert_eq!(owner.deadline(), Some(ms(6103.90625)));
    feed(&mut owner, TimerDue, ms(6103.90625));
    assert_eq!((owner.role(), owner.yielded()), (Role::Active, false));

    feed(&mut owner, Handover, ms(6500.0));
    feed(&mut owner, Hears(254, HIGHER), ms(6600.0));
    assert_eq!((owner.role(), owner.yielded()), (Role::Backup, true));
    feed(&mut owner, Hears(254, HIGHER), ms(7000.0));
    assert_eq!(owner.deadline(), Some(ms(8501.953125)));
}

/// T-044, T-045.
#[test]
fn ties_go_to_the_higher_address_compared_as_unsigned_octets() {
    assert!(active_keeps(LOCAL, LOWER));
    assert!(!active_keeps(LOCAL, HIGHER));
    assert!(active_keeps(Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(10, 0, 0, 9)));
    assert!(!active_keeps(Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(200, 0, 0, 1)));
    assert!(!active_keeps(Ipv4Addr::new(10, 0, 0, 9), Ipv4Addr::new(192, 0, 2, 1)));
    let link_local = |last| Ipv6Addr::from(0xfe80_u128 << 112 | last);
    assert!(active_keeps(link_local(0x1_0000), link_local(0xffff)));
    assert!(!active_keeps(link_local(0xffff), link_local(0x1_0000)));
}

/// T-027, erratum 8298.
#[test]
fn of_two_address_owners_the_higher_address_stays() {
    let mut owner = router(255);
    feed(&mut owner, Startup, ms(0.0));
    assert_eq!(feed(&mut owner, Hears(255, LOWER), ms(100.0)), "send 255; announce");
    assert_eq!(
        feed(&mut owner, Hears(255, HIGHER), ms(200.0)),
        "disown; concede; Active -> Backup (higher-priority)"
    );
}

/// T-046, T-047.
#[test]
fn an_active_router_answers_a_weaker_and_a_leaving_one_at_once() {
    let mut router = active();
    assert_eq!(feed(&mut router, Hears(50, HIGHER), ms(4200.0)), "send 100; announce");
    assert_eq!(router.deadline(), Some(ms(5000.0)));
    assert_eq!(feed(&mut router, Hears(0, HIGHER), ms(4300.0)), "send 100");
    assert_eq!(router.deadline(), Some(ms(5300.0)));
}

/// T-048.
#[test]
fn shutdown_says_priority_0_once_and_it_is_the_last_word() {
    let mut router = active();
    let mut said = vec![feed(&mut router, Shutdown, ms(4500.0))];
    for at in [4600.0, 5000.0, 5502.0, 6000.0, 9000.0] {
        said.push(feed(&mut router, Shutdown, ms(at)));
        said.push(feed(&mut router, Hears(0, LOWER), ms(at)));
        said.push(feed(&mut router, Timer, ms(at)));
    }
    said.retain(|actions| actions != "nothing");
    assert_eq!(
        said,
        ["linger until 5504; send 0; Active -> Active (shutdown)", "disown; Active -> Initialize (shutdown)"]
    );
}

/// T-049.
#[test]
fn a_router_that_loses_disowns_before_anything_else() {
    let mut router = active();
    let actions = router.handle(Input::Advertisement(advertisement(200, LOWER, 100)), ms(4200.0));
    assert_eq!(actions.into_iter().next(), Some(Action::SetOwnership(Ownership::Released)));
}

/// T-050.
#[test]
fn when_the_best_of_three_dies_the_second_takes_over_and_the_third_never_sends() {
    let mut lan = lan(&[100, 150, 200]);
    lan.record();
    start_all(&mut lan, 3);
    run(&mut lan, 10_000.0);
    happen(&mut lan, &Disturbance::CutPower(2));
    run(&mut lan, 20_000.0);
    assert_eq!(lan.owners(), [1]);
    let senders: BTreeSet<String> = lan
        .recorded()
        .lines()
        .filter(|line| line.contains("send "))
        .filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned))
        .collect();
    assert_eq!(senders.into_iter().collect::<Vec<_>>(), ["b", "c"]);
}

/// T-051.
#[test]
fn an_hour_of_punctual_advertisements_never_lets_the_down_timer_fire() {
    let mut router = router(100);
    feed(&mut router, Startup, ms(0.0));
    for second in 1..=3600_u32 {
        let at = Instant::default() + Duration::from_secs(second.into());
        let advertisement = Input::Advertisement(advertisement(200, HIGHER, 100));
        assert_eq!(text::actions(router.handle(advertisement, at)), "nothing");
        assert_eq!(router.deadline(), Some(at + Duration::from_micros(3_609_375)));
    }
}

/// T-072.
#[test]
fn of_two_equal_backups_the_higher_address_remains_and_the_other_is_quiet() {
    let mut lan = lan(&[100, 100]);
    lan.record();
    start_all(&mut lan, 2);
    run(&mut lan, 3609.7);
    assert_eq!(lan.owners(), [1]);
    run(&mut lan, 20_000.0);
    let announced: Vec<String> = lan
        .recorded()
        .lines()
        .filter(|line| line.contains("announce"))
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(announced, ["3609.375 a", "3609.375 b", "3609.475 b", "3609.575 b"]);
}

#[test]
fn a_lease_is_renewed_from_the_beginning_of_a_transmission_and_never_shortened() {
    let mut router = active();
    assert_eq!(router.lease_until(), Some(ms(7000.0)));
    assert_eq!(text::actions(router.handle(Input::Transmitted(ms(3990.0)), ms(4010.0))), "nothing");
    assert_eq!(text::actions(router.handle(Input::Transmitted(ms(5000.0)), ms(5020.0))), "own until 8000");
    assert_eq!(router.lease_until(), Some(ms(8000.0)));
    // A transmission cannot have begun in the future.
    assert_eq!(text::actions(router.handle(Input::Transmitted(ms(9999.0)), ms(5030.0))), "own until 8030");
}

#[test]
fn late_timers_do_not_lengthen_the_interval_and_a_pause_makes_no_burst() {
    let mut router = active();
    feed(&mut router, Timer, ms(5040.0));
    assert_eq!(router.deadline(), Some(ms(6000.0)));
    router.handle(Input::Transmitted(ms(5040.0)), ms(5040.0));
    feed(&mut router, Timer, ms(7001.0));
    assert_eq!(router.deadline(), Some(ms(8001.0)));
}

#[test]
fn a_router_that_cannot_transmit_loses_its_lease() {
    let mut router = active();
    let mut said = Vec::new();
    for _ in 0..3 {
        let due = router.deadline().expect("every role but Initialize has one");
        said.push(format!("{} {}", text::time(due), feed(&mut router, Timer, due)));
        feed(&mut router, TransmitFailed, due);
    }
    assert_eq!(said, ["5000 send 100", "6000 send 100", "7000 disown; Active -> Backup (lease-lapsed)"]);
}

/// A stop that reaches an agent just before its lease ends must not make it serve on.
#[test]
fn a_planned_move_never_extends_the_lease() {
    let mut router = active();
    let actions = feed(&mut router, Shutdown, ms(6900.0));
    assert_eq!(actions, "linger until 7000; send 0; Active -> Active (shutdown)");
}

/// If its agent dies then, there is still time for a linger, in which the others take over.
#[test]
fn who_is_named_is_waited_for_only_as_long_as_the_lease_would_do_for_the_others() {
    for (at, until) in [(4500.0, 5502.0), (5600.0, 5996.0), (6500.0, 6500.0)] {
        let mut router = active();
        feed(&mut router, HandoverTo(HIGHER), ms(at));
        assert_eq!((router.deadline(), router.lease_until()), (Some(ms(until)), Some(ms(7000.0))), "{at}");
    }
}

/// An earlier run may have advertised more rarely: its peers waited longer than this run's do.
#[test]
fn a_resumed_lease_is_no_longer_than_this_runs_interval_allows() {
    let mut router = router(100);
    let actions = text::actions(router.handle(Input::StartupWithLease(ms(30_000.0)), ms(1000.0)));
    assert_eq!(actions, "own until 4000; send 100; announce; Initialize -> Active (resumed)");
}

/// However late the thread notices that nobody has taken over, as long as the lease holds.
#[test]
fn a_handover_is_taken_back_before_the_lease_ends_but_not_after_it() {
    for late_us in [0, 1, 500, 1_999] {
        let mut router = active();
        feed(&mut router, Handover, ms(4500.0));
        let noticed = router.deadline().expect("a linger ends") + Duration::from_micros(late_us);
        assert!(router.lease_until() > Some(noticed), "{late_us} us late, nobody owns the addresses");
        let actions = feed(&mut router, Timer, noticed);
        assert!(actions.ends_with("announce; Active -> Active (handover-refused)"), "{actions}");
    }
    let mut router = active();
    feed(&mut router, Handover, ms(4500.0));
    assert_eq!(feed(&mut router, Timer, ms(5504.0)), "disown; Active -> Backup (lease-lapsed)");
}

/// T-013.
#[test]
fn in_auto_mode_the_flavour_last_heard_is_sent_and_remembered() {
    let parameters = Parameters { checksum: ChecksumMode::Auto(Checksum::Rfc9568), ..parameters(100, LOCAL) };
    let mut router = VirtualRouter::new(parameters, None);
    feed(&mut router, Startup, ms(0.0));
    assert_eq!(router.heard(), None);
    let heard = Advertisement { checksum: Checksum::Pseudo, ..advertisement(99, LOWER, 100) };
    router.handle(Input::Advertisement(heard), ms(1000.0));
    assert_eq!(router.heard(), Some(Checksum::Pseudo));
    let mut restarted = VirtualRouter::new(parameters, router.heard());
    feed(&mut restarted, Startup, ms(0.0));
    let actions = feed(&mut restarted, TimerDue, ms(3609.375));
    assert_eq!(actions, "own until 6609.375; send 100 pseudo; announce; Backup -> Active (active-down)");
}

#[test]
fn the_last_change_is_remembered_with_its_reason() {
    let mut router = router(100);
    assert_eq!((router.since(), router.reason()), (None, None));
    feed(&mut router, Startup, ms(10.0));
    feed(&mut router, Timer, ms(4000.0));
    feed(&mut router, Handover, ms(4500.0));
    assert_eq!(router.since(), Some(ms(4000.0)));
    assert_eq!(router.reason().map(|reason| reason.to_string()).as_deref(), Some("active-down"));
}

fn feed(router: &mut VirtualRouter<Ipv4Addr>, given: Given, at: Instant) -> String {
    let input = match given {
        Startup => Input::Startup,
        StartupWithLease => Input::StartupWithLease(at + Duration::from_millis(500)),
        StartupWithLapsedLease => Input::StartupWithLease(at),
        Shutdown => Input::Shutdown,
        Handover => Input::Handover { to: None },
        HandoverTo(to) => Input::Handover { to: Some(to) },
        Drain => Input::Drain,
        Undrain => Input::Undrain,
        TrackersFail => tracked(1, Fitness::Failing),
        WeightFails => tracked(90, Fitness::Fit),
        Recovers => tracked(100, Fitness::Fit),
        LinkDown => Input::LinkDown,
        Hears(priority, source) => Input::Advertisement(advertisement(priority, source, 50)),
        HearsFrame => Input::FrameHeard,
        Timer | TimerDue => Input::Timer,
        Unreachable => failed(Failure::Unreachable, true),
        UnreachableButOther => failed(Failure::Unreachable, false),
        OutOfService => failed(Failure::OutOfService, true),
        OutOfServiceButOther => failed(Failure::OutOfService, false),
        Transmitted => Input::Transmitted(at),
        TransmitFailed => Input::TransmitFailed,
        GroupReady => Input::GroupReady,
        GroupMoved => Input::GroupMoved,
        LeaseLapsed => Input::LeaseLapsed,
        DatapathLost => Input::DatapathLost,
    };
    text::actions(router.handle(input, at))
}

fn failed(failure: Failure, next_in_line: bool) -> Input<Ipv4Addr> {
    Input::ActiveFailed { failure, next_in_line }
}

fn tracked(priority: u8, fitness: Fitness) -> Input<Ipv4Addr> {
    Input::Tracked { priority: Priority::new(priority).expect("not 0"), fitness }
}

fn router(priority: u8) -> VirtualRouter<Ipv4Addr> {
    VirtualRouter::new(parameters(priority, LOCAL), None)
}

fn parameters<A>(priority: u8, primary: A) -> Parameters<A> {
    Parameters {
        vrid: Vrid::new(51).expect("not 0"),
        priority: Priority::new(priority).expect("not 0"),
        interval: centiseconds(100),
        preempt: true,
        down_adverts: DownAdverts::RFC,
        preempt_delay: Duration::ZERO,
        startup_hold: Duration::ZERO,
        primary,
        checksum: ChecksumMode::Only(Checksum::Rfc9568),
        versions: VERSION_3,
    }
}

fn advertisement<A>(priority: u8, source: A, interval: u16) -> Advertisement<A> {
    Advertisement {
        source,
        standing: Standing::from_octet(priority),
        interval: centiseconds(interval),
        version: Version::V3,
        checksum: Checksum::Rfc9568,
    }
}

fn centiseconds(number: u16) -> Interval {
    Interval::from_centiseconds(number).expect("1 to 4095")
}

/// A point in time by its milliseconds.
fn ms(millis: f64) -> Instant {
    Instant::default() + Duration::from_secs_f64(millis / 1000.0)
}

/// Whether an Active router stays Active when a router of its priority speaks.
fn active_keeps<A: Copy + Ord + Debug>(local: A, peer: A) -> bool {
    let mut router = VirtualRouter::new(parameters(100, local), None);
    router.handle(Input::Startup, ms(0.0));
    router.handle(Input::Timer, ms(4000.0));
    router.handle(Input::Advertisement(advertisement(100, peer, 100)), ms(4500.0));
    router.role() == Role::Active
}

/// A router of priority 100 that has been Active since 4000 ms.
fn active() -> VirtualRouter<Ipv4Addr> {
    let mut router = router(100);
    feed(&mut router, Startup, ms(0.0));
    feed(&mut router, Timer, ms(4000.0));
    router
}

/// Hosts a, b and so on with these priorities, addresses rising, on a LAN without surprises.
fn lan(priorities: &[u8]) -> Lan {
    lan_of(&members(priorities))
}

fn members(priorities: &[u8]) -> Vec<Parameters<Ipv4Addr>> {
    let member = |(host, priority): (u8, &u8)| parameters(*priority, Ipv4Addr::new(192, 0, 2, host));
    (1..).zip(priorities).map(member).collect()
}

fn lan_of(members: &[Parameters<Ipv4Addr>]) -> Lan {
    Lan::new(members, Conditions::EXACT, true, 1)
}

fn start_all(lan: &mut Lan, hosts: usize) {
    for who in 0..hosts {
        happen(lan, &Disturbance::Start(who));
    }
}

fn happen(lan: &mut Lan, disturbance: &Disturbance) {
    lan.disturb(disturbance).unwrap_or_else(|violation| panic!("{violation}"));
}

fn run(lan: &mut Lan, millis: f64) {
    lan.run_for(Duration::from_secs_f64(millis / 1000.0)).unwrap_or_else(|violation| panic!("{violation}"));
}
