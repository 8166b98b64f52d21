//! `baton restart`: another program and another configuration are taken up, and nobody notices.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use baton::clock;
use baton::config::MacMode;
use baton::control::protocol::Restarted;
use baton_tests::lab::{
    Fault, Host, Lab, Nginx, Prober, Process, Router, Settings, VIP, analyse, binary, differences, output,
    pause, vips, wait_until,
};
use nix::sys::signal::Signal;

use super::support::{
    LEASE_US, SOON, WATCH, assert_moved, assert_sole_owner, router, start_alone, wait_for_guardian,
    wait_for_rings, watch, with_pair, with_settings,
};

/// Restarts while the client fetches without a pause.
const RESTARTS: usize = 20;
/// Longer than all of them take.
const LONG: Duration = Duration::from_secs(120);

#[test]
fn restarts_under_traffic_fail_no_request_and_change_no_role_at_an_interval_of_10_ms() -> Result<()> {
    survives_restarts(Settings::USUAL)
}

#[test]
fn restarts_under_traffic_fail_no_request_and_change_no_role_at_an_interval_of_a_second() -> Result<()> {
    survives_restarts(Settings { interval_ms: 1000, ..Settings::USUAL })
}

fn survives_restarts(settings: Settings) -> Result<()> {
    with_settings(MacMode::Virtual, settings, |lab, pair| {
        let _nginx = Nginx::start(lab, Host::A, VIP)?;
        let guardian = pair.agent(Host::A)?.pid().as_raw().unsigned_abs();
        let epoch = router(lab, Host::A)?.epoch;
        let changes = router(lab, Host::B)?.transitions.len();
        let prober = Prober::start(lab, VIP, LONG)?;
        let before = clock::now().as_nanos();
        let fetched = fetching(lab, || {
            for _ in 0..RESTARTS {
                restart(lab, Host::A)?;
                let router = router(lab, Host::A)?;
                assert_eq!((router.role.as_str(), router.epoch), ("Active", epoch), "{router:?}");
            }
            Ok(())
        })?;
        ensure!(fetched > RESTARTS, "only {fetched} requests");
        let outcome = analyse(&prober.finish()?, before);
        assert_eq!(
            (outcome.lost_probes, outcome.flips, outcome.overlap_us, outcome.after),
            (0, 0, 0, Some(Host::A)),
            "{outcome:?}"
        );
        assert_eq!(router(lab, Host::B)?.transitions.len(), changes, "the Backup's role changed");
        assert_eq!(wait_for_guardian(lab, Host::A)?.guardian, Some(guardian));
        wait_for_rings(lab, Host::A)
    })
}

#[test]
fn a_backup_that_is_restarted_stays_backup() -> Result<()> {
    for interval_ms in [10, 100] {
        with_settings(MacMode::Virtual, Settings { interval_ms, ..Settings::USUAL }, |lab, pair| {
            let changes = router(lab, Host::A)?.transitions.len();
            let (outcome, _) = watch(lab, || {
                for _ in 0..5 {
                    restart(lab, Host::B)?;
                    // Longer than it waits for an advert.
                    pause(WATCH)?;
                    let router = router(lab, Host::B)?;
                    let reasons: Vec<&str> =
                        router.transitions.iter().map(|change| change.reason.as_str()).collect();
                    assert_eq!((router.role.as_str(), &reasons[..]), ("Backup", &["startup"][..]));
                }
                Ok(())
            })?;
            assert_eq!((outcome.lost_probes, outcome.flips), (0, 0), "{outcome:?}");
            assert_eq!(router(lab, Host::A)?.transitions.len(), changes);
            assert_sole_owner(pair, Host::A)
        })?;
    }
    Ok(())
}

#[test]
fn a_restarted_agent_hands_over_and_is_succeeded_like_any_other() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        restart(lab, Host::A)?;
        let (outcome, _) = watch(lab, || pair.inject(Fault::AgentDeath).map(drop))?;
        assert_moved(&outcome, Host::B, LEASE_US);
        let end = pair.end_of(Host::A)?.context("a guardian was started")?;
        assert_eq!(end.code(), Some(128 + Signal::SIGKILL as i32), "what systemd restarts");
        pair.restore()?;

        restart(lab, Host::B)?;
        let (outcome, _) = watch(lab, || pair.agent(Host::B)?.signal(Signal::SIGTERM))?;
        assert_moved(&outcome, Host::A, LEASE_US);
        let end = pair.end_of(Host::B)?.context("a guardian was started")?;
        ensure!(end.success(), "it did not end in order: {end}");
        pair.restart(Host::B)?;
        assert_sole_owner(pair, Host::A)
    })
}

#[test]
fn the_program_on_the_disk_is_the_one_that_runs_afterwards_in_both_processes() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let program = own_program(&lab)?;
    let mut guardian = start_program(&lab)?;
    for round in 0..2 {
        let before = fs::metadata(&program)?.ino();
        let installed = fs::metadata(own_program(&lab)?)?.ino();
        ensure!(installed != before, "nothing was replaced");
        restart(&lab, Host::A)?;
        let status = wait_for_guardian(&lab, Host::A)?;
        assert_eq!(status.guardian, Some(guardian.pid().as_raw().unsigned_abs()));
        for process in [Some(status.pid), status.guardian].into_iter().flatten() {
            let runs = fs::metadata(format!("/proc/{process}/exe"))?.ino();
            assert_eq!(runs, installed, "process {process} in round {round}");
        }
        assert_eq!(status.routers[0].transitions[0].reason, "resumed");
    }
    ensure!(guardian.stop(SOON)?.success(), "it does not end well");
    Ok(())
}

#[test]
fn a_restart_takes_up_what_has_changed_and_keeps_what_has_not() -> Result<()> {
    let [kept, removed, added] = vips(3)[..] else { bail!("three addresses") };
    let router = |vrid, vips| Router { vrid, priority: 200, vips };
    let [kept_vips, removed_vips, added_vips] = [[kept], [removed], [added]];
    for (before, after) in [(10, 10), (10, 1000), (1000, 10)] {
        let lab = Lab::up()?;
        let configure = |interval_ms, routers: &[Router<'_>]| {
            let settings = Settings { interval_ms, ..Settings::USUAL };
            lab.configure_routers(Host::A, MacMode::Virtual, &settings, routers)
        };
        configure(before, &[router(51, &kept_vips), router(52, &removed_vips)])?;
        let mut guardian = start_alone(&lab)?;
        wait_until("both routers to be Active", SOON, || {
            Ok(lab.baton_status(Host::A)?.routers.iter().all(|router| router.role == "Active"))
        })?;
        configure(after, &[router(53, &added_vips), router(51, &kept_vips)])?;
        restart(&lab, Host::A)?;
        wait_until("the new router to be Active", SOON, || {
            Ok(lab.baton_status(Host::A)?.routers[0].role == "Active")
        })?;
        let status = lab.baton_status(Host::A)?;
        let first: Vec<(u8, u16, &str, u32)> = status
            .routers
            .iter()
            .map(|router| {
                let change = &router.transitions[0];
                (router.vrid, router.interval_cs, change.reason.as_str(), router.epoch)
            })
            .collect();
        assert_eq!(first, [(53, after / 10, "startup", 1), (51, after / 10, "resumed", 1)]);
        let bound = lab.run(Host::A, "ip", &["address", "show", "lo"])?;
        let is_bound = |vip| bound.contains(&format!("inet {vip}/32"));
        assert_eq!([kept, removed, added].map(is_bound), [true, false, true], "{bound}");
        ensure!(guardian.stop(SOON)?.success(), "it does not end well");
    }
    Ok(())
}

#[test]
fn a_router_that_leaves_the_configuration_is_handed_over_first() -> Result<()> {
    let lab = Lab::up()?;
    let (first, second) = (vips(2)[..1].to_vec(), vips(2)[1..].to_vec());
    let settings = Settings::USUAL;
    let routers = |priority| {
        [Router { vrid: 51, priority, vips: &first }, Router { vrid: 52, priority, vips: &second }]
    };
    lab.configure_routers(Host::A, MacMode::Virtual, &settings, &routers(200))?;
    lab.configure_routers(Host::B, MacMode::Virtual, &settings, &routers(100))?;
    let _a = start_alone(&lab)?;
    let _b = lab.start_baton(Host::B)?;
    wait_until("a Backup for both", SOON, || {
        let status = lab.baton_status(Host::B);
        Ok(status.is_ok_and(|status| {
            status.routers.iter().all(|router| router.watch.as_ref().is_some_and(|watch| watch.up))
        }))
    })?;
    lab.configure_routers(Host::A, MacMode::Virtual, &settings, &routers(200)[..1])?;
    restart(&lab, Host::A)?;
    wait_until("the Backup to have the second", SOON, || {
        let roles = lab.baton_status(Host::B)?.routers.into_iter().map(|router| router.role);
        Ok(roles.collect::<Vec<_>>() == ["Backup", "Active"])
    })?;
    let status = lab.baton_status(Host::B)?;
    let reasons = status.routers.iter().map(|router| router.reason.clone().unwrap_or_default());
    let reasons: Vec<String> = reasons.collect();
    assert_eq!(reasons[0], "startup");
    ensure!(["active-left", "active-out-of-service"].contains(&reasons[1].as_str()), "{reasons:?}");
    Ok(())
}

#[test]
fn a_restart_waits_for_a_handover_that_is_under_way() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 1000, &[VIP])?;
    let _agent = start_alone(&lab)?;
    let hand_over = || -> Result<String> {
        wait_until("the node to be Active", SOON, || Ok(router(&lab, Host::A)?.role == "Active"))?;
        let handover = lab.baton(Host::A, "handover")?.stdout(Stdio::piped()).spawn()?;
        wait_until("the handover to begin", SOON, || Ok(router(&lab, Host::A)?.leaving))?;
        restart(&lab, Host::A)?;
        Ok(String::from_utf8(handover.wait_with_output()?.stdout)?)
    };
    let mut said = hand_over()?;
    // An agent that wakes two milliseconds late must not take back what it has offered: its lease has lapsed.
    let mut attempts = 1;
    while said.contains("lease-lapsed") && attempts < 5 {
        said = hand_over()?;
        attempts += 1;
    }
    ensure!(said.contains("no Backup took over"), "{said}");
    let router = router(&lab, Host::A)?;
    assert_eq!((router.role.as_str(), router.transitions[0].reason.as_str()), ("Active", "resumed"));
    Ok(())
}

#[test]
fn detach_after_restarts_leaves_the_host_as_it_was() -> Result<()> {
    let lab = Lab::up()?;
    let before = lab.snapshot(Host::A)?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let lock = lab.namespace(Host::A).lock()?;
    let mut agent = start_alone(&lab)?;
    let mut open = Vec::new();
    for _ in 0..4 {
        restart(&lab, Host::A)?;
        let pid = wait_for_guardian(&lab, Host::A)?.pid;
        wait_for_rings(&lab, Host::A)?;
        open.push(fs::read_dir(format!("/proc/{pid}/fd"))?.count());
    }
    ensure!(open.iter().all(|count| *count == open[0]), "descriptors pile up: {open:?}");
    assert_eq!(fs::read_to_string(&lock)?, lab.baton_status(Host::A)?.pid.to_string());
    ensure!(agent.stop(SOON)?.success(), "it does not end well");
    ensure!(!lock.exists(), "{} is still there", lock.display());
    output(&mut lab.baton(Host::A, "detach")?)?;
    assert_eq!(differences(&before, &lab.snapshot(Host::A)?), Vec::<String>::new());
    Ok(())
}

/// Does `work` while the client fetches from nginx without a pause, and answers with the number of requests. Every one
/// must succeed.
fn fetching(lab: &Lab, work: impl FnOnce() -> Result<()>) -> Result<usize> {
    let (over, fetched) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let client = scope.spawn(|| -> Result<()> {
            while !over.load(Ordering::Relaxed) {
                let body = lab.fetch(VIP)?;
                ensure!(body == "node a", "{body} answered");
                fetched.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let worked = work();
        over.store(true, Ordering::Relaxed);
        client.join().map_err(|_| anyhow!("the client panicked"))?.and(worked)
    })?;
    Ok(fetched.into_inner())
}

/// Restarts the agent on `host` and asserts that another process has its place.
pub(super) fn restart(lab: &Lab, host: Host) -> Result<()> {
    let before = lab.baton_status(host)?.pid;
    let text = output(lab.baton(host, "restart")?.arg("--json"))?;
    let Restarted { pid } = serde_json::from_str(&text)?;
    ensure!(pid != before, "the agent is the same");
    assert_eq!(lab.baton_status(host)?.pid, pid);
    Ok(())
}

/// A copy of the program for node a, which can be replaced.
pub(super) fn own_program(lab: &Lab) -> Result<PathBuf> {
    let program = lab.directory().join("baton");
    let draft = program.with_extension("next");
    fs::copy(binary("baton")?, &draft)?;
    fs::rename(draft, &program)?;
    Ok(program)
}

/// Starts that copy on node a alone and waits until it is Active.
pub(super) fn start_program(lab: &Lab) -> Result<Process> {
    let mut command: Command = lab.command(Host::A, lab.directory().join("baton"));
    command.arg("run").arg("--config").arg(lab.host_directory(Host::A).join("baton.toml"));
    let agent = Process::start(&mut command, &lab.baton_log(Host::A))?;
    wait_until("a lone agent to become Active", SOON, || {
        Ok(lab.baton_status(Host::A).is_ok_and(|status| status.routers[0].role == "Active"))
    })?;
    wait_for_guardian(lab, Host::A)?;
    Ok(agent)
}
