//! What an operator has set for backends while the agent runs, above the configuration: a file in the runtime directory, which
//! outlasts the agent and its configuration, but not the host's next boot.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::plan::{Backend, Plan};
use crate::config::MAX_WEIGHT;

/// What is set for one backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adjustment {
    /// Its weight, if that is not the configured one.
    pub weight: Option<u16>,
    /// Whether it gets no new flows, whatever its weight is.
    pub is_drained: bool,
}

impl Adjustment {
    /// The weight of `backend` with it.
    pub fn weight_of(self, backend: &Backend) -> u16 {
        if self.is_drained { 0 } else { self.weight.unwrap_or(backend.weight) }
    }
}

/// What is set for all backends, by pool and address: their numbers change with the configuration.
type Table = BTreeMap<String, BTreeMap<IpAddr, Adjustment>>;

/// What is set, and the file that remembers it.
#[derive(Clone, Debug)]
pub struct Adjustments {
    file: PathBuf,
    table: Table,
}

impl Adjustments {
    /// What the agent before has left in `directory`. What cannot be understood is ignored, and said to the log.
    pub fn load(directory: &Path) -> Self {
        let file = Self::file(directory);
        let table = read(&file).unwrap_or_else(|error| {
            let file = file.display();
            tracing::error!(%file, "weights and drains that were set for backends are lost, the configured ones are used: {error}; set them again");
            Table::new()
        });
        Self { file, table }
    }

    /// What is set for the backend of `pool` with this `address`, which may not be configured.
    pub fn of(&self, pool: &str, address: IpAddr) -> Adjustment {
        self.table.get(pool).and_then(|pool| pool.get(&address)).copied().unwrap_or_default()
    }

    /// The weights of all backends of `plan`.
    pub fn weights(&self, plan: &Plan) -> Vec<u16> {
        let weight =
            |backend: &Backend| self.of(&plan.pools[backend.pool].name, backend.address).weight_of(backend);
        plan.backends.iter().map(weight).collect()
    }

    /// Sets that of one backend, and remembers it.
    ///
    /// # Errors
    ///
    /// The file cannot be written; nothing is set then.
    pub fn set(&mut self, pool: &str, address: IpAddr, adjustment: Adjustment) -> io::Result<()> {
        let mut table = self.table.clone();
        let of_pool = table.entry(pool.to_owned()).or_default();
        if adjustment == Adjustment::default() {
            of_pool.remove(&address);
        } else {
            of_pool.insert(address, adjustment);
        }
        table.retain(|_, pool| !pool.is_empty());
        // Whoever reads it finds all or nothing of the change.
        let draft = self.file.with_extension("json.new");
        fs::write(&draft, serde_json::to_string_pretty(&table)?)?;
        fs::rename(&draft, &self.file)?;
        self.table = table;
        Ok(())
    }

    /// Removes the file that agents have left in `directory`.
    ///
    /// # Errors
    ///
    /// The directory cannot be written.
    pub fn forget(directory: &Path) -> io::Result<()> {
        match fs::remove_file(Self::file(directory)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn file(directory: &Path) -> PathBuf {
        directory.join("backends.json")
    }
}

/// What stands in `file`, which may be missing.
fn read(file: &Path) -> io::Result<Table> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Table::new()),
        read => read?,
    };
    let table: Table = serde_json::from_str(&text)?;
    let is_too_heavy = |adjustment: &Adjustment| adjustment.weight.is_some_and(|weight| weight > MAX_WEIGHT);
    if table.values().flat_map(BTreeMap::values).any(is_too_heavy) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a weight is above {MAX_WEIGHT}")));
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKEND: Backend = Backend {
        address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        weight: 3,
        is_backup: false,
        pool: 0,
        way: crate::engine::Way::Direct,
        arm: 0,
    };

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("baton-adjustments-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a directory");
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_drain_goes_before_a_weight_and_a_weight_before_the_configuration() {
        for (weight, is_drained, then) in
            [(None, false, 3), (Some(7), false, 7), (Some(0), false, 0), (None, true, 0), (Some(7), true, 0)]
        {
            assert_eq!(
                Adjustment { weight, is_drained }.weight_of(&BACKEND),
                then,
                "{weight:?} {is_drained}"
            );
        }
    }

    #[test]
    fn the_next_agent_finds_what_is_set_and_nothing_that_was_undone() {
        let directory = Directory::new("next");
        let address = BACKEND.address;
        let mut adjustments = Adjustments::load(&directory.0);
        let set = Adjustment { weight: Some(7), is_drained: true };
        adjustments.set("web", address, set).expect("set");
        adjustments.set("mail", address, set).expect("set");
        adjustments.set("mail", address, Adjustment::default()).expect("undone");
        let next = Adjustments::load(&directory.0);
        assert_eq!((next.of("web", address), next.of("mail", address)), (set, Adjustment::default()));
        Adjustments::forget(&directory.0).expect("forgotten");
        assert_eq!(Adjustments::load(&directory.0).of("web", address), Adjustment::default());
    }

    #[test]
    fn a_file_that_is_not_understood_sets_nothing() {
        let directory = Directory::new("bad");
        let good = "{\"weight\":7,\"is_drained\":false}";
        for (text, weight) in [
            (format!("{{\"web\":{{\"127.0.0.1\":{good}}}}}"), Some(7)),
            (format!("{{\"web\":{{\"127.0.0.1\":{good}}}"), None),
            (format!("{{\"web\":{{\"localhost\":{good}}}}}"), None),
            (format!("{{\"web\":{{\"127.0.0.1\":{}}}}}", good.replace('7', "1001")), None),
            (format!("{{\"web\":{{\"127.0.0.1\":{}}}}}", good.replace("is_drained", "drained")), None),
            (String::new(), None),
        ] {
            fs::write(directory.0.join("backends.json"), &text).expect("written");
            assert_eq!(Adjustments::load(&directory.0).of("web", BACKEND.address).weight, weight, "{text}");
        }
    }
}
