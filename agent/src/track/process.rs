//! The process whose number stands in a file. Its end is noticed when it happens.

use std::fmt;
use std::future::pending;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use tokio::io::unix::AsyncFd;

use super::file::SmallFile;
use super::opinion::Finding;
use crate::host::process;

/// A process that is watched.
pub(super) struct Process {
    file: SmallFile,
    /// The process that was found last, while it runs.
    running: Option<(u32, AsyncFd<OwnedFd>)>,
}

impl Process {
    /// The process whose number is in the file at `path`.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { file: SmallFile::new(path), running: None }
    }

    /// Reads the number, and looks whether there is such a process. One that has ended is gone, whatever has become of its
    /// file, unless another has taken its place.
    pub(super) async fn look(&mut self) -> Finding {
        let ended = self.take_ended();
        let found = self.find().await;
        match (found, ended) {
            (Finding::Bad(_) | Finding::Gone(_), Some(number)) => {
                Finding::Gone(self.told(format!("process {number} has ended")))
            }
            (found, _) => found,
        }
    }

    /// The number of the process that was found last, if it has ended.
    fn take_ended(&mut self) -> Option<u32> {
        let has_ended = |(_, process): &mut (u32, AsyncFd<OwnedFd>)| {
            // What the kernel does not tell is no end.
            process::has_ended(process.get_ref()).unwrap_or(false)
        };
        self.running.take_if(has_ended).map(|(number, _)| number)
    }

    async fn find(&mut self) -> Finding {
        let text = match self.file.read().await {
            Ok(text) => text,
            // It may be replaced this moment.
            Err(error) => return Finding::Bad(self.told(error)),
        };
        let Ok(number) = text.parse() else {
            return Finding::Bad(self.told("holds no process number"));
        };
        if self.running.as_ref().is_some_and(|(known, _)| *known == number) {
            return Finding::Good;
        }
        let watched = process::open(number).and_then(process::watch);
        match watched {
            Ok(process) => {
                self.running = Some((number, process));
                match self.take_ended() {
                    None => Finding::Good,
                    Some(_) => Finding::Gone(self.told(format!("process {number} has ended"))),
                }
            }
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                Finding::Gone(self.told(format!("process {number}: {error}")))
            }
            Err(error) => Finding::Bad(self.told(format!("process {number}: {error}"))),
        }
    }

    fn told(&self, what: impl fmt::Display) -> String {
        format!("{}: {what}", self.file.path().display())
    }

    /// Waits for the end of the process; for ever if none was found.
    pub(super) async fn ended(&self) {
        match &self.running {
            Some((_, process)) => drop(process.readable().await),
            None => pending().await,
        }
    }
}
