//! keepalived on a node, as fast as its documentation allows without down_timer_adverts.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::Result;

use super::{Host, Lab, Process, Settings, VRID};

/// How to run keepalived.
#[derive(Clone, Debug)]
pub struct Keepalived {
    /// Advertisement interval in centiseconds.
    pub interval_cs: u16,
    /// The VRRP priority.
    pub priority: u8,
    /// Whether it takes the addresses from an owner of lower priority.
    pub preempt: bool,
    /// The addresses.
    pub vips: Vec<Ipv4Addr>,
    /// Whether it logs to its file. Off for measurements: the logging stalls the other core for 8 to 14 ms right at
    /// the switch.
    pub log: bool,
    /// Whether it runs with real-time priority 50. Not together with `log`: while it logs a switch it exceeds the
    /// RLIMIT_RTTIME that it sets itself, and the kernel kills it.
    pub realtime: bool,
}

impl Keepalived {
    /// 10 ms, real-time priority 50, silent: what the measurements use.
    pub fn fast(host: Host, vips: &[Ipv4Addr]) -> Self {
        Self::with(host, vips, &Settings::USUAL)
    }

    /// Real-time priority 50, silent, as `settings` want it.
    pub fn with(host: Host, vips: &[Ipv4Addr], settings: &Settings) -> Self {
        Self {
            interval_cs: settings.interval_ms / 10,
            priority: priority(host),
            preempt: settings.preempt,
            vips: vips.to_vec(),
            log: false,
            realtime: true,
        }
    }

    /// Starts it on `host`.
    pub fn start(&self, lab: &Lab, host: Host) -> Result<Process> {
        let directory = lab.host_directory(host);
        let file = directory.join("keepalived.conf");
        fs::write(&file, self.configuration(host))?;
        for stale in ["keepalived.pid", "keepalived-vrrp.pid"] {
            // A killed keepalived leaves them, and the next one would believe in a pid that is taken again.
            let _ = fs::remove_file(directory.join(stale));
        }
        let mut command = lab.command(host, "keepalived");
        command.args(["--dont-fork", "--vrrp"]).arg("--use-file").arg(&file);
        command.arg("--pid").arg(directory.join("keepalived.pid"));
        command.arg("--vrrp_pid").arg(directory.join("keepalived-vrrp.pid"));
        command.args(if self.log { &["--log-console", "--log-detail"][..] } else { &["--no-syslog"][..] });
        Process::start(&mut command, &Self::log_file(lab, host))
    }

    /// What it logs to.
    pub fn log_file(lab: &Lab, host: Host) -> PathBuf {
        lab.host_directory(host).join("keepalived.log")
    }

    /// Whether `host` has `vip` on `eth0`.
    pub(super) fn owns(lab: &Lab, host: Host, vip: Ipv4Addr) -> Result<bool> {
        Ok(!lab
            .run(host, "ip", &["-o", "address", "show", "dev", "eth0", "to", &vip.to_string()])?
            .is_empty())
    }

    /// Takes the addresses away that a killed keepalived leaves on the interface.
    pub(super) fn remove_addresses(lab: &Lab, host: Host, vips: &[Ipv4Addr]) -> Result<()> {
        let file = lab.host_directory(host).join("remove-addresses");
        let lines: String = vips.iter().map(|vip| format!("address del {vip}/32 dev eth0\n")).collect();
        fs::write(&file, lines)?;
        lab.run(host, "ip", &["-force", "-batch", &file.to_string_lossy()]).map(drop).or_else(|error| {
            // `ip` fails when it had not set some of them: that is as good.
            if Self::owns(lab, host, vips[vips.len() - 1])? { Err(error) } else { Ok(()) }
        })
    }

    fn configuration(&self, host: Host) -> String {
        let Self { interval_cs, priority, vips, .. } = self;
        let (whole, hundredths) = (interval_cs / 100, interval_cs % 100);
        let addresses: String = vips.iter().map(|vip| format!("    {vip}/32 dev eth0\n")).collect();
        format!(
            "global_defs {{\n  router_id {name}\n  vrrp_version 3\n{realtime}}}\n\
             vrrp_instance baton {{\n  state BACKUP\n{nopreempt}  interface eth0\n  virtual_router_id {VRID}\n  \
             priority {priority}\n  advert_int {whole}.{hundredths:02}\n  virtual_ipaddress {{\n{addresses}  }}\n}}\n",
            name = host.name(),
            nopreempt = if self.preempt { "" } else { "  nopreempt\n" },
            realtime = if self.realtime { "  vrrp_rt_priority 50\n" } else { "" },
        )
    }
}

/// The priority of `host`, the same for every system: a goes before b.
pub(super) const fn priority(host: Host) -> u8 {
    match host {
        Host::A => 254,
        Host::B | Host::Client => 253,
    }
}
