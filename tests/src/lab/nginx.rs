//! nginx on a node, listening on the VIP and on the node's own address, serving the node's name.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;

use super::{Host, Lab, Process, wait_until};

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
        let listen = |vip: &IpAddr| format!("    listen {};\n", SocketAddr::new(*vip, 80));
        let listen: String = vips.iter().map(listen).collect();
        let directory = lab.host_directory(host).join("nginx");
        let run = lab.host_directory(host).join("run");
        fs::create_dir_all(&directory)?;
        fs::create_dir_all(&run)?;
        let (own, name) = (host.address(), host.name());
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("  {kind}_temp_path {}/{kind};\n", directory.display()))
            .concat();
        let text = format!(
            "daemon off;\nmaster_process off;\nuser root;\npid {pid};\nerror_log {path}/error.log warn;\n\
             events {{ worker_connections 256; }}\nhttp {{\n  access_log off;\n{temporary}  default_type text/plain;\n  \
             server {{\n{listen}    listen {own}:80;\n    return 200 \"node {name}\\n\";\n  }}\n}}\n",
            pid = run.join("nginx.pid").display(),
            path = directory.display(),
        );
        let file = directory.join("nginx.conf");
        fs::write(&file, text)?;
        let mut command = lab.command(host, "nginx");
        command.arg("-p").arg(&directory).arg("-c").arg(&file).arg("-e").arg(directory.join("error.log"));
        let process = Process::start(&mut command, &directory.join("output.log"))?;
        let what = format!("nginx on node {name} (see {})", directory.join("error.log").display());
        wait_until(&what, Duration::from_secs(3), || {
            Ok(lab.run(Host::Client, "curl", &["-sf", "--max-time", "1", &format!("http://{own}/")]).is_ok())
        })?;
        Ok(Self { process })
    }

    /// Leaves it running after this process.
    pub fn detach(self) {
        self.process.detach();
    }
}
