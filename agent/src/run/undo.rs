//! What a start has done so far, so that one that fails can be taken back: the host is then as the start found it, which
//! may be behind the fence of an earlier run.

use std::io;
use std::path::PathBuf;

use anyhow::Context;

use crate::datapath::Datapath;
use crate::host::changes::HostChanges;

/// What a start has done so far.
pub(super) struct Undo<'a> {
    /// Addresses, sysctls and their record.
    pub(super) changes: HostChanges<'a>,
    /// Programs on interfaces, and what their maps contain.
    pub(super) datapaths: Vec<Datapath>,
    /// The control socket, once it is made.
    pub(super) socket: Option<PathBuf>,
}

impl<'a> Undo<'a> {
    /// Nothing was done yet.
    pub(super) fn new(changes: HostChanges<'a>) -> Self {
        Self { changes, datapaths: Vec::new(), socket: None }
    }

    /// Takes everything back, for `error`, and returns it. What remains on the host is told beside it, never in its place.
    pub(super) fn take_back(self, error: anyhow::Error) -> anyhow::Error {
        match self.try_take_back() {
            Ok(()) => error,
            Err(remains) => error.context(format!(
                "the start failed and cannot be taken back either ({remains:#}); `baton detach` removes what is left; it \
                 failed because"
            )),
        }
    }

    /// Addresses come and go while the fence knows them. What fails ends it, and the fence stands.
    fn try_take_back(mut self) -> anyhow::Result<()> {
        for datapath in &mut self.datapaths {
            datapath.restore()?;
        }
        self.changes.take_back()?;
        for datapath in self.datapaths {
            datapath.take_back()?;
        }
        if let Some(socket) = self.socket {
            match std::fs::remove_file(&socket) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("removing {}", socket.display()));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(self.changes.restore_record()?)
    }
}
