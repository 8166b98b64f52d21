//! The BPF file system that the pins are on: mounted where there is none, and unmounted when nothing is left in it. One of
//! ours is told from an operator's by its source in the table of mounts, which no run has to remember.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount, umount};
use nix::sys::stat::{major, minor};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::DatapathError;

/// What our mounts name as their source.
const SOURCE: &str = "baton";
/// Where a BPF file system belongs. Before one is mounted there it is a directory of sysfs, which takes no others.
const USUAL: &str = "/sys/fs/bpf";
/// Whoever can reach a map can write a lease into it.
const OPTIONS: &str = "mode=0700";
/// What the kernel puts into every BPF file system.
const KERNELS: [&str; 2] = ["maps.debug", "progs.debug"];

/// Sees to it that what is made at `root` is on a BPF file system.
pub(super) fn ensure(root: &Path) -> Result<(), DatapathError> {
    if is_bpffs(nearest_existing(root)) {
        return Ok(());
    }
    let point = if root.starts_with(USUAL) { Path::new(USUAL) } else { root };
    let failed = |what| DatapathError::pins(point, what);
    if point == root {
        fs::create_dir_all(point).map_err(failed("making the directory of the pins"))?;
    }
    if !is_empty(point).map_err(failed("looking for a place to mount a BPF file system"))? {
        return Err(DatapathError::PinsTaken { path: point.to_owned() });
    }
    mount(Some(SOURCE), point, Some("bpf"), MsFlags::empty(), Some(OPTIONS))
        .map_err(|errno| DatapathError::Mount { path: point.to_owned(), source: errno.into() })?;
    tracing::info!(path = %point.display(), "mounted a BPF file system for the pins");
    if is_private(point) {
        tracing::warn!(
            path = %point.display(),
            "this BPF file system ends with the agent's mount namespace, and the fence with it; mount one before \
             (`mount -t bpf bpf {USUAL}`), and enter a network namespace by `nsenter --net=FILE`, not `ip netns exec`"
        );
    }
    Ok(())
}

/// Removes `root` if it is empty, and the file system that it is on if that is ours and empty.
pub(super) fn tidy(root: &Path) -> Result<(), DatapathError> {
    // What another interface or agent still uses refuses to go, and that is right. So does a mount point.
    let _ = fs::remove_dir(root);
    let point = mount_point(nearest_existing(root));
    if !(is_ours(&point) && is_empty(&point).is_ok_and(|empty| empty)) {
        return Ok(());
    }
    match umount(&point) {
        Ok(()) => {}
        // Somebody works in it.
        Err(Errno::EBUSY) => return Ok(()),
        Err(errno) => {
            return Err(DatapathError::pins(&point, "unmounting the BPF file system")(errno.into()));
        }
    }
    if point == root {
        let _ = fs::remove_dir(root);
    }
    Ok(())
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC)
}

/// Whether nobody has put anything there.
fn is_empty(directory: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if !KERNELS.iter().any(|&kernels| name == kernels) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the file system at `path` is one that Baton has mounted.
fn is_ours(path: &Path) -> bool {
    let kind = format!("bpf {SOURCE} ");
    mounts_of("self", path).is_some_and(|mounts| mounts.iter().any(|what| what.starts_with(&kind)))
}

/// Whether the file system at `path` is mounted for this process and its kin only, and gone with them. Where the kernel
/// does not say it is taken for the machine's.
fn is_private(path: &Path) -> bool {
    mounts_of("1", path).is_some_and(|mounts| mounts.is_empty())
}

/// Kind, source and options of each mount that `process` has of the file system at `path`. Every BPF file system has a
/// device number of its own.
fn mounts_of(process: &str, path: &Path) -> Option<Vec<String>> {
    let device = fs::metadata(path).ok()?.dev();
    let device = format!("{}:{}", major(device), minor(device));
    let table = fs::read_to_string(format!("/proc/{process}/mountinfo")).ok()?;
    let mounts = table.lines().filter_map(|line| line.split_once(" - "));
    let here = mounts.filter(|(place, _)| place.split(' ').nth(2) == Some(device.as_str()));
    Some(here.map(|(_, what)| what.to_owned()).collect())
}

/// Where the file system that `path` is on is mounted.
fn mount_point(path: &Path) -> PathBuf {
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    let here = device(path);
    path.ancestors().take_while(|ancestor| device(ancestor) == here).last().unwrap_or(path).to_owned()
}

fn nearest_existing(path: &Path) -> &Path {
    path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"))
}
