//! A connection of the client that is kept open.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};
use socket2::{Domain, Protocol, Socket, Type};

use super::{Host, Lab, VIP};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to port 80 of the VIP.
#[derive(Debug)]
pub struct Connection(TcpStream);

impl Connection {
    /// Opens one.
    pub fn open(lab: &Lab) -> Result<Self> {
        Self::open_from(lab, 0)
    }

    /// Opens one from this port of the client; from any, if it is 0.
    pub fn open_from(lab: &Lab, port: u16) -> Result<Self> {
        let connect = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
            socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
            socket.connect_timeout(&SocketAddr::from((VIP, 80)).into(), PATIENCE)?;
            Ok(TcpStream::from(socket))
        };
        let stream = lab.namespace(Host::Client).within(connect)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// What the nodes call its flow.
    pub fn flow(&self) -> Result<String> {
        Ok(format!("tcp {} -> {}", self.0.local_addr()?, self.0.peer_addr()?))
    }

    /// The line that the server says to one more request.
    pub fn ask(&mut self) -> Result<String> {
        self.0.write_all(b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n")?;
        self.answer()
    }

    /// The line that the server says to so many octets.
    pub fn send(&mut self, octets: usize) -> Result<String> {
        let head = format!("POST / HTTP/1.1\r\nHost: vip\r\nContent-Length: {octets}\r\n\r\n");
        self.0.write_all(&[head.into_bytes(), vec![b'x'; octets]].concat())?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        let (mut answer, mut octets) = (String::new(), [0; 1024]);
        loop {
            let length = self.0.read(&mut octets)?;
            ensure!(length > 0, "the connection was closed after {answer:?}");
            answer += std::str::from_utf8(&octets[..length])?;
            let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
            if let Some(line) = body.and_then(|body| body.strip_suffix('\n')) {
                return Ok(line.to_owned());
            }
        }
    }
}
