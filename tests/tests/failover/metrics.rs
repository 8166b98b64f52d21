//! `/metrics` of an agent, asked from inside its namespace.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Fault, Host, Lab, VIP, output, pause, wait_until};

use super::support::{SOON, wait_for_next_in_line, with_pair};

const ADDRESS: &str = "127.0.0.1:9112";
/// A little more than an agent shows the same page.
const FRESH: Duration = Duration::from_millis(150);
/// More than an agent listens to at once.
const CROWD: usize = 200;
const RESTARTS: usize = 5;

#[test]
fn a_handover_is_seen_in_the_metrics_of_both_nodes() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        for host in Host::NODES {
            serve_metrics(lab, host)?;
        }
        wait_for_next_in_line(lab, Host::B)?;
        let role = |role: &str| {
            format!("baton_router_role{{interface=\"eth0\",vrid=\"51\",family=\"ipv4\",role=\"{role}\"}} 1\n")
        };
        let page = page(lab, Host::A)?;
        ensure!(page.contains(&role("Active")) && page.ends_with("# EOF\n"), "{page}");
        ensure!(sample(&page, "baton_router_lease_remaining_seconds{")? > 0.0, "{page}");
        ensure!(sample(&page, "baton_router_configured_priority{")? == 254.0, "{page}");
        ensure!(sample(&page, "baton_guardian_ready ")? == 1.0, "{page}");
        ensure!(sample(&page, "baton_frames_total{interface=\"eth0\",verdict=\"sbfd-up\"}")? > 0.0, "{page}");

        pair.inject(Fault::Planned)?;
        pause(FRESH)?;
        let given = self::page(lab, Host::A)?;
        ensure!(given.contains(&role("Backup")), "{given}");
        ensure!(sample(&given, "baton_router_lease_remaining_seconds{")? == 0.0, "{given}");
        let change = "baton_router_transitions_total{interface=\"eth0\",vrid=\"51\",family=\"ipv4\",from=\"Active\",to=\"Backup\",reason=\"succeeded\"}";
        ensure!(sample(&given, change)? == 1.0, "{given}");

        wait_until("the first frame to be counted", SOON, || {
            // Whoever asks is the first client.
            ensure!(lab.ask(VIP)? == Some(Host::B), "node b serves");
            pause(FRESH)?;
            let stage = "baton_router_takeover_stage_seconds_count{interface=\"eth0\",vrid=\"51\",family=\"ipv4\",stage=\"served\"}";
            Ok(sample(&self::page(lab, Host::B)?, stage)? == 1.0)
        })?;
        let taken = self::page(lab, Host::B)?;
        ensure!(taken.contains(&role("Active")), "{taken}");
        for stage in ["stored", "transmitted", "announced"] {
            let name = format!(
                "baton_router_takeover_stage_seconds_count{{interface=\"eth0\",vrid=\"51\",family=\"ipv4\",stage=\"{stage}\"}}"
            );
            ensure!(sample(&taken, &name)? == 1.0, "{taken}");
        }
        pair.restore()
    })
}

#[test]
fn a_crowd_that_says_nothing_does_not_keep_a_scrape_away() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, _| {
        serve_metrics(lab, Host::A)?;
        lab.namespace(Host::A).within(|| {
            let mut crowd = Vec::new();
            for index in 0..CROWD {
                let mut silent = connect()?;
                if index % 2 == 0 {
                    // It may be dropped already.
                    let _ = silent.write_all(b"GET /metrics HTTP/1.1\r\nX: ");
                }
                crowd.push(silent);
            }
            let page = ask()?;
            ensure!(page.ends_with("# EOF\n"), "{page}");
            drop(crowd);
            Ok(())
        })
    })
}

/// One that is asked just when it passes the election on may have nothing to say, but somebody listens all the time.
#[test]
fn a_restart_keeps_the_metrics_served() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, _| {
        serve_metrics(lab, Host::A)?;
        let is_over = AtomicBool::new(false);
        let asked = thread::scope(|scope| {
            let scraping = scope.spawn(|| {
                lab.namespace(Host::A).within(|| {
                    let mut asked = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        match ask() {
                            Err(error) if is_refused(&error) => return Err(error.context("nobody listened")),
                            Ok(_) | Err(_) => asked += 1,
                        }
                    }
                    Ok(asked)
                })
            });
            let restarted = (0..RESTARTS).try_for_each(|_| {
                output(&mut lab.baton(Host::A, "restart")?)?;
                let page = page(lab, Host::A)?;
                let resumed = "baton_router_transitions_total{interface=\"eth0\",vrid=\"51\",family=\"ipv4\",from=\"Initialize\",to=\"Active\",reason=\"resumed\"}";
                ensure!(sample(&page, resumed)? == 1.0, "not the next agent's: {page}");
                Ok(())
            });
            is_over.store(true, Ordering::Relaxed);
            let asked: Result<usize> = scraping.join().map_err(|_| anyhow!("the scraper panicked"))?;
            restarted.and(asked)
        })?;
        ensure!(asked > RESTARTS, "asked {asked} times");
        Ok(())
    })
}

/// Lets the agent of `host` serve them, by a restart.
pub(super) fn serve_metrics(lab: &Lab, host: Host) -> Result<()> {
    let file = lab.host_directory(host).join("baton.toml");
    let text = fs::read_to_string(&file)?;
    fs::write(&file, text.replacen("[runtime]\n", &format!("[runtime]\nmetrics = \"{ADDRESS}\"\n"), 1))?;
    output(&mut lab.baton(host, "restart")?)?;
    wait_until("/metrics", SOON, || Ok(lab.namespace(host).within(ask).is_ok()))
}

/// The page of `host`.
pub(super) fn page(lab: &Lab, host: Host) -> Result<String> {
    lab.namespace(host).within(ask)
}

/// What is served in the namespace of this thread.
fn ask() -> Result<String> {
    let mut stream = connect()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, page) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    Ok(page.to_owned())
}

fn connect() -> Result<TcpStream> {
    let address: SocketAddr = ADDRESS.parse()?;
    let stream = TcpStream::connect_timeout(&address, SOON)?;
    stream.set_read_timeout(Some(SOON))?;
    Ok(stream)
}

fn is_refused(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// The value of the first sample that begins like that.
fn sample(page: &str, beginning: &str) -> Result<f64> {
    let line = page.lines().find(|line| line.starts_with(beginning));
    let value =
        line.and_then(|line| line.rsplit(' ').next()).with_context(|| format!("no {beginning} in {page}"))?;
    Ok(value.parse()?)
}
