//! Which systems are compared: their versions and how they are configured.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use baton_tests::lab::{Frr, System, Tuning, Variant, binary};
use serde::Serialize;

/// What is said of a program that is not there.
const NOT_INSTALLED: &str = "not installed";

/// A system for the report.
#[derive(Clone, Debug, Serialize)]
pub struct SystemRow {
    /// Its name.
    pub system: &'static str,
    /// What its program says of itself.
    pub version: String,
    /// How it is configured.
    pub configuration: &'static str,
}

impl SystemRow {
    /// The row of `system`.
    pub fn of(system: System) -> Self {
        Self { system: system.name(), version: version(system), configuration: configuration(system) }
    }
}

/// The program of `system` that takes part in the election.
pub fn program(system: System) -> Result<PathBuf> {
    match system {
        System::Baton(_) => binary("baton"),
        System::Keepalived(_) => Ok(on_path("keepalived")),
        System::Frr => Ok(Frr::program("vrrpd")),
    }
}

/// Where the shell would find `name`; the bare name if it would not.
pub(crate) fn on_path(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|directory| directory.join(name));
    found.find(|program| program.is_file()).unwrap_or_else(|| name.into())
}

/// The first line of what the program says to `--version`, on whichever stream.
fn version(system: System) -> String {
    program(system).map_or_else(|_| NOT_INSTALLED.to_owned(), |program| said(&program, "--version"))
}

/// The first line of what `program` says when it is asked for its version by `option`, on whichever stream.
pub(crate) fn said(program: &Path, option: &str) -> String {
    let output = Command::new(program).arg(option).output();
    let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or(NOT_INSTALLED).to_owned()
}

const fn configuration(system: System) -> &'static str {
    match system {
        System::Baton(Variant::Usual) => {
            "VRRPv3, an advert each 10 ms, priority 254/253, no preemption, S-BFD auto (fast), real-time priority 50, \
             virtual MAC; one virtual router"
        }
        System::Baton(Variant::InterfaceMac) => {
            "VRRPv3, an advert each 10 ms, priority 254/253, no preemption, S-BFD auto (fast), real-time priority 50, \
             mac = \"interface\"; one virtual router"
        }
        System::Baton(Variant::Fastest) => "as baton, and sbfd = \"fastest\"",
        System::Keepalived(Tuning::Fast) => {
            "VRRPv3, advert_int 0.01, priority 254/253, nopreempt, vrrp_rt_priority 50, -G (no syslog); addresses after the \
             255th in virtual_ipaddress_excluded, and vrrp_rlimit_rttime raised, without which it is killed while it sets them"
        }
        System::Keepalived(Tuning::Hasty) => {
            "as keepalived, and down_timer_adverts 1: one missing advert is enough, which its manual calls a deviation from \
             the protocol"
        }
        System::Keepalived(Tuning::Defaults) => {
            "its defaults: VRRPv2, an advert each second, preemption, no real-time priority; priority 100/99, -G; addresses \
             after the 255th in virtual_ipaddress_excluded"
        }
        System::Frr => {
            "zebra and vrrpd: version 3, advertisement-interval 10 (ms), priority 254/253, no preempt, macvlan with \
             00:00:5e:00:01:33, no real-time priority (it has none); addresses after the 255th on the macvlan alone"
        }
    }
}
