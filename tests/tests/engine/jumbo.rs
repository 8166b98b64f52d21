//! Links of MTU 9000: clients and servers whose frames go on in several buffers, by every way to a backend, of both families, by the
//! flow cache and without it.

use std::fs;
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use baton_tests::lab::{Backend, Balanced, Host, Process, VIP, VIPS6, output, wait_until};
use serde_json::Value;

use super::support::{SOON, end};

const MTU: u32 = 9000;
/// The least that the largest segment is then: what goes through a tunnel, without the headers of IPv6 and TCP, and its time stamps.
const LEAST_MSS: u64 = 8980 - 40 - 20 - 12;
/// Octets of the largest frame on a link of MTU 1500: acknowledgements of what is fetched are among the frames that are counted.
const ORDINARY: u64 = 1514;
/// What is sent to nginx, which takes no more than 1 MiB; and the part of its large file that is fetched.
const UPLOAD: usize = 1_000_000;
const DOWNLOAD: usize = 16 << 20;

/// Services at these ports of `vip`.
fn services(vip: IpAddr, pool: &str) -> String {
    let service = |port| format!("[[service]]\nvip = \"{vip}\"\nport = {port}\npool = \"{pool}\"\n");
    [80, 5201].map(service).concat()
}

/// Nodes that forward so, both families, on links of MTU 9000.
fn large(forward: &str, flow_cache: bool) -> Result<Balanced> {
    let mut setup = Balanced::prepare()?;
    setup.set_mtu(MTU)?;
    setup.lab.enable_ipv6()?;
    for backend in &mut setup.backends {
        backend.enable_ipv6(&setup.lab)?;
        match forward {
            "tunnel" => backend.unwrap_packets()?,
            // Their answers go through XDP, too.
            "full-nat" => {
                output(backend.namespace().command("ethtool").args(["-K", "eth0", "tx", "off"])).map(drop)?;
            }
            _ => {}
        }
    }
    let [link_local, vip6] = VIPS6;
    // iperf3 opens several connections, which have to meet the same server.
    let keys = format!("forward = \"{forward}\"\nschedule = \"source\"\n");
    let pool6 = match forward {
        "tunnel" => Balanced::pool("web6", Backend::address_of),
        _ => Balanced::pool("web6", Backend::address6_of),
    };
    for (host, priority) in [(Host::A, 200), (Host::B, 100)] {
        let tables = format!(
            "{keys}{}\n[[router]]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\ninterval_ms = 10\n\
             vips = [\"{link_local}\", \"{vip6}\"]\n\n{pool6}{keys}check = \"ping\"\n{}",
            services(VIP.into(), "web"),
            services(vip6.into(), "web6"),
        );
        setup.configure(host, &tables)?;
        setup.set_runtime(host, &format!("flow_cache = {flow_cache}\nflows = 4096"))?;
        setup.start(host)?;
    }
    setup.wait_for_active(Host::A)?;
    wait_until("the VIPs to be served", SOON, || {
        Ok([VIP.into(), IpAddr::from(vip6)].into_iter().all(|vip| setup.lab.fetch(vip).is_ok()))
    })?;
    Ok(setup)
}

/// Frames that node a has sent to backends, and their octets.
fn carried(setup: &Balanced) -> Result<[u64; 2]> {
    let engine = setup.engine(Host::A)?;
    let backends = engine.pools.iter().flat_map(|pool| &pool.backends);
    Ok(backends.fold([0, 0], |[frames, octets], it| [frames + it.frames, octets + it.octets]))
}

/// Has iperf3 send for a second, or fetch, and checks that whole segments arrive.
fn measure(setup: &Balanced, vip: IpAddr, more: &[&str]) -> Result<()> {
    let vip = vip.to_string();
    let arguments = [&["-c", &vip, "-J", "-t", "1"], more].concat();
    let report: Value = serde_json::from_str(&setup.lab.run(Host::Client, "iperf3", &arguments)?)?;
    let mss = report["start"]["tcp_mss_default"].as_u64().context("the MSS")?;
    ensure!(mss >= LEAST_MSS, "{mss}: {report}");
    let received = report["end"]["sum_received"]["bytes"].as_u64().context("octets received")?;
    ensure!(received > 1_000_000, "{received}: {report}");
    Ok(())
}

/// Sends to nginx, and fetches from it.
fn exchange(setup: &Balanced, vip: IpAddr) -> Result<()> {
    let host = match vip {
        IpAddr::V4(vip) => vip.to_string(),
        IpAddr::V6(vip) => format!("[{vip}]"),
    };
    let curl = |arguments: &[&str]| {
        setup.lab.run(Host::Client, "curl", &[&["-sSg", "--fail", "--max-time", "20"], arguments].concat())
    };
    let body = setup.lab.directory().join("upload");
    fs::write(&body, vec![b'x'; UPLOAD])?;
    let sent = format!("@{}", body.display());
    ensure!(curl(&["--data-binary", &sent, &format!("http://{host}/")])?.starts_with("backend"));
    let range = format!("0-{}", DOWNLOAD - 1);
    let counted = ["-o", "/dev/null", "-w", "%{size_download}", "-r", &range];
    let got = curl(&[&counted[..], &[&format!("http://{host}/large")]].concat())?;
    ensure!(got == DOWNLOAD.to_string(), "{got} octets");
    Ok(())
}

fn serve(setup: &Balanced) -> Result<Vec<Process>> {
    let start = |(number, backend): (u8, &Backend)| {
        let log = setup.lab.directory().join(format!("iperf3-{number}.log"));
        Process::start(backend.namespace().command("iperf3").arg("-s"), &log)
    };
    let servers = (1..).zip(&setup.backends).map(start).collect::<Result<Vec<_>>>()?;
    for backend in &setup.backends {
        wait_until("iperf3 to listen", SOON, || {
            Ok(!output(backend.namespace().command("ss").args(["-Hltn", "sport", "=", "5201"]))?.is_empty())
        })?;
    }
    Ok(servers)
}

/// Clients of both families send and fetch.
fn clients_send_and_fetch(forward: &str, flow_cache: bool) -> Result<()> {
    let setup = large(forward, flow_cache)?;
    let servers = serve(&setup)?;
    for vip in [VIP.into(), VIPS6[1].into()] {
        let before = carried(&setup)?;
        exchange(&setup, vip)?;
        measure(&setup, vip, &[])?;
        let after = carried(&setup)?;
        let [frames, octets] = [after[0] - before[0], after[1] - before[1]];
        ensure!(octets > frames * ORDINARY, "{vip}: {octets} octets in {frames} frames");
        measure(&setup, vip, &["-R"])?;
        if forward == "tunnel" {
            let route = setup.lab.run(Host::Client, "ip", &["route", "get", &vip.to_string()])?;
            ensure!(route.contains("mtu 8980"), "{route}");
        }
    }
    let verdicts = &setup.lab.baton_status(Host::A)?.interfaces[0].verdicts;
    let [forwarded, balanced] = ["vip-forwarded", "vip-balanced"].map(|verdict| verdicts[verdict]);
    ensure!((forwarded > 100) == flow_cache, "{forwarded} past the engine, {balanced} through it");
    ensure!(flow_cache || balanced > 100, "{balanced}");
    let lost = setup.engine(Host::A)?.lost;
    ensure!(lost.iter().all(|(reason, count)| *count == 0 || reason == "too-long"), "{lost:?}");
    ensure!((lost["too-long"] > 0) == (forward == "tunnel"), "{lost:?}");
    drop(servers);
    end(setup)
}

#[test]
fn large_frames_go_to_backends_on_the_segment() -> Result<()> {
    [true, false].into_iter().try_for_each(|flow_cache| clients_send_and_fetch("direct", flow_cache))
}

#[test]
fn large_frames_go_through_tunnels_and_clients_learn_how_long_they_may_be() -> Result<()> {
    [true, false].into_iter().try_for_each(|flow_cache| clients_send_and_fetch("tunnel", flow_cache))
}

#[test]
fn large_frames_are_translated() -> Result<()> {
    [true, false].into_iter().try_for_each(|flow_cache| clients_send_and_fetch("full-nat", flow_cache))
}
