//! `cargo xtask setup`: what Baton needs on Debian 12 beside a Rust toolchain. Every step is printed; what is there
//! already is left alone.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

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
const LAB_PACKAGES: [&str; 7] =
    ["bpftool", "curl", "ethtool", "iproute2", "keepalived", "nginx-light", "procps"];
/// The linker of the BPF object; the version that knows the LLVM of Debian's rustc.
const BPF_LINKER: &str = "0.13.0";
/// Debian's rustc, which comes with the libraries for the BPF target.
const BPF_RUSTC: &str = "/usr/bin/rustc";
/// Tells dpkg whether services may be started at installation.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing, or prints how when this process is not root.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut packages: Vec<String> =
        BUILD_PACKAGES.iter().chain(&LAB_PACKAGES).map(|&name| name.to_owned()).collect();
    packages.retain(|name| !is_installed(name));
    install(&packages)?;

    // The linker must be of the LLVM that its compiler is of.
    let major = llvm_major().with_context(|| format!("asking {BPF_RUSTC} for its LLVM"))?;
    let mut packages = vec![format!("llvm-{major}-dev"), format!("libpolly-{major}-dev")];
    packages.retain(|name| !is_installed(name));
    install(&packages)?;
    if !has_bpf_linker() {
        step(
            command(
                "cargo",
                ["install", "bpf-linker", "--version", BPF_LINKER, "--locked", "--no-default-features"],
            )
            .args(["--features", &format!("llvm-{major}")])
            .env("LLVM_PREFIX", format!("/usr/lib/llvm-{major}")),
        )?;
    }
    Ok(())
}

fn install(packages: &[String]) -> anyhow::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let update = || command("apt-get", ["update", "--quiet"]);
    let install = || {
        let mut install = command("apt-get", ["install", "--yes", "--quiet", "--no-install-recommends"]);
        install.args(packages).env("DEBIAN_FRONTEND", "noninteractive");
        install
    };
    if !is_root() {
        println!("These packages are missing. As root:\n  {}\n  {}", spelled(&update()), spelled(&install()));
        bail!("not root; run the commands above, then `cargo xtask setup` again");
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("this is no Debian; install by other means: {}", packages.join(" "));
    }
    step(&mut update())?;
    let _quiet = NoServices::new()?;
    step(&mut install())
        .context("see README.md, \"What it needs\", for the package sources (bookworm-security)")
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

/// While it lives, the installation of nginx and keepalived starts no service: only the lab runs them. A policy of the
/// operator's own is left alone.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn new() -> anyhow::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        std::fs::write(POLICY, "#!/bin/sh\nexit 101\n").with_context(|| format!("writing {POLICY}"))?;
        std::fs::set_permissions(POLICY, std::fs::Permissions::from_mode(0o755))?;
        Ok(Self { ours: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_file(POLICY);
        }
    }
}
