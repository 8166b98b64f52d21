//! The line between agent and guardian. The agent says what the guardian has to know; the guardian says when it can act,
//! and passes signals on. Its end tells each of the end of the other.
//!
//! Signals go over the line because a service manager or a terminal sends them to both processes: one that was passed on
//! must not look like a second one, with which an agent ends without waiting for a successor.

use std::future::pending;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::briefing::Briefing;
use super::notice::Notice;

/// How long the guardian may take to read. It does nothing else at that time, unless somebody has stopped it.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the guardian says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Word {
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
    const ALL: [Self; 4] = [Self::Ready, Self::Unable, Self::Stop, Self::Hangup];

    fn from_octet(octet: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|word| *word as u8 == octet)
    }
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

    /// The guardian's process.
    pub fn guardian(&self) -> u32 {
        self.guardian
    }

    /// Tells the guardian what it has to know. The notice must be held: whoever has been briefed waits for it.
    ///
    /// # Errors
    ///
    /// The guardian has ended, or does not read.
    pub fn brief(&mut self, briefing: &Briefing) -> io::Result<()> {
        let mut text = serde_json::to_string(briefing)?;
        text.push('\n');
        self.stream.set_write_timeout(Some(PATIENCE))?;
        self.stream.write_all(text.as_bytes())
    }

    /// The guardian's words. To be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// The runtime cannot watch the line.
    pub fn words(self) -> io::Result<Words> {
        self.stream.set_nonblocking(true)?;
        Ok(Words(Some(tokio::net::UnixStream::from_std(self.stream)?)))
    }
}

/// What the guardian says, word by word.
pub struct Words(Option<tokio::net::UnixStream>);

impl Words {
    /// The next word; `None`, once, when the guardian has ended.
    pub async fn next(&mut self) -> Option<Word> {
        let Some(stream) = &mut self.0 else { return pending().await };
        let mut octet = [0];
        let word = match stream.read(&mut octet).await {
            Ok(1..) => Word::from_octet(octet[0]),
            Ok(0) | Err(_) => None,
        };
        if word.is_none() {
            self.0 = None;
        }
        word
    }
}
