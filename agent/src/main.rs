//! The agent's binary.

mod cli;
mod log;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use baton::config::{Config, ConfigError, Runtime};
use baton::control::protocol::{BackendChange, Request, Response};
use baton::control::{adjust, client, engine, explain, flows, render, socket_path, top, trace};
use baton::decap::Decap;
use baton::guardian::{self, Progress, Side};
use baton::review::review;
use clap::Parser;
use cli::{BackendName, Cli, ConfigPath, EngineVerb, Errand, Question, Verb, Weight};
use log::Log;
use tracing_subscriber::EnvFilter;

const OTHER_ANSWER: &str = "the agent answered another question; is it of another version than this command?";

/// From one look at the load of the engines to the next.
const LOAD_INTERVAL: Duration = Duration::from_secs(1);

/// How long the end waits for a slow reader of the log.
const LOG_PATIENCE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match Cli::parse().verb {
        // Before the log has a thread.
        Verb::Run(config) => match guardian::divide() {
            Ok(Side::Guardian(guardian)) => with_log(|| Ok(guardian.stand_by())),
            Ok(Side::Agent(line, predecessor)) => with_log(|| {
                let config = Config::load(&config.path).map_err(anyhow::Error::from);
                let run = config.and_then(|config| baton::run::run(&config, line, predecessor.as_ref()));
                if let (Err(error), Some(predecessor)) = (&run, &predecessor) {
                    // If nobody hears it, the log has it.
                    let _ = predecessor.tell(&Progress::Refused(spelled(error)));
                }
                run.map(|()| ExitCode::SUCCESS)
            }),
            Err(error) => with_log(|| Err(error).context("starting the guardian")),
        },
        Verb::Errand(errand) => with_log(|| execute(errand)),
    }
}

/// Does `work` with standard error as its log, and tells there why it failed.
fn with_log(work: impl FnOnce() -> anyhow::Result<ExitCode>) -> ExitCode {
    let Ok(log) = Log::start(io::stderr()) else {
        return ExitCode::FAILURE;
    };
    // What the data plane logs was asked for in the configuration.
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,baton_ebpf=debug"));
    let colours = io::stderr().is_terminal();
    let lines = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(move || lines.clone())
        // It would be told to standard error directly, with a panic where that is closed.
        .log_internal_errors(false)
        .init();
    let code = work().unwrap_or_else(|error| {
        log.say(format!("baton: {}\n", spelled(&error)));
        match error.downcast_ref::<ConfigError>() {
            Some(ConfigError::Unreadable { .. }) => ExitCode::from(2),
            Some(ConfigError::Invalid(_)) | None => ExitCode::FAILURE,
        }
    });
    log.flush(LOG_PATIENCE);
    code
}

fn execute(errand: Errand) -> anyhow::Result<ExitCode> {
    match errand {
        Errand::Check { config: ConfigPath { path }, strict } => {
            let config = Config::load(&path)?;
            let warnings = review(&config);
            if strict && !warnings.is_empty() {
                return Err(ConfigError::Invalid(warnings).into());
            }
            for warning in warnings {
                print(&format!("warning: {warning}\n"))?;
            }
            print(&format!("{}: valid, {} virtual router(s)\n", path.display(), config.routers.len()))?;
        }
        Errand::Schema => print(&pretty(&baton::config::schema())?)?,
        Errand::Status(Question { config, json }) => {
            let Response::Status(status) = ask(&config, &Request::Status {})? else { bail!(OTHER_ANSWER) };
            print(&if json { pretty(&status)? } else { render::status(&status) })?;
        }
        Errand::Engine(verb) => execute_engine(verb)?,
        Errand::Trace { question: Question { config, json }, flow } => {
            let Response::Trace(trace) = ask(&config, &Request::Trace { flow })? else { bail!(OTHER_ANSWER) };
            print(&if json { pretty(&trace)? } else { trace::trace(&trace) })?;
        }
        Errand::Explain(config) => {
            let Response::Status(status) = ask(&config, &Request::Status {})? else { bail!(OTHER_ANSWER) };
            print(&explain::explain(&status))?;
        }
        Errand::Events(ConfigPath { path }) => {
            client::listen(&socket_path(&Runtime::load(&path)?.directory), write_out)?;
        }
        Errand::Handover { question, vrid, interface, to } => {
            return order(&question, &Request::Handover { vrid, interface, to });
        }
        Errand::Drain(question) => return order(&question, &Request::Drain {}),
        Errand::Resume(question) => return order(&question, &Request::Resume {}),
        Errand::Restart(Question { config, json }) => {
            let Response::Restarted(restarted) = ask(&config, &Request::Restart {})? else {
                bail!(OTHER_ANSWER)
            };
            print(&if json { pretty(&restarted)? } else { render::restarted(restarted) })?;
        }
        Errand::Reload(Question { config, json }) => {
            let Response::Reloaded(reloaded) = ask(&config, &Request::Reload {})? else {
                bail!(OTHER_ANSWER)
            };
            print(&if json { pretty(&reloaded)? } else { render::reloaded(&reloaded) })?;
        }
        Errand::Decap { interface, vips, nodes } => {
            Decap { interface, vips: vips.into_iter().collect(), nodes: nodes.into_iter().collect() }
                .run()?;
        }
        Errand::Detach(ConfigPath { path }) => baton::detach::detach(&Config::load(&path)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn execute_engine(verb: EngineVerb) -> anyhow::Result<()> {
    match verb {
        EngineVerb::Backends(Question { config, json }) => {
            let Response::Engine(engines) = ask(&config, &Request::Engine {})? else { bail!(OTHER_ANSWER) };
            print(&if json { pretty(&engines)? } else { engine::backends(&engines) })
        }
        EngineVerb::Top { question, once } => watch_load(&question, once),
        EngineVerb::Flows { question: Question { config, json }, service, backend, limit } => {
            let (vip, port) = service.map_or((None, None), |service| (Some(service.vip), service.port));
            let request = Request::Flows { vip, port, backend, limit };
            let Response::Flows(lists) = ask(&config, &request)? else { bail!(OTHER_ANSWER) };
            print(&if json { pretty(&lists)? } else { flows::flows(&lists) })
        }
        EngineVerb::Weight { backend, weight: Weight::Configured } => {
            change(backend, BackendChange::ConfiguredWeight)
        }
        EngineVerb::Weight { backend, weight: Weight::Number(weight) } => {
            change(backend, BackendChange::Weight(weight))
        }
        EngineVerb::Drain(backend) => change(backend, BackendChange::Drain),
        EngineVerb::Undrain(backend) => change(backend, BackendChange::Undrain),
    }
}

/// Prints the load of the engines each second.
fn watch_load(Question { config, json }: &Question, once: bool) -> anyhow::Result<()> {
    let load = || {
        let Response::Load(loads) = ask(config, &Request::Load {})? else { bail!(OTHER_ANSWER) };
        anyhow::Ok(loads)
    };
    let is_drawn_again = !json && !once && io::stdout().is_terminal();
    let mut before = load()?;
    loop {
        thread::sleep(LOAD_INTERVAL);
        let after = load()?;
        let rates = top::rates(&before, &after);
        let text = if *json { serde_json::to_string(&rates)? + "\n" } else { top::table(&rates) };
        let is_read = write_out(&if is_drawn_again { top::CLEAR.to_owned() + &text } else { text })?;
        if once || !is_read {
            return Ok(());
        }
        before = after;
    }
}

/// Has the agent set something for a backend.
fn change(backend: BackendName, change: BackendChange) -> anyhow::Result<()> {
    let BackendName { question: Question { config, json }, pool, address } = backend;
    let Response::Adjusted(adjusted) = ask(&config, &Request::Adjust { pool, address, change })? else {
        bail!(OTHER_ANSWER)
    };
    print(&if json { pretty(&adjusted)? } else { adjust::adjusted(&adjusted) })
}

/// Has the agent carry out an order; it has failed where any virtual router did not follow.
fn order(Question { config, json }: &Question, request: &Request) -> anyhow::Result<ExitCode> {
    let Response::Outcomes(outcomes) = ask(config, request)? else { bail!(OTHER_ANSWER) };
    print(&if *json { pretty(&outcomes)? } else { render::outcomes(&outcomes) })?;
    let all_done = outcomes.iter().all(|outcome| outcome.done);
    Ok(if all_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks the agent; what it refuses is an error.
fn ask(config: &ConfigPath, request: &Request) -> anyhow::Result<Response> {
    let directory = Runtime::load(&config.path)?.directory;
    match client::ask(&socket_path(&directory), request)? {
        Response::Error(message) => bail!(message),
        answer @ (Response::Status(_)
        | Response::Engine(_)
        | Response::Load(_)
        | Response::Flows(_)
        | Response::Trace(_)
        | Response::Adjusted(_)
        | Response::Outcomes(_)
        | Response::Restarted(_)
        | Response::Reloaded(_)) => Ok(answer),
    }
}

fn pretty(answer: &impl serde::Serialize) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(answer)? + "\n")
}

fn print(text: &str) -> anyhow::Result<()> {
    write_out(text).map(drop).context("writing to standard output")
}

/// Prints `text`; false if the reader has gone (`baton status | head -1`): it has what it wanted.
fn write_out(text: &str) -> io::Result<bool> {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// The error and its causes, each said once: many messages name their cause themselves, to put the remedy last.
fn spelled(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        for part in cause.split(": ") {
            if !text.contains(part) {
                text.push_str(": ");
                text.push_str(part);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn missing() -> io::Error {
        io::Error::from_raw_os_error(2)
    }

    #[test]
    fn a_cause_that_the_message_names_is_not_said_again() {
        let error = ConfigError::Unreadable { path: PathBuf::from("/x"), source: missing() };
        assert_eq!(
            spelled(&error.into()),
            "cannot read /x: No such file or directory (os error 2); give the path of a readable file with --config"
        );
    }

    #[test]
    fn a_cause_that_the_message_does_not_name_follows_it() {
        let error = anyhow::Error::from(missing()).context("`BPF_OBJ_PIN` failed");
        let error = anyhow::anyhow!("{error:#}").context("pinning: `BPF_OBJ_PIN` failed");
        assert_eq!(spelled(&error), "pinning: `BPF_OBJ_PIN` failed: No such file or directory (os error 2)");
    }
}
