//! Output that nobody reads or that cannot be written: the agent serves on, answers, and hands over when it is told to
//! stop.

use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton::control::protocol::RouterStatus;
use baton_tests::lab::{Host, Lab, Process, VIP, pause, wait_until};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;

use super::support::{SOON, start_alone};

#[test]
fn an_agent_whose_log_reader_is_gone_serves_on_and_hands_over() -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    serves_on_and_hands_over(writer.into())
}

#[test]
fn an_agent_whose_log_reader_stalls_serves_on_and_hands_over() -> Result<()> {
    let (_reader, writer) = full_pipe()?;
    serves_on_and_hands_over(writer.into())
}

#[test]
fn an_agent_whose_log_is_on_a_full_disk_serves_on_and_hands_over() -> Result<()> {
    serves_on_and_hands_over(File::options().write(true).open("/dev/full")?.into())
}

#[test]
fn a_status_whose_reader_is_gone_is_no_failure() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let _agent = start_alone(&lab)?;
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let said = lab.baton(Host::A, "status")?.stdout(writer).output()?;
    assert_eq!((said.status.code(), String::from_utf8_lossy(&said.stderr).as_ref()), (Some(0), ""));
    Ok(())
}

fn serves_on_and_hands_over(stderr: OwnedFd) -> Result<()> {
    let lab = Lab::up()?;
    for host in Host::NODES {
        lab.configure_baton(host, MacMode::Virtual, 10, &[VIP])?;
    }
    let mut command = lab.baton(Host::A, "run")?;
    let mut agent = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr))?;
    // It holds the other copy of the descriptor.
    drop(command);
    reaches(&lab, Host::A, |router| router.role == "Active")?;
    let _peer = lab.start_baton(Host::B)?;
    reaches(&lab, Host::B, |router| !router.peers.is_empty())?;

    agent.signal(Signal::SIGHUP)?;
    pause(Duration::from_millis(200))?;
    reaches(&lab, Host::A, |router| router.role == "Active")?;

    let end = agent.stop(SOON)?;
    ensure!(end.success(), "it did not end in order: {end}");
    // Told so by the priority 0 or by S-BFD, whichever was quicker; not by silence.
    reaches(&lab, Host::B, |router| {
        let told = ["active-left", "active-out-of-service"];
        router.role == "Active" && router.reason.as_deref().is_some_and(|reason| told.contains(&reason))
    })?;
    ensure!(!fs::exists(lab.host_directory(Host::A).join("control.sock"))?, "the control socket is left");
    Ok(())
}

fn reaches(lab: &Lab, host: Host, wanted: impl Fn(&RouterStatus) -> bool) -> Result<()> {
    wait_until(&format!("node {} to be as it should", host.name()), SOON, || {
        Ok(lab.baton_status(host).is_ok_and(|status| wanted(&status.routers[0])))
    })
}

/// A pipe that takes not one octet more.
fn full_pipe() -> Result<(PipeReader, PipeWriter)> {
    let (reader, mut writer) = std::io::pipe()?;
    fcntl(writer.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    while writer.write(&[b'x'; 512]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    fcntl(writer.as_fd(), FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok((reader, writer))
}
