//! What the client of the lab knows and can ask for.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;

use super::{Host, Lab};

impl Lab {
    /// The client's neighbour table, as `ip neigh` prints it.
    pub fn neighbours(&self) -> Result<String> {
        self.run(Host::Client, "ip", &["neigh", "show", "dev", "eth0"])
    }

    /// The hardware address that the client has for `address`.
    pub fn neighbour(&self, address: impl Into<IpAddr>) -> Result<Option<String>> {
        let address = address.into();
        let line = self.run(Host::Client, "ip", &["neigh", "show", &address.to_string(), "dev", "eth0"])?;
        Ok(line.split_ascii_whitespace().skip_while(|word| *word != "lladdr").nth(1).map(str::to_owned))
    }

    /// Makes the client forget all hardware addresses.
    pub fn forget_neighbours(&self) -> Result<()> {
        self.run(Host::Client, "ip", &["neigh", "flush", "dev", "eth0"]).map(drop)
    }

    /// Fetches `http://address/` from the client with curl.
    pub fn fetch(&self, address: impl Into<IpAddr>) -> Result<String> {
        self.fetch_from(Host::Client, address)
    }

    /// The same from another host.
    pub fn fetch_from(&self, host: Host, address: impl Into<IpAddr>) -> Result<String> {
        // With a port, which tells an IPv6 address from the rest of a URL.
        let url = format!("http://{}/", SocketAddr::new(address.into(), 80));
        let body = self.run(host, "curl", &["-sSg", "--fail", "--max-time", "2", &url])?;
        Ok(body.trim().to_owned())
    }
}
