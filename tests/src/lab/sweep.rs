//! What belongs to a lab, how it is removed, and how the remains of dead runs are told from labs in use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use baton::host::lock::{LOCKS, lock_file};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::namespace;
use super::process::{output, start_time};

const PREFIX: &str = "/run/baton-lab-";
const KEPT: &str = "kept";

/// The directory of lab `id`.
pub(super) fn directory(id: &str) -> PathBuf {
    PathBuf::from(format!("{PREFIX}{id}"))
}

/// Makes the directory of lab `id` and notes in it which process the lab belongs to.
pub(super) fn claim(id: &str) -> Result<PathBuf> {
    let directory = directory(id);
    fs::create_dir(&directory).with_context(|| format!("create {}", directory.display()))?;
    let pid = std::process::id();
    fs::write(owner_file(id), format!("{pid} {}", start_time(pid).unwrap_or_default()))?;
    Ok(directory)
}

/// Notes that lab `id` outlives its process.
pub(super) fn mark_kept(id: &str) -> Result<()> {
    fs::write(owner_file(id), KEPT).with_context(|| format!("mark lab {id} as kept"))
}

/// The labs that were kept on purpose.
pub(super) fn kept() -> Vec<String> {
    labs()
        .into_iter()
        .filter(|id| fs::read_to_string(owner_file(id)).is_ok_and(|owner| owner == KEPT))
        .collect()
}

/// Removes the labs whose process is dead.
pub(super) fn sweep() {
    for id in labs().into_iter().filter(|id| is_abandoned(id)) {
        remove(&id);
    }
}

/// Removes everything that belongs to lab `id`: processes in its namespaces, namespaces, mounts, directory, and the locks
/// of agents that were killed. Goes on when a step fails; [`leftovers`] tells.
pub(super) fn remove(id: &str) {
    let names = namespace::named(&format!("baton-{id}-"));
    let end = Instant::now() + Duration::from_secs(3);
    loop {
        let inside: Vec<Pid> = names.iter().flat_map(|name| namespace::processes(name)).collect();
        if inside.is_empty() || Instant::now() > end {
            break;
        }
        for pid in inside {
            // Gone in the meantime is as good as killed.
            let _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    for name in names {
        if let Err(error) = output(Command::new("ip").args(["netns", "delete", &name])) {
            eprintln!("lab {id}: {error:#}");
        }
    }
    for lock in stale_locks() {
        // Another lab that is removed at this moment may have been faster.
        let _ = fs::remove_file(lock);
    }
    let _ = fs::remove_dir(LOCKS);
    let directory = directory(id);
    for mount in mounts_below(&directory).iter().rev() {
        if let Err(error) = umount2(mount, MntFlags::MNT_DETACH) {
            eprintln!("lab {id}: unmount {}: {error}", mount.display());
        }
    }
    // Never through a file system that is still mounted: its files may belong to somebody.
    if mounts_below(&directory).is_empty()
        && directory.exists()
        && let Err(error) = fs::remove_dir_all(&directory)
    {
        eprintln!("lab {id}: remove {}: {error}", directory.display());
    }
}

/// What is left of lab `id`, one line each: nothing after its end.
pub fn leftovers(id: &str) -> Vec<String> {
    let mut found = Vec::new();
    for name in namespace::named(&format!("baton-{id}-")) {
        found.extend(namespace::processes(&name).iter().map(|pid| format!("process {pid} in {name}")));
        found.push(format!("namespace {name}"));
    }
    let directory = directory(id);
    found.extend(mounts_below(&directory).iter().map(|mount| format!("mount {}", mount.display())));
    if directory.exists() {
        found.push(format!("directory {}", directory.display()));
    }
    found.extend(stale_locks().iter().map(|lock| format!("lock {}", lock.display())));
    found
}

/// Locks of network namespaces that are no more. They do not tell which lab they are of.
fn stale_locks() -> Vec<PathBuf> {
    let locks: Vec<PathBuf> =
        fs::read_dir(LOCKS).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    // Looked at after the locks: a namespace that comes meanwhile has none of these.
    let namespaces = namespace::numbers();
    let is_stale = |lock: &PathBuf| !namespaces.iter().any(|number| *lock == lock_file(*number));
    locks.into_iter().filter(is_stale).collect()
}

fn owner_file(id: &str) -> PathBuf {
    directory(id).join("owner")
}

/// All labs of which anything is there.
fn labs() -> Vec<String> {
    let entries = fs::read_dir("/run").into_iter().flatten().flatten();
    let prefix = Path::new(PREFIX).file_name().unwrap_or_default().to_string_lossy().into_owned();
    entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_prefix(&prefix)?.to_owned())).collect()
}

/// Whether the process of lab `id` is dead. A directory without an owner is being made, or its maker died on it.
fn is_abandoned(id: &str) -> bool {
    let Ok(owner) = fs::read_to_string(owner_file(id)) else {
        let age = fs::metadata(directory(id)).and_then(|data| data.modified()).map(|time| time.elapsed());
        return matches!(age, Ok(Ok(age)) if age > Duration::from_secs(60));
    };
    match owner.split_once(' ') {
        Some((pid, started)) => match pid.parse().ok().and_then(start_time) {
            Some(running) => running.to_string() != started,
            None => true,
        },
        None => false,
    }
}

fn mounts_below(directory: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    points.filter(|point| point.starts_with(directory)).collect()
}
