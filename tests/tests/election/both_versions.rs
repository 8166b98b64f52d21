//! A virtual router that speaks VRRPv2 and VRRPv3 while its segment goes over (RFC 9568 8.4).

use super::*;

/// What a router of priority 200 says in VRRPv2, with an interval of 200 cs.
const fn old(standing: Standing) -> Advertisement<Ipv4Addr> {
    let interval = Interval::from_centiseconds(200).expect("not 0");
    let version = Version::V2 { password: None };
    Advertisement { source: HIGHER, standing, interval, version, checksum: Checksum::Rfc9568 }
}

/// What it says in VRRPv3.
fn new() -> Advertisement<Ipv4Addr> {
    Advertisement { checksum: Checksum::Pseudo, ..advertisement(200, HIGHER, 100) }
}

fn better() -> Standing {
    Standing::from_octet(200)
}

/// A Backup of priority 100 since 0 ms.
fn backup() -> VirtualRouter<Ipv4Addr> {
    let checksum = ChecksumMode::Auto(Checksum::Rfc9568);
    let mut router =
        VirtualRouter::new(Parameters { versions: BOTH, checksum, ..parameters(100, LOCAL) }, None);
    feed(&mut router, Startup, ms(0.0));
    router
}

fn hears(router: &mut VirtualRouter<Ipv4Addr>, advertisement: Advertisement<Ipv4Addr>, at: f64) -> String {
    text::actions(router.handle(Input::Advertisement(advertisement), ms(at)))
}

/// T-087: three intervals of 2 s, and Skew_Time as in VRRPv3.
#[test]
fn a_backup_of_both_versions_waits_by_the_interval_of_an_active_router_of_version_2() {
    let mut router = backup();
    hears(&mut router, old(better()), 1000.0);
    assert_eq!((router.active_router(), router.deadline()), (Some(HIGHER), Some(ms(8218.75))));
    hears(&mut router, old(Standing::Leaving), 2000.0);
    assert_eq!(router.deadline(), Some(ms(3218.75)));
}

/// T-086.
#[test]
fn what_the_active_router_says_in_version_3_counts_and_not_what_it_says_in_version_2() {
    let mut router = backup();
    hears(&mut router, old(better()), 1000.0);
    hears(&mut router, new(), 1000.0);
    for said in [better(), Standing::from_octet(255), Standing::Leaving] {
        assert!(router.is_repetition(&old(said), ms(1000.0)), "{said:?}");
        let state = format!("{router:?}");
        assert_eq!(hears(&mut router, old(said), 1000.0), "nothing");
        assert_eq!(format!("{router:?}"), state, "{said:?}");
    }
    assert_eq!(router.deadline(), Some(ms(4609.375)));
    // Another router's word counts in either version.
    let other = Advertisement { source: LOWER, ..old(better()) };
    assert!(!router.is_repetition(&other, ms(1000.0)));
    hears(&mut router, other, 1000.0);
    assert_eq!((router.active_router(), router.deadline()), (Some(LOWER), Some(ms(8218.75))));
}

#[test]
fn in_version_2_the_active_router_is_heard_to_live_when_version_3_gets_lost() {
    let mut router = backup();
    hears(&mut router, new(), 1000.0);
    hears(&mut router, old(better()), 2000.0);
    assert_eq!(router.deadline(), Some(ms(5609.375)), "by the interval of VRRPv3");
    // One that is to be preempted is, when it would be.
    let mut preempting = router.clone();
    hears(&mut preempting, old(Standing::from_octet(1)), 2500.0);
    assert_eq!(preempting.deadline(), Some(ms(5609.375)));
    assert!(feed(&mut preempting, Timer, ms(5609.375)).ends_with("Backup -> Active (preempted)"));
    // Once it has said in VRRPv3 that it leaves, an old word in VRRPv2 keeps nobody from succeeding it.
    hears(&mut router, Advertisement { standing: Standing::Leaving, ..new() }, 2500.0);
    hears(&mut router, old(better()), 2500.0);
    assert_eq!(router.deadline(), Some(ms(3109.375)));
}

#[test]
fn an_active_router_that_goes_back_to_version_2_is_not_taken_for_dead() {
    let mut router = backup();
    hears(&mut router, new(), 0.0);
    for second in 1..10 {
        let at = f64::from(second) * 1000.0;
        hears(&mut router, old(better()), at);
        assert_eq!(feed(&mut router, Timer, ms(at + 999.0)), "nothing");
    }
    assert_eq!((router.role(), router.active_router()), (Role::Backup, Some(HIGHER)));
    assert_eq!(router.deadline(), Some(ms(9000.0 + 7218.75)), "by the interval of VRRPv2, in the end");
}

/// It has but one, and who hears it may want the other in VRRPv3.
#[test]
fn the_checksum_of_version_2_tells_nothing_of_what_peers_accept_in_version_3() {
    let mut router = backup();
    hears(&mut router, old(better()), 1000.0);
    assert_eq!(router.heard(), None);
    hears(&mut router, new(), 1000.0);
    hears(&mut router, old(better()), 1000.0);
    assert_eq!(router.heard(), Some(Checksum::Pseudo));
}

/// The lease of a router of VRRPv2 runs out before a Backup of both versions takes over, and the other way round, where
/// they have the same interval.
#[test]
fn routers_of_one_version_and_of_both_wait_for_each_other_s_leases() {
    for interval in [100, 200, 4000].map(centiseconds) {
        let lease = lease_interval(interval, DownAdverts::RFC);
        for priority in (1..=255).filter_map(Priority::new) {
            for versions in [VERSION_2, VERSION_3, BOTH] {
                assert!(active_down_interval(priority, interval, DownAdverts::RFC, versions) > lease);
            }
        }
    }
}
