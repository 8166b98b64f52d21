//! Asking a web server.

use std::fmt::Display;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::tls;
use crate::config::HttpTarget;

/// Asks for the page. An answer in the twohundreds is what is wanted, or one that sends elsewhere: the server works.
pub(super) async fn get(target: &HttpTarget) -> Result<(), String> {
    let HttpTarget { is_tls, address, authority, path } = target;
    let scheme = if *is_tls { "https" } else { "http" };
    let failed = |error: &dyn Display| format!("{scheme}://{authority}{path}: {error}");
    let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
    let status = if *is_tls {
        let connecting = tls::CONNECTOR.connect(address.ip().into(), stream);
        let stream = connecting.await.map_err(|error| failed(&error))?;
        exchange(stream, target).await
    } else {
        exchange(stream, target).await
    };
    let status = status.map_err(|error| failed(&error))?;
    if status.is_success() || status.is_redirection() { Ok(()) } else { Err(failed(&status)) }
}

/// The status that the server at the other end of `stream` answers with.
async fn exchange<S>(stream: S, HttpTarget { authority, path, .. }: &HttpTarget) -> anyhow::Result<StatusCode>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Ends with this call, however that ends.
    let mut serving = JoinSet::new();
    serving.spawn(connection);
    let request = Request::get(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("baton/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    Ok(sender.send_request(request).await?.status())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    use super::*;

    /// As a server has one, for a name and from nobody whom others trust.
    fn acceptor() -> TlsAcceptor {
        let made = rcgen::generate_simple_self_signed(["www.example.org".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = ServerConfig::builder().with_no_client_auth();
        let config =
            config.with_single_cert(vec![made.cert.der().clone()], key).expect("they belong together");
        TlsAcceptor::from(Arc::new(config))
    }

    /// What becomes of one look at a server that answers the first client so.
    async fn look(answer: &'static str) -> (String, Result<(), String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut stream = acceptor().accept(stream).await?;
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await?;
            assert!(request[..length].starts_with(b"GET /ok HTTP/1.1\r\n"), "{request:?}");
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await
        });
        let target =
            HttpTarget { is_tls: true, address, authority: address.to_string(), path: "/ok".to_owned() };
        let seen = get(&target).await;
        // It may have been disappointed.
        let _ = server.await.expect("a server");
        (format!("https://{address}/ok: "), seen)
    }

    #[test]
    fn a_server_with_a_certificate_is_asked_whoever_vouches_for_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (_, seen) = look("HTTP/1.1 204 No Content\r\n\r\n").await;
            assert_eq!(seen, Ok(()));
            let (url, seen) = look("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
            assert_eq!(seen, Err(format!("{url}503 Service Unavailable")));
        });
    }

    #[test]
    fn a_server_without_tls_is_out_of_order_where_it_is_wanted() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("its address");
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.expect("a client");
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            });
            let target =
                HttpTarget { is_tls: true, address, authority: address.to_string(), path: "/".to_owned() };
            let failed = get(&target).await.expect_err("no handshake");
            assert!(failed.starts_with(&format!("https://{address}/: ")), "{failed}");
        });
    }
}
