//! Asking a web server.

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::config::HttpTarget;

/// Asks for the page. An answer in the twohundreds is what is wanted, or one that sends elsewhere: the server works.
pub(super) async fn get(target: &HttpTarget) -> Result<(), String> {
    let HttpTarget { address, authority, path } = target;
    let failed = |error: &dyn std::fmt::Display| format!("http://{authority}{path}: {error}");
    let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    // Ends with this call, however that ends.
    let mut serving = JoinSet::new();
    serving.spawn(connection);
    let request = Request::get(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("baton/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let status = response.status();
    if status.is_success() || status.is_redirection() { Ok(()) } else { Err(failed(&status)) }
}
