//! The demo's network to play with: it stays up until it is taken down.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use baton_benches::{LAB, hints};
use baton_tests::lab::{Echo, Host, Lab, Nginx, Pair, System, VIP, catch_signals, leftovers};
use clap::{Parser, Subcommand};

/// Builds, enters and removes a network of two nodes and a client.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build the network and leave it up.
    Up {
        /// What runs on the nodes: baton, baton-interface-mac, baton-fastest, keepalived, keepalived-hasty, keepalived-defaults, frr or none.
        #[arg(long, default_value = "baton")]
        system: String,
    },
    /// Remove the network and everything in it.
    Down {
        /// Which one, when there are several.
        #[arg(long)]
        id: Option<String>,
    },
    /// Run a command on node a, node b, the client (cl) or the switch (sw).
    Exec {
        /// Which network, when there are several.
        #[arg(long)]
        id: Option<String>,
        /// a, b, cl or sw.
        node: String,
        /// The command; a shell if there is none.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().verb {
        Verb::Up { system } => up(&system),
        Verb::Down { id } => down(id),
        Verb::Exec { id, node, command } => exec(id, &node, &command),
    }
}

fn up(name: &str) -> Result<()> {
    catch_signals()?;
    let system = match name {
        "none" => None,
        name => Some(System::from_name(name).with_context(|| format!("no system is called `{name}`"))?),
    };
    let mut lab = Lab::up()?;
    let echoes = [Echo::start(&lab, Host::A, VIP)?, Echo::start(&lab, Host::B, VIP)?];
    let pair = system.map(|system| Pair::start(&lab, system, 1)).transpose()?;
    for host in Host::NODES {
        lab.namespace(host).set("net/ipv4/ip_nonlocal_bind", "1")?;
    }
    let servers = [Nginx::start(&lab, Host::A, VIP)?, Nginx::start(&lab, Host::B, VIP)?];
    if let Some(pair) = pair {
        pair.detach();
    }
    servers.into_iter().for_each(Nginx::detach);
    echoes.into_iter().for_each(Echo::detach);
    lab.keep()?;
    // Up it is, whether or not anybody reads this (`... up | head`).
    let _ = write!(io::stdout(), "lab {} is up\n{}", lab.id(), hints(&lab));
    Ok(())
}

fn down(id: Option<String>) -> Result<()> {
    let lab = Lab::open(&choose(id)?)?;
    let id = lab.id().to_owned();
    lab.down();
    let left = leftovers(&id);
    ensure!(left.is_empty(), "left behind: {}", left.join(", "));
    Ok(())
}

fn exec(id: Option<String>, node: &str, command: &[String]) -> Result<()> {
    let lab = Lab::open(&choose(id)?)?;
    let namespace = match (node, Host::from_name(node)) {
        ("sw", _) => lab.switch(),
        (_, Some(host)) => lab.namespace(host),
        (_, None) => bail!("no node is called `{node}`: a, b, cl or sw"),
    };
    let shell = [std::env::var("SHELL").unwrap_or_else(|_| "sh".to_owned())];
    let (program, arguments) = match command {
        [] => (&shell[0], &[][..]),
        [program, arguments @ ..] => (program, arguments),
    };
    let error = namespace.foreground(program).args(arguments).env("PATH", path()?).exec();
    Err(error).with_context(|| format!("run {program}"))
}

/// Where programs are looked for: beside this one first, so that `baton` is the one that the nodes run.
fn path() -> Result<OsString> {
    let own = std::env::current_exe().context("find the running program")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = own.parent().map(PathBuf::from).into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(directories).context("make a PATH")
}

fn choose(id: Option<String>) -> Result<String> {
    if let Some(id) = id {
        return Ok(id);
    }
    match &Lab::kept()[..] {
        [] => bail!("no lab is up: start one with `{LAB} up`"),
        [id] => Ok(id.clone()),
        several => bail!("several labs are up, say which with --id: {}", several.join(", ")),
    }
}
