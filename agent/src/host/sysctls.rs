//! The two sysctls that keep the kernel quiet about addresses of `lo`, and the one that keeps a gateway from sending its hosts
//! elsewhere. Of `conf/all` and an interface's own value the kernel takes the larger one, which is not always the stricter one.
//! The two must be right for every interface: one that Baton does not know, or that comes later, may be on the same segment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::HostError;

/// Has a directory for every interface, for `all`, and for `default`, which later interfaces begin with.
const DIRECTORY: &str = "/proc/sys/net/ipv4/conf";

/// The two. A value without a meaning makes the kernel as talkative as 0.
pub(super) const RULES: [Rule; 2] = [
    // 1: answer only for addresses of the interface that was asked; 2: and only to its subnet; 8: never. With 3 the kernel
    // answers for addresses of global scope, which those on `lo` are.
    Rule { name: "arp_ignore", least: 1, quiet: &[1, 2, 8] },
    // 2: never ask with an address of `lo` as the sender. With 1 the kernel does where the subnets agree.
    Rule { name: "arp_announce", least: 2, quiet: &[2] },
];

/// ICMP redirects. They would come from this host's own address, which is no gateway of anybody's (RFC 9568 8.1.1), and name a
/// router that the VIP does not follow.
pub(super) const REDIRECTS: Rule = Rule { name: "send_redirects", least: 0, quiet: &[0] };

/// A sysctl, and which of its values keep the kernel quiet.
pub(super) struct Rule {
    name: &'static str,
    least: i32,
    quiet: &'static [i32],
}

/// A value that has to become another.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) path: PathBuf,
    pub(super) before: i32,
    pub(super) value: i32,
}

impl Rule {
    /// What has to change for the kernel to keep quiet on every interface.
    ///
    /// # Errors
    ///
    /// A value cannot be read.
    pub(super) fn changes(&self) -> Result<Vec<Change>, HostError> {
        let directory = Path::new(DIRECTORY);
        let failed = || HostError::io(format!("looking into {DIRECTORY}"));
        let mut found = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed())? {
            let path = entry.map_err(failed())?.path().join(self.name);
            // An interface may go meanwhile.
            if let Some(value) = read(&path)? {
                found.push((path, value));
            }
        }
        Ok(self.corrections(&directory.join("all").join(self.name), found))
    }

    /// What has to change for the kernel to keep quiet on `interfaces`, whatever it does on others that have a value of their own.
    ///
    /// # Errors
    ///
    /// A value cannot be read.
    pub(super) fn changes_on(&self, interfaces: &[&str]) -> Result<Vec<Change>, HostError> {
        let directory = Path::new(DIRECTORY);
        let paths: Vec<PathBuf> = std::iter::once(&"all")
            .chain(interfaces)
            .map(|interface| directory.join(interface).join(self.name))
            .collect();
        let mut changes = self.changes()?;
        changes.retain(|change| paths.contains(&change.path));
        Ok(changes)
    }

    fn corrections(&self, all: &Path, found: Vec<(PathBuf, i32)>) -> Vec<Change> {
        let of_all = found.iter().find(|(path, _)| path == all).map_or(0, |(_, value)| *value);
        let effective = if self.quiet.contains(&of_all) { of_all } else { self.least };
        let is_wrong = |path: &Path, value: i32| {
            if path == all { value != effective } else { !self.quiet.contains(&value.max(effective)) }
        };
        let wrong = found.into_iter().filter(|(path, value)| is_wrong(path, *value));
        wrong.map(|(path, before)| Change { path, before, value: self.least }).collect()
    }
}

/// The value at `path`, `None` when its interface is gone.
fn read(path: &Path) -> Result<Option<i32>, HostError> {
    let failed = || HostError::io(format!("reading {}", path.display()));
    match fs::read_to_string(path) {
        Ok(text) => {
            let value = text.trim().parse().map_err(|error| failed()(io::Error::other(error)))?;
            Ok(Some(value))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed()(error)),
    }
}

/// Puts `before` back at `path`, unless somebody has changed since what a [`Change`] made of it.
///
/// # Errors
///
/// The kernel refuses it.
pub(super) fn restore(path: &Path, before: &str) -> Result<(), HostError> {
    let rules = RULES.iter().chain([&REDIRECTS]);
    let ours = rules.into_iter().find(|rule| path.ends_with(rule.name)).map(|rule| rule.least);
    let present = read(path)?;
    if present.is_some() && present != ours {
        tracing::info!(path = %path.display(), value = present, "sysctl was changed since; left as it is");
        return Ok(());
    }
    write(path, before)
}

/// Writes `value` to `path`; an interface that is gone has taken its value along.
///
/// # Errors
///
/// The kernel refuses it.
pub(super) fn write(path: &Path, value: &str) -> Result<(), HostError> {
    match fs::write(path, value) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(HostError::io(format!("setting {} to {value}", path.display()))(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `rule` makes of the values of `all` and of one interface.
    fn corrected(rule: &Rule, all: i32, own: i32) -> (i32, i32) {
        let [path_of_all, path_of_own] = ["all", "eth0"].map(PathBuf::from);
        let found = vec![(path_of_own.clone(), own), (path_of_all.clone(), all)];
        let changes = rule.corrections(&path_of_all, found);
        let after = |path: &Path, before| {
            changes.iter().find(|change| change.path == path).map_or(before, |change| change.value)
        };
        (after(&path_of_all, all), after(&path_of_own, own))
    }

    #[test]
    fn values_that_keep_the_kernel_quiet_stay_and_others_are_corrected() {
        let ([ignore, announce], redirects) = (&RULES, &REDIRECTS);
        for (rule, before, after) in [
            (ignore, (0, 0), (1, 0)),
            (ignore, (1, 0), (1, 0)),
            (ignore, (0, 1), (1, 1)),
            (ignore, (2, 1), (2, 1)),
            (ignore, (8, 3), (8, 3)),
            (ignore, (3, 0), (1, 0)),
            (ignore, (1, 3), (1, 1)),
            (ignore, (3, 8), (1, 8)),
            (ignore, (7, 4), (1, 1)),
            (ignore, (9, 0), (1, 0)),
            (ignore, (-1, -1), (1, -1)),
            (announce, (0, 0), (2, 0)),
            (announce, (1, 1), (2, 1)),
            (announce, (2, 2), (2, 2)),
            (announce, (3, 0), (2, 0)),
            (announce, (2, 3), (2, 2)),
            (redirects, (1, 1), (0, 0)),
            (redirects, (1, 0), (0, 0)),
            (redirects, (0, 1), (0, 0)),
            (redirects, (0, 0), (0, 0)),
        ] {
            assert_eq!(corrected(rule, before.0, before.1), after, "{} {before:?}", rule.name);
        }
    }
}
