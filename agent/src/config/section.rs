//! A table of `baton.toml` while it is read. Whatever is wrong with it is noted, and reading goes on: the operator hears
//! of all mistakes at once.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;

/// A key of a table.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What to write: the remedy for whatever is wrong with the value, and for a missing one.
    pub(super) remedy: &'static str,
}

/// The mistakes in `text`.
pub(super) struct Findings<'a> {
    text: &'a str,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, problems: Vec::new() }
    }

    /// Notes a mistake at octet `at` of the text.
    pub(super) fn add(&mut self, at: usize, what: String, remedy: impl Into<String>) {
        let line = self.line(at);
        let start =
            self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
        let column = self.text.get(start..at).map_or(0, |before| before.chars().count()) + 1;
        self.problems.push(Problem { line, column, what, remedy: remedy.into() });
    }

    /// The line of octet `at`.
    pub(super) fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1
    }
}

/// One table.
pub(super) struct Section<'a, 'f> {
    table: &'a DeTable<'a>,
    at: usize,
    findings: &'f mut Findings<'a>,
}

impl<'a, 'f> Section<'a, 'f> {
    /// The table at octet `at`, called `name`, which may have `keys` and no others.
    pub(super) fn open(
        name: &str,
        keys: &[Key],
        table: &'a DeTable<'a>,
        at: usize,
        findings: &'f mut Findings<'a>,
    ) -> Self {
        for key in table.keys().filter(|key| keys.iter().all(|known| known.name != key.get_ref())) {
            let what = format!("{name} has no key `{}`", key.get_ref());
            let remedy = match nearest(key.get_ref(), keys) {
                Some(near) => format!("write `{near}`, or remove it"),
                None => {
                    let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
                    format!("remove it; the keys are {}", names.join(", "))
                }
            };
            findings.add(key.span().start, what, remedy);
        }
        Self { table, at, findings }
    }

    /// What `read` makes of the value of `key`, which says what is wrong with it otherwise; `None` if anything is.
    pub(super) fn required<T>(
        &mut self,
        key: Key,
        read: impl FnOnce(&'a DeValue<'a>) -> Result<T, String>,
    ) -> Option<T> {
        let Some(value) = self.table.get(key.name) else {
            self.findings.add(self.at, format!("`{}` is missing", key.name), key.remedy);
            return None;
        };
        self.read(key, value, read)
    }

    /// The same for a key that may be missing.
    pub(super) fn optional<T>(
        &mut self,
        key: Key,
        default: T,
        read: impl FnOnce(&'a DeValue<'a>) -> Result<T, String>,
    ) -> Option<T> {
        match self.table.get(key.name) {
            Some(value) => self.read(key, value, read),
            None => Some(default),
        }
    }

    fn read<T>(
        &mut self,
        key: Key,
        value: &'a Spanned<DeValue<'a>>,
        read: impl FnOnce(&'a DeValue<'a>) -> Result<T, String>,
    ) -> Option<T> {
        let note = |wrong| self.add(value.span().start, format!("{} {wrong}", key.name), key);
        read(value.get_ref()).map_err(note).ok()
    }

    /// Notes a mistake at octet `at`, in the value of `key`.
    pub(super) fn add(&mut self, at: usize, what: String, key: Key) {
        self.findings.add(at, what, key.remedy);
    }

    /// Notes what is wrong with the table as a whole; nothing comes of it.
    pub(super) fn complain<T>(&mut self, what: &str, remedy: &str) -> Option<T> {
        self.findings.add(self.at, what.to_owned(), remedy);
        None
    }

    /// Whether `key` is there.
    pub(super) fn has(&self, key: Key) -> bool {
        self.table.contains_key(key.name)
    }

    /// Where the value of `key` is, or the table if it is missing.
    pub(super) fn place(&self, key: Key) -> usize {
        self.table.get(key.name).map_or(self.at, |value| value.span().start)
    }
}

/// The key that was meant by `word`: one that it abbreviates, or else one that is half like it.
fn nearest(word: &str, keys: &[Key]) -> Option<&'static str> {
    let distance_to = |name: &str| match name.starts_with(word) && !word.is_empty() {
        true => 0,
        false => distance(word, name),
    };
    let distances = keys.iter().map(|key| (distance_to(key.name), key.name));
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
        let keys = ["interface", "interval_ms", "priority", "mac"].map(|name| Key { name, remedy: "" });
        for (word, near) in [
            ("prio", Some("priority")),
            ("interval", Some("interval_ms")),
            ("Interface", Some("interface")),
            ("macs", Some("mac")),
            ("weight", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &keys), near, "{word}");
        }
    }
}
