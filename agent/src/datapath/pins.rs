//! Where links and maps are pinned: `<pins>/v<layout version>/<interface>/`, on a BPF file system.
//!
//! The pins are the fence. While they exist the programs stay on the interface, whatever becomes of the agent, and a
//! lease that is not renewed lapses.

use std::io;
use std::path::{Path, PathBuf};

use baton_common::maps::LAYOUT_VERSION;

use super::{DatapathError, bpf, mount};

/// Tells the pin of a program's link from that of a map.
const LINK_SUFFIX: &str = "_link";

/// The pins of one interface.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
    directory: PathBuf,
}

impl Pins {
    /// The pins of `interface` below `root`.
    pub fn new(root: &Path, interface: &str) -> Self {
        // A BPF file system refuses names with dots, which VLAN interfaces have. No interface name has a colon.
        let directory = root.join(version()).join(interface.replace('.', ":"));
        Self { root: root.to_owned(), directory }
    }

    /// What versions with other layouts have left of the interface. This one can do nothing with it but take it off.
    pub(super) fn of_other_versions(&self) -> Result<Vec<Self>, DatapathError> {
        let failed = |path| DatapathError::pins(path, "looking for the pins of other versions");
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&self.root)(error)),
        };
        let interface = self.directory.file_name().unwrap_or_default();
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed(&self.root))?.file_name();
            let directory = self.root.join(&name).join(interface);
            if is_version(&name.to_string_lossy()) && *name != *version() && directory.is_dir() {
                found.push(Self { root: self.root.clone(), directory });
            }
        }
        Ok(found)
    }

    /// The directory that holds them.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the map called `name` is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Where the link of the program called `name` is pinned.
    pub fn link(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}{LINK_SUFFIX}"))
    }

    /// Makes the directory, on a BPF file system, which is mounted where there is none.
    pub(super) fn create(&self) -> Result<(), DatapathError> {
        mount::ensure(&self.root)?;
        let failed = DatapathError::pins(&self.directory, "making the directory of the pins");
        std::fs::create_dir_all(&self.directory).map_err(failed)
    }

    /// Removes every pin of the interface, those of other versions too: links first, so that nothing runs without its maps
    /// being reachable. Then the directories that are empty, and the BPF file system if Baton has mounted it and nothing is
    /// left in it.
    ///
    /// # Errors
    ///
    /// A pin cannot be removed.
    pub fn remove(&self) -> Result<(), DatapathError> {
        self.of_other_versions()?.iter().try_for_each(Self::remove_own)?;
        self.remove_own()
    }

    fn remove_own(&self) -> Result<(), DatapathError> {
        let failed = |path| DatapathError::pins(path, "removing a pin");
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.tidy(),
            Err(error) => return Err(failed(&self.directory)(error)),
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort_by_key(|path| !path.to_string_lossy().ends_with(LINK_SUFFIX));
        for path in &paths {
            if path.to_string_lossy().ends_with(LINK_SUFFIX) {
                remove_link(path)?;
            } else {
                std::fs::remove_file(path).map_err(failed(path))?;
            }
        }
        std::fs::remove_dir(&self.directory).map_err(failed(&self.directory))?;
        self.tidy()
    }

    /// Removes what is empty up to the root, and the file system that was mounted for it.
    fn tidy(&self) -> Result<(), DatapathError> {
        // Directories that another interface still uses refuse to go, and that is right.
        if let Some(version) = self.directory.parent() {
            let _ = std::fs::remove_dir(version);
        }
        mount::tidy(&self.root)
    }
}

/// The directory of this version's pins.
fn version() -> String {
    format!("v{LAYOUT_VERSION}")
}

/// Whether a directory of that name holds the pins of a version.
fn is_version(name: &str) -> bool {
    name.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Takes the link that is pinned at `path` off its interface and removes the pin. The interface is without it at once.
pub(super) fn remove_link(path: &Path) -> Result<(), DatapathError> {
    bpf::detach_link(path).map_err(DatapathError::pins(path, "taking a program off its interface"))?;
    std::fs::remove_file(path).map_err(DatapathError::pins(path, "removing a pin"))
}
