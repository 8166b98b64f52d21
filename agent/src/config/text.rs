//! Texts of `baton.toml`: what they mean, and what is said of those that mean nothing.

use std::net::Ipv4Addr;
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

/// A virtual address.
pub(super) const VIP: Text<Ipv4Addr> = Text {
    pattern: r"^[0-9.]+$",
    meaning: |text| {
        let usable = |address: &Ipv4Addr| {
            !address.is_unspecified()
                && !address.is_loopback()
                && !address.is_multicast()
                && !address.is_broadcast()
        };
        let address = text.parse().ok().filter(usable);
        address.ok_or_else(|| format!("\"{text}\" is not a unicast IPv4 address"))
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
