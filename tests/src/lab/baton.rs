//! Baton on a node: its configuration, its commands and what it says of itself.

use std::fmt::Display;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use baton::config::{MacMode, XdpChoice};
use baton::control::protocol::Status;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Host, Lab, Process, Router, Settings, binary, output, wait_until};

impl Lab {
    /// A `baton` command with the configuration of `host`, to run there. `verb` may be two words.
    pub fn baton(&self, host: Host, verb: &str) -> Result<Command> {
        let mut command = self.command(host, binary("baton")?);
        command.args(verb.split(' ')).arg("--config").arg(configuration(self, host));
        Ok(command)
    }

    /// Starts an agent with its guardian on `host`, with the configuration that is there. The process is the guardian.
    pub fn start_baton(&self, host: Host) -> Result<Process> {
        Process::start(&mut self.baton(host, "run")?, &self.baton_log(host))
    }

    /// What the agent on `host` logs to.
    pub fn baton_log(&self, host: Host) -> PathBuf {
        self.host_directory(host).join("baton.log")
    }

    /// What the agent on `host` says of itself.
    pub fn baton_status(&self, host: Host) -> Result<Status> {
        let text = output(self.baton(host, "status")?.arg("--json"))?;
        serde_json::from_str(&text).with_context(|| format!("understand the status `{text}`"))
    }

    /// Sends `signal` to the agent on `host` and not to its guardian, which is ready to act.
    pub fn signal_agent(&self, host: Host, signal: Signal) -> Result<()> {
        let mut agent = 0;
        wait_until("a guardian that is ready", Duration::from_secs(5), || {
            let status = self.baton_status(host)?;
            agent = i32::try_from(status.pid)?;
            Ok(status.guardian.is_some())
        })?;
        kill(Pid::from_raw(agent), signal).with_context(|| format!("send {signal} to process {agent}"))
    }

    /// Writes the usual configuration of `host` and gives its path: an advert each `interval_ms`, priority 254 for a and
    /// 253 for b, no preemption.
    pub fn configure_baton(
        &self,
        host: Host,
        mac: MacMode,
        interval_ms: u16,
        vips: &[Ipv4Addr],
    ) -> Result<PathBuf> {
        let settings = Settings { interval_ms, ..Settings::USUAL };
        self.configure_routers(host, mac, &settings, &[Router::usual(host, vips)])
    }

    /// Writes a configuration of `host` with all of `routers` on its interface, and gives its path.
    pub fn configure_routers(
        &self,
        host: Host,
        mac: MacMode,
        settings: &Settings,
        routers: &[Router<'_>],
    ) -> Result<PathBuf> {
        let tables: String =
            routers.iter().map(|router| router_table("eth0", router, mac, settings)).collect();
        self.write_baton(host, settings, &tables)
    }

    /// Writes a configuration of `host` with the `[[router]]` tables in `tables`, and gives its path.
    pub(super) fn write_baton(&self, host: Host, settings: &Settings, tables: &str) -> Result<PathBuf> {
        let pins = self.directory().join("bpf").join(host.name());
        fs::create_dir_all(&pins)?;
        fs::create_dir_all(self.host_directory(host))?;
        let text = format!(
            "[runtime]\ndirectory = \"{directory}\"\npins = \"{pins}\"\nrealtime_priority = 50\nsbfd = \"{sbfd}\"\n{xdp}{tables}",
            directory = self.host_directory(host).display(),
            pins = pins.display(),
            sbfd = settings.sbfd,
            xdp = xdp_line(settings.xdp),
        );
        let file = configuration(self, host);
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        Ok(file)
    }
}

/// The default is left to the agent.
const fn xdp_line(xdp: XdpChoice) -> &'static str {
    match xdp {
        XdpChoice::Auto => "",
        XdpChoice::Native => "xdp = \"native\"\n",
        XdpChoice::Generic => "xdp = \"generic\"\n",
    }
}

/// The `[[router]]` table of `router` on `interface`.
pub(super) fn router_table<A: Display>(
    interface: &str,
    router: &Router<'_, A>,
    mac: MacMode,
    settings: &Settings,
) -> String {
    let Router { vrid, priority, vips } = router;
    let Settings { interval_ms, checksum, more, .. } = settings;
    let mac = match mac {
        MacMode::Virtual => "virtual",
        MacMode::Interface => "interface",
    };
    // Preemption is the default, and left to the agent too.
    let preempt = if settings.preempt { "" } else { "preempt = false\n" };
    let vips = vips.iter().map(|vip| format!("\"{vip}\"")).collect::<Vec<_>>().join(", ");
    format!(
        "\n[[router]]\ninterface = \"{interface}\"\nvrid = {vrid}\npriority = {priority}\ninterval_ms = {interval_ms}\n\
         {preempt}{more}mac = \"{mac}\"\nchecksum = \"{checksum}\"\nvips = [{vips}]\n"
    )
}

/// Where the configuration of `host` is.
fn configuration(lab: &Lab, host: Host) -> PathBuf {
    lab.host_directory(host).join("baton.toml")
}
