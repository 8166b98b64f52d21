//! A restart that fails, or in which somebody dies: the agent goes on as if nothing had been, or its addresses move as they
//! do when an agent dies.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton::clock;
use baton::config::MacMode;
use baton_common::maps::{LAYOUT_VERSION, MAX_VIPS, VipKey};
use baton_tests::lab::{
    Host, Lab, Pair, Prober, Process, VIP, analyse, differences, output, pause, vips, wait_until,
};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::failed_start::fill;
use super::restart::{own_program, restart, start_program};
use super::support::{
    LEASE_US, SOON, WATCH, assert_sole_owner, reconfigure, refused, router, start_alone, wait_for_guardian,
    with_pair,
};

#[test]
fn a_configuration_with_mistakes_is_refused_before_anything_happens() -> Result<()> {
    refused_and_serving(
        |lab| reconfigure(lab, "vrid = 51", "vrid = 0").map(drop),
        &["vrid 0 is out of range"],
    )
}

#[test]
fn a_configuration_that_does_not_fit_the_host_is_refused_by_the_new_agent() -> Result<()> {
    refused_and_serving(
        |lab| reconfigure(lab, "interface = \"eth0\"", "interface = \"eth7\"").map(drop),
        &["not restarted: there is no interface eth7"],
    )
}

#[test]
fn another_place_for_the_pins_is_refused() -> Result<()> {
    refused_and_serving(
        |lab| {
            let pins = lab.directory().join("bpf").join(Host::A.name()).display().to_string();
            fs::create_dir_all(format!("{pins}-other"))?;
            reconfigure(lab, &pins, &format!("{pins}-other")).map(drop)
        },
        &["a restart cannot change `pins`", "`baton handover`, stop baton, `baton detach`"],
    )
}

#[test]
fn addresses_that_have_no_room_beside_those_of_the_old_agent_are_refused() -> Result<()> {
    refused_and_serving(
        |lab| {
            fill::<VipKey>(lab, "VIPS", MAX_VIPS - 1)?;
            lab.configure_baton(Host::A, MacMode::Virtual, 10, &vips(2)[1..]).map(drop)
        },
        &["1 more vips than the 8192 of the earlier run", "in two steps"],
    )
}

#[test]
fn a_program_that_cannot_be_started_is_refused() -> Result<()> {
    refused_and_serving(
        |lab| Ok(fs::remove_file(lab.directory().join("baton"))?),
        &["starting ", "No such file"],
    )
}

#[test]
fn a_program_that_ends_at_once_is_refused() -> Result<()> {
    refused_and_serving(|lab| script(lab, "exit 0"), &["the next agent has ended"])
}

/// Restarts an agent whose host was spoilt: that is refused with `phrases`, and the agent serves on as before.
fn refused_and_serving(spoil: impl FnOnce(&Lab) -> Result<()>, phrases: &[&str]) -> Result<()> {
    let lab = Lab::up()?;
    let file = lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    own_program(&lab)?;
    let _agent = start_program(&lab)?;
    let (good, before, host) = (fs::read(&file)?, lab.baton_status(Host::A)?, lab.snapshot(Host::A)?);
    spoil(&lab)?;
    refused(lab.baton(Host::A, "restart")?, phrases)?;
    fs::write(&file, good)?;
    let after = lab.baton_status(Host::A)?;
    assert_eq!((after.pid, after.guardian), (before.pid, before.guardian));
    assert_eq!(
        (after.routers[0].role.as_str(), after.routers[0].since_ns),
        ("Active", before.routers[0].since_ns)
    );
    assert_eq!(differences(&host, &lab.snapshot(Host::A)?), Vec::<String>::new());

    own_program(&lab)?;
    restart(&lab, Host::A)
}

#[test]
fn a_new_agent_that_is_killed_while_it_starts_leaves_the_old_one_at_work() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let program = own_program(&lab)?;
    let agent = start_program(&lab)?;
    let before = router(&lab, Host::A)?.since_ns;
    fs::remove_file(program)?;
    script(&lab, "exec sleep 60")?;
    let command = lab.baton(Host::A, "restart")?.stderr(Stdio::piped()).spawn()?;
    wait_until("the new agent", SOON, || Ok(agent.tree().len() == 3))?;
    refused(lab.baton(Host::A, "restart")?, &["is being restarted or stopped already"])?;
    // The youngest comes first.
    kill(agent.tree()[0], Signal::SIGKILL)?;
    let end = command.wait_with_output()?;
    assert_eq!(end.status.code(), Some(1));
    ensure!(String::from_utf8_lossy(&end.stderr).contains("the next agent has ended"), "{end:?}");
    assert_eq!(router(&lab, Host::A)?.since_ns, before);
    Ok(())
}

/// Its program is gone when it wants to run it anew, again and again. A log without a reader must not end it then.
#[test]
fn a_guardian_that_cannot_run_its_program_anew_goes_on_as_it_was() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let program = own_program(&lab)?;
    let mut agent = start_program(&lab)?;
    let guardian = lab.baton_status(Host::A)?.guardian.context("a guardian")?;
    let before = ignored_signals(guardian)?;
    ensure!(before & 1 << (Signal::SIGPIPE as i32 - 1) != 0, "{before:x}");
    let only_once = lab.directory().join("only-once");
    fs::rename(program, &only_once)?;
    for times in 1..=3 {
        script(&lab, &format!("rm \"$0\"; exec -a \"$0\" {} \"$@\"", only_once.display()))?;
        restart(&lab, Host::A)?;
        assert_eq!(wait_for_guardian(&lab, Host::A)?.guardian, Some(guardian));
        assert_eq!(said(&lab, "cannot run its program anew")?, times);
        assert_eq!(router(&lab, Host::A)?.role, "Active");
        // Longer than a notice may lie there untaken.
        pause(WATCH)?;
    }
    assert_eq!(ignored_signals(guardian)?, before);
    assert_eq!(said(&lab, "the agent has died")?, 0);
    lab.signal_agent(Host::A, Signal::SIGKILL)?;
    agent.wait(SOON)?;
    assert_eq!(said(&lab, "the agent has died")?, 1);
    Ok(())
}

/// How often the log of node a has `words`.
fn said(lab: &Lab, words: &str) -> Result<usize> {
    Ok(fs::read_to_string(lab.baton_log(Host::A))?.matches(words).count())
}

fn ignored_signals(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).context("a mask")?;
    Ok(u64::from_str_radix(line.trim(), 16)?)
}

#[test]
fn whoever_is_killed_at_whatever_moment_of_a_restart_there_are_no_two_owners() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        // It takes some 100 ms.
        for (victim, millis) in [Victim::Old, Victim::New, Victim::Guardian]
            .into_iter()
            .flat_map(|v| (0..6).map(move |n| (v, 20 * n)))
        {
            assert_sole_owner(pair, Host::A)?;
            wait_for_guardian(lab, Host::A)?;
            let prober = Prober::start(lab, VIP, 2 * SOON)?;
            let event = clock::now().as_nanos();
            let old = lab.baton_status(Host::A)?.pid;
            let mut command =
                lab.baton(Host::A, "restart")?.stderr(Stdio::null()).stdout(Stdio::null()).spawn()?;
            pause(Duration::from_millis(millis))?;
            victim.kill(pair.agent(Host::A)?, old)?;
            pause(WATCH)?;
            let outcome = analyse(&prober.finish()?, event);
            command.wait()?;
            assert!(outcome.overlap_us <= LEASE_US, "{victim:?} killed after {millis} ms: {outcome:?}");
            come_back(lab, pair)?;
        }
        Ok(())
    })
}

/// Whom the test kills.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Old,
    New,
    Guardian,
}

impl Victim {
    /// Kills it if it is there.
    fn kill(self, guardian: &Process, old: u32) -> Result<()> {
        let old = Pid::from_raw(i32::try_from(old)?);
        let found = guardian.tree().into_iter().find(|pid| match self {
            Self::Old => *pid == old,
            Self::New => *pid != old && *pid != guardian.pid(),
            Self::Guardian => *pid == guardian.pid(),
        });
        // It may have ended this moment.
        let _ = found.map(|pid| kill(pid, Signal::SIGKILL));
        Ok(())
    }
}

/// Makes node a what it was: a sole owner with a guardian.
fn come_back(lab: &Lab, pair: &mut Pair<'_>) -> Result<()> {
    let guardian = format!("/proc/{}/stat", pair.agent(Host::A)?.pid());
    let has_ended = || !fs::read_to_string(&guardian).is_ok_and(|state| !state.contains(") Z "));
    wait_until("a guardian that is ready, or its end", SOON, || {
        Ok(has_ended() || lab.baton_status(Host::A).is_ok_and(|status| status.guardian.is_some()))
    })?;
    if has_ended() {
        if let Ok(status) = lab.baton_status(Host::A) {
            let socket = lab.host_directory(Host::A).join("control.sock");
            kill(Pid::from_raw(i32::try_from(status.pid)?), Signal::SIGTERM)?;
            wait_until("the end of an agent without a guardian", SOON, || Ok(!socket.exists()))?;
        }
        // A process of the restart that was killed may not have ended yet, and keeps others out until then.
        let mut last = Ok(());
        wait_until("node a to start again", SOON, || {
            last = pair.restart(Host::A).map(drop);
            Ok(last.is_ok())
        })
        .or(last)?;
    }
    move_to_a(lab, pair)
}

fn move_to_a(lab: &Lab, pair: &Pair<'_>) -> Result<()> {
    if pair.settle()? == Host::B {
        output(&mut lab.baton(Host::B, "handover")?)?;
    }
    Ok(())
}

#[test]
fn an_agent_whose_maps_have_another_layout_is_not_taken_over_from() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let _agent = start_alone(&lab)?;
    let [line, progress, mut report] = {
        let (line, _) = UnixStream::pair()?;
        let (progress, report) = UnixStream::pair()?;
        [line, progress, report]
    };
    let notice = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(lab.directory().join("notice"))?;
    notice.set_len(4096)?;
    let host_lock = File::open(lab.namespace(Host::A).lock()?)?;
    let directory_lock = File::open(lab.host_directory(Host::A))?;
    let inherited =
        [line.as_fd(), notice.as_fd(), progress.as_fd(), host_lock.as_fd(), directory_lock.as_fd()];
    for descriptor in inherited {
        fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    let [line, notice, progress, host_lock, directory_lock] =
        inherited.map(|descriptor| descriptor.as_raw_fd());
    let pins = lab.directory().join("bpf").join(Host::A.name());
    let inheritance = format!(
        "{{\"agent\":{{\"guardian\":1,\"line\":{line},\"notice\":{notice},\"progress\":{progress},\"host_lock\":{host_lock},\
         \"directory_lock\":{directory_lock},\"pins\":{pins:?},\"layout\":{}}}}}",
        LAYOUT_VERSION + 1
    );
    let mut next = lab.baton(Host::A, "run")?;
    let phrase = format!("have layout {}, those of this program {LAYOUT_VERSION}", LAYOUT_VERSION + 1);
    next.env("BATON_INHERITANCE", inheritance);
    refused(next, &[&phrase, "`baton handover`, stop baton, `baton detach`"])?;
    report.set_nonblocking(true)?;
    let mut said = [0; 512];
    let length = report.read(&mut said).context("it reports nothing")?;
    ensure!(String::from_utf8_lossy(&said[..length]).contains(&phrase), "it reports something else");
    assert_eq!(router(&lab, Host::A)?.role, "Active");
    refused(lab.baton(Host::A, "detach")?, &["another baton runs on this host"])
}

/// Puts a shell script in the place of the program.
fn script(lab: &Lab, line: &str) -> Result<()> {
    let path = lab.directory().join("baton");
    let draft = path.with_extension("script");
    fs::write(&draft, format!("#!/bin/bash\n{line}\n"))?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755))?;
    Ok(fs::rename(draft, path)?)
}
