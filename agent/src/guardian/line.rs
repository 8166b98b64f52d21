//! The line between agent and guardian. The guardian asks for a briefing and says when it can act, and passes signals on;
//! the agent says what the guardian has to know. Its end tells each of the end of the other. An agent that is restarted leaves
//! its end to the next one.
//!
//! Signals go over the line because a service manager or a terminal sends them to both processes: one that was passed on
//! must not look like a second one, with which an agent ends without waiting for a successor.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use baton_common::maps::LAYOUT_VERSION;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::briefing::Briefing;
use super::inheritance::{Heirlooms, Inheritance};
use super::notice::Notice;

/// How long the guardian may take to read. It does nothing else at that time, unless somebody has stopped it.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the guardian says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Word {
    /// It wants to be briefed.
    Brief = b'b',
    /// It acts when the agent dies.
    Ready = b'r',
    /// It cannot, and has logged why.
    Unable = b'u',
    /// It was sent SIGTERM or SIGINT.
    Stop = b's',
    /// It was sent SIGHUP.
    Hangup = b'h',
}

impl Word {
    const ALL: [Self; 5] = [Self::Brief, Self::Ready, Self::Unable, Self::Stop, Self::Hangup];

    fn from_octet(octet: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|word| *word as u8 == octet)
    }
}

/// What the agent says, each in a line of JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Message {
    /// What the guardian has to know.
    Briefing(Briefing),
    /// Another agent, in that process, is about to take over.
    Successor(i32),
}

/// The agent's end.
pub struct Line {
    pub(super) stream: UnixStream,
    pub(super) notice: Notice,
    pub(super) guardian: u32,
}

impl Line {
    /// By which the guardian notices the end of the election thread.
    pub fn notice(&self) -> Notice {
        self.notice
    }

    /// Opens it for talking. To be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// The runtime cannot watch the line.
    pub fn open(self) -> io::Result<OpenLine> {
        let Self { stream, notice, guardian } = self;
        stream.set_nonblocking(true)?;
        Ok(OpenLine { stream: Some(tokio::net::UnixStream::from_std(stream)?), notice, guardian })
    }
}

/// What an agent shares with the next one, beside the line and the notice.
#[derive(Clone, Copy)]
pub struct SharedWithNext<'a> {
    /// The lock of the host.
    pub host_lock: BorrowedFd<'a>,
    /// The lock of the runtime directory.
    pub directory_lock: BorrowedFd<'a>,
    /// The directory of the pins.
    pub pins: &'a Path,
}

/// The next agent, not started yet.
pub struct NextAgent {
    /// Starts it.
    pub command: Command,
    /// Hears how far it is.
    pub progress: UnixStream,
    /// What it must inherit.
    pub heirlooms: Heirlooms,
}

/// The agent's end while it serves.
pub struct OpenLine {
    /// Until the guardian has ended.
    stream: Option<tokio::net::UnixStream>,
    notice: Notice,
    guardian: u32,
}

impl OpenLine {
    /// The guardian's process.
    pub fn guardian(&self) -> u32 {
        self.guardian
    }

    /// The guardian's next word; `None`, once, when it has ended.
    pub async fn next(&mut self) -> Option<Word> {
        let Some(stream) = &mut self.stream else { return pending().await };
        let mut octet = [0];
        let word = match stream.read(&mut octet).await {
            Ok(1..) => Word::from_octet(octet[0]),
            Ok(0) | Err(_) => None,
        };
        if word.is_none() {
            self.stream = None;
        }
        word
    }

    /// Tells the guardian what it has to know. The notice must be held: whoever has been briefed waits for it.
    ///
    /// # Errors
    ///
    /// The guardian has ended, or does not read.
    pub async fn brief(&mut self, briefing: Briefing) -> io::Result<()> {
        self.say(&Message::Briefing(briefing)).await
    }

    /// Tells the guardian that the agent in process `successor` takes over, and is to be watched when this one has ended.
    ///
    /// # Errors
    ///
    /// The guardian has ended, or does not read.
    pub async fn name_successor(&mut self, successor: i32) -> io::Result<()> {
        self.say(&Message::Successor(successor)).await
    }

    /// The next agent, which will share `shared` with this one.
    ///
    /// # Errors
    ///
    /// The guardian has ended, there are no descriptors to spare, or this program is nowhere.
    pub fn next_agent(&self, shared: SharedWithNext<'_>) -> io::Result<NextAgent> {
        let line = self.stream.as_ref().ok_or_else(no_guardian)?;
        let (progress, far_end) = UnixStream::pair()?;
        let mut heirlooms = Heirlooms::default();
        let inheritance = Inheritance::Agent {
            guardian: self.guardian,
            line: heirlooms.add(line.as_fd())?,
            notice: heirlooms.add(self.notice.memory())?,
            progress: heirlooms.add(far_end.as_fd())?,
            host_lock: heirlooms.add(shared.host_lock)?,
            directory_lock: heirlooms.add(shared.directory_lock)?,
            pins: shared.pins.to_owned(),
            layout: LAYOUT_VERSION,
        };
        Ok(NextAgent { command: inheritance.command()?, progress, heirlooms })
    }

    async fn say(&mut self, message: &Message) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or_else(no_guardian)?;
        let mut text = serde_json::to_string(message)?;
        text.push('\n');
        timeout(PATIENCE, stream.write_all(text.as_bytes())).await?
    }
}

fn no_guardian() -> io::Error {
    io::Error::other("the guardian has died; stop baton and start it again")
}
