//! Whole situations as text: what every host hears and does, in `transcripts/*.txt`. All frames take 100 us, the interval
//! is one second, times are in ms. `BATON_UPDATE_TRANSCRIPTS=1` writes the files anew.

use std::path::Path;
use std::time::Duration;

use baton_tests::lan::{Disturbance, Lan};

use super::{happen, lan, run, start_all};

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

/// Runs a situation and compares what happened with the file of that name, or writes it there.
fn transcript(name: &str, priorities: &[u8], script: fn(&mut Lan)) {
    let mut lan = lan(priorities);
    lan.record();
    script(&mut lan);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts").join(name).with_extension("txt");
    if std::env::var_os("BATON_UPDATE_TRANSCRIPTS").is_some_and(|value| value == "1") {
        std::fs::write(&path, lan.recorded()).unwrap_or_else(|why| panic!("cannot write {name}: {why}"));
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("no transcript {name}: {why}"));
    assert_eq!(lan.recorded(), expected, "{name}: BATON_UPDATE_TRANSCRIPTS=1 if this is right");
}
