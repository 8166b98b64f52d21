//! A request for `/metrics`.

use std::time::Duration;

use baton::control::metrics;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::runtime::Builder;
use tokio::task::yield_now;
use tokio::time::timeout;

/// More than any request or answer has.
const ROOM: usize = 1 << 16;
/// More than a server needs that has all there is to hear.
const TURNS: u32 = 64;
/// As good as never.
const LONG: Duration = Duration::from_secs(60);

/// What a process of this host says to the port: it is answered in HTTP or not at all, and the connection ends.
pub fn http(octets: &[u8]) -> bool {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let answer = runtime.block_on(async {
        let (mut client, server) = duplex(ROOM);
        let serving = tokio::spawn(metrics::answer(server, || async { Some("up 1\n".to_owned()) }));
        let said = octets.get(..ROOM).unwrap_or(octets);
        // Whoever is refused may not be listened to until the end.
        let _ = client.write_all(said).await;
        // A client that closes before it has its answer gets none.
        for _ in 0..TURNS {
            yield_now().await;
        }
        let _ = client.shutdown().await;
        let mut answer = Vec::new();
        timeout(LONG, client.read_to_end(&mut answer)).await.expect("it ends").expect("a pipe");
        serving.await.expect("no panic");
        answer
    });
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", answer.escape_ascii());
    answer.get(8..12) == Some(b" 200")
}
