//! Mounts for one test: what it mounts nobody else sees, and it goes with the test.

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
