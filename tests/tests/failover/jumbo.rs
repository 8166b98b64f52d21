//! Links of MTU 9000, whose frames are larger than a page and go on in several buffers.

use anyhow::{Result, ensure};
use baton::config::{MacMode, XdpChoice};
use baton_tests::lab::{Echo, Fault, Host, Lab, Pair, Process, Settings, VIP, wait_until};
use serde_json::Value;

use super::support::SOON;

/// What is left of 9000 octets without the headers of IPv4 and TCP, and its time stamps.
const MSS: u64 = 9000 - 20 - 20 - 12;

/// Has iperf3 send to the VIP for a second, and fetch from there, in whole segments.
fn measure(lab: &Lab) -> Result<()> {
    let vip = VIP.to_string();
    for direction in [&[][..], &["-R"]] {
        let arguments = [&["-c", &vip, "-J", "-t", "1"], direction].concat();
        let report: Value = serde_json::from_str(&lab.run(Host::Client, "iperf3", &arguments)?)?;
        let mss = report["start"]["tcp_mss_default"].as_u64();
        let received = report["end"]["sum_received"]["bytes"].as_u64();
        ensure!(
            mss == Some(MSS) && received.is_some_and(|octets| octets > 1_000_000),
            "{direction:?}: {report}"
        );
    }
    Ok(())
}

#[test]
fn a_vip_serves_large_frames_and_moves_in_either_mode() -> Result<()> {
    for xdp in [XdpChoice::Native, XdpChoice::Generic] {
        let lab = Lab::up()?;
        lab.set_mtu(9000)?;
        let echoes = [Echo::start(&lab, Host::A, VIP)?, Echo::start(&lab, Host::B, VIP)?];
        let settings = Settings { xdp, ..Settings::USUAL };
        let mut pair = Pair::start_with(&lab, MacMode::Virtual.into(), settings, 1)?;
        let start = |host: Host| {
            let log = lab.host_directory(host).join("iperf3.log");
            Process::start(lab.command(host, "iperf3").arg("-s"), &log)
        };
        let servers = Host::NODES.map(start).into_iter().collect::<Result<Vec<_>>>()?;
        assert_eq!(pair.settle()?, Host::A);
        for host in Host::NODES {
            wait_until("iperf3 to listen", SOON, || {
                Ok(!lab.run(host, "ss", &["-Hltn", "sport", "=", "5201"])?.is_empty())
            })?;
        }
        measure(&lab)?;
        pair.inject(Fault::Planned)?;
        assert_eq!(pair.settle()?, Host::B);
        measure(&lab)?;
        drop(servers);
        pair.stop()?;
        drop(echoes);
    }
    Ok(())
}
