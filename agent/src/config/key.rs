//! The keys of `baton.toml`: one description of each, from which come the check, the remedy, the default and the schema.

use serde_json::Value as Json;

use super::document::{self, Node, Value};
use super::findings::{Findings, Spot};
use super::shape::{Called, Shape};

/// A key.
pub(super) struct Key<S> {
    pub(super) name: &'static str,
    /// What it is for, in a sentence.
    pub(super) meaning: &'static str,
    /// What to write: the remedy for whatever is wrong with the value, and for a missing one.
    pub(super) remedy: &'static str,
    /// What is read where the key is missing, in TOML.
    pub(super) default: Option<&'static str>,
    pub(super) shape: S,
}

impl<S: Shape> Key<S> {
    /// What `node` means, or its absence from what stands at `spot`; what is wrong was noted if that is nothing.
    pub(super) fn read(
        &self,
        node: Option<&Node>,
        spot: Spot,
        findings: &mut Findings,
    ) -> Option<S::Meaning> {
        let default = || document::default(self.default?, spot);
        let called = Called { name: self.name, remedy: self.remedy };
        match node.cloned().or_else(default) {
            // That was noted.
            Some(Node { value: Value::Broken, .. }) => None,
            Some(node) => self.shape.read(&node, called, findings),
            None => {
                let meaning = self.shape.absent();
                if meaning.is_none() {
                    findings.add(spot, format!("`{}` is missing", self.name), self.remedy);
                }
                meaning
            }
        }
    }
}

/// What is the same about keys whose values are not.
pub(super) trait Described: Sync {
    /// The key.
    fn name(&self) -> &'static str;

    /// What is in force where the value is `node`, or missing; `None` if that is nothing.
    fn spelled(&self, node: Option<&Node>) -> Option<Json>;

    /// Whether it must be there.
    fn is_required(&self) -> bool;

    /// JSON Schema of its value.
    fn schema(&self) -> Json;
}

impl<S: Shape> Described for Key<S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn spelled(&self, node: Option<&Node>) -> Option<Json> {
        let default = || document::default(self.default?, Spot::default());
        node.cloned().or_else(default).map(|node| self.shape.spelled(&node))
    }

    fn is_required(&self) -> bool {
        self.default.is_none() && self.shape.absent().is_none()
    }

    fn schema(&self) -> Json {
        let mut schema = self.shape.schema();
        schema["description"] = format!("{} {}", self.meaning, sentence(self.remedy)).into();
        if let Some(default) = self.spelled(None) {
            schema["default"] = default;
        }
        schema
    }
}

/// A table, or the file.
pub(super) struct Table {
    /// As it is written.
    pub(super) name: &'static str,
    /// What it is a kind of.
    pub(super) kind: &'static str,
    /// The keys that distinguish it from others of its kind, and what is said before each.
    pub(super) identity: &'static [(&'static str, &'static str)],
    pub(super) keys: &'static [&'static dyn Described],
}

impl Table {
    /// What to do about a key called `word`, which the table does not have; `None` if it does.
    pub(super) fn remedy(&self, word: &str) -> Option<String> {
        let names: Vec<&str> = self.keys.iter().map(|key| key.name()).collect();
        if names.contains(&word) {
            return None;
        }
        Some(match nearest(word, &names) {
            Some(near) => format!("write `{near}`, or remove it"),
            None => format!("remove it; the keys are {}", names.join(", ")),
        })
    }
}

/// `remedy` as it stands by itself.
fn sentence(remedy: &str) -> String {
    let mut letters = remedy.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// The key that was meant by `word`: one that it abbreviates, or else one that is half like it.
fn nearest<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let distance_to = |name: &str| match name.starts_with(word) && !word.is_empty() {
        true => 0,
        false => distance(word, name),
    };
    let distances = names.iter().map(|name| (distance_to(name), *name));
    distances.filter(|(distance, name)| 2 * distance <= name.len()).min().map(|(_, name)| name)
}

/// How many letters must be put in, taken out or changed to make `b` of `a` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_one_that_is_half_like_the_word() {
        let names = ["interface", "interval_ms", "priority", "mac"];
        for (word, near) in [
            ("prio", Some("priority")),
            ("interval", Some("interval_ms")),
            ("Interface", Some("interface")),
            ("macs", Some("mac")),
            ("weight", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &names), near, "{word}");
        }
    }
}
