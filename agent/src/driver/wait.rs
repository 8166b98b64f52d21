//! The one place where the election thread sleeps.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;

use nix::sys::eventfd::EventFd;

use crate::clock;
use crate::vrrp::Instant;

/// Waits for a readable descriptor, a command, or the deadline.
pub(super) struct Waiter {
    descriptors: Vec<libc::pollfd>,
    wake: Arc<EventFd>,
}

impl Waiter {
    pub(super) fn new(wake: Arc<EventFd>) -> Self {
        let mut waiter = Self { descriptors: Vec::new(), wake };
        waiter.watch(waiter.wake.as_fd().as_raw_fd());
        waiter
    }

    /// Wakes on `fd`, too, which must stay open as long as the waiter is used.
    pub(super) fn watch(&mut self, fd: RawFd) {
        self.descriptors.push(libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    }

    /// Sleeps until something happens or `deadline` has come.
    pub(super) fn wait(&mut self, deadline: Option<Instant>) {
        let left = deadline.map(|deadline| deadline.saturating_since(clock::now()));
        let timeout = left.map(|left| libc::timespec {
            tv_sec: libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(left.subsec_nanos().cast_signed()),
        });
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let count = self.descriptors.len() as libc::nfds_t;
        // SAFETY: the array and the timeout are live for the call and described by their own length; a null signal mask
        // leaves the mask as it is. Errors (a signal) only mean that there is nothing to read yet.
        unsafe { libc::ppoll(self.descriptors.as_mut_ptr(), count, timeout, std::ptr::null()) };
        if self.is_readable(self.wake.as_fd().as_raw_fd()) {
            // It was raised, so this does not block; if somebody else were to reset it, it would say so with an error.
            let _ = self.wake.read();
        }
    }

    /// Whether the last wait found something to read on `fd`.
    pub(super) fn is_readable(&self, fd: RawFd) -> bool {
        self.descriptors.iter().any(|descriptor| descriptor.fd == fd && descriptor.revents != 0)
    }
}
