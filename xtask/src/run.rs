//! `cargo xtask run`: the agent on a real interface.

use std::path::PathBuf;

use crate::build;
use crate::command::{become_command, built, command, need_root};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The agent's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Builds the agent and becomes it.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    need_root("running the agent")?;
    build::run()?;
    let config = std::path::absolute(&args.config)?;
    let program = built("baton").display().to_string();
    become_command(&mut command(&program, ["run".as_ref(), "--config".as_ref(), config.as_os_str()]))
}
