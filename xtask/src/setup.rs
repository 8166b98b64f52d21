//! `cargo xtask setup`: what Baton needs on Debian 12 beside a Rust toolchain. Every step is printed; what is there
//! already is left alone.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::apt::{self, POLICY, Policy};
use crate::command::{command, is_root, spelled, step};

/// What the agent (libxdp, libelf) and bpf-linker are built with, and a rustc that has `core` for the BPF target.
const BUILD_PACKAGES: [&str; 16] = [
    "ca-certificates",
    "clang",
    "g++",
    "gcc",
    "libc6-dev",
    "libelf-dev",
    "libpcap-dev",
    "libstd-rust-web-dev-bpf",
    "libzstd-dev",
    "llvm",
    "m4",
    "make",
    "pkg-config",
    "rustc-web",
    "zlib1g-dev",
    "binutils",
];
/// What the lab, the demo and the suites run.
const LAB_PACKAGES: [&str; 18] = [
    "bind9-dnsutils",
    "bpftool",
    "curl",
    "dnsmasq-base",
    "ethtool",
    "frr",
    "haproxy",
    "iperf3",
    "iproute2",
    "keepalived",
    "libnginx-mod-stream",
    "mariadb-server",
    "nftables",
    "nginx-light",
    "procps",
    "redis-server",
    "tshark",
    "wrk",
];
/// The linker of the BPF object; the version that knows the LLVM of Debian's rustc.
const BPF_LINKER: &str = "0.13.0";
/// Debian's rustc, which comes with the libraries for the BPF target.
const BPF_RUSTC: &str = "/usr/bin/rustc";
/// The package that brings it.
const RUSTC_PACKAGE: &str = "rustc-web";
/// Stands for the LLVM of a compiler that is not there yet.
const LLVM_VARIABLE: &str = "$LLVM";

/// Installs what is missing, or prints how when this process is not root.
pub(crate) fn run() -> anyhow::Result<()> {
    if !is_root() {
        return explain();
    }
    if Policy::find()? == Policy::Stale {
        // An installation was killed; while it is there no service of the machine starts at installation.
        step(&mut command("rm", [POLICY]))?;
    }
    install(&missing(packages()))?;
    // The linker must be of the LLVM that its compiler is of.
    let llvm = llvm_major().with_context(|| format!("asking {BPF_RUSTC} for its LLVM"))?.to_string();
    install(&missing(llvm_packages(&llvm)))?;
    if !has_bpf_linker() {
        step(&mut linker_install(&llvm))?;
    }
    Ok(())
}

/// Prints the commands of all steps that are missing, and fails if there are any.
fn explain() -> anyhow::Result<()> {
    let packages = missing(packages());
    // A compiler that has yet to come may bring another LLVM than one that is there.
    let has_rustc = !packages.iter().any(|name| name == RUSTC_PACKAGE);
    let llvm = has_rustc.then(llvm_major).and_then(Result::ok).map(|major| major.to_string());
    let llvm_packages = missing(llvm_packages(llvm.as_deref().unwrap_or(LLVM_VARIABLE)));
    ensure_debian(&[&packages[..], &llvm_packages[..]].concat())?;
    let policy = Policy::find()?;
    let lines = Steps { packages, llvm, llvm_packages, linker: !has_bpf_linker(), policy }.commands();
    if lines.is_empty() {
        return Ok(());
    }
    println!("These steps are missing, in this order (cargo installs for the user who calls it):");
    for line in lines {
        println!("  {line}");
    }
    bail!("not root; run the commands above, or `cargo xtask setup` as root")
}

/// What a user has to install.
struct Steps {
    /// The packages that are missing.
    packages: Vec<String>,
    /// The LLVM of the compiler, if that is there.
    llvm: Option<String>,
    /// The packages of that LLVM that are missing.
    llvm_packages: Vec<String>,
    /// Whether bpf-linker is missing.
    linker: bool,
    /// Who has decided which services may be started at installation.
    policy: Policy,
}

impl Steps {
    /// What the user types, line by line.
    fn commands(&self) -> Vec<String> {
        let Self { packages, llvm, llvm_packages, linker, policy } = self;
        let mut lines = Vec::new();
        if *policy == Policy::Stale {
            lines.push(format!("sudo rm {POLICY}"));
        }
        if !(packages.is_empty() && llvm_packages.is_empty()) {
            lines.push(format!("sudo {}", spelled(&apt::update())));
        }
        if !packages.is_empty() {
            lines.push(format!("sudo env {}", spelled(&apt::install(packages, *policy))));
        }
        if llvm.is_none() && (*linker || !llvm_packages.is_empty()) {
            let major = "sed -n 's/^LLVM version: \\([0-9]*\\).*/\\1/p'";
            lines.push(format!("LLVM=$({BPF_RUSTC} --version --verbose | {major})"));
        }
        if !llvm_packages.is_empty() {
            lines.push(format!("sudo env {}", spelled(&apt::install(llvm_packages, *policy))));
        }
        if *linker {
            lines.push(spelled(&linker_install(llvm.as_deref().unwrap_or(LLVM_VARIABLE))));
        }
        lines
    }
}

fn install(packages: &[String]) -> anyhow::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    ensure_debian(packages)?;
    let policy = Policy::find()?;
    for mut call in [apt::update(), apt::install(packages, policy)] {
        if let Err(error) = step(&mut call) {
            apt::ensure_unlocked().map_err(|locked| locked.context(error.to_string()))?;
            let sources = "see README.md, \"What it needs\", for the package sources (bookworm-security)";
            return Err(error.context(sources));
        }
    }
    Ok(())
}

fn ensure_debian(packages: &[String]) -> anyhow::Result<()> {
    if !packages.is_empty() && !Path::new("/usr/bin/apt-get").exists() {
        bail!("this is no Debian; install by other means: {}", packages.join(" "));
    }
    Ok(())
}

fn packages() -> Vec<String> {
    BUILD_PACKAGES.iter().chain(&LAB_PACKAGES).map(|&name| name.to_owned()).collect()
}

/// What bpf-linker is linked with, for the LLVM of that major version.
fn llvm_packages(llvm: &str) -> Vec<String> {
    vec![format!("llvm-{llvm}-dev"), format!("libpolly-{llvm}-dev")]
}

fn missing(mut packages: Vec<String>) -> Vec<String> {
    packages.retain(|name| !is_installed(name));
    packages
}

fn linker_install(llvm: &str) -> Command {
    let words = ["install", "bpf-linker", "--version", BPF_LINKER, "--locked", "--no-default-features"];
    let mut install = command("cargo", words);
    install.args(["--features", &format!("llvm-{llvm}")]).env("LLVM_PREFIX", format!("/usr/lib/llvm-{llvm}"));
    install
}

fn is_installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat", "${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}

fn llvm_major() -> anyhow::Result<u32> {
    let output = Command::new(BPF_RUSTC).args(["--version", "--verbose"]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let version =
        text.lines().find_map(|line| line.strip_prefix("LLVM version: ")).context("no LLVM version")?;
    Ok(version.split('.').next().unwrap_or_default().parse()?)
}

fn has_bpf_linker() -> bool {
    Command::new("bpf-linker")
        .arg("--version")
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(BPF_LINKER))
}

#[cfg(test)]
mod tests {
    use super::*;

    const APT_INSTALL: &str =
        "sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends";
    const CARGO_INSTALL: &str = "cargo install bpf-linker --version 0.13.0 --locked --no-default-features";

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// Nothing is missing.
    fn done() -> Steps {
        let llvm = Some("14".to_owned());
        Steps { packages: Vec::new(), llvm, llvm_packages: Vec::new(), linker: false, policy: Policy::None }
    }

    #[test]
    fn a_bare_machine_is_told_every_step_in_order() {
        let steps = Steps {
            packages: names(&["gcc", "nginx-light"]),
            llvm: None,
            llvm_packages: llvm_packages(LLVM_VARIABLE),
            linker: true,
            policy: Policy::None,
        };
        assert_eq!(
            steps.commands(),
            [
                "sudo apt-get update --quiet",
                "sudo env DEBIAN_FRONTEND=noninteractive sh -c 'trap \"rm -f /usr/sbin/policy-rc.d\" EXIT; trap \"exit 1\" \
                 HUP INT TERM; printf \"#!/bin/sh\\n# cargo xtask setup, process %s\\nexit 101\\n\" $$ \
                 >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d && apt-get install --yes --quiet \
                 --no-install-recommends gcc nginx-light'",
                "LLVM=$(/usr/bin/rustc --version --verbose | sed -n 's/^LLVM version: \\([0-9]*\\).*/\\1/p')",
                &format!("{APT_INSTALL} llvm-$LLVM-dev libpolly-$LLVM-dev"),
                &format!("LLVM_PREFIX=/usr/lib/llvm-$LLVM {CARGO_INSTALL} --features llvm-$LLVM"),
            ]
        );
    }

    #[test]
    fn a_policy_that_a_killed_setup_has_left_is_removed() {
        assert_eq!(Steps { policy: Policy::Stale, ..done() }.commands(), ["sudo rm /usr/sbin/policy-rc.d"]);
    }

    #[test]
    fn only_what_is_missing_is_told() {
        assert_eq!(done().commands(), Vec::<String>::new());
        assert_eq!(
            Steps { linker: true, ..done() }.commands(),
            [format!("LLVM_PREFIX=/usr/lib/llvm-14 {CARGO_INSTALL} --features llvm-14")]
        );
        assert_eq!(
            Steps { packages: names(&["keepalived"]), policy: Policy::Others, ..done() }.commands(),
            ["sudo apt-get update --quiet", &format!("{APT_INSTALL} keepalived")]
        );
    }
}
