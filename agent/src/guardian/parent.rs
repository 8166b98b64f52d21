//! The guardian's main thread: passes signals on, takes in the briefing, and ends as the agent has ended; but where that has
//! named a successor, it goes on as the successor's guardian.

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::briefing::Briefing;
use super::gasp::DeathWatch;
use super::inheritance::{Inheritance, InheritedFd};
use super::line::{Message, Word};
use super::notice::Notice;
use crate::host::rights;

/// Octets of the briefing that are read at once.
const CHUNK: usize = 16 * 1024;
/// What shells add to the number of the signal that ended a program.
const KILLED: u8 = 128;

/// The parent of the agent.
pub struct Guardian {
    agent: Pid,
    /// Until the agent's end of it is closed.
    line: Option<UnixStream>,
    signals: SignalFd,
    /// Those signals, which are blocked.
    mask: SigSet,
    notice: Notice,
    /// What the agent has said, until it is a whole line.
    heard: Vec<u8>,
    /// Whether the agent listens, or will before long: it has finished its start, or taken over.
    agent_listens: bool,
    watch: Option<DeathWatch>,
    /// The agent that takes over when this one ends.
    successor: Option<Pid>,
}

impl Guardian {
    /// A guardian of `agent`, for which it takes the signals of `mask` from `signals`.
    pub(super) fn new(agent: Pid, line: UnixStream, mask: SigSet, signals: SignalFd, notice: Notice) -> Self {
        let (line, heard) = (Some(line), Vec::new());
        Self { agent, line, signals, mask, notice, heard, agent_listens: false, watch: None, successor: None }
    }

    /// The same for an agent that has taken over from another.
    pub(super) fn of_successor(self) -> Self {
        Self { agent_listens: true, ..self }
    }

    /// Stands by until the agent has ended, and does for it what it could not. Answers with the agent's exit code.
    pub fn stand_by(mut self) -> ExitCode {
        // For people who look at the list of processes.
        let _ = prctl::set_name(c"baton-guardian");
        self.say(Word::Brief);
        let end = loop {
            if let Some(end) = self.heed() {
                break end;
            }
            self.sleep();
            self.listen();
        };
        if let Some(watch) = self.watch.take() {
            watch.finish();
        }
        match end {
            Ok(WaitStatus::Exited(_, code)) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
            // An agent that does not serve yet ends so when it is told to, and so must the process that was told.
            Ok(WaitStatus::Signaled(_, signal @ (Signal::SIGTERM | Signal::SIGINT), _)) => {
                let _ = self.mask.thread_unblock();
                let _ = raise(signal);
                ExitCode::FAILURE
            }
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                tracing::error!(%signal, "the agent was killed");
                ExitCode::from(KILLED + u8::try_from(signal as i32).unwrap_or_default())
            }
            Ok(_) | Err(_) => ExitCode::FAILURE,
        }
    }

    /// Until the agent says something, or there is a signal.
    fn sleep(&self) {
        let wanted = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds: Vec<PollFd<'_>> = [self.signals.as_fd()].into_iter().map(wanted).collect();
        fds.extend(self.line.as_ref().map(|line| wanted(line.as_fd())));
        // Whatever goes wrong, looking is harmless.
        let _ = poll(&mut fds, PollTimeout::NONE);
    }

    /// Reads what the agent says: its briefing, and one day its successor. The last one that it names counts: with another it
    /// has failed. The successor itself says nothing before it is asked for its briefing.
    fn listen(&mut self) {
        let mut chunk = [0; CHUNK];
        while let Some(mut line) = self.line.as_ref() {
            match line.read(&mut chunk) {
                Ok(length @ 1..) => self.heard.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Ok(0) | Err(_) => self.line = None,
            }
            while let Some(end) = self.heard.iter().position(|octet| *octet == b'\n') {
                let rest = self.heard.split_off(end + 1);
                let line = std::mem::replace(&mut self.heard, rest);
                match serde_json::from_slice(&line) {
                    Ok(Message::Successor(process)) => self.successor = Some(Pid::from_raw(process)),
                    Ok(Message::Briefing(briefing)) => self.take_in(briefing),
                    Err(error) => self.give_up(&error.into()),
                }
            }
        }
    }

    fn take_in(&mut self, briefing: Briefing) {
        self.agent_listens = true;
        match self.prepare(briefing) {
            Ok(()) => self.say(Word::Ready),
            Err(error) => self.give_up(&error),
        }
    }

    fn give_up(&mut self, error: &anyhow::Error) {
        tracing::warn!("the guardian cannot act for the agent, whose leases lapse if it dies: {error:#}");
        self.say(Word::Unable);
    }

    /// Makes everything ready for the agent's death.
    fn prepare(&mut self, briefing: Briefing) -> anyhow::Result<()> {
        if let Err(error) = rights::outlast_others() {
            tracing::warn!(%error, "the guardian is not spared when memory runs out; grant CAP_SYS_RESOURCE, or set OOMScoreAdjust=-1000 in its unit");
        }
        match &mut self.watch {
            Some(watch) => watch.brief(briefing)?,
            None => self.watch = Some(DeathWatch::start(briefing, self.notice)?),
        }
        // With all that it uses in place.
        if let Err(error) = rights::lock_memory() {
            tracing::warn!(%error, "the guardian's memory is not locked; grant CAP_IPC_LOCK or raise RLIMIT_MEMLOCK");
        }
        Ok(())
    }

    /// Passes on signals that have come. Answers with the end of the agent, once it has ended without a successor.
    fn heed(&mut self) -> Option<nix::Result<WaitStatus>> {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let signal = i32::try_from(info.ssi_signo).map_err(|_| Errno::EINVAL).and_then(Signal::try_from);
            match signal {
                Ok(signal @ (Signal::SIGTERM | Signal::SIGINT)) => self.stop_agent(signal),
                // An agent that does not listen yet hears it when it does.
                Ok(Signal::SIGHUP) => self.say(Word::Hangup),
                // SIGCHLD: the agent is looked after in any case.
                Ok(_) | Err(_) => {}
            }
        }
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => return None,
                Ok(end) if end.pid() == Some(self.agent) => {
                    // Its last words may have come since they were looked for.
                    self.listen();
                    match self.successor.take() {
                        Some(successor) if !self.notice.has_ended_in_order() => self.go_over_to(successor),
                        // It has taken over and ended already; its end is the one that counts.
                        Some(successor) if self.notice.holders()[0] == successor.as_raw() => {
                            self.agent = successor;
                        }
                        // One that was told to stop in the last moment has passed nothing on.
                        Some(_) | None => return Some(Ok(end)),
                    }
                }
                // An agent that did not get to take over, and has lost its parent.
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Goes on as the guardian of `successor`, with the program that is on the disk now.
    fn go_over_to(&mut self, successor: Pid) {
        self.agent = successor;
        // The agent may have died before it could pass anything on.
        if let Some(watch) = self.watch.take_if(|watch| watch.is_acting()) {
            watch.finish();
        }
        // Returns only when it has failed.
        let Err(error) = self.renew();
        super::ignore_broken_pipes();
        tracing::warn!(%error, "the guardian cannot run its program anew, and goes on with the one that it has");
        self.say(Word::Brief);
    }

    fn renew(&self) -> io::Result<Infallible> {
        let line = self.line.as_ref().ok_or(ErrorKind::NotConnected)?;
        let inheritance = Inheritance::Guardian {
            agent: self.agent.as_raw(),
            line: InheritedFd::new(line.as_fd())?,
            notice: InheritedFd::new(self.notice.memory())?,
        };
        Err(inheritance.command()?.exec())
    }

    /// An agent that has not finished its start does not listen, and ends by the signal.
    fn stop_agent(&mut self, signal: Signal) {
        if self.agent_listens {
            self.say(Word::Stop);
        } else {
            // It may have ended; it was not waited for, so its number is nobody else's.
            let _ = kill(self.agent, signal);
        }
    }

    fn say(&mut self, word: Word) {
        if let Some(line) = &mut self.line {
            // One octet always fits; whoever does not listen has ended.
            let _ = line.write_all(&[word as u8]);
        }
    }
}
