//! Whether the operator has taken this host out of the election: a file in the runtime directory, which outlasts the
//! agent, but not the host's next boot.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The file.
#[derive(Clone, Debug)]
pub struct Drained(PathBuf);

impl Drained {
    /// The mark of the agent whose runtime directory is `directory`.
    pub fn of(directory: &Path) -> Self {
        Self(directory.join("drained"))
    }

    /// Whether the host was drained.
    pub fn is_set(&self) -> bool {
        self.0.exists()
    }

    /// Remembers that the host is drained.
    ///
    /// # Errors
    ///
    /// The file cannot be made.
    pub fn set(&self) -> io::Result<()> {
        File::create(&self.0).map(drop)
    }

    /// Remembers that it is not.
    ///
    /// # Errors
    ///
    /// The file cannot be removed.
    pub fn clear(&self) -> io::Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
