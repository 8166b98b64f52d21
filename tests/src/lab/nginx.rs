//! nginx on a node, listening on the VIP and on the node's own address, serving the node's name.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::{Host, Lab, Namespace, Process, wait_until};

/// A file to download, which takes no room on the disk.
pub(super) const LARGE: &str = "large";
const LARGE_SIZE: u64 = 1 << 28;

/// What an nginx serves, and where.
pub(super) struct Site<'a> {
    pub(super) namespace: &'a Namespace,
    /// For its files.
    pub(super) directory: &'a Path,
    /// The addresses, at port 80.
    pub(super) listens: &'a [IpAddr],
    /// Its answer to everything.
    pub(super) says: &'a str,
    /// Who reaches it.
    pub(super) from: Host,
}

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
}

impl Nginx {
    /// Starts nginx on `host` and waits until it listens. When `vip` is not bound on the node (Baton binds it on `lo`,
    /// keepalived only while it owns it), the namespace must allow that: `net.ipv4.ip_nonlocal_bind`.
    pub fn start(lab: &Lab, host: Host, vip: Ipv4Addr) -> Result<Self> {
        Self::start_for(lab, host, &[vip.into()])
    }

    /// The same for several VIPs, of either family.
    pub fn start_for(lab: &Lab, host: Host, vips: &[IpAddr]) -> Result<Self> {
        let own = IpAddr::from(host.address());
        let site = Site {
            namespace: lab.namespace(host),
            directory: &lab.host_directory(host),
            listens: &[vips, &[own]].concat(),
            says: &format!("node {}", host.name()),
            from: Host::Client,
        };
        Self::serve(lab, &site, own)
    }

    /// Serves `site`, and waits until it is reached at `own`, one of its addresses.
    pub(super) fn serve(lab: &Lab, site: &Site<'_>, own: IpAddr) -> Result<Self> {
        let Site { namespace, listens, says, .. } = site;
        let listen = |address: &IpAddr| format!("    listen {};\n", SocketAddr::new(*address, 80));
        let listen: String = listens.iter().map(listen).collect();
        let directory = site.directory.join("nginx");
        let run = site.directory.join("run");
        fs::create_dir_all(&directory)?;
        fs::create_dir_all(&run)?;
        fs::File::create(directory.join(LARGE))?.set_len(LARGE_SIZE)?;
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("  {kind}_temp_path {}/{kind};\n", directory.display()))
            .concat();
        let text = format!(
            "daemon off;\nmaster_process off;\nuser root;\npid {pid};\nerror_log {path}/error.log warn;\n\
             events {{ worker_connections 256; }}\nhttp {{\n  access_log off;\n{temporary}  default_type text/plain;\n  \
             server {{\n{listen}    location / {{ return 200 \"{says}\\n\"; }}\n    \
             location = /{LARGE} {{ root {path}; }}\n  }}\n}}\n",
            pid = run.join("nginx.pid").display(),
            path = directory.display(),
        );
        let file = directory.join("nginx.conf");
        fs::write(&file, text)?;
        let mut command = namespace.command("nginx");
        command.arg("-p").arg(&directory).arg("-c").arg(&file).arg("-e").arg(directory.join("error.log"));
        let process = Process::start(&mut command, &directory.join("output.log"))?;
        let what = format!("nginx of {says} (see {})", directory.join("error.log").display());
        wait_until(&what, Duration::from_secs(3), || Ok(lab.fetch_from(site.from, own).is_ok()))?;
        Ok(Self { process })
    }

    /// Leaves it running after this process.
    pub fn detach(self) {
        self.process.detach();
    }
}
