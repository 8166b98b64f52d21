//! What the agent waits for while it serves: to be told to stop, by a signal or by its guardian, and to be replaced.

use std::sync::atomic::Ordering;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle};

use super::restart::restart;
use crate::control::server::{RESTARTING, RestartRequest, Server};
use crate::driver::{Command, End};
use crate::guardian::{Briefing, Estate, Line, Word};

/// Who has told the agent to stop. A service manager signals both processes, and the guardian passes its signal on: that is
/// one request, and the second one is the next that comes the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Signal,
    Guardian,
}

/// What it is all about.
pub(super) struct Attention<'a> {
    pub(super) server: &'a Server,
    /// Who looks after the interfaces and the VIPs, which are the next agent's when it has taken over.
    pub(super) watching: AbortHandle,
    /// For the guardian, when it asks.
    pub(super) briefing: Briefing,
    pub(super) ended: oneshot::Receiver<End>,
    pub(super) restarts: mpsc::Receiver<RestartRequest>,
    /// For the next agent.
    pub(super) estate: Estate<'a>,
}

/// Waits until the agent is told to stop or to pass on, then for the election to end in order. A second request to stop does
/// not wait.
pub(super) async fn until_ended(attention: Attention<'_>, line: Line) -> anyhow::Result<End> {
    let Attention { server, watching, briefing, mut ended, mut restarts, estate } = attention;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let notice = line.notice();
    let mut line = line.open().context("watching the guardian")?;
    let (ready, mut waiting) = mpsc::channel(1);
    let mut replacing: Option<JoinHandle<()>> = None;
    // Until the guardian has asked for the briefing it is still that of the agent before this one; one that has died never
    // asks, and whoever wants to pass on is told so.
    let mut may_pass_on = false;
    let mut stopping = None;
    loop {
        let way = tokio::select! {
            // First: an election that has been passed on is nothing that this agent could stop.
            biased;
            end = &mut ended => {
                let end = end.context("the election thread has died; its leases lapse")?;
                if let (End::PassedOn, Some(replacing)) = (end, replacing) {
                    watching.abort();
                    let _ = replacing.await;
                    server.finish().await;
                }
                return Ok(end);
            }
            Some(request) = restarts.recv() => {
                if replacing.as_ref().is_some_and(|restart| !restart.is_finished()) || stopping.is_some() {
                    let _ = request.send(Err(RESTARTING.to_owned()));
                    continue;
                }
                let heir = line.heir(estate).context("starting another agent");
                replacing = Some(tokio::spawn(restart(heir, request, ready.clone())));
                continue;
            }
            Some(waiting) = waiting.recv(), if may_pass_on => {
                waiting.pass_on(&mut line, server).await;
                continue;
            }
            _ = hangup.recv() => {
                ignore_hangup();
                continue;
            }
            _ = terminate.recv() => Way::Signal,
            _ = interrupt.recv() => Way::Signal,
            word = line.next() => match word {
                Some(Word::Brief) => {
                    may_pass_on = true;
                    if let Err(error) = line.brief(briefing.clone()).await {
                        tracing::warn!(%error, "the guardian cannot be told what to do if the agent dies; its leases would lapse");
                    }
                    continue;
                }
                Some(Word::Stop) => Way::Guardian,
                Some(Word::Hangup) => {
                    ignore_hangup();
                    continue;
                }
                Some(Word::Ready) => {
                    server.guardian.store(line.guardian(), Ordering::Relaxed);
                    continue;
                }
                Some(Word::Unable) => continue,
                None => {
                    // Whoever wants to pass on is told so.
                    may_pass_on = true;
                    server.guardian.store(0, Ordering::Relaxed);
                    tracing::error!("the guardian has died; if the agent dies too, its leases lapse. Stop baton and start it again");
                    continue;
                }
            },
        };
        match stopping {
            None => {
                stopping = Some(way);
                // First the deed, then the word: nothing that befalls the log may keep the VIPs here.
                if let Err(error) = server.remote.send(Command::Stop) {
                    // Has the election ended this moment, or does its thread not listen?
                    if ended.is_empty() && !ended.is_terminated() {
                        return Err(error.into());
                    }
                    continue;
                }
                tracing::info!("stopping: handing over");
            }
            Some(first) if first == way => {
                notice.dismiss();
                tracing::warn!("second signal: not waiting for a successor");
                return Ok(End::Stopped);
            }
            Some(_) => {}
        }
    }
}

fn ignore_hangup() {
    tracing::warn!("SIGHUP ignored: the configuration is read at the start only; `baton restart` changes it");
}
