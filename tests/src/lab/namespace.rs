//! Named network namespaces, and how a process or a thread gets into one.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use baton::host::lock::lock_file;
use nix::sched::{CloneFlags, setns};
use nix::unistd::Pid;

use super::process::output;

const NAMESPACES: &str = "/run/netns";

/// A network namespace that `ip netns` knows by name.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    handle: Arc<File>,
}

impl Namespace {
    /// Makes the namespace `name`, with loopback up and without IPv6.
    pub(super) fn create(name: &str) -> Result<Self> {
        output(Command::new("ip").args(["netns", "add", name]))?;
        let namespace = Self::open(name)?;
        namespace.set("net/ipv6/conf/all/disable_ipv6", "1")?;
        namespace.set("net/ipv6/conf/default/disable_ipv6", "1")?;
        output(namespace.command("ip").args(["link", "set", "lo", "up"]))?;
        Ok(namespace)
    }

    /// Opens the existing namespace `name`.
    pub(super) fn open(name: &str) -> Result<Self> {
        let handle = File::open(path(name)).with_context(|| format!("open network namespace {name}"))?;
        Ok(Self { name: name.to_owned(), handle: Arc::new(handle) })
    }

    /// The lock that an agent inside holds.
    pub fn lock(&self) -> Result<PathBuf> {
        Ok(lock_file(self.handle.metadata()?.ino()))
    }

    /// Its name for `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that runs inside, in a process group of its own: a Ctrl-C on the terminal reaches only the lab's
    /// owner, which then cleans up. Unlike `ip netns exec` the mounts stay visible, the bpffs above all.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.foreground(program);
        command.process_group(0);
        command
    }

    /// A command that runs inside and stays with the terminal.
    pub fn foreground(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let handle = Arc::clone(&self.handle);
        // SAFETY: between fork and exec the closure makes one system call on a descriptor that it keeps open.
        unsafe {
            command.pre_exec(move || setns(handle.as_fd(), CloneFlags::CLONE_NEWNET).map_err(Into::into));
        }
        command
    }

    /// Runs `work` on a thread inside the namespace, for sockets and for `/proc/sys/net`.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let enter = || -> Result<T> {
            setns(self.handle.as_fd(), CloneFlags::CLONE_NEWNET)
                .with_context(|| format!("enter network namespace {}", self.name))?;
            work()
        };
        thread::scope(|scope| scope.spawn(enter).join()).map_err(|_| anyhow!("a lab thread panicked"))?
    }

    /// Writes the sysctl `key` (with slashes).
    pub fn set(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(key);
        self.within(|| fs::write(&path, value).with_context(|| format!("set {key} to {value}")))
    }

    /// What the sysctl `key` is.
    pub(super) fn get(&self, key: &str) -> Result<String> {
        let path = Path::new("/proc/sys").join(key);
        let value = self.within(|| fs::read_to_string(&path).with_context(|| format!("read {key}")))?;
        Ok(value.trim().to_owned())
    }
}

/// Where `ip netns` keeps the namespace `name`.
pub(super) fn path(name: impl AsRef<Path>) -> PathBuf {
    Path::new(NAMESPACES).join(name)
}

/// The names of all network namespaces that start with `prefix`.
pub(super) fn named(prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(NAMESPACES).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect()
}

/// The numbers of all network namespaces that have a name or a process.
pub(super) fn numbers() -> BTreeSet<u64> {
    let of_names = named("").into_iter().map(path);
    let of_processes =
        super::process::all().into_iter().map(|pid| PathBuf::from(format!("/proc/{pid}/ns/net")));
    // A process that ends meanwhile takes nothing with it but itself.
    of_names.chain(of_processes).filter_map(|path| Some(fs::metadata(path).ok()?.ino())).collect()
}

/// The processes inside the namespace `name`.
pub(super) fn processes(name: &str) -> Vec<Pid> {
    let Ok(namespace) = fs::metadata(path(name)) else {
        return Vec::new();
    };
    let inside = |pid: &Pid| {
        fs::metadata(format!("/proc/{pid}/ns/net"))
            .is_ok_and(|found| (found.dev(), found.ino()) == (namespace.dev(), namespace.ino()))
    };
    super::process::all().into_iter().filter(inside).collect()
}
