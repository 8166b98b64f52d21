//! The notice of a death: a robust mutex in memory that guardian and agent share. The election thread holds it, and the
//! kernel lets go of it when that thread ends, however it ends, before it takes the process apart. That is noticed within
//! 0.1 ms; the end of a process with AF_XDP sockets only after some 26 ms.
//!
//! It is also the moment from which nobody but the guardian writes the leases.

use std::cell::UnsafeCell;
use std::io;
use std::marker::PhantomData;
use std::mem::{MaybeUninit, size_of};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

/// What both processes have in common.
struct Shared {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    /// Whether the holder's end is one that nobody has to act upon.
    in_order: AtomicBool,
}

// SAFETY: the mutex is touched by the functions of pthreads alone, which threads may call at once, and processes as well
// because it is process-shared.
unsafe impl Sync for Shared {}

/// How the holder has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// As it was to end.
    InOrder,
    /// It was killed, or has panicked.
    Death,
}

/// The notice, in the hands of either process. It lives as long as they do.
#[derive(Clone, Copy)]
pub struct Notice(&'static Shared);

impl Notice {
    /// A notice for this process and those that it forks from here on.
    pub(super) fn new() -> io::Result<Self> {
        let length = const { NonZeroUsize::new(size_of::<Shared>()).expect("it has fields") };
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
        let memory = unsafe {
            mmap_anonymous(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED)
        }?;
        // SAFETY: the mapping begins at a page, is long enough and is never unmapped; its zeroes are a valid flag, and the
        // mutex, for which any octets will do, is made before anybody else knows of it.
        let shared: &'static Shared = unsafe { memory.cast::<Shared>().as_ref() };
        make_robust(shared.mutex.get())?;
        Ok(Self(shared))
    }

    /// Takes the notice for the calling thread, whose end is noticed from here on.
    ///
    /// # Errors
    ///
    /// It was taken before.
    pub fn hold(self) -> io::Result<Tenure> {
        // SAFETY: the mutex was made in `new` and is never destroyed.
        check(unsafe { libc::pthread_mutex_lock(self.0.mutex.get()) })?;
        Ok(Tenure { notice: self, thread: PhantomData })
    }

    /// Says that the holder's end, which follows, is in order, though it may not come to saying so itself.
    pub fn dismiss(self) {
        self.0.in_order.store(true, Ordering::Release);
    }

    /// Sleeps until the holder ends. The notice must have been taken before.
    pub(super) fn wait(self) -> io::Result<Ending> {
        // SAFETY: as in `hold`.
        match unsafe { libc::pthread_mutex_lock(self.0.mutex.get()) } {
            // A holder that panics lets go by itself, so both need the flag.
            0 | libc::EOWNERDEAD if self.0.in_order.load(Ordering::Acquire) => Ok(Ending::InOrder),
            0 | libc::EOWNERDEAD => Ok(Ending::Death),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Held by the thread that took the notice. Dropped, as by a panic, it tells of a death.
pub struct Tenure {
    notice: Notice,
    /// Only the thread that has locked a mutex may unlock it.
    thread: PhantomData<*const ()>,
}

impl Tenure {
    /// Ends in order: nobody acts.
    pub fn end(self) {
        self.notice.dismiss();
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        // SAFETY: as in `hold`; this thread holds it, because a tenure does not leave its thread.
        let _ = unsafe { libc::pthread_mutex_unlock(self.notice.0.mutex.get()) };
    }
}

/// Makes a robust, process-shared mutex at `mutex`.
fn make_robust(mutex: *mut libc::pthread_mutex_t) -> io::Result<()> {
    let mut attributes = MaybeUninit::uninit();
    let attributes = attributes.as_mut_ptr();
    // SAFETY: the attributes are made first, used for the mutex, and destroyed when they are needed no more; both pointers
    // are to live memory that nobody else uses yet.
    unsafe {
        check(libc::pthread_mutexattr_init(attributes))?;
        check(libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED))?;
        check(libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST))?;
        check(libc::pthread_mutex_init(mutex, attributes))?;
        check(libc::pthread_mutexattr_destroy(attributes))
    }
}

/// What a function of pthreads says.
fn check(error: libc::c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::waitpid;
    use nix::unistd::{ForkResult, Pid, fork, pause};

    use super::*;

    /// A process that takes `notice` and then does what `next` says, for ever.
    fn holder(notice: Notice, next: impl FnOnce(Tenure)) -> Pid {
        let (mut reader, writer) = io::pipe().expect("descriptors to spare");
        // SAFETY: the child does nothing but to lock, write and sleep, for which it needs no other thread.
        match unsafe { fork() }.expect("a process to spare") {
            ForkResult::Parent { child } => {
                io::Read::read_exact(&mut reader, &mut [0]).expect("the child has locked");
                child
            }
            ForkResult::Child => {
                let tenure = notice.hold();
                let _ = nix::unistd::write(&writer, b"x");
                let _ = tenure.map(next);
                loop {
                    pause();
                }
            }
        }
    }

    fn end(child: Pid) {
        kill(child, Signal::SIGKILL).expect("a child");
        waitpid(child, None).expect("a child");
    }

    #[test]
    fn a_process_that_is_killed_is_noticed_as_dead() {
        let notice = Notice::new().expect("memory to spare");
        let child = holder(notice, std::mem::forget);
        end(child);
        assert_eq!(notice.wait().expect("a sound mutex"), Ending::Death);
    }

    #[test]
    fn a_process_that_has_ended_its_tenure_is_not() {
        let notice = Notice::new().expect("memory to spare");
        let child = holder(notice, Tenure::end);
        assert_eq!(notice.wait().expect("a sound mutex"), Ending::InOrder);
        end(child);
    }

    #[test]
    fn a_process_that_was_dismissed_may_be_killed() {
        let notice = Notice::new().expect("memory to spare");
        let child = holder(notice, std::mem::forget);
        notice.dismiss();
        end(child);
        assert_eq!(notice.wait().expect("a sound mutex"), Ending::InOrder);
    }

    #[test]
    fn a_thread_that_panics_is_noticed_as_dead() {
        let notice = Notice::new().expect("memory to spare");
        let held = thread::spawn(move || {
            let _tenure = notice.hold();
            std::panic::resume_unwind(Box::new("the test wants it so"));
        });
        assert!(held.join().is_err());
        assert_eq!(notice.wait().expect("a sound mutex"), Ending::Death);
    }
}
