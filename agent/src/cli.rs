//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use baton::control::protocol::FlowName;
use clap::{Args, Parser, Subcommand};

/// Moves virtual IP addresses between hosts faster than a client can notice.
#[derive(Debug, Parser)]
#[command(name = "baton", version)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Take part in the election and serve the addresses while this host owns them.
    ///
    /// SIGTERM hands over and ends. The programs and addresses stay on the host, fenced; `baton detach` removes them.
    Run(ConfigPath),
    /// Everything else.
    #[command(flatten)]
    Errand(Errand),
}

/// What is done in one go.
#[derive(Debug, Subcommand)]
pub(crate) enum Errand {
    /// Check a configuration file and change nothing.
    ///
    /// Exit code 0: valid; 1: mistakes, each printed with file, line and remedy; 2: unreadable. What is legal and probably not
    /// meant, on this host, is printed as a warning.
    Check {
        /// The configuration.
        #[command(flatten)]
        config: ConfigPath,
        /// Take warnings for mistakes.
        #[arg(long)]
        strict: bool,
    },
    /// Print the JSON Schema of configuration files, for editors.
    Schema,
    /// Show what a running agent is doing and why.
    Status(Question),
    /// Show what the engine does with the traffic of services, and change it.
    #[command(subcommand)]
    Engine(EngineVerb),
    /// Tell what would become of a frame: which verdict, which backend, and why. Nothing is sent, and nothing changes.
    ///
    /// It is taken for one that goes on with its flow; the flow is written as `baton engine flows` prints it.
    Trace {
        /// Whom to ask, and how to print the answer.
        #[command(flatten)]
        question: Question,
        /// The flow, as "tcp 203.0.113.7:51515 -> 192.0.2.100:443".
        flow: FlowName,
    },
    /// Tell in words why every virtual router is what it is, and how long each stage of the last change took.
    Explain(ConfigPath),
    /// Tell what every virtual router and tracker is, and then whatever happens, as lines of JSON.
    ///
    /// Ends with exit code 1 when the agent ends or another takes its place.
    Events(ConfigPath),
    /// Give virtual routers to a Backup without losing a packet, and go on as Backup.
    ///
    /// Exit code 1 when no Backup took over; this host is still Active then.
    Handover {
        /// Whom to ask, and how to print the answer.
        #[command(flatten)]
        question: Question,
        /// Only this virtual router.
        #[arg(long)]
        vrid: Option<u8>,
        /// Only on this interface.
        #[arg(long)]
        interface: Option<String>,
        /// Only to the Baton with this primary address; the other Backups are not told.
        #[arg(long, value_name = "PEER")]
        to: Option<IpAddr>,
    },
    /// Give every virtual router to a Backup and take no part in elections until `baton resume`.
    ///
    /// Exit code 1 when no Backup took one of them over; it is still Active here then.
    Drain(Question),
    /// Take part in elections again after `baton drain`.
    Resume(Question),
    /// Go over to the program and the configuration that are on the disk, without a role change.
    ///
    /// Exit code 1 when the new agent does not start; the old one goes on.
    Restart(Question),
    /// Go over to the configuration that is on the disk and tell what has changed, without a role change.
    ///
    /// Nothing is done where nothing has changed. Exit code 1 when there are mistakes in it, or the new agent does not start;
    /// the old one goes on. SIGHUP does the same.
    Reload(Question),
    /// On a backend: unwrap what the nodes of a pool with forward = "tunnel" send, until SIGTERM or SIGINT.
    ///
    /// For kernels without IPIP. It needs no configuration, and leaves nothing on the host.
    Decap {
        /// The interface that the packets arrive on.
        interface: String,
        /// An address of the services, which this host has on `lo`; may be given several times.
        #[arg(long = "vip", value_name = "ADDRESS", required = true)]
        vips: Vec<IpAddr>,
        /// The address of a node, which its tunnels come from; may be given several times.
        #[arg(long = "node", value_name = "ADDRESS", required = true)]
        nodes: Vec<IpAddr>,
    },
    /// Remove what a stopped agent has left: addresses, sysctls, programs, pins.
    Detach(ConfigPath),
}

/// What is shown of the engine, and set.
#[derive(Debug, Subcommand)]
pub(crate) enum EngineVerb {
    /// Pools and backends: in what condition they are, which share of new flows they get, and what they got.
    Backends(Question),
    /// What each service and backend gets, once a second until Ctrl-C: frames, bits and new flows a second, and flows.
    ///
    /// On a terminal each table takes the place of the last one; elsewhere they follow one another.
    Top {
        /// Whom to ask, and how to print the answer: JSON has a line for each second.
        #[command(flatten)]
        question: Question,
        /// Only for the next second.
        #[arg(long)]
        once: bool,
    },
    /// Flows that the workers remember: where each goes, how far it is, and whether XDP forwards it by itself.
    Flows {
        /// Whom to ask, and how to print the answer.
        #[command(flatten)]
        question: Question,
        /// Only those to this VIP, or to this port of it.
        #[arg(long, value_name = "VIP[:PORT]")]
        service: Option<ServiceName>,
        /// Only those of the backend with this address.
        #[arg(long, value_name = "ADDRESS")]
        backend: Option<IpAddr>,
        /// So many at most of each interface, up to 10000.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
    },
    /// Give a backend another share of new flows than configured.
    ///
    /// Holds on this node, through reloads and restarts, until it is set again or the host boots.
    Weight {
        /// Which backend, and how to print the answer.
        #[command(flatten)]
        backend: BackendName,
        /// 0 to 1000, or `configured`.
        weight: Weight,
    },
    /// Give a backend no new flows; those that it has go on.
    ///
    /// Holds on this node, through reloads and restarts, until `baton engine undrain` or the next boot.
    Drain(BackendName),
    /// Give a backend new flows again after `baton engine drain`, by its weight.
    Undrain(BackendName),
}

/// The place of a service, `192.0.2.100`, `192.0.2.100:443` or `[2001:db8::100]:443`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceName {
    /// The virtual address.
    pub(crate) vip: IpAddr,
    /// The port; all of them if there is none.
    pub(crate) port: Option<u16>,
}

impl FromStr for ServiceName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let with_port = text.parse::<SocketAddr>();
        let with_port = with_port.map(|place| Self { vip: place.ip(), port: Some(place.port()) });
        with_port.or_else(|_| {
            let vip = text.parse().map_err(|_| "write a VIP, or VIP:PORT, such as 192.0.2.100:443")?;
            Ok(Self { vip, port: None })
        })
    }
}

/// Which backend is meant.
#[derive(Args, Debug)]
pub(crate) struct BackendName {
    /// Whom to ask, and how to print the answer.
    #[command(flatten)]
    pub(crate) question: Question,
    /// The name of its pool.
    pub(crate) pool: String,
    /// Its own address.
    pub(crate) address: IpAddr,
}

/// A weight on the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weight {
    /// As it is configured.
    Configured,
    /// This one.
    Number(u16),
}

impl FromStr for Weight {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "configured" => Ok(Self::Configured),
            // The agent knows how large it may be.
            number => number.parse().map(Self::Number).map_err(|_| "write 0 to 1000, or configured"),
        }
    }
}

/// Where the configuration is.
#[derive(Args, Debug)]
pub(crate) struct ConfigPath {
    /// The configuration file.
    #[arg(long = "config", value_name = "FILE", default_value = "/etc/baton/baton.toml")]
    pub(crate) path: PathBuf,
}

/// Which agent is asked, and how its answer is printed.
#[derive(Args, Debug)]
pub(crate) struct Question {
    /// The agent's configuration.
    #[command(flatten)]
    pub(crate) config: ConfigPath,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
