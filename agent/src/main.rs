//! The agent's binary.

mod cli;

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::bail;
use baton::config::{Config, ConfigError};
use baton::control::protocol::{Request, Response};
use baton::control::{client, render, socket_path};
use clap::Parser;
use cli::{Cli, ConfigPath, Verb};
use tracing_subscriber::EnvFilter;

const OTHER_ANSWER: &str = "the agent answered another question; is it of another version than this command?";

fn main() -> ExitCode {
    // What the data plane logs was asked for in the configuration.
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,baton_ebpf=debug"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    match execute(Cli::parse().verb) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("baton: {error:#}");
            match error.downcast_ref::<ConfigError>() {
                Some(ConfigError::Unreadable { .. }) => ExitCode::from(2),
                Some(ConfigError::Invalid { .. }) | None => ExitCode::FAILURE,
            }
        }
    }
}

fn execute(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Run(ConfigPath { path }) => baton::run::run(&Config::load(&path)?)?,
        Verb::Check(ConfigPath { path }) => {
            let config = Config::load(&path)?;
            println!("{}: valid, {} virtual router(s)", path.display(), config.routers.len());
        }
        Verb::Status { config, json } => {
            let Response::Status(status) = ask(&config, &Request::Status)? else { bail!(OTHER_ANSWER) };
            if json {
                println!("{}", serde_json::to_string_pretty(&status)?);
            } else {
                print!("{}", render::status(&status));
            }
        }
        Verb::Handover { config, vrid, interface, json } => {
            let request = Request::Handover { vrid, interface };
            let Response::Handover(results) = ask(&config, &request)? else { bail!(OTHER_ANSWER) };
            if json {
                println!("{}", serde_json::to_string_pretty(&results)?);
            } else {
                print!("{}", render::handover(&results));
            }
            if results.iter().any(|result| !result.moved) {
                return Ok(ExitCode::FAILURE);
            }
        }
        Verb::Detach(ConfigPath { path }) => baton::detach::detach(&Config::load(&path)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the agent; what it refuses is an error.
fn ask(config: &ConfigPath, request: &Request) -> anyhow::Result<Response> {
    let config = Config::load(&config.path)?;
    match client::ask(&socket_path(&config.runtime.directory), request)? {
        Response::Error(message) => bail!(message),
        answer @ (Response::Status(_) | Response::Handover(_)) => Ok(answer),
    }
}
