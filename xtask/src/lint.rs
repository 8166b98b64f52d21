//! `cargo xtask lint`: the rules that a compiler can check.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::command::{cargo, root, step};

/// What the election core may name: std without its clock, the contract, and itself.
const CORE: &str = "agent/src/vrrp";
const CORE_FORBIDDEN: [&str; 9] = [
    "std::time::Instant",
    "SystemTime",
    "std::io",
    "std::net::Udp",
    "std::fs",
    "tracing",
    "libc",
    "nix::",
    "rand",
];

/// XDP codes appear in one file: everything else speaks of verdicts.
const PROGRAMS: &str = "ebpf/src";
const ENTRY: &str = "main.rs";

/// Packet pointers are dereferenced in one file, map cells in another.
const UNSAFE_IN_PROGRAMS: [&str; 2] = ["packet.rs", "maps.rs"];

/// Checks format, clippy, documentation and the rules of the architecture.
pub(crate) fn run() -> anyhow::Result<()> {
    step(&mut cargo(["fmt", "--all", "--check"]))?;
    let packages = ["--locked", "--workspace", "--exclude", "baton-ebpf"];
    step(cargo(["clippy"]).args(packages).args(["--all-targets", "--", "--deny", "warnings"]))?;
    step(cargo(["doc", "--no-deps"]).args(packages).env("RUSTDOCFLAGS", "--deny warnings"))?;
    core_is_pure()?;
    actions_are_in_one_file()
}

fn core_is_pure() -> anyhow::Result<()> {
    for (path, text) in sources(CORE)? {
        for line in code_lines(&text) {
            if let Some(word) = CORE_FORBIDDEN.iter().find(|word| line.contains(**word)) {
                bail!("{}: the election core must not use {word}: {}", path.display(), line.trim());
            }
            let imports = line.trim_start().strip_prefix("use ").unwrap_or("std");
            if !["std", "core", "super", "crate::vrrp", "baton_common", "self"]
                .iter()
                .any(|from| imports.starts_with(from))
            {
                bail!(
                    "{}: the election core depends on std and the contract only: {}",
                    path.display(),
                    line.trim()
                );
            }
        }
    }
    Ok(())
}

fn actions_are_in_one_file() -> anyhow::Result<()> {
    for (path, text) in sources(PROGRAMS)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for line in code_lines(&text) {
            if name != ENTRY && line.contains("xdp_action") {
                bail!("{}: XDP actions belong into {ENTRY}: {}", path.display(), line.trim());
            }
            if !UNSAFE_IN_PROGRAMS.contains(&name.as_str()) && line.contains("unsafe {") {
                bail!(
                    "{}: unsafe belongs into {}: {}",
                    path.display(),
                    UNSAFE_IN_PROGRAMS.join(", "),
                    line.trim()
                );
            }
        }
    }
    Ok(())
}

/// The lines that are not comments.
fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

fn sources(directory: &str) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    collect(&root().join(directory), &mut found)?;
    Ok(found)
}

fn collect(directory: &Path, found: &mut Vec<(PathBuf, String)>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path)?;
            found.push((path, text));
        }
    }
    Ok(())
}
