//! What the agent waits for while it serves: to be told to stop or to reload, by a signal or by its guardian, and to be
//! replaced.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::hooks::Running;
use super::restart::{ReadyAgent, replace_agent};
use crate::control::server::{RESTARTING, RestartRequest, Server};
use crate::driver::{Command, End};
use crate::guardian::{Briefing, Line, Notice, OpenLine, SharedWithNext, Word, let_hangups_in};

/// Who has told the agent to stop. A service manager signals both processes, and the guardian passes its signal on: that is
/// one request, and the second one is the next that comes the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Signal,
    Guardian,
}

/// What there is to attend to.
pub(super) struct Attention<'a> {
    pub(super) server: Arc<Server>,
    /// What is the next agent's to do when it has taken over.
    pub(super) alone: JoinSet<()>,
    /// Which have to tell of the last changes.
    pub(super) hooks: Running,
    /// For the guardian, when it asks.
    pub(super) briefing: Briefing,
    pub(super) ended: oneshot::Receiver<End>,
    pub(super) restarts: mpsc::Receiver<RestartRequest>,
    /// For the next agent.
    pub(super) shared: SharedWithNext<'a>,
}

/// Waits until the agent is told to stop or to pass on, then for the election to end in order, and for the hooks. A second
/// request to stop does not wait.
pub(super) async fn until_ended(attention: Attention<'_>, line: Line) -> anyhow::Result<End> {
    let Attention { server, mut alone, hooks, briefing, mut ended, mut restarts, shared } = attention;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let_hangups_in()?;
    let hangups = Arc::new(Notify::new());
    tokio::spawn(reload_at(Arc::clone(&hangups), Arc::clone(&server)));
    let (ready, mut ready_agents) = mpsc::channel(1);
    let notice = line.notice();
    let line = line.open().context("watching the guardian")?;
    let (may_pass_on, replacing, stopping) = (false, None, None);
    let mut attendant = Attendant {
        server,
        line,
        notice,
        briefing,
        shared,
        ready,
        hangups,
        may_pass_on,
        replacing,
        stopping,
    };
    loop {
        let way = tokio::select! {
            // First: an election that has been passed on is nothing that this agent could stop.
            biased;
            end = &mut ended => {
                let end = end.context("the election thread has died; its leases lapse")?;
                if end == End::PassedOn {
                    attendant.server.end_engines();
                    alone.abort_all();
                    attendant.leave().await;
                }
                attendant.finish(hooks, end, [&mut terminate, &mut interrupt]).await;
                return Ok(end);
            }
            Some(request) = restarts.recv() => {
                attendant.restart(request);
                None
            }
            Some(next) = ready_agents.recv(), if attendant.may_pass_on => {
                next.pass_on(&mut attendant.line, &attendant.server).await;
                None
            }
            _ = hangup.recv() => {
                attendant.hangups.notify_one();
                None
            }
            _ = terminate.recv() => Some(Way::Signal),
            _ = interrupt.recv() => Some(Way::Signal),
            word = attendant.line.next() => attendant.heed(word).await,
        };
        if let Some(way) = way
            && let Some(end) = attendant.stop(way, &ended)?
        {
            return Ok(end);
        }
    }
}

/// The agent's main thread while it serves.
struct Attendant<'a> {
    server: Arc<Server>,
    line: OpenLine,
    notice: Notice,
    briefing: Briefing,
    shared: SharedWithNext<'a>,
    /// Where the next agent is announced when it is ready.
    ready: mpsc::Sender<ReadyAgent>,
    /// Who reloads.
    hangups: Arc<Notify>,
    /// Whether the guardian can be told of the next agent: until it has asked for the briefing it is still the guardian of the
    /// agent before this one. One that has died never asks, and whoever wants to pass on is told so.
    may_pass_on: bool,
    /// The restart that was begun last.
    replacing: Option<JoinHandle<()>>,
    /// By which way this agent was first told to stop.
    stopping: Option<Way>,
}

impl Attendant<'_> {
    /// Begins a restart, unless this agent is about to end already.
    fn restart(&mut self, request: RestartRequest) {
        let is_replacing = self.replacing.as_ref().is_some_and(|restart| !restart.is_finished());
        if is_replacing || self.stopping.is_some() {
            let _ = request.send(Err(RESTARTING.to_owned()));
            return;
        }
        let next_agent = self.line.next_agent(self.shared).context("starting another agent");
        self.replacing = Some(tokio::spawn(replace_agent(next_agent, request, self.ready.clone())));
    }

    /// Does what a word of the guardian asks for, or its end; answers with the way if that is to stop.
    async fn heed(&mut self, word: Option<Word>) -> Option<Way> {
        match word {
            Some(Word::Brief) => {
                self.may_pass_on = true;
                if let Err(error) = self.line.brief(self.briefing.clone()).await {
                    tracing::warn!(%error, "the guardian cannot be told what to do if the agent dies; its leases would lapse");
                }
            }
            Some(Word::Stop) => return Some(Way::Guardian),
            Some(Word::Hangup) => self.hangups.notify_one(),
            Some(Word::Ready) => self.server.guardian.store(self.line.guardian(), Ordering::Relaxed),
            Some(Word::Unable) => {}
            None => {
                self.may_pass_on = true;
                self.server.guardian.store(0, Ordering::Relaxed);
                tracing::error!(
                    "the guardian has died; if the agent dies too, its leases lapse. Stop baton and start it again"
                );
            }
        }
        None
    }

    /// Lets the election end in order, or this agent at once if it was told so a second time.
    fn stop(&mut self, way: Way, ended: &oneshot::Receiver<End>) -> anyhow::Result<Option<End>> {
        match self.stopping {
            None => {
                self.stopping = Some(way);
                // First the deed, then the word: nothing that befalls the log may keep the VIPs here.
                match self.server.remote.send(Command::Stop) {
                    Ok(()) => tracing::info!("stopping: handing over"),
                    // The election has ended this moment.
                    Err(_) if !ended.is_empty() || ended.is_terminated() => {}
                    // Its thread does not listen.
                    Err(error) => return Err(error.into()),
                }
                Ok(None)
            }
            Some(first) if first == way => {
                self.notice.dismiss();
                tracing::warn!("second signal: not waiting for a successor");
                Ok(Some(End::Stopped))
            }
            Some(_) => Ok(None),
        }
    }

    /// Waits until the next agent serves, and until everybody is answered who has asked this one.
    async fn leave(&mut self) {
        if let Some(replacing) = self.replacing.take() {
            let _ = replacing.await;
            self.server.finish().await;
        }
    }

    /// Lets the hooks tell of the last changes. Those that still run at a second request to stop are killed.
    async fn finish(&mut self, hooks: Running, end: End, [terminate, interrupt]: [&mut Signal; 2]) {
        let mut finished = pin!(hooks.finish());
        loop {
            let way = tokio::select! {
                () = &mut finished => return,
                _ = terminate.recv() => Some(Way::Signal),
                _ = interrupt.recv() => Some(Way::Signal),
                // The next agent's, if there is one.
                word = self.line.next(), if end == End::Stopped => self.heed(word).await,
            };
            if way.is_some() && way == self.stopping {
                tracing::warn!("second signal: not waiting for hooks");
                return;
            }
            self.stopping = self.stopping.or(way);
        }
    }
}

/// Reloads at every SIGHUP; at those that come meanwhile, once more. The log tells what comes of it.
async fn reload_at(hangups: Arc<Notify>, server: Arc<Server>) {
    loop {
        hangups.notified().await;
        server.reload().await;
    }
}
