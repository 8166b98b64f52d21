//! Single flows, in questions and answers.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use baton_common::flow::Flow;
use serde::{Deserialize, Serialize};

use crate::address;
use crate::config::Protocol;

/// What a flow is called: `tcp 203.0.113.7:51515 -> 192.0.2.100:443`, and of IPv6 with brackets around the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FlowName {
    protocol: Protocol,
    client: SocketAddr,
    service: SocketAddr,
}

impl FlowName {
    /// That of `flow`, which is one of TCP or UDP.
    pub fn of(flow: &Flow) -> Self {
        let end = |address, port| SocketAddr::new(address::from_map(address), port);
        let protocol = if flow.protocol == Protocol::Udp.number() { Protocol::Udp } else { Protocol::Tcp };
        Self {
            protocol,
            client: end(flow.source, flow.source_port),
            service: end(flow.destination, flow.destination_port),
        }
    }

    /// The flow that is called so.
    pub fn flow(&self) -> Flow {
        Flow {
            source: address::to_map(self.client.ip()),
            destination: address::to_map(self.service.ip()),
            source_port: self.client.port(),
            destination_port: self.service.port(),
            protocol: self.protocol.number(),
            _pad: [0; 3],
        }
    }

    /// The address that the client sends to.
    pub fn vip(&self) -> IpAddr {
        self.service.ip()
    }
}

/// What is no name of a flow.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "write a flow as \"tcp 203.0.113.7:51515 -> 192.0.2.100:443\", from the client to the VIP, with brackets around IPv6 addresses"
)]
pub struct NoFlowName;

impl FromStr for FlowName {
    type Err = NoFlowName;

    fn from_str(text: &str) -> Result<Self, NoFlowName> {
        let [protocol, client, "->", service] = text.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err(NoFlowName);
        };
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(NoFlowName),
        };
        let end = |text: &str| text.parse::<SocketAddr>().map_err(|_| NoFlowName);
        let (client, service) = (end(client)?, end(service)?);
        let is_flow = client.is_ipv4() == service.is_ipv4();
        is_flow.then_some(Self { protocol, client, service }).ok_or(NoFlowName)
    }
}

impl TryFrom<String> for FlowName {
    type Error = NoFlowName;

    fn try_from(text: String) -> Result<Self, NoFlowName> {
        text.parse()
    }
}

impl From<FlowName> for String {
    fn from(name: FlowName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for FlowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, client, service } = self;
        write!(f, "{protocol} {client} -> {service}")
    }
}

/// Some of the flows of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowList {
    /// The interface.
    pub interface: String,
    /// How many there are, of those that were asked for.
    pub total: u64,
    /// Some of them, the last that were seen first.
    pub flows: Vec<FlowStatus>,
}

/// A flow that a worker remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowStatus {
    /// The flow.
    pub flow: FlowName,
    /// The pool of its backend.
    pub pool: String,
    /// The address of its backend.
    pub backend: IpAddr,
    /// `new` (one packet, or several that ask for a connection), `established` or `closing` (the client has ended it).
    pub state: String,
    /// Whether XDP forwards it by itself.
    pub cached: bool,
    /// How long nothing came of it.
    pub idle_ms: u64,
}

/// What would become of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The flow that it belongs to.
    pub flow: FlowName,
    /// The interface that has the virtual address.
    pub interface: Option<String>,
    /// What XDP decides about it, as `baton status` counts it.
    pub verdict: String,
    /// The name of the pool of its service.
    pub pool: Option<String>,
    /// Its slot in the table of the pool.
    pub slot: Option<u32>,
    /// The backend that has the slot: where it goes unless its flow has a backend.
    pub slot_backend: Option<IpAddr>,
    /// Where it goes; nowhere if there is none.
    pub backend: Option<IpAddr>,
    /// Who knows the backend: `flow-cache`, `flow-table`, or `slot` of a flow that is not known.
    pub by: Option<String>,
    /// Why, in words.
    pub reasons: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_has_one_name_by_which_it_is_found_again() {
        for name in
            ["tcp 203.0.113.7:51515 -> 192.0.2.100:443", "udp [2001:db8::7]:5353 -> [2001:db8::100]:53"]
        {
            let parsed: FlowName = name.parse().expect(name);
            assert_eq!(parsed.to_string(), name);
            assert_eq!(FlowName::of(&parsed.flow()), parsed);
        }
        assert!("  tcp  1.2.3.4:5 ->  1.2.3.4:6 ".parse::<FlowName>().is_ok());
        for name in [
            "",
            "tcp",
            "icmp 203.0.113.7:1 -> 192.0.2.100:2",
            "tcp 203.0.113.7 -> 192.0.2.100:443",
            "tcp 203.0.113.7:51515 192.0.2.100:443",
            "tcp 203.0.113.7:51515 -> 192.0.2.100:70000",
            "tcp 203.0.113.7:51515 -> [2001:db8::1]:443",
            "tcp 203.0.113.7:51515 -> 192.0.2.100:443 -> 192.0.2.101:443",
        ] {
            assert!(name.parse::<FlowName>().is_err(), "{name}");
        }
    }
}
