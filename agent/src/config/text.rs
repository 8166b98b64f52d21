//! Texts of `baton.toml`: what they mean, and what is said of those that mean nothing.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::document::{Node, Value};
use super::findings::Findings;
use super::shape::{Called, List, Shape, Text};

/// What an interface name may hold: IFNAMSIZ less the closing zero.
const MAX_INTERFACE_NAME: usize = 15;

/// An absolute path: a relative one would depend on where the agent was started, and each command on where it is called.
pub(super) const PATH: Text<PathBuf> = Text {
    pattern: r"^/",
    meaning: |text| {
        let path = PathBuf::from(text);
        if path.is_absolute() { Ok(path) } else { Err(format!("\"{text}\" is no absolute path")) }
    },
};

/// A name of the operator's choice.
pub(super) const NAME: Text<String> = Text {
    pattern: r"^[A-Za-z0-9_.-]+$",
    meaning: |name| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !name.is_empty() && name.bytes().all(plain) {
            Ok(name.to_owned())
        } else {
            Err(format!("\"{name}\" is not a name of letters, digits, - _ ."))
        }
    },
};

/// The name of an interface.
pub(super) const INTERFACE: Text<String> = Text {
    pattern: r"^[!-.0-9;-~]{1,15}$",
    meaning: |name| {
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b':';
        if (1..=MAX_INTERFACE_NAME).contains(&name.len()) && name.bytes().all(plain) {
            return Ok(name.to_owned());
        }
        Err(format!("\"{name}\" is not an interface name"))
    },
};

/// An address that one host can have.
pub(super) const ADDRESS: Text<IpAddr> = Text {
    pattern: r"^[0-9A-Fa-f.:]+$",
    meaning: |text| {
        let usable = |address: &IpAddr| {
            let of_no_host = match address {
                IpAddr::V4(address) => address.is_broadcast(),
                IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
            };
            !of_no_host && !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
        };
        let address = text.parse().ok().filter(usable);
        address.ok_or_else(|| format!("\"{text}\" is not a unicast IPv4 or IPv6 address"))
    },
};

/// A multicast group: any of IPv4, as keepalived takes; of IPv6 one of link-local scope, as VRRP's own.
pub(super) const MULTICAST: Text<IpAddr> = Text {
    pattern: ADDRESS.pattern,
    meaning: |text| {
        let is_group = |address: &IpAddr| match address {
            IpAddr::V4(address) => address.is_multicast(),
            IpAddr::V6(address) => address.segments()[0] & 0xff0f == 0xff02,
        };
        let group = text.parse().ok().filter(is_group);
        group.ok_or_else(|| {
            format!("\"{text}\" is not an IPv4 multicast group, nor an IPv6 one of link-local scope")
        })
    },
};

/// An address with a port.
pub(super) const SOCKET_ADDRESS: Text<SocketAddr> =
    Text { pattern: r"^[0-9A-Fa-f.:\[\]]+:[0-9]+$", meaning: socket_address };

/// An address with a port that no other host reaches.
pub(super) const LOOPBACK: Text<SocketAddr> = Text {
    pattern: SOCKET_ADDRESS.pattern,
    meaning: |text| {
        let address = socket_address(text)?;
        if address.port() == 0 {
            return Err(format!("\"{address}\" has no port"));
        }
        if address.ip().is_loopback() {
            Ok(address)
        } else {
            Err(format!("\"{address}\" is no loopback address"))
        }
    },
};

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("\"{text}\" is not an address with a port"))
}

/// A password of VRRPv2, filled up with zeroes.
pub(super) const PASSWORD: Text<[u8; 8]> = Text {
    pattern: "^.{1,8}$",
    meaning: |text| {
        let mut password = [0; 8];
        match password.get_mut(..text.len()) {
            Some(place) if !text.is_empty() => {
                place.copy_from_slice(text.as_bytes());
                Ok(password)
            }
            Some(_) => Err("is empty".to_owned()),
            None => Err(format!("has {} octets", text.len())),
        }
    },
};

/// Any text.
pub(super) const ANY: Text<String> = Text { pattern: "", meaning: |text| Ok(text.to_owned()) };

/// A program and its arguments.
pub(super) struct Program;

const WORDS: List<Text<String>> =
    List { least: 1, most: usize::MAX, item: "a word of exec", remedy: None, shape: ANY };

impl Shape for Program {
    type Meaning = Vec<String>;

    fn read(&self, node: &Node, called: Called, findings: &mut Findings) -> Option<Vec<String>> {
        let words = WORDS.read(node, called, findings)?;
        if let Value::List(items) = &node.value
            && let Some(program) = items.first()
            && let Value::Text(_) | Value::Substituted(_) = program.value
        {
            PATH.read(program, called, findings)?;
        }
        Some(words.into_iter().map(|(_, word)| word).collect())
    }

    fn schema(&self) -> Json {
        let mut schema = WORDS.schema();
        schema["prefixItems"] = json!([PATH.schema()]);
        schema
    }
}
