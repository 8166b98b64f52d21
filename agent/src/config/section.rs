//! A table of `baton.toml` while it is read.

use super::document::Map;
use super::findings::{Findings, Spot};
use super::key::{Key, Table};
use super::shape::Shape;

/// One table.
pub(super) struct Section<'f> {
    spot: Spot,
    members: Map,
    findings: &'f mut Findings,
}

impl<'f> Section<'f> {
    /// What stands at `spot`, which may have the keys of `table` and no others.
    pub(super) fn open(table: &Table, (spot, members): (Spot, Map), findings: &'f mut Findings) -> Self {
        for (name, member) in &members {
            if let Some(remedy) = table.remedy(name) {
                findings.add(member.key, format!("{} has no key `{name}`", table.name), remedy);
            }
        }
        Self { spot, members, findings }
    }

    /// What `key` means here; what is wrong with it was noted if that is nothing.
    pub(super) fn read<S: Shape>(&mut self, key: &Key<S>) -> Option<S::Meaning> {
        let node = self.members.get(key.name).map(|member| &member.node);
        key.read(node, self.spot, self.findings)
    }

    /// Notes a mistake at `spot`, against which `key` helps.
    pub(super) fn add<S>(&mut self, spot: Spot, what: &str, key: &Key<S>) {
        self.findings.add(spot, what, key.remedy);
    }

    /// Notes a mistake at `spot`, against which `remedy` helps.
    pub(super) fn note(&mut self, spot: Spot, what: String, remedy: &str) {
        self.findings.add(spot, what, remedy);
    }

    /// Notes what is wrong with the table as a whole; nothing comes of it.
    pub(super) fn complain<T>(&mut self, what: &str, remedy: &str) -> Option<T> {
        self.findings.add(self.spot, what, remedy);
        None
    }

    /// Whether `key` is there.
    pub(super) fn has<S>(&self, key: &Key<S>) -> bool {
        self.members.contains_key(key.name)
    }

    /// Where the value of `key` is, or the table if it is missing.
    pub(super) fn spot_of<S>(&self, key: &Key<S>) -> Spot {
        self.members.get(key.name).map_or(self.spot, |member| member.node.spot)
    }
}
