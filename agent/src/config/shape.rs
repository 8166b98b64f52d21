//! What a value may be: one description, by which it is read and from which the schema is made.

use serde_json::{Value as Json, json};

use super::document::{Map, Node, Value};
use super::findings::{Findings, Spot};
use super::key::Table;
use super::schema;

/// What the value of a key may be.
pub(super) trait Shape: Sync {
    /// What it means.
    type Meaning;

    /// The meaning of `node`; what is wrong with it was noted if there is none.
    fn read(&self, node: &Node, called: Called, findings: &mut Findings) -> Option<Self::Meaning>;

    /// JSON Schema of what may be written.
    fn schema(&self) -> Json;

    /// What is in force where `node` stands.
    fn spelled(&self, node: &Node) -> Json {
        node.value.json()
    }

    /// What it means that there is no value; `None` if there must be one.
    fn absent(&self) -> Option<Self::Meaning> {
        None
    }
}

/// How a value is called when something is wrong with it, and what helps.
#[derive(Clone, Copy)]
pub(super) struct Called {
    pub(super) name: &'static str,
    pub(super) remedy: &'static str,
}

impl Called {
    fn note(self, spot: Spot, wrong: &str, findings: &mut Findings) {
        findings.add(spot, format!("{} {wrong}", self.name), self.remedy);
    }

    /// What has come of reading `node`; what is wrong is noted.
    pub(super) fn noted<T>(self, read: Result<T, String>, node: &Node, findings: &mut Findings) -> Option<T> {
        read.map_err(|wrong| self.note(node.spot, &wrong, findings)).ok()
    }
}

/// `true` or `false`.
pub(super) struct Boolean;

impl Shape for Boolean {
    type Meaning = bool;

    fn read(&self, node: &Node, called: Called, findings: &mut Findings) -> Option<bool> {
        let read = node.value.boolean();
        called.noted(read, node, findings)
    }

    fn schema(&self) -> Json {
        schema::or_substituted(&json!({ "type": "boolean" }))
    }

    fn spelled(&self, node: &Node) -> Json {
        node.value.boolean().ok().into()
    }
}

/// A whole number of a range.
pub(super) struct Number<T> {
    pub(super) least: u32,
    pub(super) most: u32,
    /// It is a multiple of this.
    pub(super) step: u32,
    /// There is one for each number of the range.
    pub(super) meaning: fn(u32) -> Option<T>,
}

impl<T> Shape for Number<T> {
    type Meaning = T;

    fn read(&self, node: &Node, called: Called, findings: &mut Findings) -> Option<T> {
        let number = node.value.integer().and_then(|(spelled, number)| self.number(spelled, number));
        called.noted(number, node, findings)
    }

    fn schema(&self) -> Json {
        let Self { least, most, step, .. } = self;
        schema::or_substituted(
            &json!({ "type": "integer", "minimum": least, "maximum": most, "multipleOf": step }),
        )
    }

    fn spelled(&self, node: &Node) -> Json {
        node.value.integer().ok().and_then(|(_, number)| number).into()
    }
}

impl<T> Number<T> {
    fn number(&self, spelled: &str, number: Option<i64>) -> Result<T, String> {
        let number = number.and_then(|number| u32::try_from(number).ok());
        match number.filter(|number| (self.least..=self.most).contains(number)) {
            Some(number) if number % self.step > 0 => {
                Err(format!("{spelled} is no multiple of {}", self.step))
            }
            in_range => in_range.and_then(self.meaning).ok_or_else(|| format!("{spelled} is out of range")),
        }
    }
}

/// One of some words.
pub(super) struct Word<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy> Word<T> {
    /// The meaning of `value`, if it is one of the words.
    fn known(&self, value: &Value) -> Option<T> {
        let word = value.text().ok()?;
        self.0.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning)
    }
}

impl<T: Copy + Sync> Shape for Word<T> {
    type Meaning = T;

    fn read(&self, node: &Node, called: Called, findings: &mut Findings) -> Option<T> {
        let read = node
            .value
            .text()
            .and_then(|word| self.known(&node.value).ok_or_else(|| format!("\"{word}\" is unknown")));
        called.noted(read, node, findings)
    }

    fn schema(&self) -> Json {
        let words: Vec<&str> = self.0.iter().map(|(word, _)| *word).collect();
        schema::or_substituted(&json!({ "enum": words }))
    }
}

/// A whole number of a range, or one of some words.
pub(super) struct NumberOrWord<T: 'static>(pub(super) Number<T>, pub(super) Word<T>);

impl<T: Copy + Sync> Shape for NumberOrWord<T> {
    type Meaning = T;

    fn read(&self, node: &Node, called: Called, findings: &mut Findings) -> Option<T> {
        self.1.known(&node.value).or_else(|| self.0.read(node, called, findings))
    }

    fn schema(&self) -> Json {
        json!({ "anyOf": [self.0.schema(), self.1.schema()] })
    }

    fn spelled(&self, node: &Node) -> Json {
        if self.1.known(&node.value).is_some() { node.value.json() } else { self.0.spelled(node) }
    }
}

/// A text of some form.
pub(super) struct Text<T> {
    /// A regular expression that all of that form match, for the schema; "" for any. What is wrong with a text is better said
    /// by `meaning`.
    pub(super) pattern: &'static str,
    /// Its meaning, or what is wrong with it.
    pub(super) meaning: fn(&str) -> Result<T, String>,
}

impl<T> Shape for Text<T> {
    type Meaning = T;

    fn read(&self, node: &Node, called: Called, findings: &mut Findings) -> Option<T> {
        called.noted(node.value.text().and_then(self.meaning), node, findings)
    }

    fn schema(&self) -> Json {
        match self.pattern {
            "" => json!({ "type": "string" }),
            pattern => schema::or_substituted(&json!({ "type": "string", "pattern": pattern })),
        }
    }
}

/// A list of the same.
pub(super) struct List<S> {
    pub(super) least: usize,
    pub(super) most: usize,
    /// How one of them is called.
    pub(super) item: &'static str,
    /// What helps when one is wrong, where that is not what helps the whole list.
    pub(super) remedy: Option<&'static str>,
    pub(super) shape: S,
}

impl<S: Shape> Shape for List<S> {
    /// Those that are right, each with its place.
    type Meaning = Vec<(Spot, S::Meaning)>;

    fn read(&self, node: &Node, called: Called, findings: &mut Findings) -> Option<Self::Meaning> {
        let items = node.value.list().and_then(|items| match items.len() {
            length if length < self.least => Err("is empty".to_owned()),
            length if length > self.most => Err(format!("has {length} entries")),
            _ => Ok(items),
        });
        let items = called.noted(items, node, findings)?;
        let called = Called { name: self.item, remedy: self.remedy.unwrap_or(called.remedy) };
        let mut read = |item: &Node| Some((item.spot, self.shape.read(item, called, findings)?));
        // What is wrong with a broken one was noted.
        let sound = items.iter().filter(|item| !matches!(item.value, Value::Broken));
        Some(sound.filter_map(&mut read).collect())
    }

    fn schema(&self) -> Json {
        let mut schema = json!({ "type": "array", "minItems": self.least, "items": self.shape.schema() });
        if self.most < usize::MAX {
            schema["maxItems"] = self.most.into();
        }
        schema
    }
}

/// A table.
pub(super) struct Tabular(pub(super) &'static Table);

impl Shape for Tabular {
    type Meaning = (Spot, Map);

    fn read(&self, node: &Node, called: Called, findings: &mut Findings) -> Option<Self::Meaning> {
        let members = node.value.table().map(|members| (node.spot, members.clone()));
        called.noted(members, node, findings)
    }

    fn schema(&self) -> Json {
        schema::of_table(self.0)
    }
}

/// Something that may be left out.
pub(super) struct Maybe<S>(pub(super) S);

impl<S: Shape> Shape for Maybe<S> {
    type Meaning = Option<S::Meaning>;

    fn read(&self, node: &Node, called: Called, findings: &mut Findings) -> Option<Self::Meaning> {
        self.0.read(node, called, findings).map(Some)
    }

    fn schema(&self) -> Json {
        self.0.schema()
    }

    fn spelled(&self, node: &Node) -> Json {
        self.0.spelled(node)
    }

    fn absent(&self) -> Option<Self::Meaning> {
        Some(None)
    }
}
