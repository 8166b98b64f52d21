//! Clients and servers that people use, with the engine between them.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use baton_tests::lab::{Backend, Balanced, Host, Process, VIP, output, wait_until};
use serde_json::Value;

use super::support::{SOON, end};

/// Services of one port over TCP and UDP.
fn both(port: u16) -> String {
    let service = |protocol| {
        format!("[[service]]\nvip = \"{VIP}\"\nprotocol = \"{protocol}\"\nport = {port}\npool = \"web\"\n")
    };
    service("tcp") + &service("udp")
}

/// Starts a server on every backend, with the arguments that `arguments` gives for its number, and waits until all listen at `port`
/// over TCP.
fn serve(
    setup: &Balanced,
    port: u16,
    program: &str,
    arguments: impl Fn(u8) -> Vec<String>,
) -> Result<Vec<Process>> {
    let start = |(number, backend): (u8, &Backend)| {
        let log = setup.lab.directory().join(format!("{program}-{number}.log"));
        Process::start(backend.namespace().command(program).args(arguments(number)), &log)
    };
    let servers = (1..).zip(&setup.backends).map(start).collect::<Result<Vec<_>>>()?;
    for backend in &setup.backends {
        wait_until(&format!("{program} to listen"), SOON, || {
            let sockets =
                output(backend.namespace().command("ss").args(["-Hltn", "sport", "=", &port.to_string()]))?;
            Ok(!sockets.is_empty())
        })?;
    }
    Ok(servers)
}

#[test]
fn wrk_gets_answers_to_all_it_asks_on_hundreds_of_connections() -> Result<()> {
    let setup = Balanced::with(Balanced::WEB)?;
    let url = format!("http://{VIP}/");
    let report = setup.lab.run(Host::Client, "wrk", &["-t1", "-c300", "-d2s", &url])?;
    ensure!(report.contains("requests in"), "{report}");
    ensure!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
    let backends = &setup.engine(Host::A)?.pools[0].backends;
    ensure!(backends.iter().all(|backend| backend.frames > 1000), "{backends:?}\n{report}");
    end(setup)
}

/// It opens several connections for one measurement, which all have to meet the same server.
#[test]
fn iperf3_measures_streams_and_datagrams() -> Result<()> {
    let setup = Balanced::with(&format!("schedule = \"source\"\n{}", both(5201)))?;
    let servers = serve(&setup, 5201, "iperf3", |_| vec!["-s".to_owned(), "-B".to_owned(), VIP.to_string()])?;
    let measure = |more: &[&str]| -> Result<Value> {
        let vip = VIP.to_string();
        let arguments = [&["-c", &vip, "-J", "-t", "1"], more].concat();
        let report: Value = serde_json::from_str(&setup.lab.run(Host::Client, "iperf3", &arguments)?)?;
        Ok(report["end"].clone())
    };
    for parallel in ["1", "4"] {
        let end = measure(&["-P", parallel])?;
        let received = end["sum_received"]["bytes"].as_u64().context("octets received")?;
        ensure!(received > 100_000, "{end}");
    }
    let end = measure(&["-u", "-b", "20M"])?;
    let [packets, lost] = ["packets", "lost_packets"].map(|key| end["sum"][key].as_u64().unwrap_or_default());
    ensure!(packets > 500 && lost < packets / 2, "{lost} of {packets} datagrams lost: {end}");
    drop(servers);
    self::end(setup)
}

#[test]
fn dig_is_answered_over_udp_and_tcp_by_all_servers() -> Result<()> {
    let setup = Balanced::with(&both(53))?;
    let servers = serve(&setup, 53, "dnsmasq", |number| {
        let here = format!("--address=/which.test/{}", Backend::address_of(number));
        let listen = format!("--listen-address={VIP}");
        let plain = [
            "--keep-in-foreground",
            "--no-resolv",
            "--no-hosts",
            "--conf-file=/dev/null",
            "--bind-interfaces",
        ];
        plain.map(str::to_owned).into_iter().chain([listen, here, "--pid-file=".to_owned()]).collect()
    })?;
    let all: BTreeSet<String> =
        (1..=Balanced::BACKENDS).map(|number| Backend::address_of(number).to_string()).collect();
    let server = format!("@{VIP}");
    for transport in ["+notcp", "+tcp"] {
        let ask =
            || setup.lab.run(Host::Client, "dig", &[&server, "which.test", "+short", "+tries=1", transport]);
        let answers = (0..30).map(|_| Ok(ask()?.trim().to_owned())).collect::<Result<BTreeSet<_>>>()?;
        assert_eq!(answers, all, "{transport}");
    }
    drop(servers);
    end(setup)
}
