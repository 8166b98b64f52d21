//! Whole situations as text: what every host hears and does, in `transcripts/*.txt`. All frames take 100 us, the interval
//! is one second, times are in ms. `BATON_UPDATE_TRANSCRIPTS=1` writes the files anew.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use baton::vrrp::{DownAdverts, Parameters, Priority};
use baton_tests::lan::{Disturbance, Lan};

use super::{happen, lan_of, members, run, start_all};

#[test]
fn of_two_starting_routers_the_higher_priority_becomes_active_and_the_other_stays_backup() {
    transcript("startup", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 6000.0);
    });
}

#[test]
fn an_address_owner_is_active_at_once_and_its_peer_stays_backup() {
    transcript("address-owner", &[255, 100], |lan| {
        start_all(lan, 2);
        run(lan, 2500.0);
    });
}

#[test]
fn a_backup_takes_over_from_a_router_without_power() {
    transcript("takeover", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 5000.0);
        happen(lan, &Disturbance::CutPower(0));
        run(lan, 5000.0);
    });
}

#[test]
fn a_handover_and_a_shutdown_each_pass_the_role_on_after_a_skew_time() {
    transcript("handover", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 5000.0);
        happen(lan, &Disturbance::Handover(0));
        run(lan, 3000.0);
        happen(lan, &Disturbance::Shutdown(1));
        run(lan, 2000.0);
    });
}

#[test]
fn a_handover_that_nobody_takes_is_taken_back_at_the_end_of_the_linger() {
    transcript("handover-refused", &[200, 100], |lan| {
        happen(lan, &Disturbance::Start(0));
        run(lan, 5000.0);
        happen(lan, &Disturbance::Handover(0));
        run(lan, 3000.0);
    });
}

#[test]
fn a_stalled_router_steps_down_when_it_wakes_and_preempts_as_a_backup() {
    transcript("stall", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 5000.0);
        happen(lan, &Disturbance::Stall(0, Duration::from_secs(5)));
        run(lan, 13_000.0);
    });
}

#[test]
fn a_backup_takes_over_from_a_dead_agent() {
    transcript("agent-death", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 5000.0);
        happen(lan, &Disturbance::Kill(0));
        run(lan, 5000.0);
    });
}

#[test]
fn of_two_equal_priorities_the_higher_address_stays_active() {
    transcript("tie", &[100, 100], |lan| {
        start_all(lan, 2);
        run(lan, 5000.0);
    });
}

#[test]
fn a_router_that_starts_with_a_higher_priority_preempts() {
    transcript("preemption", &[100, 200], |lan| {
        happen(lan, &Disturbance::Start(0));
        run(lan, 5000.0);
        happen(lan, &Disturbance::Start(1));
        run(lan, 5000.0);
    });
}

#[test]
fn of_two_active_routers_after_a_partition_the_higher_priority_stays() {
    transcript("partition", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 4000.0);
        happen(lan, &Disturbance::Partition(vec![0, 1]));
        run(lan, 4000.0);
        happen(lan, &Disturbance::Heal);
        run(lan, 2000.0);
    });
}

#[test]
fn a_backup_takes_over_from_a_router_that_lost_its_datapath() {
    transcript("datapath-lost", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 4000.0);
        happen(lan, &Disturbance::LoseDatapath(0));
        run(lan, 5000.0);
    });
}

#[test]
fn without_preemption_a_better_router_that_returns_stays_backup() {
    let stay = |member| Parameters { preempt: false, ..member };
    transcript_of("no-preemption", &[200, 100], stay, |lan| {
        happen(lan, &Disturbance::Start(1));
        run(lan, 5000.0);
        happen(lan, &Disturbance::Start(0));
        run(lan, 5000.0);
    });
}

#[test]
fn a_better_router_that_returns_leaves_the_role_to_the_weaker_one_for_its_delay() {
    let wait = |member| Parameters { preempt_delay: Duration::from_secs(5), ..member };
    transcript_of("preempt-delay", &[100, 200], wait, |lan| {
        happen(lan, &Disturbance::Start(0));
        run(lan, 5000.0);
        happen(lan, &Disturbance::Start(1));
        run(lan, 10_000.0);
    });
}

#[test]
fn a_router_in_its_delay_takes_over_at_once_when_the_weaker_one_dies() {
    let wait = |member| Parameters { preempt_delay: Duration::from_secs(60), ..member };
    transcript_of("death-in-the-delay", &[100, 200], wait, |lan| {
        happen(lan, &Disturbance::Start(0));
        run(lan, 5000.0);
        happen(lan, &Disturbance::Start(1));
        run(lan, 3000.0);
        happen(lan, &Disturbance::CutPower(0));
        run(lan, 4000.0);
    });
}

#[test]
fn a_router_behind_a_port_that_lets_nothing_through_yet_waits_until_it_hears_the_other() {
    transcript_of("startup-behind-a-spanning-tree", &[100, 200], held, |lan| {
        happen(lan, &Disturbance::Start(0));
        happen(lan, &Disturbance::Broadcast);
        run(lan, 5000.0);
        happen(lan, &Disturbance::Partition(vec![0, 1]));
        happen(lan, &Disturbance::Start(1));
        run(lan, 10_000.0);
        happen(lan, &Disturbance::Heal);
        run(lan, 5000.0);
    });
}

#[test]
fn a_router_that_is_alone_begins_to_wait_with_the_first_frame_of_a_client() {
    transcript_of("startup-alone", &[200], held, |lan| {
        happen(lan, &Disturbance::Start(0));
        run(lan, 7000.0);
        happen(lan, &Disturbance::Broadcast);
        run(lan, 5000.0);
    });
}

#[test]
fn a_router_that_nobody_speaks_to_begins_to_wait_at_the_end_of_its_hold() {
    transcript_of("startup-in-silence", &[200], held, |lan| {
        happen(lan, &Disturbance::Start(0));
        run(lan, 40_000.0);
    });
}

#[test]
fn a_router_whose_service_fails_is_relieved_and_takes_the_role_again_when_it_recovers() {
    transcript("service-fails", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 5000.0);
        happen(lan, &Disturbance::Fail(0));
        run(lan, 4000.0);
        happen(lan, &Disturbance::Recover(0));
        run(lan, 5000.0);
    });
}

#[test]
fn where_every_service_fails_the_role_stays_and_the_first_that_recovers_takes_it() {
    transcript("all-services-fail", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 5000.0);
        happen(lan, &Disturbance::Fail(1));
        run(lan, 1000.0);
        happen(lan, &Disturbance::Fail(0));
        run(lan, 4000.0);
        happen(lan, &Disturbance::Recover(1));
        run(lan, 5000.0);
    });
}

#[test]
fn a_router_that_a_weight_makes_the_weaker_one_is_preempted() {
    transcript("weight-fails", &[200, 190], |lan| {
        start_all(lan, 2);
        run(lan, 5000.0);
        happen(lan, &Disturbance::Weigh(0, Priority::new(170).expect("not 0")));
        run(lan, 5000.0);
    });
}

#[test]
fn a_host_is_drained_for_maintenance_and_comes_back() {
    transcript("maintenance", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 5000.0);
        happen(lan, &Disturbance::Drain(0));
        run(lan, 3000.0);
        happen(lan, &Disturbance::Undrain(0));
        run(lan, 5000.0);
    });
}

#[test]
fn a_cable_is_pulled_and_plugged_again() {
    transcript("cable", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 5000.0);
        happen(lan, &Disturbance::Unplug(0));
        run(lan, 5000.0);
        happen(lan, &Disturbance::Plug(0));
        run(lan, 5000.0);
    });
}

#[test]
fn a_guardian_hands_over_for_its_agent_that_was_killed() {
    transcript("guardian", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 5000.0);
        happen(lan, &Disturbance::KillAgent(0));
        run(lan, 3000.0);
    });
}

#[test]
fn a_backup_that_watches_finds_a_router_without_power_out_long_before_its_adverts_are_missed() {
    transcript("power-cut-while-watched", &[200, 100], |lan| {
        lan.watch(3);
        start_all(lan, 2);
        run(lan, 5000.0);
        happen(lan, &Disturbance::CutPower(0));
        run(lan, 2000.0);
    });
}

#[test]
fn a_handover_to_one_of_three_passes_by_the_better_one() {
    let stay = |member| Parameters { preempt: false, ..member };
    transcript_of("handover-to-one", &[200, 150, 100], stay, |lan| {
        lan.watch(3);
        start_all(lan, 3);
        run(lan, 6000.0);
        happen(lan, &Disturbance::HandoverTo(0, 2));
        run(lan, 1500.0);
    });
}

#[test]
fn a_restart_with_a_lower_priority_keeps_the_role_until_the_better_one_preempts() {
    transcript("restart-with-a-lower-priority", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 5000.0);
        happen(lan, &Disturbance::Restart(0, members(&[50])[0]));
        run(lan, 5000.0);
    });
}

#[test]
fn a_router_that_was_stopped_for_four_intervals_goes_on_where_five_may_be_missed() {
    let tolerant = |member| Parameters { down_adverts: DownAdverts::new(5).expect("3 to 100"), ..member };
    transcript_of("five-adverts-may-be-missed", &[200, 100], tolerant, |lan| {
        start_all(lan, 2);
        run(lan, 7000.0);
        happen(lan, &Disturbance::Stall(0, Duration::from_secs(4)));
        run(lan, 6000.0);
    });
}

/// With the hold that is the default.
fn held(member: Parameters<Ipv4Addr>) -> Parameters<Ipv4Addr> {
    Parameters { startup_hold: Duration::from_secs(35), ..member }
}

/// Runs a situation of hosts with these priorities and compares what happened with the file of that name, or writes it there.
fn transcript(name: &str, priorities: &[u8], script: fn(&mut Lan)) {
    transcript_of(name, priorities, |member| member, script);
}

/// The same with other settings than the usual ones.
fn transcript_of(
    name: &str,
    priorities: &[u8],
    settings: fn(Parameters<Ipv4Addr>) -> Parameters<Ipv4Addr>,
    script: fn(&mut Lan),
) {
    let members: Vec<_> = members(priorities).into_iter().map(settings).collect();
    let mut lan = lan_of(&members);
    lan.record();
    script(&mut lan);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts").join(name).with_extension("txt");
    if std::env::var_os("BATON_UPDATE_TRANSCRIPTS").is_some_and(|value| value == "1") {
        std::fs::write(&path, lan.recorded()).unwrap_or_else(|why| panic!("cannot write {name}: {why}"));
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("no transcript {name}: {why}"));
    assert_eq!(lan.recorded(), expected, "{name}: BATON_UPDATE_TRANSCRIPTS=1 if this is right");
}
