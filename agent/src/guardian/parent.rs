//! The guardian's main thread: passes signals on, takes in the briefing, and ends as the agent has ended.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::gasp::Watch;
use super::line::Word;
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
    briefing: Vec<u8>,
    /// Whether the agent has finished its start, and listens.
    briefed: bool,
    watch: Option<Watch>,
}

impl Guardian {
    /// A guardian of `agent`, for which it takes the signals of `mask` from `signals`.
    pub(super) fn new(agent: Pid, line: UnixStream, mask: SigSet, signals: SignalFd, notice: Notice) -> Self {
        let (line, briefing) = (Some(line), Vec::new());
        Self { agent, line, signals, mask, notice, briefing, briefed: false, watch: None }
    }

    /// Stands by until the agent has ended, and does for it what it could not. Answers with the agent's exit code.
    pub fn stand_by(mut self) -> ExitCode {
        // For people who look at the list of processes.
        let _ = nix::sys::prctl::set_name(c"baton-guardian");
        let end = loop {
            self.sleep();
            self.listen();
            if let Some(end) = self.heed() {
                break end;
            }
        };
        if let Some(watch) = self.watch.take() {
            watch.finish();
        }
        match end {
            Ok(WaitStatus::Exited(_, code)) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
            // An agent that does not serve yet ends so when it is told to, and so must the process that was told.
            Ok(WaitStatus::Signaled(_, signal @ (Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP), _)) => {
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

    /// Reads what the agent says: its briefing, then nothing.
    fn listen(&mut self) {
        let mut chunk = [0; CHUNK];
        while let Some(line) = &mut self.line {
            match line.read(&mut chunk) {
                Ok(length @ 1..) => self.briefing.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Ok(0) | Err(_) => self.line = None,
            }
        }
        if self.briefing.ends_with(b"\n") {
            let briefing = std::mem::take(&mut self.briefing);
            self.briefed = true;
            let word = match self.prepare(&briefing) {
                Ok(watch) => {
                    self.watch = Some(watch);
                    Word::Ready
                }
                Err(error) => {
                    tracing::warn!(
                        "the guardian cannot act for the agent, whose leases lapse if it dies: {error:#}"
                    );
                    Word::Unable
                }
            };
            self.say(word);
        }
    }

    /// Makes everything ready for the agent's death.
    fn prepare(&self, briefing: &[u8]) -> anyhow::Result<Watch> {
        if let Err(error) = rights::outlast_others() {
            tracing::warn!(%error, "the guardian is not spared when memory runs out; grant CAP_SYS_RESOURCE, or set OOMScoreAdjust=-1000 in its unit");
        }
        let watch = Watch::start(serde_json::from_slice(briefing)?, self.agent, self.notice)?;
        // With all that it uses in place.
        if let Err(error) = rights::lock_memory() {
            tracing::warn!(%error, "the guardian's memory is not locked; grant CAP_IPC_LOCK or raise RLIMIT_MEMLOCK");
        }
        Ok(watch)
    }

    /// Passes on signals that have come. Answers with the end of the agent, once it has ended.
    fn heed(&mut self) -> Option<nix::Result<WaitStatus>> {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let signal = i32::try_from(info.ssi_signo).map_err(|_| Errno::EINVAL).and_then(Signal::try_from);
            match signal {
                Ok(signal @ (Signal::SIGTERM | Signal::SIGINT)) => self.pass_on(signal, Word::Stop),
                Ok(signal @ Signal::SIGHUP) => self.pass_on(signal, Word::Hangup),
                // SIGCHLD: the agent is looked after in any case.
                Ok(_) | Err(_) => {}
            }
        }
        match waitpid(self.agent, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => None,
            end => Some(end),
        }
    }

    /// An agent that has not finished its start does not listen, and ends by the signal.
    fn pass_on(&mut self, signal: Signal, word: Word) {
        if self.briefed {
            self.say(word);
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
