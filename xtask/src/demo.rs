//! `cargo xtask demo`: builds everything and tells the story. The stories are benches/src/bin/demo.rs and engine-demo.rs.

use std::path::PathBuf;

use crate::build;
use crate::command::{become_command, built, command, need_root};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Show the load-balancing engine instead of the failover.
    #[arg(long, conflicts_with_all = ["rounds", "json", "keep"])]
    engine: bool,
    /// Rounds of each kind of failure.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Write the distributions as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Leave the lab up and print how to enter it.
    #[arg(long)]
    keep: bool,
}

/// Builds the programs and becomes the demo.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    need_root("the demo")?;
    build::with_tools()?;
    if args.engine {
        return become_command(&mut command(&built("engine-demo").display().to_string(), [""; 0]));
    }
    let mut demo = command(&built("demo").display().to_string(), ["--rounds", &args.rounds.to_string()]);
    if let Some(file) = &args.json {
        demo.arg("--json").arg(std::path::absolute(file)?);
    }
    if args.keep {
        demo.arg("--keep");
    }
    become_command(&mut demo)
}
