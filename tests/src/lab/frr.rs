//! FRR's VRRP on a node: zebra, vrrpd, and the macvlan with the virtual MAC that both want made by hand.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::unistd::{Group, User, chown};

use super::keepalived::priority;
use super::{Host, Lab, Process, Settings, VRID, mac_text, wait_until};

/// Where Debian puts the daemons.
const DAEMONS: &str = "/usr/lib/frr";
/// The interface that has the addresses. zebra takes its carrier away (protodown) while vrrpd is Backup.
const INTERFACE: &str = "vrrp4";
/// What vrrpd logs when it takes part.
const BEGINS: &str = "Initialize -> Backup";
/// What vrrpd takes, the number of addresses in an advert being one octet.
const MOST_ADDRESSES: usize = 255;

/// FRR as the lab runs it.
#[derive(Clone, Copy, Debug)]
pub struct Frr;

impl Frr {
    /// Where a daemon's program is.
    pub fn program(name: &str) -> PathBuf {
        PathBuf::from(DAEMONS).join(name)
    }

    /// Makes the macvlan with all addresses, which are of one family, on `host` and starts zebra, which has to run before
    /// vrrpd does.
    pub fn prepare(lab: &Lab, host: Host, vips: &[IpAddr]) -> Result<Process> {
        let directory = directory(lab, host);
        if directory.exists() {
            // A socket of the zebra before would be taken for this one's.
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        // The daemons give up root.
        let user = User::from_name("frr")?.context("no user `frr`: is the package frr installed?")?;
        let group = Group::from_name("frr")?.context("no group `frr`: is the package frr installed?")?;
        chown(&directory, Some(user.uid), Some(group.gid))?;
        lab.namespace(host).set("net/ipv4/conf/all/arp_ignore", "1")?;
        lab.namespace(host).set("net/ipv6/conf/default/accept_dad", "0")?;
        let family = if vips.iter().all(IpAddr::is_ipv4) { 1 } else { 2 };
        let mac = mac_text([0, 0, 0x5e, 0, family, VRID]);
        let kind = ["type", "macvlan", "mode", "bridge"];
        lab.run(
            host,
            "ip",
            &[&["link", "add", INTERFACE, "link", "eth0", "address", &mac], &kind[..]].concat(),
        )
        .context("make a macvlan")?;
        let batch = directory.join("addresses");
        let lines: String = vips.iter().map(|vip| format!("address add {vip} dev {INTERFACE}\n")).collect();
        fs::write(&batch, lines)?;
        lab.run(host, "ip", &["-batch", &batch.to_string_lossy()])?;
        lab.run(host, "ip", &["link", "set", INTERFACE, "up"])?;
        let zebra = Self::daemon(lab, host, "zebra", "")?;
        wait_until("zebra to listen", Duration::from_secs(5), || Ok(directory.join("zebra.sock").exists()))?;
        Ok(zebra)
    }

    /// Starts vrrpd on `host`, for that version of VRRP, and waits until it takes part. Addresses that its advert has no room
    /// for are on the macvlan and move with it.
    pub fn start(
        lab: &Lab,
        host: Host,
        version: u8,
        settings: &Settings,
        vips: &[IpAddr],
    ) -> Result<Process> {
        let log = Self::log_file(lab, host);
        if log.exists() {
            fs::remove_file(&log)?;
        }
        let mut vrrpd = Self::daemon(lab, host, "vrrpd", &configuration(host, version, settings, vips))?;
        wait_until(&format!("vrrpd to begin (see {})", log.display()), Duration::from_secs(10), || {
            ensure!(vrrpd.is_running(), "vrrpd on node {} ended", host.name());
            Ok(fs::read_to_string(&log)?.contains(BEGINS))
        })?;
        Ok(vrrpd)
    }

    /// Whether the addresses are up on `host`.
    pub fn owns(lab: &Lab, host: Host) -> Result<bool> {
        Ok(lab.run(host, "ip", &["-o", "link", "show", INTERFACE])?.contains("LOWER_UP"))
    }

    /// Takes the macvlan away.
    pub fn clean(lab: &Lab, host: Host) -> Result<()> {
        lab.run(host, "ip", &["link", "delete", INTERFACE])?;
        lab.namespace(host).set("net/ipv4/conf/all/arp_ignore", "0")
    }

    /// What vrrpd logs to.
    pub(super) fn log_file(lab: &Lab, host: Host) -> PathBuf {
        directory(lab, host).join("vrrpd.log")
    }

    fn daemon(lab: &Lab, host: Host, name: &str, configuration: &str) -> Result<Process> {
        let directory = directory(lab, host);
        let file = directory.join(format!("{name}.conf"));
        fs::write(&file, configuration)?;
        let mut command = lab.command(host, Self::program(name));
        command.args(["--log", "stdout"]).arg("--config_file").arg(&file);
        command.arg("--socket").arg(directory.join("zebra.sock"));
        command.arg("--pid_file").arg(directory.join(format!("{name}.pid")));
        command.arg("--vty_socket").arg(&directory);
        Process::start(&mut command, &directory.join(format!("{name}.log")))
    }
}

fn directory(lab: &Lab, host: Host) -> PathBuf {
    lab.host_directory(host).join("frr")
}

fn configuration(host: Host, version: u8, settings: &Settings, vips: &[IpAddr]) -> String {
    let Settings { interval_ms, preempt, .. } = settings;
    let router = format!("vrrp {VRID}");
    let preempt = if *preempt { String::new() } else { format!(" no {router} preempt\n") };
    let address = |vip: &IpAddr| match vip {
        IpAddr::V4(vip) => format!(" {router} ip {vip}\n"),
        IpAddr::V6(vip) => format!(" {router} ipv6 {vip}\n"),
    };
    let addresses: String = vips.iter().take(MOST_ADDRESSES).map(address).collect();
    format!(
        "interface eth0\n {router} version {version}\n {router} priority {}\n {router} advertisement-interval {interval_ms}\n\
         {preempt}{addresses}",
        priority(host)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::vips;

    #[test]
    fn what_an_advert_has_no_room_for_is_left_to_the_macvlan() {
        let text = configuration(
            Host::B,
            3,
            &Settings::USUAL,
            &vips(300).into_iter().map(IpAddr::from).collect::<Vec<_>>(),
        );
        let expected = "interface eth0\n vrrp 51 version 3\n vrrp 51 priority 253\n vrrp 51 advertisement-interval 10\n \
                        no vrrp 51 preempt\n vrrp 51 ip 10.77.0.100\n vrrp 51 ip 10.77.128.1\n";
        assert!(text.starts_with(expected), "{text}");
        assert_eq!(text.matches(" ip ").count(), 255);
    }
}
