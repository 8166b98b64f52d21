//! A configuration as the operator sees it: objects with keys, each spelled out; and in what two of them differ.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::document::Map;
use super::findings::{Findings, Spot};
use super::key::{Described, Table};
use super::problem::Place;

/// A table of the configuration.
#[derive(Clone, Debug)]
pub struct Object {
    /// `runtime`, `router`, `track` or `hook`.
    pub kind: &'static str,
    /// What distinguishes it from others of its kind: nothing for `runtime`.
    pub name: String,
    /// Where it begins.
    pub place: Place,
    /// All of its keys that are written or have a default.
    pub settings: BTreeMap<&'static str, Setting>,
}

/// The value of a key.
#[derive(Clone, Debug)]
pub struct Setting {
    /// What is in force.
    pub value: Json,
    /// Where it is written; `None` for a default.
    pub place: Option<Place>,
}

/// An object that two configurations do not have alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// `runtime`, `router`, `track` or `hook`.
    pub kind: String,
    /// What distinguishes it from others of its kind: nothing for `runtime`.
    pub name: String,
    /// What is different.
    pub change: Change,
    /// The keys that differ: of an object that was added or removed, all.
    pub keys: Vec<KeyDifference>,
}

/// What has become of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Only the new configuration has it.
    Added,
    /// Only the old one has it.
    Removed,
    /// Both have it, with other values.
    Changed,
}

/// A key with different values; `None` where it is not there and has no default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDifference {
    /// The key.
    pub key: String,
    /// Its value in the old configuration.
    pub old: Option<Json>,
    /// Its value in the new one.
    pub new: Option<Json>,
}

impl Object {
    /// The object that the `members` of a table at `spot` spell.
    pub(super) fn new(table: &Table, (spot, members): &(Spot, Map), findings: &Findings) -> Self {
        let setting = |key: &&dyn Described| {
            let node = members.get(key.name()).map(|member| &member.node);
            let place = node.map(|node| findings.place(node.spot));
            Some((key.name(), Setting { value: key.spelled(node)?, place }))
        };
        let settings: BTreeMap<_, _> = table.keys.iter().filter_map(setting).collect();
        let mut name = String::new();
        for (before, key) in table.identity {
            if let Some(Setting { value, .. }) = settings.get(key) {
                // Writing to a String cannot fail.
                let _ = write!(name, "{before}{}", Spelled(value));
            }
        }
        Self { kind: table.kind, name, place: findings.place(*spot), settings }
    }

    fn is_called_like(&self, other: &Self) -> bool {
        (self.kind, &self.name) == (other.kind, &other.name)
    }

    fn difference(old: Option<&Self>, new: Option<&Self>) -> Option<Difference> {
        let change = match (old, new) {
            (Some(_), Some(_)) => Change::Changed,
            (None, Some(_)) => Change::Added,
            (Some(_), None) => Change::Removed,
            (None, None) => return None,
        };
        let either = [old, new].into_iter().flatten().flat_map(|object| object.settings.keys().copied());
        let keys: BTreeSet<&str> = either.collect();
        let value = |object: Option<&Self>, key| Some(object?.settings.get(key)?.value.clone());
        let keys = keys.into_iter().map(|key| (key, value(old, key), value(new, key)));
        let differing = keys.filter(|(_, old, new)| old != new);
        let keys: Vec<_> =
            differing.map(|(key, old, new)| KeyDifference { key: key.to_owned(), old, new }).collect();
        let object = new.or(old)?;
        (!keys.is_empty()).then(|| Difference {
            kind: object.kind.to_owned(),
            name: object.name.clone(),
            change,
            keys,
        })
    }
}

/// In what `new` differs from `old`, in the order of `new`, and what it has no more. In which order objects stand makes no
/// difference; of several that are called alike, which only hooks may be, the first belongs to the first.
pub(super) fn differences(old: &[Object], new: &[Object]) -> Vec<Difference> {
    let mut left: Vec<&Object> = old.iter().collect();
    let mut differences = Vec::new();
    for object in new {
        let before = left.iter().position(|other| other.is_called_like(object));
        let before = before.map(|index| left.remove(index));
        differences.extend(Object::difference(before, Some(object)));
    }
    differences.extend(left.into_iter().filter_map(|object| Object::difference(Some(object), None)));
    differences
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, change, keys } = self;
        let name = if name.is_empty() { String::new() } else { format!(" {name}") };
        match change {
            Change::Added => write!(f, "{kind}{name}: added"),
            Change::Removed => write!(f, "{kind}{name}: removed"),
            Change::Changed => {
                let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
                write!(f, "{kind}{name}: {}", keys.join(", "))
            }
        }
    }
}

impl fmt::Display for KeyDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, old, new } = self;
        if let (Some(Json::Array(old)), Some(Json::Array(new))) = (old, new) {
            return write_list(f, key, old, new);
        }
        let spelled = |value: &Option<Json>| {
            value.as_ref().map_or_else(|| "none".to_owned(), |value| Spelled(value).to_string())
        };
        write!(f, "{key} {} -> {}", spelled(old), spelled(new))
    }
}

/// A list may have thousands of entries, most of them the same.
fn write_list(f: &mut fmt::Formatter<'_>, key: &str, old: &[Json], new: &[Json]) -> fmt::Result {
    let without = |all: &[Json], others: &[Json], sign| -> Vec<String> {
        let others: HashSet<&Json> = others.iter().collect();
        let only = all.iter().filter(|item| !others.contains(item));
        only.map(|item| format!("{sign}{}", Spelled(item))).collect()
    };
    let signed = [without(new, old, '+'), without(old, new, '-')].concat();
    match signed.is_empty() {
        true => write!(f, "{key} in another order"),
        false => write!(f, "{key} {}", signed.join(" ")),
    }
}

/// A value as it is read best.
struct Spelled<'a>(&'a Json);

impl fmt::Display for Spelled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Json::String(text) => f.write_str(text),
            Json::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| Spelled(item).to_string()).collect();
                f.write_str(&items.join(" "))
            }
            other @ (Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_)) => write!(f, "{other}"),
        }
    }
}
