//! `agent/examples/nginx`: the VIP is where an nginx is that answers.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use baton::clock;
use baton_tests::lab::{Echo, Host, Lab, Nginx, Outcome, Prober, VIP, analyse, pause, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::nodes::{SOON, router, start_agent, wait_active, wait_failing, wait_fit, with_example};

#[test]
fn a_killed_nginx_moves_the_vip_nothing_is_lost_and_it_comes_home_afterwards() -> Result<()> {
    with_nginx(|lab, servers| {
        let outcome = watch(lab, || {
            drop(servers[0].take());
            wait_active(lab, Host::B)
        })?;
        assert_moved_without_loss(&outcome, Host::B);
        let failing = router(lab, Host::A)?.trackers.into_iter().next().context("a tracker")?;
        assert_eq!(failing.state, "failing");
        assert!(failing.detail.as_ref().is_some_and(|detail| detail.contains("has ended")), "{failing:?}");
        assert_eq!(router(lab, Host::A)?.effective_priority, 1);
        assert_eq!(lab.fetch(VIP)?, "node b");

        let outcome = watch(lab, || {
            servers[0] = Some(Nginx::start(lab, Host::A, VIP)?);
            wait_active(lab, Host::A)
        })?;
        assert_eq!((outcome.before, outcome.after), (Some(Host::B), Some(Host::A)), "{outcome:?}");
        assert_eq!(lab.fetch(VIP)?, "node a");
        Ok(())
    })
}

#[test]
fn an_nginx_that_runs_and_listens_but_does_not_answer_moves_the_vip_too() -> Result<()> {
    with_nginx(|lab, _| {
        let file = lab.host_directory(Host::A).join("run/nginx.pid");
        let server = Pid::from_raw(fs::read_to_string(&file)?.trim().parse()?);
        kill(server, Signal::SIGSTOP)?;
        wait_failing(lab, Host::A, "nginx")?;
        wait_active(lab, Host::B)?;
        wait_until("node b to serve", SOON, || Ok(lab.fetch(VIP)? == "node b"))?;
        kill(server, Signal::SIGCONT)?;
        wait_active(lab, Host::A)
    })
}

/// Runs `test` with both nodes in order, and node a Active.
fn with_nginx(test: impl FnOnce(&Lab, &mut [Option<Nginx>; 2]) -> Result<()>) -> Result<()> {
    with_example("nginx", &[], |lab| {
        let _echoes = [Echo::start(lab, Host::A, VIP)?, Echo::start(lab, Host::B, VIP)?];
        let mut servers = [None, None];
        let mut agents = Vec::new();
        for (host, server) in Host::NODES.into_iter().zip(&mut servers) {
            // It binds the VIP, without which nginx would not start.
            agents.push(start_agent(lab, host)?);
            *server = Some(Nginx::start(lab, host, VIP)?);
            wait_fit(lab, host)?;
            wait_active(lab, Host::A)?;
        }
        wait_until("node b to be next in line", SOON, || {
            Ok(router(lab, Host::B)?.watch.is_some_and(|watch| watch.up && watch.next_in_line))
        })?;
        test(lab, &mut servers)
    })
}

/// What a client sees while `event` happens and for a while after.
fn watch(lab: &Lab, event: impl FnOnce() -> Result<()>) -> Result<Outcome> {
    let prober = Prober::start(lab, VIP, SOON)?;
    let event_ns = clock::now().as_nanos();
    event()?;
    pause(Duration::from_millis(200))?;
    Ok(analyse(&prober.finish()?, event_ns))
}

fn assert_moved_without_loss(outcome: &Outcome, successor: Host) {
    assert_eq!((outcome.before, outcome.after), (Some(successor.other()), Some(successor)), "{outcome:?}");
    assert_eq!(outcome.lost_probes, 0, "{outcome:?}");
}
