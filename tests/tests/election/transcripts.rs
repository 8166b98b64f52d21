//! Whole situations as text: what every host hears and does, in `transcripts/*.txt`. All frames take 100 us, the interval
//! is one second, times are in ms. `BATON_UPDATE_TRANSCRIPTS=1` writes the files anew.

use std::path::Path;
use std::time::Duration;

use baton_tests::lan::{Disturbance, Lan};

use super::{happen, lan, run, start_all};

#[test]
fn startup() {
    transcript("startup", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 6000.0);
    });
}

#[test]
fn address_owner() {
    transcript("address-owner", &[255, 100], |lan| {
        start_all(lan, 2);
        run(lan, 2500.0);
    });
}

#[test]
fn takeover_after_power_loss() {
    transcript("takeover", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 5000.0);
        happen(lan, &Disturbance::CutPower(0));
        run(lan, 5000.0);
    });
}

#[test]
fn planned_handover() {
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
fn handover_that_nobody_takes() {
    transcript("handover-refused", &[200, 100], |lan| {
        happen(lan, &Disturbance::Start(0));
        run(lan, 5000.0);
        happen(lan, &Disturbance::Handover(0));
        run(lan, 3000.0);
    });
}

#[test]
fn stall_and_lapse() {
    transcript("stall", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 5000.0);
        happen(lan, &Disturbance::Stall(0, Duration::from_secs(5)));
        run(lan, 13_000.0);
    });
}

#[test]
fn agent_death() {
    transcript("agent-death", &[200, 100], |lan| {
        start_all(lan, 2);
        run(lan, 5000.0);
        happen(lan, &Disturbance::Kill(0));
        run(lan, 5000.0);
    });
}

#[test]
fn tie() {
    transcript("tie", &[100, 100], |lan| {
        start_all(lan, 2);
        run(lan, 5000.0);
    });
}

#[test]
fn preemption() {
    transcript("preemption", &[100, 200], |lan| {
        happen(lan, &Disturbance::Start(0));
        run(lan, 5000.0);
        happen(lan, &Disturbance::Start(1));
        run(lan, 5000.0);
    });
}

#[test]
fn two_active_routers_after_a_partition() {
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
fn the_datapath_is_taken_off_the_active_router() {
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
