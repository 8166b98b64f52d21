//! One look at what a tracker watches.

use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::carrier::Carrier;
use super::file::SmallFile;
use super::http::get;
use super::opinion::Finding;
use super::ping::ping;
use super::process::Process;
use crate::config::{Check, HttpTarget};
use crate::program::{Program, ProgramError};

/// A check at work, with what it remembers from one look to the next.
pub(super) enum Looker {
    /// A process.
    Process(Process),
    /// An interface.
    Carrier(Carrier),
    /// A host that answers.
    Ping(IpAddr),
    /// A port that is listened on.
    Tcp(SocketAddr),
    /// A port that refuses no datagrams, and how long silence takes to prove it.
    Udp(SocketAddr, Duration),
    /// A web server's answer.
    Http(HttpTarget),
    /// The number in a file.
    File(SmallFile),
    /// What a program says.
    Exec(Program),
    /// Whether the engine does its work.
    Engine(Probe),
}

/// What tells whether a part of this program does its work, or why not; `None` while that is being found out.
pub type Probe = Box<dyn Fn() -> Option<Result<(), String>> + Send>;

impl Looker {
    /// A check that has not looked yet, and may take so long with each look. The engine of an interface is asked by what
    /// `engine` gives.
    ///
    /// # Errors
    ///
    /// There is no such user.
    pub(super) fn new(
        check: &Check,
        patience: Duration,
        engine: &dyn Fn(&str) -> Probe,
    ) -> Result<Self, ProgramError> {
        Ok(match check {
            Check::Process(path) => Self::Process(Process::new(path.clone())),
            Check::Carrier(interface) => Self::Carrier(Carrier::new(interface.clone())),
            Check::Ping(address) => Self::Ping(*address),
            Check::Tcp(address) => Self::Tcp(*address),
            Check::Udp(address) => Self::Udp(*address, patience / 2),
            Check::Http(target) => Self::Http(target.clone()),
            Check::File(path) => Self::File(SmallFile::new(path.clone())),
            Check::Exec { words, user } => Self::Exec(Program::new(words, user.as_deref())?),
            Check::Engine(interface) => Self::Engine(engine(interface)),
        })
    }

    /// Looks once. Takes as long as the other side takes; dropping it is harmless.
    pub(super) async fn look(&mut self) -> Finding {
        let seen = match self {
            Self::Process(process) => return process.look().await,
            Self::Carrier(carrier) => return carrier.look().await,
            Self::Ping(address) => ping(*address).await,
            Self::Tcp(address) => connect(*address).await,
            Self::Udp(address, silence) => send(*address, *silence).await,
            Self::Http(target) => get(target).await,
            Self::File(file) => number_in(file).await,
            Self::Exec(program) => program.run(&[]).await.map_err(|error| error.to_string()),
            Self::Engine(probe) => match probe() {
                Some(seen) => seen,
                None => return Finding::Pending,
            },
        };
        match seen {
            Ok(()) => Finding::Good,
            Err(how) => Finding::Bad(how),
        }
    }

    /// Waits until something happens that is worth another look at once; for ever if nothing tells.
    pub(super) async fn stirred(&mut self) {
        match self {
            Self::Process(process) => process.ended().await,
            Self::Carrier(carrier) => carrier.changed().await,
            Self::Ping(_)
            | Self::Tcp(_)
            | Self::Udp(..)
            | Self::Http(_)
            | Self::File(_)
            | Self::Exec(..)
            | Self::Engine(_) => pending().await,
        }
    }
}

async fn connect(address: SocketAddr) -> Result<(), String> {
    let connected = TcpStream::connect(address).await;
    connected.map(drop).map_err(|error| format!("connecting to {address}: {error}"))
}

/// In order if a datagram is answered, or if nobody says within `silence` that nobody takes it. It is not empty: to some servers
/// that means the end.
async fn send(address: SocketAddr, silence: Duration) -> Result<(), String> {
    let any = match address {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let refusal = async {
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(address).await?;
        socket.send(&[0]).await?;
        timeout(silence, socket.recv(&mut [0])).await.unwrap_or(Ok(0))
    };
    refusal.await.map(drop).map_err(|error| format!("a datagram to {address}: {error}"))
}

/// In order if there is no such file, or nothing in it, or 0.
async fn number_in(file: &mut SmallFile) -> Result<(), String> {
    match file.read().await {
        Ok(text) if matches!(text.as_str(), "" | "0") => Ok(()),
        Ok(_) => Err(format!("{} does not hold 0", file.path().display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("{}: {error}", file.path().display())),
    }
}

/// Of those that have no engine to ask.
pub fn no_engine(_: &str) -> Probe {
    Box::new(|| Some(Err("there is no engine".to_owned())))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::config::HttpAnswer;

    fn look(looker: &mut Looker) -> Finding {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(looker.look())
    }

    fn is_bad(finding: &Finding, words: &str) -> bool {
        matches!(finding, Finding::Bad(how) if how.contains(words))
    }

    #[test]
    fn a_port_is_in_order_while_somebody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut looker = Looker::Tcp(listener.local_addr().expect("its address"));
        assert_eq!(look(&mut looker), Finding::Good);
        drop(listener);
        let found = look(&mut looker);
        assert!(is_bad(&found, "Connection refused"), "{found:?}");
    }

    #[test]
    fn a_port_refuses_datagrams_while_nobody_takes_them_and_silence_is_good() {
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = silent.local_addr().expect("its address");
        assert_eq!(look(&mut Looker::Udp(address, Duration::from_millis(20))), Finding::Good);
        assert_eq!(silent.recv(&mut [0; 8]).expect("a datagram"), 1);
        drop(silent);
        let patient = Duration::from_secs(10);
        let found = look(&mut Looker::Udp(address, patient));
        assert!(is_bad(&found, &format!("a datagram to {address}: Connection refused")), "{found:?}");
        let server = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = server.local_addr().expect("its address");
        let answering = thread::spawn(move || {
            let (_, from) = server.recv_from(&mut [0; 8]).expect("a datagram");
            server.send_to(b"yes?", from).expect("an answer");
        });
        let begun = std::time::Instant::now();
        assert_eq!(look(&mut Looker::Udp(address, patient)), Finding::Good);
        assert!(begun.elapsed() < patient, "an answer ends the look");
        answering.join().expect("a server");
    }

    #[test]
    fn a_web_server_is_in_order_while_it_answers_well() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let answers = ["200 OK", "302 Found", "503 Service Unavailable", "nonsense"];
        let server = thread::spawn(move || {
            for status in answers {
                let (mut client, _) = listener.accept().expect("a client");
                let length = client.read(&mut [0; 1024]).expect("a request");
                assert!(length > 0);
                write!(client, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").expect("an answer");
            }
        });
        let target = HttpTarget {
            is_tls: false,
            address,
            authority: address.to_string(),
            path: "/ok".to_owned(),
            answer: HttpAnswer::default(),
        };
        let mut looker = Looker::Http(target);
        assert_eq!(look(&mut looker), Finding::Good);
        assert_eq!(look(&mut looker), Finding::Good);
        let found = look(&mut looker);
        assert!(is_bad(&found, "503 Service Unavailable"), "{found:?}");
        let found = look(&mut looker);
        assert!(is_bad(&found, &format!("http://{address}/ok")), "{found:?}");
        server.join().expect("a server");
        let found = look(&mut looker);
        assert!(is_bad(&found, "Connection refused"), "{found:?}");
    }

    #[test]
    fn a_file_is_in_order_without_a_number_or_with_0() {
        let path = std::env::temp_dir().join(format!("baton-track-{}", std::process::id()));
        let mut looker = Looker::File(SmallFile::new(path.clone()));
        assert_eq!(look(&mut looker), Finding::Good);
        for (text, is_good) in [("", true), ("0\n", true), ("1\n", false), ("maintenance", false)] {
            std::fs::write(&path, text).expect("a file");
            assert_eq!(look(&mut looker) == Finding::Good, is_good, "{text}");
        }
        std::fs::remove_file(&path).expect("it is there");
    }

    #[test]
    fn an_interface_is_in_order_with_a_carrier_and_only_doubtful_if_it_is_not_there() {
        assert_eq!(look(&mut Looker::Carrier(Carrier::new("lo".to_owned()))), Finding::Good);
        let found = look(&mut Looker::Carrier(Carrier::new("no-such-link".to_owned())));
        assert!(is_bad(&found, "no-such-link"), "{found:?}");
    }

    #[test]
    fn a_program_is_in_order_when_it_ends_well() {
        let looker = |script: &str| {
            let words = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
            let check = Check::Exec { words, user: None };
            look(&mut Looker::new(&check, Duration::from_secs(10), &no_engine).expect("no other user"))
        };
        assert_eq!(looker("exit 0"), Finding::Good);
        let found = looker("exit 1");
        assert!(is_bad(&found, "exit status: 1"), "{found:?}");
    }

    #[test]
    fn a_process_is_gone_when_it_has_ended_and_only_doubtful_without_its_file() {
        let path = std::env::temp_dir().join(format!("baton-pid-{}", std::process::id()));
        let mut looker = Looker::Process(Process::new(path.clone()));
        let found = look(&mut looker);
        assert!(is_bad(&found, "No such file"), "{found:?}");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("a process");
        std::fs::write(&path, format!("{}\n", child.id())).expect("a file");
        assert_eq!(look(&mut looker), Finding::Good);
        child.kill().expect("it runs");
        child.wait().expect("its end");
        // As a service does that ends in order.
        std::fs::remove_file(&path).expect("it is there");
        let found = look(&mut looker);
        assert!(matches!(&found, Finding::Gone(how) if how.contains("has ended")), "{found:?}");
        let found = look(&mut looker);
        assert!(is_bad(&found, "No such file"), "{found:?}");
        std::fs::write(&path, child.id().to_string()).expect("a file");
        let found = look(&mut looker);
        assert!(matches!(&found, Finding::Gone(how) if how.contains("No such process")), "{found:?}");
        std::fs::write(&path, "nonsense").expect("a file");
        let found = look(&mut looker);
        assert!(is_bad(&found, "no process number"), "{found:?}");
        std::fs::remove_file(&path).expect("it is there");
    }

    #[test]
    fn a_process_stirs_once_when_it_ends() {
        let path = std::env::temp_dir().join(format!("baton-stir-{}", std::process::id()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("a process");
        std::fs::write(&path, child.id().to_string()).expect("a file");
        let mut looker = Looker::Process(Process::new(path.clone()));
        let patience = Duration::from_secs(10);
        runtime.block_on(async {
            assert_eq!(looker.look().await, Finding::Good);
            child.kill().expect("it runs");
            timeout(patience, looker.stirred()).await.expect("it stirs");
            std::fs::remove_file(&path).expect("it is there");
            looker.look().await;
            let again = timeout(patience / 100, looker.stirred()).await;
            assert!(again.is_err(), "it would be looked at without a pause");
        });
        child.wait().expect("its end");
    }
}
