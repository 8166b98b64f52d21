//! Baton's build tool: one file per verb, `cargo xtask --help` lists them. It uses nothing of the workspace, so that it
//! builds where nothing is installed yet.

mod apt;
mod bench;
mod build;
mod command;
mod demo;
mod lab;
mod lint;
mod run;
mod setup;
mod test;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Sets up, builds, runs, tests and measures Baton")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what is missing on Debian 12: packages and bpf-linker. Without root, print the commands.
    Setup,
    /// Build the BPF object and the agent.
    Build,
    /// Build, load and run on a real interface (root).
    Run(run::Args),
    /// Tell the story: two nodes, a switch and a client in network namespaces, and a VIP that moves (root).
    Demo(demo::Args),
    /// The demo's network to play with (root).
    Lab(lab::Args),
    /// Build and run every suite, the privileged ones included (root).
    Test(test::Args),
    /// Format, clippy, docs, and the rules of the architecture.
    Lint,
    /// Measure.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Setup => setup::run(),
        Verb::Build => build::run(),
        Verb::Run(args) => run::run(&args),
        Verb::Demo(args) => demo::run(&args),
        Verb::Lab(args) => lab::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Lint => lint::run(),
        Verb::Bench(args) => bench::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
