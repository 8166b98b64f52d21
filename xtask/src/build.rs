//! `cargo xtask build`: the agent, and through its build script the BPF object.

use crate::command::{built, cargo, say, step};
use crate::setup;

/// Builds the agent.
pub(crate) fn run() -> anyhow::Result<()> {
    setup::run()?;
    step(&mut cargo(["build", "--locked", "--release", "--package", "baton"]))?;
    say(format_args!("built {}", built("baton").display()));
    Ok(())
}

/// Builds the agent and the programs of the lab.
pub(crate) fn with_tools() -> anyhow::Result<()> {
    setup::run()?;
    step(&mut cargo([
        "build",
        "--locked",
        "--release",
        "--package",
        "baton",
        "--package",
        "baton-benches",
        "--bins",
    ]))
}
