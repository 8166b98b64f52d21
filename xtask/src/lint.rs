//! `cargo xtask lint`: the rules that a compiler can check.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::command::{cargo, root, step};

/// A part that depends on the contract, itself and the pure parts of std: nothing there can do IO, read a clock, log or
/// draw random numbers.
struct Pure {
    /// A directory or a file.
    part: &'static str,
    may_name: &'static [&'static str],
}

const CORE: Pure = Pure {
    part: "agent/src/vrrp",
    may_name: &[
        "action",
        "baton_common",
        "fmt",
        "group",
        "router",
        "state",
        "std::array",
        "std::fmt",
        "std::iter",
        "std::num",
        "std::ops",
        "std::time::Duration",
        "super",
        "timers",
        "types",
        "u16",
        "u32",
        "u64",
        "version",
    ],
};
/// It uses the election's words beside.
const INITIATOR: Pure = Pure {
    part: "agent/src/sbfd",
    may_name: &[
        "baton_common",
        "crate::stall",
        "crate::vrrp",
        "peers",
        "session",
        "std::iter",
        "std::mem",
        "std::time::Duration",
        "super",
        "u32",
        "u8",
        "watch",
    ],
};
/// What the guardian does with a lease.
const LINGER: Pure = Pure {
    part: "agent/src/guardian/linger.rs",
    may_name: &["baton_common", "crate::vrrp", "std::mem", "std::time::Duration", "super", "u64"],
};

/// XDP codes appear in one file: everything else speaks of verdicts.
const PROGRAMS: &str = "ebpf/src";
const ENTRY: &str = "main.rs";

/// Packet pointers are dereferenced in one file, map cells in another, lines of tables in a third.
const UNSAFE_IN_PROGRAMS: [&str; 3] = ["packet.rs", "maps.rs", "lines.rs"];

/// Checks format, clippy, documentation and the rules of the architecture.
pub(crate) fn run() -> anyhow::Result<()> {
    step(&mut cargo(["fmt", "--all", "--check"]))?;
    let packages = ["--locked", "--workspace", "--exclude", "baton-ebpf"];
    step(cargo(["clippy"]).args(packages).args(["--all-targets", "--", "--deny", "warnings"]))?;
    step(cargo(["doc", "--no-deps"]).args(packages).env("RUSTDOCFLAGS", "--deny warnings"))?;
    for pure in [CORE, INITIATOR, LINGER] {
        check_purity(&pure)?;
    }
    actions_are_in_one_file()
}

fn check_purity(Pure { part, may_name }: &Pure) -> anyhow::Result<()> {
    for (path, text) in sources(part)? {
        for line in code_lines(&text) {
            if let Some(name) = impurity(line, may_name) {
                bail!("{}: {part} must not use {name}: {}", path.display(), line.trim());
            }
        }
    }
    Ok(())
}

/// The first path in `line` that is not among `may_name`. Paths that begin with a type are methods and variants.
fn impurity<'a>(line: &'a str, may_name: &[&str]) -> Option<&'a str> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut paths = line.split(|c: char| !is_path(c)).filter(|word| word.contains("::"));
    paths.find(|path| {
        let is_type = path.starts_with(|c: char| c.is_ascii_uppercase());
        let is_allowed = |allowed: &str| {
            path.strip_prefix(allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        !is_type && !may_name.iter().any(|allowed| is_allowed(allowed))
    })
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

/// The files of `part`, which is a directory or one of them.
fn sources(part: &str) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    collect(&root().join(part), &mut found)?;
    Ok(found)
}

fn collect(path: &Path, found: &mut Vec<(PathBuf, String)>) -> anyhow::Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).with_context(|| format!("reading {}", path.display()))? {
            collect(&entry?.path(), found)?;
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        found.push((path.to_owned(), text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_may_name_itself_and_the_pure_parts_of_std() {
        for line in [
            "use std::time::Duration;",
            "pub use types::{Advertisement, Instant};",
            "let State::Leaving(Leaving { until, task }) = self.state;",
            "fn random(task: Task) {",
            "    x: std::iter::Flatten<std::array::IntoIter<Action, 4>>,",
        ] {
            assert_eq!(impurity(line, CORE.may_name), None, "{line}");
        }
    }

    #[test]
    fn the_core_may_not_do_io_or_read_a_clock() {
        for (line, name) in [
            ("use std::time::Instant;", "std::time::Instant"),
            ("use std::time::{Duration, Instant};", "std::time::"),
            ("use tracing::info;", "tracing::info"),
            ("    libc::getpid();", "libc::getpid"),
            ("use crate::clock;", "crate::clock"),
            ("    std::fs::read(path)", "std::fs::read"),
        ] {
            assert_eq!(impurity(line, CORE.may_name), Some(name), "{line}");
        }
    }
}
