//! Other processes, held by descriptors: a number may be given to another process when the first has ended.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor of process `number`, which becomes readable when it ends.
///
/// # Errors
///
/// There is no such process.
pub fn open(number: u32) -> io::Result<OwnedFd> {
    let number = libc::pid_t::try_from(number).map_err(|_| io::ErrorKind::NotFound)?;
    // SAFETY: the call takes two numbers and touches no memory.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, number, 0) };
    let descriptor = RawFd::try_from(descriptor).map_err(io::Error::other)?;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has made this descriptor for us this moment; it closes on exec by itself.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The same for tokio, which tells when it becomes readable.
///
/// # Errors
///
/// There is no tokio here, or it cannot watch it.
pub fn watch(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is open, and goes with the value that is registered, in which nothing else is put.
    Ok(unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) }?)
}

/// Whether the process behind a descriptor of [`open`] has ended.
///
/// # Errors
///
/// The kernel does not tell.
pub fn has_ended(process: &OwnedFd) -> io::Result<bool> {
    let mut descriptors = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut descriptors, PollTimeout::ZERO)? > 0)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_end_of_a_process_is_seen_and_its_number_is_not_taken_for_another() {
        let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("cat");
        let process = open(child.id()).expect("a process");
        assert!(!has_ended(&process).expect("poll"));
        drop(child.stdin.take());
        child.wait().expect("its end");
        assert!(has_ended(&process).expect("poll"));
        assert!(open(child.id()).is_err());
        assert!(open(u32::MAX).is_err());
    }
}
