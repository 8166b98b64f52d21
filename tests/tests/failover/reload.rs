//! `baton reload` and SIGHUP: what has changed in the configuration is taken up and told, and nobody notices; where nothing has
//! changed, nothing happens.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton::clock;
use baton::config::MacMode;
use baton::control::protocol::Reloaded;
use baton_tests::lab::{
    Host, Lab, Outcome, Pair, Prober, Router, Settings, VIP, VRID, analyse, differences, output, pause, vips,
    wait_until,
};
use baton_tests::repetitions::repeat;
use nix::sys::signal::Signal;

use super::support::{
    EVERY_100_MS, SOON, WATCH, reconfigure, refused, router, start_alone, wait_for_guardian, with_pair,
    with_settings,
};

/// Longer than the reloads of a round take.
const LONG: Duration = Duration::from_secs(120);
/// The distance of the probes. Those of a measurement take both cores, and the agents that start want them.
const EVERY: Duration = Duration::from_micros(200);
/// Rounds of a usual run, and reloads of a round.
const ROUNDS: u64 = 2;
const RELOADS: u8 = 10;

#[test]
fn what_has_changed_is_told_and_taken_up_and_nobody_notices() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        let file = lab.host_directory(Host::A).join("baton.toml");
        let before = lab.baton_status(Host::A)?;
        let outcome = unnoticed(lab, || {
            let vips = vips(2);
            lab.configure_routers(
                Host::A,
                MacMode::Virtual,
                &Settings::USUAL,
                &[Router { vrid: VRID, priority: 200, vips: &vips }],
            )?;
            let tracker = "track = [\"calm\"]\n[[track]]\nname = \"calm\"\nfile = \"/run/no-such-file\"\n";
            fs::write(&file, fs::read_to_string(&file)? + tracker)?;
            let Reloaded { differences, pid } = reload(lab, Host::A)?;
            let told: Vec<String> = differences.iter().map(ToString::to_string).collect();
            let router =
                format!("router eth0 vrid {VRID}: priority 254 -> 200, track +calm, vips +{}", vips[1]);
            assert_eq!(told, [router.as_str(), "track calm: added"]);
            let after = lab.baton_status(Host::A)?;
            ensure!(pid == Some(after.pid) && after.pid != before.pid, "{pid:?} does not serve");
            let routers = &after.routers[0];
            let vips: Vec<IpAddr> = vips.iter().copied().map(IpAddr::V4).collect();
            assert_eq!((routers.priority, &routers.vips, routers.trackers.len()), (200, &vips, 1));
            Ok(())
        })?;
        assert_eq!(outcome.after, Some(Host::A), "{outcome:?}");
        let text = output(&mut lab.baton(Host::A, "reload")?)?;
        assert_eq!(text, "nothing has changed\n");
        assert_eq!(pair.settle()?, Host::A);
        Ok(())
    })
}

#[test]
fn nothing_happens_where_nothing_has_changed() -> Result<()> {
    let lab = Lab::up()?;
    let file = lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let agent = start_alone(&lab)?;
    let (before, host) = (lab.baton_status(Host::A)?, lab.snapshot(Host::A)?);
    fs::write(&file, format!("# A remark changes nothing.\n{}", fs::read_to_string(&file)?))?;
    assert_eq!(reload(&lab, Host::A)?, Reloaded { differences: Vec::new(), pid: None });
    agent.signal_tree(Signal::SIGHUP)?;
    // Those that come at once may be heeded at once.
    wait_until("it to be heeded", SOON, || Ok(said(&lab, "nothing in the configuration has changed")? >= 2))?;
    assert_eq!(differences(&host, &lab.snapshot(Host::A)?), Vec::<String>::new());
    let after = lab.baton_status(Host::A)?;
    assert_eq!((after.pid, after.routers[0].since_ns), (before.pid, before.routers[0].since_ns));
    Ok(())
}

#[test]
fn a_mistake_is_refused_with_all_places_and_nothing_changes() -> Result<()> {
    let lab = Lab::up()?;
    let file = lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let agent = start_alone(&lab)?;
    let (before, host) = (lab.baton_status(Host::A)?, lab.snapshot(Host::A)?);
    reconfigure(&lab, "vrid = 51", "vrid = 0")?;
    let text = fs::read_to_string(&file)?.replace("preempt = false", "preempt = 1");
    fs::write(&file, &text)?;
    let line = |key: &str| text.lines().position(|line| line.starts_with(key)).map_or(0, |at| at + 1);
    let path = file.display();
    let places = [
        format!("{path}, line {}, column 8: vrid 0 is out of range; RFC 9568", line("vrid")),
        format!("{path}, line {}, column 11: preempt is of type integer", line("preempt")),
    ];
    refused(lab.baton(Host::A, "reload")?, &["not reloaded: ", &places[0], &places[1]])?;
    agent.signal(Signal::SIGHUP)?;
    wait_until("the log to name it, too", SOON, || Ok(said(&lab, &places[1])? == 2))?;
    let after = lab.baton_status(Host::A)?;
    assert_eq!((after.pid, after.routers[0].since_ns), (before.pid, before.routers[0].since_ns));
    assert_eq!(differences(&host, &lab.snapshot(Host::A)?), Vec::<String>::new());
    Ok(())
}

#[test]
fn reloads_again_and_again_under_traffic_lose_nothing_and_change_no_role() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        again_and_again("reloads", lab, pair, |lab, priority| {
            reconfigure_priority(lab, priority)?;
            let Reloaded { differences, pid } = reload(lab, Host::A)?;
            ensure!(differences.len() == 1 && pid.is_some(), "{differences:?}");
            Ok(())
        })
    })
}

#[test]
fn hangups_again_and_again_under_traffic_lose_nothing_and_change_no_role() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        let guardian = pair.agent(Host::A)?.pid();
        again_and_again("hangups", lab, pair, |lab, priority| {
            // It has to know the agent that it is to tell.
            wait_for_guardian(lab, Host::A)?;
            reconfigure_priority(lab, priority)?;
            nix::sys::signal::kill(guardian, Signal::SIGHUP)?;
            wait_until("the other priority", SOON, || {
                Ok(lab.baton_status(Host::A).is_ok_and(|status| status.routers[0].priority == priority))
            })
        })
    })
}

#[test]
fn a_hangup_ends_no_agent_that_is_starting() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let mut agent = lab.start_baton(Host::A)?;
    // Before its first instruction, a signal ends any program.
    wait_until("two processes", SOON, || Ok(agent.tree().len() == 2))?;
    wait_until("an agent that serves", SOON, || {
        // Whoever was in the tree may have ended since, but for the guardian.
        let _ = agent.signal_tree(Signal::SIGHUP);
        ensure!(agent.is_running(), "it ended: {}", fs::read_to_string(lab.baton_log(Host::A))?);
        Ok(lab.baton_status(Host::A).is_ok_and(|status| status.routers[0].role == "Active"))
    })?;
    ensure!(agent.stop(SOON)?.success(), "it does not end well");
    Ok(())
}

/// Reloads with another priority each time, while the client probes.
fn again_and_again(
    what: &str,
    lab: &Lab,
    pair: &Pair<'_>,
    mut reload: impl FnMut(&Lab, u8) -> Result<()>,
) -> Result<()> {
    let guardian = pair.agent(Host::A)?.pid().as_raw().unsigned_abs();
    repeat(what, ROUNDS, |_| {
        let epoch = router(lab, Host::A)?.epoch;
        let outcome = unnoticed(lab, || {
            for priority in (1..=RELOADS).map(|number| 100 + number) {
                reload(lab, priority)?;
                let router = router(lab, Host::A)?;
                assert_eq!(
                    (router.role.as_str(), router.epoch, router.priority),
                    ("Active", epoch, priority),
                    "{router:?}, woken so late: {:?}",
                    lab.baton_status(Host::A)?.election_lateness
                );
            }
            Ok(())
        })?;
        assert_eq!(outcome.after, Some(Host::A), "{outcome:?}");
        assert_eq!(wait_for_guardian(lab, Host::A)?.guardian, Some(guardian));
        Ok(())
    })
}

/// Asserts that no probe is lost and no role changes while `work` is done.
fn unnoticed(lab: &Lab, work: impl FnOnce() -> Result<()>) -> Result<Outcome> {
    let changes = router(lab, Host::B)?.transitions.len();
    let prober = Prober::start_every(lab, VIP, EVERY, LONG)?;
    let before = clock::now().as_nanos();
    work()?;
    pause(WATCH)?;
    let outcome = analyse(&prober.finish()?, before);
    assert_eq!((outcome.lost_probes, outcome.flips, outcome.overlap_us), (0, 0, 0), "{outcome:?}");
    assert_eq!(router(lab, Host::B)?.transitions.len(), changes, "the Backup's role changed");
    Ok(outcome)
}

fn reconfigure_priority(lab: &Lab, priority: u8) -> Result<()> {
    let router = Router { vrid: VRID, priority, vips: &[VIP] };
    lab.configure_routers(Host::A, MacMode::Virtual, &EVERY_100_MS, &[router]).map(drop)
}

fn reload(lab: &Lab, host: Host) -> Result<Reloaded> {
    let text = output(lab.baton(host, "reload")?.arg("--json"))?;
    serde_json::from_str(&text).with_context(|| format!("understand `{text}`"))
}

/// How often the log of node a has `words`.
fn said(lab: &Lab, words: &str) -> Result<usize> {
    Ok(fs::read_to_string(lab.baton_log(Host::A))?.matches(words).count())
}
