//! `baton restart`, and `baton reload` where something has changed, for the agent that is replaced: the next one is started beside it, by the same path and with the same
//! arguments. As long as that is not ready to take over, nothing has happened.
//!
//! ```text
//!  control socket -> control::order    compares configurations, waits for handovers under way
//!                    -> run::attend    one restart at a time
//!                       -> replace_agent    starts the next agent, hears `ready`
//!                    run::attend <-+  ReadyAgent::pass_on: tells the guardian, then the election thread
//!                       replace_agent    hears `serving`, and the answer goes back all the way
//! ```
//!
//! What goes on between the processes is drawn in [`crate::guardian`].

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::serve::ELECTION;
use crate::control::server::{RestartRequest, ServedPort, ServedRouter, Server};
use crate::driver;
use crate::guardian::{NextAgent, OpenLine, Progress, RouterName};
use crate::host::cpus::Kept;
use crate::xsk;

/// How long the next agent may take to make everything ready: its programs are checked by the kernel.
const READY_PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take from then on: a virtual router that is being given up lingers for up to 41 s.
const SERVING_PATIENCE: Duration = Duration::from_secs(60);

/// The next agent, which waits for this one to pass its addresses on.
pub(super) struct ReadyAgent {
    process: u32,
    /// Interface and VRID of what it takes over.
    routers: Vec<RouterName>,
    /// Says that they are passed on, or why not.
    answer: oneshot::Sender<anyhow::Result<()>>,
}

/// Starts `next_agent`, which goes to `ready` as soon as it is, and tells whoever made the `request` what has come of it.
pub(super) async fn replace_agent(
    next_agent: anyhow::Result<NextAgent>,
    request: RestartRequest,
    ready: mpsc::Sender<ReadyAgent>,
) {
    let outcome = match next_agent {
        Ok(next_agent) => bring_in(next_agent, ready).await,
        Err(error) => Err(error),
    };
    match &outcome {
        Ok(process) => tracing::info!(process, "restarted: another agent has taken over"),
        Err(error) => tracing::error!("not restarted: {error:#}"),
    }
    // Whoever has asked may have gone.
    let _ = request.send(outcome.map_err(|error| format!("not restarted: {error:#}")));
}

async fn bring_in(next_agent: NextAgent, ready: mpsc::Sender<ReadyAgent>) -> anyhow::Result<u32> {
    let NextAgent { command, progress, heirlooms } = next_agent;
    let program = command.get_program().to_string_lossy().into_owned();
    // Until it has its tables.
    let election = Kept::named(ELECTION);
    let spawn = || {
        let _locked_out = xsk::lock_out_spawns();
        let started = heirlooms.leave().and_then(|()| Command::from(command).spawn());
        drop(heirlooms);
        started
    };
    let started = match &election {
        Ok(election) => election.elsewhere(spawn),
        Err(_) => spawn(),
    };
    let mut child = started.with_context(|| format!("starting {program}"))?;
    let prepared = async {
        progress.set_nonblocking(true)?;
        let mut reports = BufReader::new(UnixStream::from_std(progress)?);
        let Progress::Ready { routers } = next_progress(&mut reports, READY_PATIENCE).await? else {
            bail!("it does not say that it is ready");
        };
        drop(election);
        let process = child.id().context("it has ended")?;
        let (answer, answered) = oneshot::channel();
        let is_heard = ready.send(ReadyAgent { process, routers, answer }).await;
        is_heard.context("this agent is about to stop")?;
        let passed_on = timeout(READY_PATIENCE, answered).await.context("the guardian does not listen")?;
        passed_on.context("this agent is about to stop")??;
        Ok((process, reports))
    };
    match prepared.await {
        Ok((process, mut reports)) => match next_progress(&mut reports, SERVING_PATIENCE).await? {
            Progress::Serving => Ok(process),
            Progress::Ready { .. } | Progress::Refused(_) => bail!("it does not say that it serves"),
        },
        Err(error) => {
            end(&mut child).await;
            Err(error)
        }
    }
}

async fn next_progress(reports: &mut BufReader<UnixStream>, patience: Duration) -> anyhow::Result<Progress> {
    let mut line = String::new();
    let read = timeout(patience, reports.read_line(&mut line)).await;
    match read.with_context(|| format!("the next agent says nothing for {patience:?}"))? {
        Ok(1..) => {}
        Ok(0) | Err(_) => bail!("the next agent has ended; its log says why"),
    }
    match serde_json::from_str(&line).context("understanding the next agent")? {
        Progress::Refused(error) => bail!(error),
        report @ (Progress::Ready { .. } | Progress::Serving) => Ok(report),
    }
}

/// Sees to it that the next agent is no more.
async fn end(child: &mut Child) {
    if let Err(error) = child.kill().await {
        tracing::warn!(%error, "the agent that was to take over does not end");
    }
}

/// What the next agent and this one call a virtual router.
pub(super) fn name(port: &ServedPort, router: &ServedRouter) -> RouterName {
    let config = &router.config;
    (port.interface.clone(), config.vrid.get(), config.family().name().to_owned())
}

impl ReadyAgent {
    /// Makes it the guardian's next agent, and the election thread leave everything to it.
    pub(super) async fn pass_on(self, line: &mut OpenLine, server: &Server) {
        let Self { process, routers, answer } = self;
        if answer.is_closed() {
            // It came too late, and is no more.
            return;
        }
        let passed_on = async {
            line.name_successor(i32::try_from(process)?).await?;
            let given_up =
                server.routers().filter(|(_, port, router)| !routers.contains(&name(port, router)));
            let given_up = given_up.map(|(place, _, _)| place).collect();
            Ok(server.remote.send(driver::Command::PassOn { given_up })?)
        };
        // Nobody waits for it when the next agent is gone, and the guardian learns that by itself.
        let _ = answer.send(passed_on.await);
    }
}
