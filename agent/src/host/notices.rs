//! The kernel's notices: that something has changed, not what.

use std::io;
use std::pin::Pin;

use futures_util::FutureExt;
use futures_util::stream::{Stream, StreamExt};
use rtnetlink::{MulticastGroup, new_multicast_connection};

/// Notices that are passed over at once; a flood of them must not keep anybody from looking.
const MOST_NOTICES: u32 = 10_000;

/// The notices of some groups.
pub(super) struct Notices(Pin<Box<dyn Stream<Item = ()> + Send + Sync>>);

impl Notices {
    /// Begins to listen; needs a running tokio runtime.
    pub(super) fn open(groups: &[MulticastGroup]) -> io::Result<Self> {
        let (notifier, _, messages) = new_multicast_connection(groups)?;
        tokio::spawn(notifier);
        Ok(Self(Box::pin(messages.map(|_| ()))))
    }

    /// Waits for the next notice of any kind. Those that have come by then are passed over: one look answers all.
    pub(super) async fn changed(&mut self) {
        if self.0.next().await.is_none() {
            std::future::pending::<()>().await;
        }
        for _ in 0..MOST_NOTICES {
            if self.0.next().now_or_never().flatten().is_none() {
                return;
            }
        }
    }
}
