//! Mounts for one test: what it mounts nobody else sees, and it goes with the test.

use std::fs;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Runs `work` on a thread that has a mount namespace of its own, which the processes that it starts share.
///
/// # Errors
///
/// The process is not root, or `work` fails.
pub fn with_own_mounts<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let enter = || -> Result<T> {
        unshare(CloneFlags::CLONE_NEWNS).context("make a mount namespace")?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("make mounts private")?;
        work()
    };
    thread::scope(|scope| scope.spawn(enter).join()).map_err(|_| anyhow!("the test's thread panicked"))?
}

/// Makes `/run` empty but for `kept`, a directory directly below it. To be called on a thread of [`with_own_mounts`].
///
/// # Errors
///
/// The process is not root, or `kept` is no such directory.
pub fn empty_run(kept: &Path) -> Result<()> {
    let (none, all) = (None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC);
    let stage = kept.join("run");
    fs::create_dir(&stage).context("make a place for a file system")?;
    mount(Some("tmpfs"), &stage, Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))
        .context("mount a tmpfs")?;
    let inside = stage.join(kept.strip_prefix("/run")?);
    fs::create_dir(&inside)?;
    mount(Some(kept), &inside, none, all, none).with_context(|| format!("keep {}", kept.display()))?;
    mount(Some(&stage), "/run", none, all, none).context("replace /run")
}
