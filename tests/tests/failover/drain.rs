//! What the operator orders beside a plain handover: one to a router that is named, and the drain of a host.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Host, Lab, VIP, pause, wait_until};

use super::support::{
    EVERY_100_MS, LINGER_US, SOON, assert_moved, assert_sole_owner, router, wait_for_session, watch,
    with_settings, with_three,
};

/// Node b would go before it.
#[test]
fn a_handover_to_a_named_router_passes_by_a_better_one() -> Result<()> {
    with_three(EVERY_100_MS, |lab, _| {
        let named = Host::Client.address().to_string();
        let handover = order(lab, Host::A, "handover", &["--to", &named])?;
        ensure!(handover.status.success(), "{handover:?}");
        assert_eq!(said(&handover), format!("eth0 vrid 51: handed over to {named}\n"));
        assert_eq!(router(lab, Host::Client)?.role, "Active");
        assert_eq!(router(lab, Host::B)?.epoch, 0, "the better Backup was not asked");
        Ok(())
    })
}

#[test]
fn a_handover_to_nobody_is_taken_back_and_no_other_takes_it() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        wait_for_session(lab, Host::B)?;
        let (outcome, _) = watch(lab, || {
            let handover = order(lab, Host::A, "handover", &["--to", "10.77.0.99"])?;
            assert_eq!(handover.status.code(), Some(1), "{handover:?}");
            ensure!(said(&handover).contains("10.77.0.99 did not take over; still Active"), "{handover:?}");
            Ok(())
        })?;
        assert_eq!((outcome.after, outcome.flips, outcome.lost_probes), (Some(Host::A), 0, 0), "{outcome:?}");
        assert_eq!(router(lab, Host::B)?.epoch, 0, "node b knows of nothing");
        for own in [Host::A.address(), VIP] {
            let handover = order(lab, Host::A, "handover", &["--to", &own.to_string()])?;
            ensure!(String::from_utf8_lossy(&handover.stderr).contains("address of a peer"), "{handover:?}");
        }
        assert_sole_owner(pair, Host::A)
    })
}

#[test]
fn a_drained_host_stays_out_over_a_restart_until_it_is_told_to_resume() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        wait_for_session(lab, Host::B)?;
        let (outcome, _) = watch(lab, || {
            let drain = order(lab, Host::A, "drain", &[])?;
            ensure!(drain.status.success(), "{drain:?}");
            ensure!(said(&drain).starts_with("eth0 vrid 51: drained; handed over to "), "{drain:?}");
            Ok(())
        })?;
        assert_moved(&outcome, Host::B, LINGER_US);
        for _ in 0..2 {
            let drained = router(lab, Host::A)?;
            assert_eq!((drained.role.as_str(), drained.drained), ("Initialize", true));
            pair.agent(Host::A)?.kill_tree()?;
            pair.restart(Host::A)?;
        }
        // Link events start what waits for a link, but not what was drained.
        lab.run(Host::A, "ip", &["link", "set", "eth0", "down"])?;
        lab.run(Host::A, "ip", &["link", "set", "eth0", "up"])?;
        pair.agent(Host::B)?.kill_tree()?;
        pause(Duration::from_secs(1))?;
        assert_eq!(router(lab, Host::A)?.role, "Initialize", "nobody else is left, and still");
        pair.restart(Host::B)?;
        assert_sole_owner(pair, Host::B)?;

        let resume = order(lab, Host::A, "resume", &[])?;
        assert_eq!(said(&resume), "eth0 vrid 51: takes part again\n");
        wait_until("node a to take part", SOON, || Ok(router(lab, Host::A)?.role == "Backup"))?;
        let again = order(lab, Host::A, "resume", &[])?;
        assert_eq!(again.status.code(), Some(1), "{again:?}");
        pair.agent(Host::A)?.kill_tree()?;
        pair.restart(Host::A)?;
        assert_eq!(router(lab, Host::A)?.role, "Backup", "the drain is over for a new agent, too");
        assert_sole_owner(pair, Host::B)
    })
}

#[test]
fn a_host_that_nobody_can_replace_is_not_drained() -> Result<()> {
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        pair.agent(Host::B)?.kill_tree()?;
        let (outcome, _) = watch(lab, || {
            let drain = order(lab, Host::A, "drain", &[])?;
            assert_eq!(drain.status.code(), Some(1), "{drain:?}");
            ensure!(said(&drain).contains("not drained: no Backup took over; Active still"), "{drain:?}");
            Ok(())
        })?;
        assert_eq!((outcome.after, outcome.flips, outcome.lost_probes), (Some(Host::A), 0, 0), "{outcome:?}");
        pair.restart(Host::B)?;
        assert_sole_owner(pair, Host::A)
    })
}

fn order(lab: &Lab, host: Host, verb: &str, arguments: &[&str]) -> Result<Output> {
    lab.baton(host, verb)?.args(arguments).output().with_context(|| format!("baton {verb}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
