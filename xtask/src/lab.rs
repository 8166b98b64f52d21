//! `cargo xtask lab`: the demo's network to play with. The work is done by benches/src/bin/lab.rs.

use crate::build;
use crate::command::{become_command, built, command, need_root};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// `up`, `down`, or `exec NODE COMMAND...` with NODE one of a, b, cl, sw.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Builds the programs where the lab is about to be made, and becomes the lab tool.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    need_root("the lab")?;
    if args.words.first().is_some_and(|word| word == "up") || !built("lab").exists() {
        build::with_tools()?;
    }
    become_command(&mut command(&built("lab").display().to_string(), &args.words))
}
