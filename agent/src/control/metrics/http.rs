//! The page over HTTP. Any user of this host may ask for it, so nothing that a client does, or leaves undone, costs others
//! more than its own place: connections are few and short, of too many the oldest goes, and however many ask, the page is
//! made ten times a second at the most.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::control::server::{DESCRIPTOR_PAUSE, STUCK};

const PATH: &str = "/metrics";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Clients at once.
const CLIENTS: usize = 64;
/// How long a client may take to ask and to read the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest request; hyper's least.
const LONGEST_REQUEST: usize = 8192;
/// How long a page is shown to whoever asks.
const FRESH: Duration = Duration::from_millis(100);

/// Serves the page that `make` makes, or does not, until the future is dropped.
pub(super) async fn serve<M, F>(listener: TcpListener, make: M)
where
    M: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Option<String>> + Send + 'static,
{
    let page = Page::new(make);
    let mut clients: VecDeque<AbortHandle> = VecDeque::with_capacity(CLIENTS);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                clients.retain(|client| !client.is_finished());
                if clients.len() >= CLIENTS
                    && let Some(oldest) = clients.pop_front()
                {
                    oldest.abort();
                }
                clients.push_back(tokio::spawn(converse(stream, Arc::clone(&page))).abort_handle());
            }
            // Out of descriptors: wait for others to close theirs.
            Err(error) => {
                tracing::warn!(%error, "/metrics");
                sleep(DESCRIPTOR_PAUSE).await;
            }
        }
    }
}

/// Answers one request.
pub(super) async fn converse<S, M, F>(stream: S, page: Arc<Page<M>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    M: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Option<String>> + Send + 'static,
{
    let answer = service_fn(|request| answer(request, Arc::clone(&page)));
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(LONGEST_REQUEST)
        .serve_connection(TokioIo::new(stream), answer);
    // Whatever has become of it, it is over.
    let _ = timeout(PATIENCE, connection).await;
}

async fn answer<M, F>(
    request: Request<Incoming>,
    page: Arc<Page<M>>,
) -> Result<Response<Full<Bytes>>, Infallible>
where
    M: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Option<String>> + Send + 'static,
{
    let (status, header, body) = if request.uri().path() != PATH {
        (StatusCode::NOT_FOUND, None, Bytes::from_static(b"there is /metrics and nothing else\n"))
    } else if !matches!(*request.method(), Method::GET | Method::HEAD) {
        (StatusCode::METHOD_NOT_ALLOWED, Some((ALLOW, "GET, HEAD")), Bytes::new())
    } else {
        // On a task of its own: a client that goes does not make the next one begin anew.
        match tokio::spawn(page.get()).await {
            Ok(Some(text)) => (StatusCode::OK, Some((CONTENT_TYPE, OPEN_METRICS)), text),
            Ok(None) | Err(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, None, Bytes::from_static(STUCK.as_bytes()))
            }
        }
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
    }
    Ok(response)
}

/// The page, and when it was made last.
pub(super) struct Page<M> {
    make: M,
    last: Mutex<Option<(Instant, Bytes)>>,
}

impl<M, F> Page<M>
where
    M: Fn() -> F,
    F: Future<Output = Option<String>>,
{
    /// One that has yet to be made.
    pub(super) fn new(make: M) -> Arc<Self> {
        Arc::new(Self { make, last: Mutex::new(None) })
    }

    async fn get(self: Arc<Self>) -> Option<Bytes> {
        let mut last = self.last.lock().await;
        if let Some((made, text)) = &*last
            && made.elapsed() < FRESH
        {
            return Some(text.clone());
        }
        let text = Bytes::from((self.make)().await?);
        *last = Some((Instant::now(), text.clone()));
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    /// Long for a machine that is busy with other things, short for somebody who waits.
    const SOON: Duration = Duration::from_secs(30);

    /// Runs `test` beside a server of the page "up 1", which counts how often that is made.
    fn with_server<T: Future<Output = ()>>(test: impl FnOnce(SocketAddr, Arc<AtomicUsize>) -> T) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("its address");
            let count = Arc::new(AtomicUsize::new(0));
            let made = Arc::clone(&count);
            tokio::spawn(serve(listener, move || {
                made.fetch_add(1, Ordering::Relaxed);
                async { Some("up 1\n".to_owned()) }
            }));
            test(address, count).await;
        });
    }

    /// What comes for `request` until the server closes.
    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        timeout(SOON, stream.read_to_string(&mut answer)).await.expect("it closes").expect("an answer");
        answer
    }

    #[test]
    fn there_is_one_page_for_those_who_ask_for_it() {
        with_server(|address, _| async move {
            let get = ask(address, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert!(get.starts_with("HTTP/1.1 200 OK\r\n") && get.ends_with("\r\n\r\nup 1\n"), "{get}");
            assert!(get.contains("content-type: application/openmetrics-text; version=1.0.0"), "{get}");
            let head = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert!(head.contains("content-length: 5\r\n") && head.ends_with("\r\n\r\n"), "{head}");
            for (request, status) in [
                ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "404"),
                ("GET /metrics/ HTTP/1.1\r\nHost: a\r\n\r\n", "404"),
                ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "405"),
                ("nonsense\r\n\r\n", "400"),
            ] {
                let answer = ask(address, request).await;
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}\n{answer}");
            }
        });
    }

    #[test]
    fn a_request_without_an_end_is_refused() {
        with_server(|address, count| async move {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            let line = format!("X: {}\r\n", "x".repeat(1000));
            stream.write_all(b"GET /metrics HTTP/1.1\r\n").await.expect("it reads");
            // It is closed at some time.
            for _ in 0..100 {
                if stream.write_all(line.as_bytes()).await.is_err() {
                    break;
                }
            }
            let mut answer = Vec::new();
            // An answer, or the reset that follows it.
            let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.expect("it closes");
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431 "), "{answer:?}");
            assert_eq!(count.load(Ordering::Relaxed), 0);
        });
    }

    #[test]
    fn those_who_say_nothing_do_not_keep_others_waiting_and_are_dropped() {
        with_server(|address, _| async move {
            let mut crowd = Vec::new();
            for index in 0..3 * CLIENTS {
                let mut silent = TcpStream::connect(address).await.expect("it listens");
                if index % 2 == 0 {
                    silent.write_all(b"GET /metrics HT").await.expect("it reads");
                }
                crowd.push(silent);
            }
            let get = ask(address, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert!(get.ends_with("up 1\n"), "{get}");
            for mut silent in crowd {
                let read = timeout(SOON, silent.read(&mut [0; 16])).await.expect("it is dropped");
                assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
            }
        });
    }

    #[test]
    fn however_many_ask_the_page_is_made_now_and_then() {
        with_server(|address, count| async move {
            let begun = Instant::now();
            for _ in 0..200 {
                ask(address, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
            }
            let most = begun.elapsed().as_millis() / FRESH.as_millis() + 1;
            let made = count.load(Ordering::Relaxed);
            assert!((1..=most).contains(&(made as u128)), "{made} of {most}");
        });
    }
}
