//! keepalived on a node: as fast as its documentation allows, faster than is safe, or as it comes.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::Result;

use super::{Host, Lab, Member, Process, Settings, VRID};

/// The addresses that an advert has room for: their number is one octet.
const MOST_IN_ADVERT: usize = 255;

/// How much was made of keepalived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tuning {
    /// VRRPv3 and real-time priority, so that 10 ms are possible.
    Fast,
    /// The same, and one missing advert is enough (`down_timer_adverts 1`).
    Hasty,
    /// Nothing: VRRPv2, each second an advert.
    Defaults,
}

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
    /// How it is tuned otherwise.
    pub tuning: Tuning,
}

impl Keepalived {
    /// 10 ms, real-time priority 50, silent: what the measurements use.
    pub fn fast(host: Host, vips: &[Ipv4Addr]) -> Self {
        Self::with(host, vips, &Settings::USUAL, Tuning::Fast)
    }

    /// Silent, as `settings` and `tuning` want it.
    pub fn with(host: Host, vips: &[Ipv4Addr], settings: &Settings, tuning: Tuning) -> Self {
        let is_default = tuning == Tuning::Defaults;
        Self {
            interval_cs: settings.interval_ms / 10,
            priority: if is_default { default_priority(host) } else { priority(host) },
            preempt: settings.preempt,
            vips: vips.to_vec(),
            log: false,
            realtime: !is_default,
            tuning,
        }
    }

    /// Starts it on `host`.
    pub fn start(&self, lab: &Lab, host: Host) -> Result<Process> {
        Self::start_with(lab, host, &self.configuration(host), self.log)
    }

    /// Starts a keepalived with this configuration on `host`, which logs or not.
    pub fn start_with(lab: &Lab, host: Host, configuration: &str, log: bool) -> Result<Process> {
        let directory = lab.host_directory(host);
        let file = directory.join("keepalived.conf");
        fs::write(&file, configuration)?;
        for stale in ["keepalived.pid", "keepalived-vrrp.pid"] {
            // A killed keepalived leaves them, and the next one would believe in a pid that is taken again.
            let _ = fs::remove_file(directory.join(stale));
        }
        let mut command = lab.command(host, "keepalived");
        command.args(["--dont-fork", "--vrrp"]).arg("--use-file").arg(&file);
        command.arg("--pid").arg(directory.join("keepalived.pid"));
        command.arg("--vrrp_pid").arg(directory.join("keepalived-vrrp.pid"));
        command.args(if log { &["--log-console", "--log-detail"][..] } else { &["--no-syslog"][..] });
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
        let Self { priority, vips, tuning, .. } = self;
        let (name, advertised) = (host.name(), vips.len().min(MOST_IN_ADVERT));
        let (global, tuned) = match tuning {
            Tuning::Defaults => (String::new(), String::new()),
            Tuning::Fast | Tuning::Hasty => (self.global(), self.tuned()),
        };
        format!(
            "global_defs {{\n  router_id {name}\n{global}}}\nvrrp_instance baton {{\n{tuned}  interface eth0\n  \
             virtual_router_id {VRID}\n  priority {priority}\n{}{}}}\n",
            block("virtual_ipaddress", &vips[..advertised]),
            block("virtual_ipaddress_excluded", &vips[advertised..]),
        )
    }

    fn global(&self) -> String {
        let realtime = if self.realtime { "  vrrp_rt_priority 50\n" } else { "" };
        // Setting that many addresses takes longer than its own RLIMIT_RTTIME, by which the kernel would kill it.
        let patience = if self.realtime && self.vips.len() > MOST_IN_ADVERT {
            "  vrrp_rlimit_rttime 10000000\n"
        } else {
            ""
        };
        format!("  vrrp_version 3\n{realtime}{patience}")
    }

    fn tuned(&self) -> String {
        let (whole, hundredths) = (self.interval_cs / 100, self.interval_cs % 100);
        let nopreempt = if self.preempt { "" } else { "  nopreempt\n" };
        let hasty = if self.tuning == Tuning::Hasty { "  down_timer_adverts 1\n" } else { "" };
        format!("  state BACKUP\n{nopreempt}  advert_int {whole}.{hundredths:02}\n{hasty}")
    }
}

/// A block of addresses; nothing without addresses.
fn block(name: &str, vips: &[Ipv4Addr]) -> String {
    if vips.is_empty() {
        return String::new();
    }
    let addresses: String = vips.iter().map(|vip| format!("    {vip}/32 dev eth0\n")).collect();
    format!("  {name} {{\n{addresses}  }}\n")
}

/// The configuration of `host` with many virtual routers: [`Tuning::Fast`] with an advert each `interval_ms`.
pub(super) fn crowd_configuration(host: Host, interval_ms: u16, members: &[Member]) -> String {
    let (whole, hundredths) = (interval_ms / 1000, interval_ms % 1000 / 10);
    let instance = |(number, Member { link, vrid, vips }): (usize, &Member)| {
        let (interface, priority) = (link.interface(), priority(host));
        let addresses: String = vips.iter().map(|vip| format!("    {vip}/32 dev {interface}\n")).collect();
        format!(
            "vrrp_instance baton{number} {{\n  state BACKUP\n  nopreempt\n  advert_int {whole}.{hundredths:02}\n  \
             interface {interface}\n  virtual_router_id {vrid}\n  priority {priority}\n  virtual_ipaddress {{\n{addresses}  \
             }}\n}}\n"
        )
    };
    let instances: String = members.iter().enumerate().map(instance).collect();
    format!(
        "global_defs {{\n  router_id {}\n  vrrp_version 3\n  vrrp_rt_priority 50\n  vrrp_rlimit_rttime 10000000\n}}\n{instances}",
        host.name()
    )
}

/// The priority of `host`, the same for every system that is tuned: a goes before b.
pub(super) const fn priority(host: Host) -> u8 {
    match host {
        Host::A => 254,
        Host::B | Host::Client => 253,
    }
}

/// The default, and one less for the other node.
const fn default_priority(host: Host) -> u8 {
    match host {
        Host::A => 100,
        Host::B | Host::Client => 99,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::vips;

    #[test]
    fn at_its_defaults_nothing_is_set_but_what_must_be() {
        let keepalived = Keepalived::with(Host::B, &vips(1), &Settings::DEFAULTS, Tuning::Defaults);
        assert_eq!(
            keepalived.configuration(Host::B),
            "global_defs {\n  router_id b\n}\nvrrp_instance baton {\n  interface eth0\n  virtual_router_id 51\n  \
             priority 99\n  virtual_ipaddress {\n    10.77.0.100/32 dev eth0\n  }\n}\n"
        );
    }

    #[test]
    fn each_of_many_has_an_instance_of_its_own() {
        let members = Member::spread(256).expect("two links");
        let text = crowd_configuration(Host::B, 1000, &members);
        assert_eq!(text.matches("  advert_int 1.00\n").count(), 256);
        assert!(text.contains("  interface eth1\n  virtual_router_id 1\n  priority 253\n"), "{text}");
        assert!(text.ends_with("  virtual_ipaddress {\n    10.78.128.128/32 dev eth1\n  }\n}\n"), "{text}");
    }

    #[test]
    fn what_an_advert_has_no_room_for_is_excluded_from_it() {
        let text =
            Keepalived::with(Host::A, &vips(256), &Settings::USUAL, Tuning::Hasty).configuration(Host::A);
        assert!(text.contains("  vrrp_rt_priority 50\n  vrrp_rlimit_rttime 10000000\n"), "{text}");
        let tuned = "  state BACKUP\n  nopreempt\n  advert_int 0.01\n  down_timer_adverts 1\n";
        assert!(text.contains(tuned), "{text}");
        assert_eq!(text.matches("dev eth0").count(), 256);
        assert!(
            text.ends_with("  virtual_ipaddress_excluded {\n    10.77.128.255/32 dev eth0\n  }\n}\n"),
            "{text}"
        );
    }
}
