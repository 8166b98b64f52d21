//! The command line and the control socket of a running agent.

use std::os::unix::net::UnixStream;

use anyhow::Result;
use baton::config::MacMode;
use baton_tests::lab::{Host, Lab, VIP};

use super::refusals::start_alone;

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
