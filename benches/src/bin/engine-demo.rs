//! The demo of the engine: flows are spread over three backends, while one of them fails and the agent of a node is killed with its guardian. Told for people, judged
//! for machines: the exit code says whether every connection went on.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use baton_tests::lab::{
    Balanced, Connection, Host, VIP, catch_signals, leftovers, output, pause, wait_until,
};

/// Pages that are fetched, each by a connection of its own.
const FETCHES: u32 = 60;
/// Connections that are kept open.
const CONNECTIONS: usize = 200;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    catch_signals()?;
    heading("A network: switch, a client, nodes a and b with the virtual IP, three backends with nginx");
    let check = "check = \"http:80/\"\ninterval_ms = 100\n";
    let mut setup = Balanced::with(&format!("{check}{}", Balanced::WEB))?;
    let id = setup.lab.id().to_owned();
    println!(
        "  the backends have {VIP} on lo and answer the client themselves; the nodes only hand frames on"
    );
    tell_of_engine(&setup, Host::A)?;

    heading("curl, a new connection each time");
    spread(&setup)?;

    heading("nginx of backend 2 ends");
    setup.backends[1].stop_nginx();
    wait_until("both nodes to notice", PATIENCE, || {
        let is_failing =
            |host| Ok::<_, anyhow::Error>(setup.engine(host)?.pools[0].backends[1].condition == "failing");
        Ok(is_failing(Host::A)? && is_failing(Host::B)?)
    })?;
    ensure!(spread(&setup)?.len() == 2, "a backend that fails was asked");
    setup.backends[1].start_nginx(&setup.lab)?;
    wait_until("it to be in order again", PATIENCE, || {
        Ok(Host::NODES.iter().all(|host| {
            setup.engine(*host).is_ok_and(|engine| engine.pools[0].backends[1].condition == "up")
        }))
    })?;
    println!("  and begins again");

    heading("agent and guardian of node a are killed in the middle of open connections and a download");
    outlive(&mut setup)?;
    tell_of_engine(&setup, Host::B)?;

    setup.stop()?;
    drop(setup);
    let left = leftovers(&id);
    ensure!(left.is_empty(), "left behind: {}", left.join(", "));
    println!("\nCleaned up. Every connection went on.");
    Ok(())
}

/// Fetches pages and tells who has served them.
fn spread(setup: &Balanced) -> Result<BTreeMap<String, u32>> {
    let mut answers = BTreeMap::new();
    for _ in 0..FETCHES {
        *answers.entry(setup.lab.fetch(VIP)?).or_default() += 1;
    }
    for (backend, count) in &answers {
        println!("  {backend}: {count:>3} of {FETCHES}");
    }
    Ok(answers)
}

fn outlive(setup: &mut Balanced) -> Result<()> {
    let mut connections =
        (0..CONNECTIONS).map(|_| Connection::open(&setup.lab)).collect::<Result<Vec<_>>>()?;
    let before = ask(&mut connections)?;
    let mut download = Download::begin(setup)?;
    pause(Duration::from_millis(500))?;
    ensure!(download.is_running()?, "the download is over before anybody is killed");
    println!("  {CONNECTIONS} connections are open, and a file of 256 MiB is on its way");
    let killed = Instant::now();
    setup.kill(Host::A)?;
    println!("  killed: the lease lapses, and node b takes the VIP over");
    let after = ask(&mut connections)?;
    let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    ensure!(moved == 0, "{moved} connections were answered by another backend");
    println!(
        "  all {CONNECTIONS} were asked once more, each answered by the same backend as before, the last {} ms after",
        killed.elapsed().as_millis()
    );
    println!("  the download goes on: {}", download.end()?);
    Ok(())
}

fn ask(connections: &mut [Connection]) -> Result<Vec<String>> {
    connections.iter_mut().map(Connection::ask).collect()
}

/// A large file on its way to the client.
struct Download(Child);

impl Download {
    fn begin(setup: &Balanced) -> Result<Self> {
        let mut curl: Command = setup.lab.command(Host::Client, "curl");
        let arguments = ["-sS", "--fail", "--limit-rate", "50M", "--max-time", "60", "-o", "/dev/null"];
        curl.args(arguments).args(["-w", "%{size_download} octets in %{time_total} s"]);
        curl.arg(format!("http://{VIP}/large")).stdin(Stdio::null()).stdout(Stdio::piped());
        Ok(Self(curl.spawn().context("start curl")?))
    }

    fn is_running(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }

    /// What came of it.
    fn end(self) -> Result<String> {
        let ended = self.0.wait_with_output()?;
        if !ended.status.success() {
            bail!("the download broke: {}", ended.status);
        }
        Ok(String::from_utf8(ended.stdout)?)
    }
}

fn tell_of_engine(setup: &Balanced, host: Host) -> Result<()> {
    println!("  baton engine backends, on node {}:", host.name());
    for line in output(&mut setup.lab.baton(host, "engine backends")?)?.lines() {
        println!("    {line}");
    }
    Ok(())
}

fn heading(text: &str) {
    println!("\n== {text}");
}
