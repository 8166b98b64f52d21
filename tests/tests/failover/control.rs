//! The command line and the control socket of a running agent.

use std::os::unix::net::UnixStream;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Host, Lab, VIP, output, wait_until};

use super::support::{SOON, start_alone};

#[test]
fn a_crowd_that_says_nothing_does_not_keep_the_status_away() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let _agent = start_alone(&lab)?;
    let socket = lab.host_directory(Host::A).join("control.sock");
    let _crowd: Vec<UnixStream> =
        (0..400).map(|_| UnixStream::connect(&socket)).collect::<std::io::Result<_>>()?;
    assert_eq!(lab.baton_status(Host::A)?.routers[0].role, "Active");
    Ok(())
}

#[test]
fn a_node_that_cannot_advertise_says_what_it_lacks() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    lab.run(Host::A, "ip", &["link", "set", "eth0", "down"])?;
    let _agent = lab.start_baton(Host::A)?;
    let waits = "vrid 51: Initialize (no carrier or no primary address on eth0)";
    wait_until("an agent that waits", SOON, || Ok(status_text(&lab).is_ok_and(|text| text.contains(waits))))?;
    ensure!(warnings(&lab)? == 1, "no warning at the start");

    lab.run(Host::A, "ip", &["link", "set", "eth0", "up"])?;
    wait_until("node a to become Active", SOON, || {
        Ok(lab.baton_status(Host::A)?.routers[0].role == "Active")
    })?;
    lab.run(Host::A, "ip", &["address", "flush", "dev", "eth0"])?;
    wait_until("node a to give up", SOON, || Ok(status_text(&lab)?.contains("vrid 51: Initialize for ")))?;
    assert_eq!(lab.baton_status(Host::A)?.routers[0].reason.as_deref(), Some("link-down"));
    ensure!(
        status_text(&lab)?.contains("(no carrier or no primary address on eth0)"),
        "no cause in the status"
    );
    wait_until("a second warning", SOON, || Ok(warnings(&lab)? == 2))
}

fn status_text(lab: &Lab) -> Result<String> {
    output(&mut lab.baton(Host::A, "status")?)
}

fn warnings(lab: &Lab) -> Result<usize> {
    Ok(std::fs::read_to_string(lab.baton_log(Host::A))?.matches("no carrier, or its primary address").count())
}
