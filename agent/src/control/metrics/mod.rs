//! `/metrics` for Prometheus: `text` is what stands there, with `engine`, `http` how it is got. It is made from what `baton status` shows
//! and from the sums of the flight recorder.

mod engine;
mod http;
mod text;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::sleep;

use super::protocol::{EngineStatus, Status, TrackerStatus};
use super::server::Server;
use super::status::{status, tracker_status};
use crate::recorder::{Spans, Tally};

/// How soon an address is tried again that could not be had.
const PAUSE: Duration = Duration::from_secs(1);
/// Clients that may wait to be taken.
const BACKLOG: u32 = 128;

/// What there is to tell at one moment.
#[derive(Debug)]
struct Scrape {
    status: Status,
    trackers: Vec<TrackerStatus>,
    /// How late the election thread has woken.
    late: Spans,
    /// Of each virtual router, in the order of the status.
    tallies: Vec<Tally>,
    /// Of each interface that has services.
    engines: Vec<EngineStatus>,
}

/// Serves `/metrics` at `address` until the future is dropped. One that somebody else has is no reason not to serve the VIPs:
/// it is tried again.
pub async fn serve(address: SocketAddr, listening: io::Result<TcpListener>, server: Arc<Server>) {
    let (mut listening, mut is_told) = (listening, false);
    let listener = loop {
        match listening {
            Ok(listener) => break listener,
            Err(error) if !is_told => {
                tracing::error!(%address, %error, "/metrics is not served; free the address, or change `metrics`");
                is_told = true;
            }
            Err(_) => {}
        }
        sleep(PAUSE).await;
        listening = listen(address);
    };
    tracing::info!(%address, "serving /metrics");
    let page = move || {
        let server = Arc::clone(&server);
        async move { server.scrape().await.and_then(|scrape| text::text(scrape).ok()) }
    };
    http::serve(listener, page).await;
}

/// Answers the one request that comes over `stream`, with what `make` makes where that is asked for.
pub async fn answer<S, M, F>(stream: S, make: M)
where
    S: AsyncRead + AsyncWrite + Unpin,
    M: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Option<String>> + Send + 'static,
{
    http::converse(stream, http::Page::new(make)).await;
}

/// Listens at `address`; whoever asks waits until there is somebody to [`serve`]. With SO_REUSEPORT an agent that is about to
/// take over listens beside the one before it, and no scrape is refused between the two; the kernel lets no other user's
/// process in. To be called inside a tokio runtime.
///
/// # Errors
///
/// Somebody else has the address.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Server {
    /// `None` when the election thread is stuck.
    async fn scrape(&self) -> Option<Scrape> {
        let snapshot = self.snapshot().await?;
        let engines = self.engines().await;
        let opinions = self.opinions.borrow();
        let trackers = self.config.trackers.iter().zip(opinions.iter());
        let routers = snapshot.ports.iter().flat_map(|port| &port.routers);
        Some(Scrape {
            status: status(self, &snapshot),
            trackers: trackers.map(|(tracker, state)| tracker_status(tracker, state)).collect(),
            late: snapshot.load.late,
            tallies: routers.map(|router| *router.recorder.tally()).collect(),
            engines,
        })
    }
}
