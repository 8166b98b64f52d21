//! `cargo xtask test`: every suite, in order from the pure to the privileged, and one closing line.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::command::{cargo, need_root, release_directory, say, spelled};
use crate::{build, lint};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the suites whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Repeat what random decides: each kind of failure 100 times, each of the two kinds of simulation 500 000 times. Takes an hour longer.
    #[arg(long)]
    deep: bool,
}

/// How often the suites repeat themselves with `--deep`; they say how far they have come.
const DEEP: [(&str, &str); 2] = [("BATON_REPETITIONS", "100"), ("BATON_RUNS", "500000")];

/// A call of `cargo test`.
struct Suite {
    name: &'static str,
    args: &'static [&'static str],
}

/// Suites that make labs run one test at a time: with two on a machine of two cores, each would disturb the other's
/// clock.
const SUITES: [Suite; 12] = [
    Suite { name: "unit", args: &["--workspace", "--exclude", "baton-ebpf", "--lib", "--bins"] },
    Suite { name: "election", args: &["--package", "baton-tests", "--test", "election"] },
    Suite { name: "wire", args: &["--package", "baton-tests", "--test", "wire"] },
    Suite { name: "checklist", args: &["--package", "baton-tests", "--test", "checklist"] },
    Suite { name: "fuzz", args: &["--package", "baton-tests", "--test", "fuzz"] },
    Suite { name: "simulation", args: &["--package", "baton-tests", "--test", "simulation"] },
    Suite { name: "datapath", args: &["--package", "baton-tests", "--test", "datapath"] },
    Suite { name: "afxdp", args: &["--package", "baton-tests", "--test", "afxdp"] },
    Suite {
        name: "failover",
        args: &["--package", "baton-tests", "--test", "failover", "--", "--test-threads=1"],
    },
    Suite {
        name: "engine",
        args: &["--package", "baton-tests", "--test", "engine", "--", "--test-threads=1"],
    },
    Suite {
        name: "interop",
        args: &["--package", "baton-tests", "--test", "interop", "--", "--test-threads=1"],
    },
    Suite {
        name: "examples",
        args: &["--package", "baton-tests", "--test", "examples", "--", "--test-threads=1"],
    },
];

/// Tests that passed and failed.
#[derive(Default)]
struct Tally {
    passed: u32,
    failed: u32,
}

/// Runs all suites, even after one has failed, and fails if any test did.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    need_root("the full test (`cargo test` runs the part without privileges)")?;
    build::with_tools()?;
    let wanted = |suite: &&Suite| args.only.as_ref().is_none_or(|part| suite.name.contains(part.as_str()));
    let mut total = Tally::default();
    let mut broken = Vec::new();
    if args.only.is_none()
        && let Err(error) = lint::run()
    {
        say(format_args!("{error:#}"));
        broken.push("lint");
    }
    for suite in SUITES.iter().filter(wanted) {
        say(format_args!("\n== {} ==", suite.name));
        let (tally, success) = run_suite(suite, args.deep)?;
        if !success {
            broken.push(suite.name);
        }
        total.passed += tally.passed;
        total.failed += tally.failed;
    }
    if !broken.is_empty() {
        say(format_args!("\nfailed: {}", broken.join(", ")));
    }
    // Lint, or a suite that does not even build, counts as a failure.
    let failed = total.failed.max(u32::from(!broken.is_empty()));
    say(format_args!("\n{} passed, {failed} failed", total.passed));
    if failed > 0 {
        bail!("a suite failed, see above");
    }
    Ok(())
}

fn run_suite(suite: &Suite, deep: bool) -> anyhow::Result<(Tally, bool)> {
    let mut command: Command = cargo(["test", "--locked"]);
    if deep {
        command.arg("--release").envs(DEEP);
    }
    command.args(suite.args).env("BATON_BIN_DIR", release_directory()).stdout(Stdio::piped());
    say(format_args!("+ {}", spelled(&command)));
    let mut child = command.spawn().context("running cargo test")?;
    let mut tally = Tally::default();
    for line in BufReader::new(child.stdout.take().context("no output of cargo test")?).lines() {
        let line = line?;
        say(&line);
        if let Some(counts) = line.strip_prefix("test result: ") {
            tally.passed += count(counts, "passed");
            tally.failed += count(counts, "failed");
        }
    }
    Ok((tally, child.wait()?.success()))
}

/// The number before `word` in a closing line of cargo test.
fn count(line: &str, word: &str) -> u32 {
    let words: Vec<&str> = line.split([' ', ';', '.']).filter(|part| !part.is_empty()).collect();
    words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok()).unwrap_or_default()
}
