//! Where links and maps are pinned: `<pins>/v<layout version>/<interface>/`, on a BPF file system.
//!
//! The pins are the fence. While they exist the programs stay on the interface, whatever becomes of the agent, and a
//! lease that is not renewed lapses.

use std::io;
use std::path::{Path, PathBuf};

use baton_common::maps::LAYOUT_VERSION;
use nix::mount::{MsFlags, mount, umount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::{DatapathError, bpf};

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
        let directory = root.join(format!("v{LAYOUT_VERSION}")).join(interface.replace('.', ":"));
        Self { root: root.to_owned(), directory }
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

    /// Makes the directory, on a BPF file system: where there is none yet, one is mounted at the root of the pins.
    pub(super) fn create(&self) -> Result<(), DatapathError> {
        let failed = |what| DatapathError::pins(&self.root, what);
        if !is_bpffs(&nearest_existing(&self.root)) {
            std::fs::create_dir_all(&self.root).map_err(failed("making the directory of the pins"))?;
            mount(Some("bpf"), &self.root, Some("bpf"), MsFlags::empty(), None::<&str>)
                .map_err(|errno| failed("mounting a BPF file system")(errno.into()))?;
            tracing::info!(path = %self.root.display(), "mounted a BPF file system for the pins");
        }
        std::fs::create_dir_all(&self.directory).map_err(failed("making the directory of the pins"))
    }

    /// Removes every pin of the interface: links first, so that nothing runs without its maps being reachable. Then
    /// the directories that are empty, and the BPF file system if it was mounted for the pins alone.
    ///
    /// # Errors
    ///
    /// A pin cannot be removed.
    pub fn remove(&self) -> Result<(), DatapathError> {
        let failed = |path| DatapathError::pins(path, "removing a pin");
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.unmount(),
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
        self.unmount()
    }

    /// Removes what is empty up to the root, and unmounts the root if it is a mount point with nothing left in it.
    fn unmount(&self) -> Result<(), DatapathError> {
        // Directories that another interface still uses refuse to go, and that is right.
        if let Some(version) = self.directory.parent() {
            let _ = std::fs::remove_dir(version);
        }
        let empty = std::fs::read_dir(&self.root).is_ok_and(|mut entries| entries.next().is_none());
        if empty && is_mount_point(&self.root) {
            let failed = DatapathError::pins(&self.root, "unmounting the BPF file system");
            umount(&self.root).map_err(|errno| failed(errno.into()))?;
        }
        if empty {
            let _ = std::fs::remove_dir(&self.root);
        }
        Ok(())
    }
}

/// Takes the link that is pinned at `path` off its interface and removes the pin. The interface is without it at once.
pub(super) fn remove_link(path: &Path) -> Result<(), DatapathError> {
    bpf::detach_link(path).map_err(DatapathError::pins(path, "taking a program off its interface"))?;
    std::fs::remove_file(path).map_err(DatapathError::pins(path, "removing a pin"))
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC)
}

/// A mount point lies on another device than its parent.
fn is_mount_point(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| std::fs::metadata(path).map(|meta| meta.dev()).ok();
    path.parent().is_some_and(|parent| device(parent) != device(path))
}

fn nearest_existing(path: &Path) -> PathBuf {
    path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/")).to_owned()
}
