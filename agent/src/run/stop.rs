//! What the agent waits for while it serves: to be told to stop, by a signal or by its guardian.

use std::sync::atomic::Ordering;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::control::server::Server;
use crate::driver::Command;
use crate::guardian::{Line, Word};

/// Who has told the agent to stop. A service manager signals both processes, and the guardian passes its signal on: that is
/// one request, and the second one is the next that comes the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Signal,
    Guardian,
}

/// Waits until the agent is told to stop, then for the election to end in order. A second request does not wait.
pub(super) async fn until_stopped(
    server: &Server,
    mut ended: oneshot::Receiver<()>,
    line: Line,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let (notice, guardian) = (line.notice(), line.guardian());
    let mut words = line.words().context("watching the guardian")?;
    let mut stopping = None;
    loop {
        let way = tokio::select! {
            end = &mut ended => return end.context("the election thread has died; its leases lapse"),
            _ = hangup.recv() => {
                ignore_hangup();
                continue;
            }
            _ = terminate.recv() => Way::Signal,
            _ = interrupt.recv() => Way::Signal,
            word = words.next() => match word {
                Some(Word::Stop) => Way::Guardian,
                Some(Word::Hangup) => {
                    ignore_hangup();
                    continue;
                }
                Some(Word::Ready) => {
                    server.guardian.store(guardian, Ordering::Relaxed);
                    continue;
                }
                Some(Word::Unable) => continue,
                None => {
                    server.guardian.store(0, Ordering::Relaxed);
                    tracing::error!("the guardian has died; if the agent dies too, its leases lapse. Restart baton");
                    continue;
                }
            },
        };
        match stopping {
            None => {
                stopping = Some(way);
                // First the deed, then the word: nothing that befalls the log may keep the VIPs here.
                server.remote.send(Command::Stop)?;
                tracing::info!("stopping: handing over");
            }
            Some(first) if first == way => {
                notice.dismiss();
                tracing::warn!("second signal: not waiting for a successor");
                return Ok(());
            }
            Some(_) => {}
        }
    }
}

fn ignore_hangup() {
    tracing::warn!("SIGHUP ignored: the configuration is read at the start only; restart to change it");
}
