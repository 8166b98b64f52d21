//! The hold at startup: who has heard nothing since it came up does not take the silence for the end of all others. The
//! switch of the lab has a spanning tree here: a port that comes up lets nothing through for seconds, but for what the
//! switch itself sends.

use std::time::Duration;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Host, Lab, Router, Settings, VIP, leftovers, output, pause, wait_until};
use nix::sys::signal::Signal;

use super::support::{SOON, assert_sole_owner, epochs, router, wait_for_active, with_settings};

/// Held far longer than anything here takes.
const HELD: Settings = Settings { more: "startup_hold_ms = 600000\n", ..Settings::USUAL };
/// Many intervals.
const LONG: Duration = Duration::from_millis(500);

#[test]
fn a_node_behind_a_port_that_lets_nothing_through_yet_waits_until_it_hears_the_others() -> Result<()> {
    with_settings(MacMode::Virtual, Settings::USUAL, |lab, pair| {
        pair.agent(Host::A)?.signal(Signal::SIGTERM)?;
        pair.end_of(Host::A)?;
        assert_sole_owner(pair, Host::B)?;
        configure_held(lab)?;
        lab.span_tree()?;
        lab.link_down(Host::A)?;
        pair.restart(Host::A)?;
        let before = epochs(lab)?;
        lab.link_up(Host::A)?;
        wait_until("node a to get what the switch itself sends", SOON, || {
            let status = lab.baton_status(Host::A)?;
            let sent = status.interfaces[0].verdicts["link-control"] > 0;
            Ok(sent && status.routers[0].role == "Backup")
        })?;
        ensure!(router(lab, Host::A)?.deaf, "{:?}", router(lab, Host::A)?);
        wait_until("node a to hear node b", SOON, || Ok(!router(lab, Host::A)?.peers.is_empty()))?;
        ensure!(!router(lab, Host::A)?.deaf);
        pause(LONG)?;
        assert_eq!(epochs(lab)?, before, "nobody has taken over");
        assert_sole_owner(pair, Host::B)
    })
}

#[test]
fn a_node_that_is_alone_begins_with_the_first_frame_of_a_client() -> Result<()> {
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    configure_held(&lab)?;
    lab.deafen(Host::A)?;
    let mut agent = lab.start_baton(Host::A)?;
    wait_until("node a to start", SOON, || {
        Ok(router(&lab, Host::A).is_ok_and(|router| router.role == "Backup"))
    })?;
    pause(LONG)?;
    let held = router(&lab, Host::A)?;
    ensure!(held.role == "Backup" && held.deaf, "{held:?}");
    lab.undeafen(Host::A)?;
    // Nobody listens at the VIP, or answers for it yet.
    let _ = lab.fetch(VIP);
    wait_for_active(&lab, Host::A)?;
    agent.stop(SOON)?;
    output(&mut lab.baton(Host::A, "detach")?)?;
    drop(lab);
    assert_eq!(leftovers(&id), Vec::<String>::new());
    Ok(())
}

fn configure_held(lab: &Lab) -> Result<()> {
    lab.configure_routers(Host::A, MacMode::Virtual, &HELD, &[Router::usual(Host::A, &[VIP])]).map(drop)
}
