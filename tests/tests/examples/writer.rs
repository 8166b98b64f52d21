//! A client that writes without a pause, whatever happens meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use baton_tests::lab::wait_until;

use super::nodes::SOON;

/// Writes before and after an event that must succeed.
const SOME: u32 = 5;

/// Writes `first`, the next number and so on, each until `write` says that the server has taken it, while `event` happens
/// and until some more were taken after it. Gives the last one taken.
pub(super) fn write_during(
    first: u32,
    write: impl Fn(u32) -> bool + Sync,
    event: impl FnOnce() -> Result<()>,
) -> Result<u32> {
    let (next, is_done) = (AtomicU32::new(first), AtomicBool::new(false));
    let wait_for_more = || {
        let wanted = next.load(Ordering::Acquire) + SOME;
        wait_until("a server to take writes", SOON, || Ok(next.load(Ordering::Acquire) >= wanted))
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Acquire) {
                if write(next.load(Ordering::Acquire)) {
                    next.fetch_add(1, Ordering::AcqRel);
                } else {
                    thread::sleep(Duration::from_millis(20));
                }
            }
        });
        let outcome = wait_for_more().and_then(|()| event()).and_then(|()| wait_for_more());
        is_done.store(true, Ordering::Release);
        outcome
    })?;
    Ok(next.load(Ordering::Acquire) - 1)
}
