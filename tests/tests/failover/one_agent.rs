//! One agent per host: who may lock whom out.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Host, Lab, VIP, leftovers, output};

use super::support::{refused, start_alone};

#[test]
fn no_other_user_can_lock_the_agent_out() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    // Any user may take any abstract name.
    let _squatter = lab.namespace(Host::A).within(|| {
        let name = SocketAddr::from_abstract_name("baton")?;
        Ok(UnixListener::bind_addr(&name)?)
    })?;
    let mut agent = start_alone(&lab)?;
    let lock = lab.namespace(Host::A).lock()?;
    let mut nobody = lab.command(Host::A, "setpriv");
    nobody
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "flock", "--nonblock"])
        .arg(&lock)
        .arg("true");
    refused(nobody, &["Permission denied"])?;
    agent.stop(Duration::from_secs(5))?;
    ensure!(!lock.exists(), "{} is still there", lock.display());
    Ok(())
}

#[test]
fn the_lock_of_an_agent_that_was_killed_is_free_and_goes_with_the_next_one() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let lock = lab.namespace(Host::A).lock()?;
    drop(start_alone(&lab)?);
    ensure!(lock.exists(), "it took its lock along");
    let agent = start_alone(&lab)?;
    let holder = format!("another baton runs on this host, process {}", lab.baton_status(Host::A)?.pid);
    refused(lab.baton(Host::A, "run")?, &[&holder])?;
    refused(lab.baton(Host::A, "detach")?, &[&holder])?;
    drop(agent);
    output(&mut lab.baton(Host::A, "detach")?)?;
    ensure!(!lock.exists(), "{} is still there", lock.display());
    Ok(())
}

#[test]
fn a_lab_takes_the_locks_of_killed_agents_along() -> Result<()> {
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let lock = lab.namespace(Host::A).lock()?;
    drop(start_alone(&lab)?);
    ensure!(lock.exists(), "it took its lock along");
    drop(lab);
    assert_eq!(leftovers(&id), Vec::<String>::new());
    ensure!(!lock.exists(), "{} is still there", lock.display());
    Ok(())
}
