//! Connections through balancers of every kind, proxies among them, by the same client to the same three backends.
//!
//! ```text
//!   cl --- switch --- a: Baton, nftables, nginx stream, HAProxy
//!             |
//!         be1, be2, be3: nginx
//! ```

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use baton_tests::lab::{Backend, Balanced, Host, Process, VIP, check_interrupted, output, wait_until};
use nix::unistd::Pid;

use super::threads::Thread;

/// Connections that are open at once.
const CLIENTS: usize = 4;
/// How long a proxy may take to start.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where nginx is found by a client of this host, and where the others listen.
const HTTP: u16 = 80;
const NGINX_PORT: u16 = 8081;
const HAPROXY_PORT: u16 = 8082;
const NFTABLES_PORT: u16 = 8083;
/// The part of nginx that Debian has in a package of its own.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// A way from the client to the backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To one of them, without anybody between.
    Direct,
    /// Baton as it is by default; the backends answer the client themselves.
    Baton,
    /// Destination NAT and masquerading by nftables.
    Nftables,
    /// nginx, which passes a connection on.
    Nginx,
    /// HAProxy, which passes a connection on.
    Haproxy,
}

impl Way {
    /// All of them, in the order of reports.
    pub(super) const ALL: [Self; 5] = [Self::Direct, Self::Baton, Self::Nftables, Self::Nginx, Self::Haproxy];

    /// Its name in reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Baton => "baton-flow-cache",
            Self::Nftables => "nftables-dnat",
            Self::Nginx => "nginx-stream",
            Self::Haproxy => "haproxy",
        }
    }

    /// What the client connects to.
    const fn target(self) -> (Ipv4Addr, u16) {
        match self {
            Self::Direct => (Backend::address_of(1), HTTP),
            Self::Baton => (VIP, HTTP),
            Self::Nftables => (Host::A.address(), NFTABLES_PORT),
            Self::Nginx => (Host::A.address(), NGINX_PORT),
            Self::Haproxy => (Host::A.address(), HAPROXY_PORT),
        }
    }
}

/// What came of the connections of one way.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) way: Way,
    /// Requests in a second, of each round.
    pub(super) per_second: Vec<f64>,
    /// How long each took, in us.
    pub(super) times_us: Vec<u64>,
    /// CPU time of the processes of the balancer, in us for each request, of each round.
    pub(super) cpu_us: Vec<f64>,
}

/// Connects each way for `span`, and puts what comes of it into `all`.
pub(super) fn measure(span: Duration, all: &mut Vec<Requests>) -> Result<()> {
    let mut setup = Balanced::with(Balanced::WEB)?;
    let proxies = Proxies::start(&setup)?;
    for way in Way::ALL {
        check_interrupted()?;
        let threads = proxies.threads(&setup, way)?;
        let cpu = || threads.iter().map(Thread::cpu_ns).sum::<Result<u64>>();
        let before = cpu()?;
        let times = connect(&setup, SocketAddr::from(way.target()), span).with_context(|| way.name())?;
        let cpu_us = (cpu()? - before) as f64 / 1000.0 / times.len().max(1) as f64;
        let at = all.iter().position(|requests| requests.way == way).unwrap_or_else(|| {
            all.push(Requests { way, per_second: Vec::new(), times_us: Vec::new(), cpu_us: Vec::new() });
            all.len() - 1
        });
        all[at].per_second.push(times.len() as f64 / span.as_secs_f64());
        all[at].cpu_us.push(cpu_us);
        all[at].times_us.extend(times);
    }
    setup.stop()
}

/// Asks `target` by new connections for `span`; how long each request took, in us.
fn connect(setup: &Balanced, target: SocketAddr, span: Duration) -> Result<Vec<u64>> {
    let client = setup.lab.namespace(Host::Client);
    let end = Instant::now() + span;
    let ask_on = || -> Result<Vec<u64>> {
        let mut times = Vec::new();
        while Instant::now() < end {
            let begun = Instant::now();
            ask(target)?;
            times.push(u64::try_from(begun.elapsed().as_micros())?);
        }
        Ok(times)
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| client.within(ask_on))).collect();
        let mut times = Vec::new();
        for thread in all {
            times.extend(thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
        }
        Ok(times)
    })
}

/// One connection with one request, which the server ends.
fn ask(target: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "the answer is {}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// What runs on the node beside Baton.
struct Proxies {
    nginx: Process,
    haproxy: Process,
}

impl Proxies {
    fn start(setup: &Balanced) -> Result<Self> {
        let directory = setup.lab.host_directory(Host::A);
        translate(setup)?;
        let node = setup.lab.namespace(Host::A);
        let file = directory.join("stream.conf");
        fs::write(&file, nginx_configuration(&directory))?;
        let mut nginx = node.command("nginx");
        nginx.arg("-c").arg(&file).arg("-e").arg(directory.join("stream.log"));
        let nginx = Process::start(&mut nginx, &directory.join("stream.log"))?;
        let file = directory.join("haproxy.cfg");
        fs::write(&file, haproxy_configuration())?;
        let mut haproxy: Command = node.command("haproxy");
        let haproxy = Process::start(haproxy.args(["-db", "-f"]).arg(&file), &directory.join("haproxy.log"))?;
        for way in Way::ALL {
            let target = SocketAddr::from(way.target());
            let asks = || Ok(setup.lab.namespace(Host::Client).within(|| ask(target)).is_ok());
            wait_until(&format!("{} to answer (see {})", way.name(), directory.display()), PATIENCE, asks)?;
        }
        Ok(Self { nginx, haproxy })
    }

    /// The threads that do the work of a way, beside the kernel's.
    fn threads(&self, setup: &Balanced, way: Way) -> Result<Vec<Thread>> {
        let processes = match way {
            Way::Direct | Way::Nftables => Vec::new(),
            Way::Baton => vec![Pid::from_raw(i32::try_from(setup.lab.baton_status(Host::A)?.pid)?)],
            Way::Nginx => self.nginx.tree(),
            Way::Haproxy => self.haproxy.tree(),
        };
        Ok(processes.into_iter().map(Thread::all_of).collect::<Result<Vec<_>>>()?.concat())
    }
}

/// Has the node's kernel translate what comes to it. The answers must come back through it: it masquerades.
fn translate(setup: &Balanced) -> Result<()> {
    let backends: Vec<String> = (1..=Balanced::BACKENDS)
        .map(|number| format!("{} : {} . {HTTP}", number - 1, Backend::address_of(number)))
        .collect();
    let rules = format!(
        "add table ip bench; add chain ip bench pre {{ type nat hook prerouting priority -100; }}; add rule ip bench pre tcp \
         dport {NFTABLES_PORT} dnat ip addr . port to numgen inc mod {} map {{ {} }}; add chain ip bench post {{ type nat hook \
         postrouting priority 100; }}; add rule ip bench post ct status dnat masquerade",
        backends.len(),
        backends.join(", ")
    );
    setup.lab.namespace(Host::A).set("net/ipv4/ip_forward", "1")?;
    output(setup.lab.command(Host::A, "nft").arg(rules)).map(drop)
}

fn nginx_configuration(directory: &Path) -> String {
    let servers: String = (1..=Balanced::BACKENDS)
        .map(|number| format!("    server {}:{HTTP};\n", Backend::address_of(number)))
        .collect();
    format!(
        "load_module {STREAM_MODULE};\ndaemon off;\nmaster_process off;\nuser root;\npid {}/stream.pid;\n\
         events {{ worker_connections 1024; }}\nstream {{\n  upstream backends {{\n{servers}  }}\n  server {{\n    \
         listen {}:{NGINX_PORT};\n    proxy_pass backends;\n  }}\n}}\n",
        directory.display(),
        Host::A.address()
    )
}

fn haproxy_configuration() -> String {
    let servers: String = (1..=Balanced::BACKENDS)
        .map(|number| format!("  server be{number} {}:{HTTP}\n", Backend::address_of(number)))
        .collect();
    format!(
        "global\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
         frontend clients\n  bind {}:{HAPROXY_PORT}\n  default_backend backends\nbackend backends\n  balance roundrobin\n{servers}",
        Host::A.address()
    )
}
