//! Everything about a host that an agent may change and has to put back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{Host, Lab};

/// Titles and texts, to be compared as a whole.
pub type Snapshot = BTreeMap<String, String>;

impl Lab {
    /// The state of `host`: links with their XDP programs, addresses, routes, memberships, queueing disciplines,
    /// offloads, BPF attachments, pins, and the sysctls of IPv4.
    pub fn snapshot(&self, host: Host) -> Result<Snapshot> {
        let mut snapshot = Snapshot::new();
        let commands: [(&str, &[&str]); 8] = [
            ("ip", &["-d", "link", "show"]),
            ("ip", &["address", "show"]),
            ("ip", &["route", "show", "table", "all"]),
            ("ip", &["rule", "show"]),
            ("ip", &["maddress", "show"]),
            ("tc", &["qdisc", "show"]),
            ("ethtool", &["-k", "eth0"]),
            ("bpftool", &["net", "show"]),
        ];
        for (program, arguments) in commands {
            snapshot
                .insert(format!("{program} {}", arguments.join(" ")), self.run(host, program, arguments)?);
        }
        let pins = self.directory().join("bpf").join(host.name());
        collect_names(&pins, &mut snapshot);
        self.namespace(host).within(|| {
            for tree in ["/proc/sys/net/ipv4", "/proc/sys/net/core"] {
                collect_values(Path::new(tree), &mut snapshot);
            }
            Ok(())
        })?;
        Ok(snapshot)
    }
}

/// The lines that differ, for people: nothing when both are the same.
pub fn differences(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let lines = |snapshot: &Snapshot| -> BTreeSet<String> {
        let lines = |(title, text): (&String, &String)| {
            text.lines().map(|line| format!("{title}: {}", line.trim())).collect::<Vec<_>>()
        };
        snapshot.iter().flat_map(lines).collect()
    };
    let (before, after) = (lines(before), lines(after));
    let gone = before.difference(&after).map(|line| format!("gone: {line}"));
    gone.chain(after.difference(&before).map(|line| format!("new: {line}"))).collect()
}

fn collect_names(directory: &Path, snapshot: &mut Snapshot) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            collect_names(&entry.path(), snapshot);
        } else {
            snapshot.insert(format!("pin {}", entry.path().display()), "is there".to_owned());
        }
    }
}

fn collect_values(directory: &Path, snapshot: &mut Snapshot) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect_values(&path, snapshot);
        } else if let Ok(value) = fs::read_to_string(&path) {
            // What cannot be read (triggers such as `route/flush`) cannot have changed either.
            snapshot.insert(path.display().to_string(), value.trim().to_owned());
        }
    }
}
