//! The agent before this one, which goes on until this one is ready to take over from it. What this one says to it goes
//! over a socket between the two, one line of JSON each time.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a virtual router is known by: its interface, its VRID, and `ipv4` or `ipv6`.
pub type RouterName = (String, u8, String);

/// How far the next agent is. The agent before it may be of an older version: it may only be added to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// It waits for its predecessor to pass its addresses on.
    Ready {
        /// The virtual routers that it takes over.
        routers: Vec<RouterName>,
    },
    /// It has taken over and serves.
    Serving,
    /// It cannot, and ends.
    Refused(String),
}

/// The agent before this one, and what it has left.
pub struct Predecessor {
    pub(super) progress: UnixStream,
    /// The lock of the host, held by both.
    pub host_lock: File,
    /// The lock of its runtime directory, held by both.
    pub directory_lock: File,
    /// The directory of its pins.
    pub pins: PathBuf,
    /// The version of the layout of its maps.
    pub layout: u32,
}

impl Predecessor {
    /// Tells it how far this agent is.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn tell(&self, progress: &Progress) -> io::Result<()> {
        let mut text = serde_json::to_string(progress)?;
        text.push('\n');
        (&self.progress).write_all(text.as_bytes())
    }
}
