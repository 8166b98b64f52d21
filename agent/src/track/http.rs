//! Asking a web server.

use std::fmt::Display;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::tls;
use crate::config::{HttpAnswer, HttpTarget};

/// How much of a page is read: what is looked for should stand near its beginning.
const LONGEST: usize = 64 * 1024;

/// Asks for the page, and compares the answer with what is wanted.
pub(super) async fn get(target: &HttpTarget) -> Result<(), String> {
    let HttpTarget { is_tls, address, authority, path, answer: HttpAnswer { statuses, body } } = target;
    let scheme = if *is_tls { "https" } else { "http" };
    let failed = |error: &dyn Display| format!("{scheme}://{authority}{path}: {error}");
    let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
    let answer = if *is_tls {
        let connecting = tls::CONNECTOR.connect(address.ip().into(), stream);
        let stream = connecting.await.map_err(|error| failed(&error))?;
        exchange(stream, target).await
    } else {
        exchange(stream, target).await
    };
    let (status, page) = answer.map_err(|error| failed(&error))?;
    if !statuses.iter().any(|range| range.contains(&status.as_u16())) {
        return Err(failed(&status));
    }
    match body {
        Some(body) if !page.windows(body.len()).any(|part| part == body.as_bytes()) => {
            Err(failed(&format!("the page does not have \"{body}\"")))
        }
        Some(_) | None => Ok(()),
    }
}

/// What the server at the other end of `stream` answers: the status, and the beginning of the page if that matters.
async fn exchange<S>(stream: S, target: &HttpTarget) -> anyhow::Result<(StatusCode, Vec<u8>)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let HttpTarget { authority, path, answer: HttpAnswer { body, .. }, .. } = target;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Ends with this call, however that ends.
    let mut serving = JoinSet::new();
    serving.spawn(connection);
    let request = Request::get(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("baton/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let mut answer = sender.send_request(request).await?;
    let mut page = Vec::new();
    while body.is_some()
        && page.len() < LONGEST
        && let Some(frame) = answer.frame().await
    {
        page.extend_from_slice(frame?.data_ref().map_or(&[], |data| data));
    }
    page.truncate(LONGEST);
    Ok((answer.status(), page))
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

    /// What becomes of one look for `wanted` at a server that answers the first client so.
    async fn look(wanted: HttpAnswer, answer: &'static str) -> (String, Result<(), String>) {
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
        let target = HttpTarget {
            is_tls: true,
            address,
            authority: address.to_string(),
            path: "/ok".to_owned(),
            answer: wanted,
        };
        let seen = get(&target).await;
        // It may have been disappointed.
        let _ = server.await.expect("a server");
        (format!("https://{address}/ok: "), seen)
    }

    #[test]
    fn a_server_with_a_certificate_is_asked_whoever_vouches_for_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (_, seen) = look(HttpAnswer::default(), "HTTP/1.1 204 No Content\r\n\r\n").await;
            assert_eq!(seen, Ok(()));
            let (url, seen) =
                look(HttpAnswer::default(), "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
            assert_eq!(seen, Err(format!("{url}503 Service Unavailable")));
        });
    }

    #[test]
    fn a_server_is_in_order_when_status_and_page_are_as_wanted() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let wanted = |body: &str| HttpAnswer {
            statuses: vec![200..=200, 503..=504],
            body: (!body.is_empty()).then(|| body.to_owned()),
        };
        for (body, answer, failure) in [
            ("", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", None),
            ("", "HTTP/1.1 504 Late\r\n\r\n", None),
            ("", "HTTP/1.1 204 None\r\n\r\n", Some("204 No Content")),
            ("ready", "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nit\nready", None),
            ("ready", "HTTP/1.1 200 OK\r\n\r\nready until the end of the stream", None),
            (
                "ready",
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nread",
                Some("the page does not have \"ready\""),
            ),
            ("ready", "HTTP/1.1 201 ready\r\nContent-Length: 5\r\n\r\nready", Some("201 Created")),
        ] {
            let (url, seen) = runtime.block_on(look(wanted(body), answer));
            let expected = failure.map_or(Ok(()), |failure| Err(format!("{url}{failure}")));
            assert_eq!(seen, expected, "{answer}");
        }
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
            let target = HttpTarget {
                is_tls: true,
                address,
                authority: address.to_string(),
                path: "/".to_owned(),
                answer: HttpAnswer::default(),
            };
            let failed = get(&target).await.expect_err("no handshake");
            assert!(failed.starts_with(&format!("https://{address}/: ")), "{failed}");
        });
    }
}
