//! The text of a configuration as TOML sees it: values, each with its place.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::findings::{Findings, Spot};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) spot: Spot,
    pub(super) value: Value,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    /// A text that variables of the environment were put into.
    Substituted(String),
    /// `None` for a number that no key takes.
    Integer(String, Option<i64>),
    Boolean(bool),
    List(Vec<Node>),
    Table(Map),
    /// Of a type that no key takes.
    Other(&'static str),
    /// A text that names a variable that there is not.
    Broken,
}

/// What a table holds.
pub(super) type Map = BTreeMap<String, Member>;

/// A key of a table, with its value.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Where the key stands.
    pub(super) key: Spot,
    pub(super) node: Node,
}

/// Where the file at `path` begins, which holds `text`, and its tables and keys. There are none when it is no TOML: what was
/// meant by the lines around a mistake is not known.
pub(super) fn read(path: &Path, text: String, findings: &mut Findings) -> Option<(Spot, Map)> {
    let (file, text) = findings.open(path, text);
    let (root, errors) = DeTable::parse_recoverable(&text);
    let is_sound = errors.is_empty();
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        let what = error.message().replace('\n', " ");
        findings.add(Spot { file, at }, what, "write it as README.md does, in TOML");
    }
    is_sound.then(|| (Spot { file, at: 0 }, map(root.get_ref(), file)))
}

/// The value that a default is spelled by, for whatever it is missing at.
pub(super) fn default(spelled: &str, spot: Spot) -> Option<Node> {
    let parsed = DeValue::parse(spelled).ok()?;
    Some(Node { spot, value: value(parsed.get_ref(), spot.file) })
}

fn node(found: &Spanned<DeValue<'_>>, file: usize) -> Node {
    Node { spot: Spot { file, at: found.span().start }, value: value(found.get_ref(), file) }
}

fn value(found: &DeValue<'_>, file: usize) -> Value {
    match found {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(integer) => {
            Value::Integer(integer.to_string(), i64::from_str_radix(integer.as_str(), integer.radix()).ok())
        }
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Array(items) => Value::List(items.iter().map(|item| node(item, file)).collect()),
        DeValue::Table(table) => Value::Table(map(table, file)),
        DeValue::Float(_) | DeValue::Datetime(_) => Value::Other(found.type_str()),
    }
}

fn map(table: &DeTable<'_>, file: usize) -> Map {
    let member = |(key, value): (&Spanned<_>, _)| {
        let spot = Spot { file, at: key.span().start };
        (String::from(AsRef::<str>::as_ref(key.get_ref())), Member { key: spot, node: node(value, file) })
    };
    table.iter().map(member).collect()
}

impl Value {
    /// What its type is called.
    fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Substituted(_) | Self::Broken => "string",
            Self::Integer(..) => "integer",
            Self::Boolean(_) => "boolean",
            Self::List(_) => "array",
            Self::Table(_) => "table",
            Self::Other(name) => name,
        }
    }

    fn other_type(&self, wanted: &str) -> String {
        format!("is of type {}, not {wanted}", self.type_name())
    }

    /// The boolean that it is, or what is wrong with it, as for all types.
    pub(super) fn boolean(&self) -> Result<bool, String> {
        if let Self::Boolean(boolean) = self {
            Ok(*boolean)
        } else if let Self::Substituted(text) = self {
            text.parse().map_err(|_| format!("\"{text}\" is no boolean"))
        } else {
            Err(self.other_type("a boolean"))
        }
    }

    /// The number as it is spelled, and what it is.
    pub(super) fn integer(&self) -> Result<(&str, Option<i64>), String> {
        if let Self::Integer(spelled, number) = self {
            Ok((spelled, *number))
        } else if let Self::Substituted(text) = self {
            let number = text.parse().map_err(|_| format!("\"{text}\" is no integer"))?;
            Ok((text, Some(number)))
        } else {
            Err(self.other_type("an integer"))
        }
    }

    pub(super) fn text(&self) -> Result<&str, String> {
        if let Self::Text(text) | Self::Substituted(text) = self {
            Ok(text)
        } else {
            Err(self.other_type("a string"))
        }
    }

    pub(super) fn list(&self) -> Result<&[Node], String> {
        if let Self::List(items) = self { Ok(items) } else { Err(self.other_type("an array")) }
    }

    pub(super) fn table(&self) -> Result<&Map, String> {
        if let Self::Table(members) = self { Ok(members) } else { Err(self.other_type("a table")) }
    }

    /// The same in JSON.
    pub(super) fn json(&self) -> Json {
        match self {
            Self::Text(text) | Self::Substituted(text) => text.as_str().into(),
            Self::Integer(_, number) => (*number).into(),
            Self::Boolean(boolean) => (*boolean).into(),
            Self::List(items) => items.iter().map(|item| item.value.json()).collect(),
            Self::Table(members) => {
                members.iter().map(|(key, member)| (key.clone(), member.node.value.json())).collect()
            }
            Self::Other(_) | Self::Broken => Json::Null,
        }
    }
}
