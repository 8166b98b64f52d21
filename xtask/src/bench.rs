//! `cargo xtask bench`: measurements. The work is done by the crate `benches`.

use clap::Subcommand;

use crate::command::{become_command, built, cargo, command, need_root, step};
use crate::{build, setup};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Client outage per kind of failure, beside keepalived and FRR, in one run. `-- --help` lists the options.
    Failover {
        /// Options of the benchmark: `--rounds N`, `--quick`, `--kinds`, `--systems`, `--vips`, `--stress`, `--seconds`,
        /// `--json FILE`, `--html FILE`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Many virtual routers under one agent, beside keepalived with as many, in one run. `-- --help` lists the options.
    Scale {
        /// Options of the benchmark: `--quick`, `--routers`, `--intervals`, `--kinds`, `--turns N`, `--json FILE`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// What a frame costs in the engine, beside the limits of XDP and AF_XDP, the kernel, nftables, nginx and HAProxy, in one run.
    /// `-- --help` lists the options.
    Engine {
        /// Options of the benchmark: `--quick`, `--systems`, `--rounds N`, `--span MS`, `--flows`, `--services`, `--backends`,
        /// `--connections MS`, `--json FILE`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Parser, builder and election (criterion), and the XDP program's ns per frame and verdict.
    Micro,
}

/// Builds in release mode and measures.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    need_root("measuring")?;
    match &args.what {
        What::Failover { options } => run_program("failover", options),
        What::Scale { options } => run_program("scale", options),
        What::Engine { options } => run_program("engine", options),
        What::Micro => {
            setup::run()?;
            step(&mut cargo(["bench", "--locked", "--package", "baton-benches", "--benches"]))
        }
    }
}

fn run_program(name: &str, options: &[String]) -> anyhow::Result<()> {
    build::with_tools()?;
    become_command(&mut command(&built(name).display().to_string(), options))
}
