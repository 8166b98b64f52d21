//! Elections on a simulated LAN: thousands of seeded runs, the invariants judged between any two events.
//!
//! `BATON_RUNS=N` sets the number of runs of each kind, `BATON_SEED=S` where the seeds begin. A failure prints what
//! happened last and how to replay it.

use std::net::Ipv4Addr;
use std::time::Duration;

use baton::vrrp::{Checksum, ChecksumMode, DownAdverts, Interval, Parameters, Priority, Version, Versions};
use baton_common::vrid::Vrid;
use baton_tests::lan::{Conditions, Disturbance, Lan, Rule, Sabotage, Violation};
use baton_tests::random::Random;
use baton_tests::repetitions::{number, tell_progress};

#[path = "simulation/groups.rs"]
mod groups;

/// Runs of each kind without `BATON_RUNS`.
const RUNS: u64 = 1500;

/// Lossless LAN, one disturbance at a time: no two owners but for a planned move or a contest under way, no gap in a
/// planned move, an owner soon after everything else.
#[test]
fn on_a_lossless_lan_no_stall_or_death_makes_two_owners_and_no_planned_move_leaves_none() {
    check("on_a_lossless_lan", strict, None);
}

/// Loss, repetition, reordering, partitions, and disturbances on top of each other.
#[test]
fn on_a_bad_lan_owners_that_hear_each_other_settle_and_somebody_always_serves_soon() {
    check("on_a_bad_lan", rough, None);
}

#[test]
fn a_run_is_replayed_exactly_by_its_seed() {
    let log = |seed| rough(seed, None, true).0.recorded();
    assert_eq!(log(7), log(7));
    assert_ne!(log(7), log(8));
}

#[test]
fn a_lease_that_is_two_intervals_too_long_is_caught_as_a_takeover_before_the_lapse() {
    assert_caught(strict, Sabotage::LongLease, Rule::Takeover);
}

#[test]
fn a_router_that_goes_on_serving_after_it_gave_up_is_caught_by_the_settling_rule() {
    assert_caught(rough, Sabotage::KeepsServing, Rule::Settle);
}

#[test]
fn who_is_not_as_patient_as_it_was_told_to_be_is_caught() {
    assert_caught(strict, Sabotage::Impatience, Rule::Delay);
    assert_caught(rough, Sabotage::Impatience, Rule::Delay);
}

#[test]
fn a_planned_move_without_a_linger_is_caught_as_a_gap() {
    assert_caught(strict, Sabotage::NoLinger, Rule::NoGap);
}

#[test]
fn missed_deadlines_are_caught_as_nobody_serving() {
    assert_caught(strict, Sabotage::NoTimers, Rule::Liveness);
    assert_caught(rough, Sabotage::NoTimers, Rule::Liveness);
}

#[test]
fn many_that_act_as_the_next_in_line_are_caught() {
    assert_caught(strict, Sabotage::EverybodyNext, Rule::Succession);
}

#[test]
fn a_data_plane_that_answers_up_without_a_lease_is_caught_as_a_succession_that_is_late() {
    assert_caught(strict, Sabotage::AlwaysUp, Rule::Succession);
}

#[test]
fn answers_that_are_not_waited_for_are_caught_as_a_takeover_from_a_router_that_serves() {
    assert_caught(strict, Sabotage::Haste, Rule::Succession);
}

#[test]
fn a_guardian_that_does_nothing_is_caught_by_what_its_dead_agent_goes_on_owning() {
    assert_caught(strict, Sabotage::IdleGuardian, Rule::Guardian);
    assert_caught(rough, Sabotage::IdleGuardian, Rule::Guardian);
}

#[test]
fn a_guardian_that_releases_at_once_is_caught_as_a_gap() {
    assert_caught(strict, Sabotage::HastyGuardian, Rule::NoGap);
}

#[test]
fn a_guardian_that_shortens_the_lease_of_a_new_agent_is_caught() {
    assert_caught(strict, Sabotage::BlindGuardian, Rule::Guardian);
    assert_caught(rough, Sabotage::BlindGuardian, Rule::Guardian);
}

/// The answer AdminDown arrives while the Backup is stalled, whenever that begins; then nobody takes over, and the Active
/// router takes its handover back. Its advertisements say so.
#[test]
fn a_backup_that_was_stalled_does_not_believe_an_answer_that_its_peer_has_outlived() {
    for step in 0..80 {
        let mut lan = Lan::new(&[member(1, 200), member(2, 100)], Conditions::EXACT, false, 1);
        lan.watch(3);
        let outcome = [Disturbance::Start(0), Disturbance::Start(1)]
            .iter()
            .try_for_each(|start| lan.disturb(start))
            .and_then(|()| lan.run_for(Duration::from_millis(100)))
            .and_then(|()| lan.disturb(&Disturbance::Handover(0)))
            .and_then(|()| lan.run_for(Duration::from_micros(50) * step))
            .and_then(|()| lan.disturb(&Disturbance::Stall(1, Duration::from_millis(80))))
            .and_then(|()| lan.run_for(Duration::from_millis(300)))
            .and_then(|()| lan.outcome());
        assert_eq!(outcome, Ok(()), "stalled after {step} * 50 us");
    }
}

/// A router that has been Active all alone hears nothing any more when a better one starts, which takes the role at once as
/// address owner. Its ring goes on being deaf for long, but its mailbox tells.
#[test]
fn an_active_router_whose_ring_is_deaf_gives_way_to_a_better_one_within_an_interval() {
    let mut lan = Lan::new(&[member(1, 255), member(2, 100)], Conditions::EXACT, false, 1);
    let outcome = lan
        .disturb(&Disturbance::Start(1))
        .and_then(|()| lan.run_for(Duration::from_millis(100)))
        .and_then(|()| lan.disturb(&Disturbance::Deafen(1, Duration::from_secs(1))))
        .and_then(|()| lan.disturb(&Disturbance::Start(0)))
        .and_then(|()| lan.run_for(Duration::from_millis(11)));
    assert_eq!(outcome, Ok(()));
    assert_eq!(lan.owners(), [0]);
}

/// A kind of run: seed, fault, whether to record; answers with the LAN at its end.
type Kind = fn(u64, Option<Sabotage>, bool) -> (Lan, Result<(), Violation>);

fn check(name: &str, kind: Kind, sabotage: Option<Sabotage>) {
    let first = number("BATON_SEED").unwrap_or(1);
    let asked = number("BATON_RUNS");
    let runs = asked.unwrap_or(RUNS);
    for seed in first..first + runs {
        if asked.is_some() {
            tell_progress(name, seed - first + 1, runs);
        }
        if let (_, Err(violation)) = kind(seed, sabotage, false) {
            let log = kind(seed, sabotage, true).0.recorded();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(60)..].join("\n");
            panic!(
                "{tail}\n{violation}\nreplay: BATON_SEED={seed} BATON_RUNS=1 \
                 cargo test --locked -p baton-tests --test simulation {name}"
            );
        }
    }
}

/// Asserts that this is the rule that first catches a fault in one of many runs.
fn assert_caught(kind: Kind, sabotage: Sabotage, rule: Rule) {
    let caught = |seed| kind(seed, Some(sabotage), false).1.is_err_and(|violation| violation.rule == rule);
    assert!((1..=1000).any(caught), "{sabotage:?} went unnoticed by {rule:?}");
}

fn strict(seed: u64, sabotage: Option<Sabotage>, record: bool) -> (Lan, Result<(), Violation>) {
    let mut random = Random::new(seed);
    let members = going_over(members(&mut random), seed);
    let delay = random.between(20_000, 200_000);
    let conditions = Conditions {
        delay: (delay, delay + random.between(0, 200_000)),
        latency: random.between(0, 100_000),
        ..Conditions::EXACT
    };
    let mut lan = Lan::new(&members, conditions, true, random.draw());
    let outcome = prepare(&mut lan, sabotage, record, members.len(), &mut random).and_then(|()| {
        let interval = members[0].interval.duration();
        maybe_heard(&mut lan, interval, &mut random)?;
        lan.run_for(quiet(&members))?;
        for _ in 0..5 {
            let who = target(&lan, members.len(), &mut random);
            let start = || Some(Disturbance::Start(who));
            let (disturbance, mut remedy) = match random.between(0, 16) {
                0 => (Disturbance::Kill(who), start()),
                1 => (Disturbance::CutPower(who), start()),
                2 | 3 => (Disturbance::Stall(who, span(&mut random, interval, 8000)), None),
                4 => (Disturbance::Handover(who), None),
                5 => (Disturbance::Shutdown(who), start()),
                6 => (Disturbance::Unplug(who), Some(Disturbance::Plug(who))),
                7 | 8 => (Disturbance::KillAgent(who), start()),
                9 => (Disturbance::KillGuardian(who), None),
                10 => (Disturbance::HandoverTo(who, anybody(members.len(), &mut random)), None),
                11 | 12 => (Disturbance::Fail(who), Some(Disturbance::Recover(who))),
                13 => (Disturbance::Weigh(who, priority(&mut random)), None),
                14 | 15 => (Disturbance::Restart(who, changed(members[who], &mut random)), None),
                _ => (Disturbance::Drain(who), Some(Disturbance::Undrain(who))),
            };
            lan.run_for(span(&mut random, interval, 1000))?;
            lan.disturb(&disturbance)?;
            if let Some(next) = death_meanwhile(&disturbance, who, &mut random) {
                lan.run_for(span(&mut random, interval, 3500))?;
                lan.disturb(&next)?;
                remedy = start();
            }
            lan.run_for(interval * 8 + quiet(&members))?;
            if let Some(remedy) = remedy {
                lan.disturb(&remedy)?;
                // Whatever else has befallen it.
                lan.disturb(&Disturbance::Undrain(who))?;
                lan.disturb(&Disturbance::Recover(who))?;
                maybe_heard(&mut lan, interval, &mut random)?;
                lan.run_for(quiet(&members))?;
            }
        }
        lan.outcome()
    });
    (lan, outcome)
}

fn rough(seed: u64, sabotage: Option<Sabotage>, record: bool) -> (Lan, Result<(), Violation>) {
    let mut random = Random::new(seed);
    let members = going_over(members(&mut random), seed);
    let interval = members[0].interval.duration();
    let shortest = random.between(20_000, 200_000);
    let conditions = Conditions {
        delay: (shortest, shortest + random.between(0, 500_000)),
        latency: random.between(0, 200_000),
        loss: random.pick(&[0, 10, 100, 300]),
        duplicates: random.pick(&[0, 0, 50]),
        stragglers: random.pick(&[0, 0, 50]),
        straggle: u64::try_from(interval.as_nanos()).expect("below 41 s") / 4,
    };
    let mut lan = Lan::new(&members, conditions, false, random.draw());
    let outcome = prepare(&mut lan, sabotage, record, members.len(), &mut random).and_then(|()| {
        for _ in 0..20 {
            lan.run_for(span(&mut random, interval, 6000))?;
            let who = target(&lan, members.len(), &mut random);
            let disturbance = match random.between(0, 28) {
                0 => Disturbance::Kill(who),
                1 => Disturbance::CutPower(who),
                2 | 3 => Disturbance::Stall(who, span(&mut random, interval, 8000)),
                4 => Disturbance::Handover(who),
                5 => Disturbance::Shutdown(who),
                6 => Disturbance::Unplug(who),
                7 => Disturbance::LoseDatapath(who),
                8 => Disturbance::Partition(members.iter().map(|_| random.pick(&[0, 1])).collect()),
                9 => Disturbance::Heal,
                10 => Disturbance::Plug(who),
                11 | 12 => Disturbance::KillAgent(who),
                13 => Disturbance::KillGuardian(who),
                14 => Disturbance::HandoverTo(who, anybody(members.len(), &mut random)),
                15 => Disturbance::Drain(who),
                16 => Disturbance::Undrain(who),
                17 | 18 => Disturbance::Fail(who),
                19 => Disturbance::Recover(who),
                20 => Disturbance::Weigh(who, priority(&mut random)),
                21 | 22 => Disturbance::Restart(who, changed(members[who], &mut random)),
                23 => Disturbance::Broadcast,
                24 | 25 => Disturbance::Deafen(who, span(&mut random, interval, 20_000)),
                _ => Disturbance::Start(who),
            };
            lan.disturb(&disturbance)?;
            if let Some(next) = death_meanwhile(&disturbance, who, &mut random) {
                lan.run_for(span(&mut random, interval, 1000))?;
                lan.disturb(&next)?;
            }
        }
        // A stall may last for eight intervals more, and a ring be deaf for twenty.
        lan.run_for(interval * 21)?;
        lan.disturb(&Disturbance::Heal)?;
        lan.disturb(&Disturbance::Order)?;
        for who in 0..members.len() {
            lan.disturb(&Disturbance::Plug(who))?;
            lan.disturb(&Disturbance::Start(who))?;
            lan.disturb(&Disturbance::Undrain(who))?;
            if random.chance(800) {
                lan.disturb(&Disturbance::Recover(who))?;
            }
        }
        lan.run_for(interval * 8 + quiet(&members))?;
        lan.outcome()
    });
    (lan, outcome)
}

/// What may befall the processes of a host while it is still busy with `disturbance`: an agent dies in the middle of a
/// planned move or a stall, or after its guardian; a guardian dies in the middle of its last act; a supervisor starts them
/// again at once.
fn death_meanwhile(disturbance: &Disturbance, who: usize, random: &mut Random) -> Option<Disturbance> {
    match disturbance {
        Disturbance::Handover(_)
        | Disturbance::Shutdown(_)
        | Disturbance::Stall(..)
        | Disturbance::Deafen(..)
        | Disturbance::HandoverTo(..)
        | Disturbance::Drain(_)
        | Disturbance::Fail(_)
        | Disturbance::KillGuardian(_) => random.chance(500).then_some(Disturbance::KillAgent(who)),
        Disturbance::KillAgent(_) | Disturbance::Kill(_) => match random.between(0, 2) {
            0 => None,
            1 => Some(Disturbance::KillGuardian(who)),
            _ => Some(Disturbance::Start(who)),
        },
        Disturbance::Start(_)
        | Disturbance::CutPower(_)
        | Disturbance::Undrain(_)
        | Disturbance::Recover(_)
        | Disturbance::Weigh(..)
        | Disturbance::Restart(..)
        | Disturbance::Broadcast
        | Disturbance::Unplug(_)
        | Disturbance::Plug(_)
        | Disturbance::LoseDatapath(_)
        | Disturbance::Partition(_)
        | Disturbance::Heal
        | Disturbance::Order => None,
    }
}

/// How long until a single disturbance of a lossless LAN has died down: a hold, a lapse, a wait, a delay and a preemption.
fn quiet(members: &[Parameters<Ipv4Addr>]) -> Duration {
    let waits = |of: fn(&Parameters<Ipv4Addr>) -> Duration| members.iter().map(of).max().unwrap_or_default();
    let first = &members[0];
    first.interval.duration() * (4 * u32::from(first.down_adverts.get()))
        + waits(|member| member.startup_hold)
        + waits(|member| member.preempt_delay)
}

/// One of two routers with 10 ms between their adverts.
fn member(last: u8, priority: u8) -> Parameters<Ipv4Addr> {
    Parameters {
        vrid: Vrid::new(51).expect("not 0"),
        priority: Priority::new(priority).expect("not 0"),
        interval: Interval::from_centiseconds(1).expect("10 ms"),
        preempt: true,
        down_adverts: DownAdverts::RFC,
        preempt_delay: Duration::ZERO,
        startup_hold: Duration::ZERO,
        primary: Ipv4Addr::new(192, 0, 2, last),
        checksum: ChecksumMode::Only(Checksum::Rfc9568),
        versions: Versions::Only(Version::V3),
    }
}

/// Two to seven routers of any priorities, ties and address owners among them, all with the same interval and the same
/// number of adverts that may be missed. In every other LAN some have to wait before they preempt, or after they start.
fn members(random: &mut Random) -> Vec<Parameters<Ipv4Addr>> {
    let interval = Interval::from_centiseconds(random.pick(&[1, 2, 10, 100])).expect("1 to 4095");
    let down_adverts = DownAdverts::new(random.pick(&[3, 3, 3, 4, 7])).expect("3 to 100");
    let preempt = random.chance(700);
    let falling = random.chance(500);
    let [preempt_delay, startup_hold] = [500, 500].map(|chance| {
        if random.chance(chance) { span(random, interval.duration(), 10_000) } else { Duration::ZERO }
    });
    let checksum = random.pick(&[
        ChecksumMode::Only(Checksum::Rfc9568),
        ChecksumMode::Only(Checksum::Pseudo),
        ChecksumMode::Auto(Checksum::Pseudo),
    ]);
    (0..u8::try_from(random.between(2, 7)).expect("seven"))
        .map(|member| Parameters {
            vrid: Vrid::new(51).expect("not 0"),
            priority: priority(random),
            interval,
            down_adverts,
            preempt: preempt && random.chance(900),
            preempt_delay: if random.chance(800) { preempt_delay } else { Duration::ZERO },
            startup_hold: if random.chance(800) { startup_hold } else { Duration::ZERO },
            primary: Ipv4Addr::new(192, 0, 2, if falling { 50 - member } else { 1 + member }),
            checksum,
            versions: Versions::Only(Version::V3),
        })
        .collect()
}

/// The same, in one LAN of five on the way from VRRPv2 to VRRPv3: some speak both versions, the others the old one or the
/// new one.
fn going_over(members: Vec<Parameters<Ipv4Addr>>, seed: u64) -> Vec<Parameters<Ipv4Addr>> {
    const NEW: Versions = Versions::Only(Version::V3);
    const OLD: Versions = Versions::Only(Version::V2 { password: None });
    const BOTH: Versions = Versions::Both { password: None };
    let versions = match seed % 20 {
        0 => [BOTH, BOTH],
        5 => [OLD, BOTH],
        10 => [BOTH, OLD],
        15 => [NEW, BOTH],
        _ => return members,
    };
    // VRRPv2 counts seconds.
    let interval = Interval::DEFAULT;
    let several = members.into_iter().zip(versions.into_iter().cycle());
    several.map(|(member, versions)| Parameters { interval, versions, ..member }).collect()
}

/// What an operator may change of a router while the others run: no wait becomes longer than before.
fn changed(before: Parameters<Ipv4Addr>, random: &mut Random) -> Parameters<Ipv4Addr> {
    Parameters {
        priority: priority(random),
        preempt: random.chance(500),
        preempt_delay: if random.chance(500) { before.preempt_delay } else { Duration::ZERO },
        startup_hold: if random.chance(500) { before.startup_hold } else { Duration::ZERO },
        ..before
    }
}

fn priority(random: &mut Random) -> Priority {
    Priority::new(random.pick(&[2, 50, 100, 100, 101, 150, 200, 253, 254, 255])).expect("not 0")
}

/// Half the time a client speaks after a while.
fn maybe_heard(lan: &mut Lan, interval: Duration, random: &mut Random) -> Result<(), Violation> {
    if random.chance(500) {
        lan.run_for(span(random, interval, 3000))?;
        lan.disturb(&Disturbance::Broadcast)?;
    }
    Ok(())
}

/// Builds the fault in and starts all agents, which watch the Active router in every other run.
fn prepare(
    lan: &mut Lan,
    sabotage: Option<Sabotage>,
    record: bool,
    hosts: usize,
    random: &mut Random,
) -> Result<(), Violation> {
    if let Some(sabotage) = sabotage {
        lan.sabotage(sabotage);
    }
    if random.chance(500) {
        lan.watch(random.pick(&[3, 5]));
    }
    if random.chance(500) {
        lan.track();
    }
    if record {
        lan.record();
    }
    (0..hosts).try_for_each(|who| lan.disturb(&Disturbance::Start(who)))
}

/// Half the time somebody who owns, else anybody.
fn target(lan: &Lan, hosts: usize, random: &mut Random) -> usize {
    let anybody = anybody(hosts, random);
    match lan.owners().first() {
        Some(owner) if random.chance(500) => *owner,
        Some(_) | None => anybody,
    }
}

/// Any host.
fn anybody(hosts: usize, random: &mut Random) -> usize {
    usize::try_from(random.between(0, hosts as u64 - 1)).expect("seven")
}

/// Up to `permille` thousandths of an interval.
fn span(random: &mut Random, interval: Duration, permille: u64) -> Duration {
    let permille = u32::try_from(random.between(0, permille)).expect("a few thousand");
    interval * permille / 1000
}
