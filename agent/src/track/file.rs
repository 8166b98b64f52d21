//! Reading a file that may be on a disk which does not answer.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tokio::task::{JoinHandle, spawn_blocking};

/// No number is longer, nor what else is looked for.
const LONGEST: u64 = 64;

/// A file that is read again and again.
pub(super) struct SmallFile {
    path: PathBuf,
    /// A read that was not waited for to its end. There is never another beside it: threads would pile up.
    reading: Option<JoinHandle<io::Result<String>>>,
}

impl SmallFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, reading: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it, without the white space around. Dropping this is harmless.
    pub(super) async fn read(&mut self) -> io::Result<String> {
        let path = self.path.clone();
        let reading = self.reading.get_or_insert_with(|| spawn_blocking(move || read(&path)));
        let text = reading.await;
        self.reading = None;
        text.map_err(io::Error::other)?
    }
}

fn read(path: &Path) -> io::Result<String> {
    // A pipe would wait for somebody who writes.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}
