//! `agent/examples/redis`: Redis replicates, the VIP is where it takes writes, and what a client was told is stored is there
//! after a move.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use baton_tests::lab::{Host, Lab, Process, VIP, output, wait_until};
use nix::sys::signal::Signal;

use super::files::Differing;
use super::nodes::{SOON, hand_over, start_agent, wait_active, wait_failing, wait_fit, with_example};
use super::writer::write_during;

const ON_B: [Differing; 1] = [("\nreplicaof 192.0.2.2 ", "\nreplicaof 192.0.2.1 ")];

#[test]
fn a_handover_loses_no_key_and_the_former_writer_becomes_the_replica() -> Result<()> {
    with_redis(|lab, _| {
        let mut last = 0;
        for from in Host::NODES {
            last = write_during(last + 1, |key| set(lab, key), || hand_over(lab, from))?;
            ensure!(keys(lab, from.other())? == last, "{} keys of {last}", keys(lab, from.other())?);
            wait_keys(lab, from, last)?;
            ensure!(role(lab, from)? == "slave", "two writers");
            wait_fit(lab, from)?;
        }
        Ok(())
    })
}

#[test]
fn a_new_writer_waits_until_it_has_all_that_the_old_one_has_taken() -> Result<()> {
    with_redis(|lab, servers| {
        // More than the new writer could take in before it is told to be one, had nobody waited.
        for host in Host::NODES {
            // On a disk it takes its time.
            redis(lab, host, &["CONFIG", "SET", "appendonly", "no"])?;
        }
        let script =
            "local much = string.rep('x', 1000000) for key = 1, 100 do redis.call('SET', key, much) end";
        servers[1].signal_tree(Signal::SIGSTOP)?;
        output(application(lab).args(["EVAL", script, "0"]))?;
        hand_over(lab, Host::A)?;
        servers[1].signal_tree(Signal::SIGCONT)?;
        wait_until("a writer at the VIP", SOON, || Ok(set(lab, 101)))?;
        wait_keys(lab, Host::B, 101)?;
        wait_keys(lab, Host::A, 101)
    })
}

#[test]
fn a_vip_that_comes_back_while_the_other_node_is_being_promoted_has_a_writer() -> Result<()> {
    with_redis(|lab, servers| {
        servers[1].signal_tree(Signal::SIGSTOP)?;
        hand_over(lab, Host::A)?;
        hand_over(lab, Host::B)?;
        servers[1].signal_tree(Signal::SIGCONT)?;
        // Whoever of the two hooks is the last: node a takes writes, node b is its replica.
        wait_until("node b to be the replica of node a", SOON, || {
            Ok(role(lab, Host::A)? == "master" && role(lab, Host::B)? == "slave" && set(lab, 1))
        })?;
        wait_keys(lab, Host::B, 1)?;
        wait_fit(lab, Host::B)
    })
}

#[test]
fn a_killed_writer_is_replaced_with_all_that_was_replicated_and_comes_back_as_a_replica() -> Result<()> {
    with_redis(|lab, servers| {
        let last = write_during(1, |key| set(lab, key), || Ok(()))?;
        wait_keys(lab, Host::B, last)?;
        servers[0].kill_tree()?;
        wait_active(lab, Host::B)?;
        let last = write_during(last + 1, |key| set(lab, key), || Ok(()))?;
        ensure!(keys(lab, Host::B)? == last, "{} keys of {last}", keys(lab, Host::B)?);

        servers[0] = start_server(lab, Host::A)?;
        wait_fit(lab, Host::A)?;
        wait_keys(lab, Host::A, last)?;
        ensure!(role(lab, Host::A)? == "slave" && role(lab, Host::B)? == "master", "two writers");
        Ok(())
    })
}

#[test]
fn a_lone_writer_that_is_restarted_keeps_its_keys_and_takes_writes_again() -> Result<()> {
    with_redis(|lab, servers| {
        servers.remove(1).kill_tree()?;
        wait_failing(lab, Host::B, "redis")?;
        let last = write_during(1, |key| set(lab, key), || Ok(()))?;
        servers[0].stop(SOON)?;
        servers[0] = start_server(lab, Host::A)?;
        wait_fit(lab, Host::A)?;
        let last = write_during(last + 1, |key| set(lab, key), || Ok(()))?;
        ensure!(keys(lab, Host::A)? == last, "{} keys of {last}", keys(lab, Host::A)?);
        Ok(())
    })
}

#[test]
fn a_second_writer_is_made_a_replica_again() -> Result<()> {
    with_redis(|lab, _| {
        redis(lab, Host::B, &["REPLICAOF", "NO", "ONE"])?;
        wait_until("node b to be a replica again", SOON, || Ok(role(lab, Host::B)? == "slave"))?;
        wait_fit(lab, Host::B)
    })
}

/// Runs `test` with node a taking writes and node b as its replica, set up as the example's README says.
fn with_redis(test: impl FnOnce(&Lab, &mut Vec<Process>) -> Result<()>) -> Result<()> {
    with_example("redis", &ON_B, |lab| {
        let (mut servers, mut agents) = (Vec::new(), Vec::new());
        for host in Host::NODES {
            servers.push(start_server(lab, host)?);
            agents.push(start_agent(lab, host)?);
            wait_fit(lab, host)?;
            wait_active(lab, Host::A)?;
        }
        test(lab, &mut servers)
    })
}

fn start_server(lab: &Lab, host: Host) -> Result<Process> {
    let root = root(lab, host);
    for directory in ["run/redis", "var/lib/redis"] {
        fs::create_dir_all(root.join(directory))?;
    }
    let path = root.display();
    let text = format!(
        "pidfile {path}/run/redis/redis-server.pid\ndir {path}/var/lib/redis\ninclude {path}/etc/baton/redis/redis.conf\n"
    );
    let file = root.join("redis.conf");
    fs::write(&file, text)?;
    let server =
        Process::start(lab.command(host, "redis-server").arg(&file), &root.join("var/log/redis.log"))?;
    wait_until(&format!("Redis on node {}", host.name()), SOON, || {
        Ok(redis(lab, host, &["PING"]).is_ok_and(|answer| answer == "PONG"))
    })?;
    Ok(server)
}

/// What the server on `host` answers to `words`, as its administrator.
fn redis(lab: &Lab, host: Host, words: &[&str]) -> Result<String> {
    let answer = output(
        lab.command(host, "redis-cli").args(["-e", "-a", "change-me", "--no-auth-warning"]).args(words),
    )?;
    Ok(answer.trim().to_owned())
}

/// Writes a key through the VIP; whether the client was told that it is stored.
fn set(lab: &Lab, key: u32) -> bool {
    output(application(lab).args(["SET", &key.to_string(), "stored"]))
        .is_ok_and(|answer| answer.trim() == "OK")
}

/// A client of the VIP, which has yet to be told what to ask.
fn application(lab: &Lab) -> Command {
    let mut command = lab.command(Host::Client, "timeout");
    command.args(["2", "redis-cli", "-e", "-a", "change-me", "--no-auth-warning", "-h", &VIP.to_string()]);
    command
}

fn keys(lab: &Lab, host: Host) -> Result<u32> {
    Ok(redis(lab, host, &["DBSIZE"])?.parse()?)
}

fn wait_keys(lab: &Lab, host: Host, wanted: u32) -> Result<()> {
    let what = format!("node {} to have {wanted} keys", host.name());
    wait_until(&what, SOON, || Ok(keys(lab, host)? == wanted))
}

/// What the server on `host` is: `master` or `slave`.
fn role(lab: &Lab, host: Host) -> Result<String> {
    let answer = redis(lab, host, &["ROLE"])?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

fn root(lab: &Lab, host: Host) -> PathBuf {
    lab.host_directory(host)
}
