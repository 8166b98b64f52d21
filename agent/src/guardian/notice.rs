//! The notice of a death: a robust mutex in memory that guardian and agent share. The election thread holds it, and the
//! kernel lets go of it when that thread ends, however it ends, before it takes the process apart. That is noticed within
//! 0.1 ms; the end of a process with AF_XDP sockets only after some 26 ms.
//!
//! It is also the moment from which nobody but the guardian writes the leases. An agent that is restarted passes the notice
//! on to the next one, and with it the right to write them.

use std::cell::UnsafeCell;
use std::io;
use std::marker::PhantomData;
use std::mem::{MaybeUninit, size_of};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use nix::unistd::ftruncate;

/// How often the next agent looks whether the one before it has ended. It does not sleep on the mutex, for the guardian
/// does, and might be the one that is woken.
const POLL: Duration = Duration::from_micros(100);

/// How long the next agent may take to take the notice, for which it waits. Then it is dead, or does not run; what is left of a
/// lease is enough for a last gasp.
const TAKING_PATIENCE: Duration = Duration::from_millis(15);

/// What all these processes have in common. They may be of different versions: it must stay as it is.
#[repr(C)]
struct Shared {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    /// What the holder's end means: an [`Ending`].
    ending: AtomicU8,
    /// The process that holds it, and the one that has passed it on to that.
    holders: [AtomicI32; 2],
}

// SAFETY: the mutex is touched by the functions of pthreads alone, which threads may call at once, and processes as well
// because it is process-shared.
unsafe impl Sync for Shared {}

/// How the holder has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ending {
    /// It was killed, or has panicked.
    Death = 0,
    /// As it was to end.
    InOrder = 1,
    /// It owns what it owned for the next agent.
    PassedOn = 2,
}

impl Ending {
    fn from_octet(octet: u8) -> Self {
        [Self::InOrder, Self::PassedOn]
            .into_iter()
            .find(|ending| *ending as u8 == octet)
            .unwrap_or(Self::Death)
    }
}

/// The notice, in the hands of one of the processes. It lives as long as they do.
#[derive(Clone, Copy)]
pub struct Notice {
    shared: &'static Shared,
    memory: BorrowedFd<'static>,
}

impl Notice {
    /// A notice for this process and those that it forks from here on.
    pub(super) fn new() -> io::Result<Self> {
        let memory = memfd_create(c"baton-notice", MFdFlags::MFD_CLOEXEC)?;
        ftruncate(&memory, libc::off_t::try_from(size_of::<Shared>()).unwrap_or(libc::off_t::MAX))?;
        let notice = Self::open(memory)?;
        make_robust(notice.shared.mutex.get())?;
        Ok(notice)
    }

    /// The notice in `memory`, which another process has made.
    pub(super) fn open(memory: OwnedFd) -> io::Result<Self> {
        let length = const { NonZeroUsize::new(size_of::<Shared>()).expect("it has fields") };
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, &memory, 0) }?;
        // SAFETY: the mapping begins at a page, is long enough and is never unmapped; its zeroes are a valid ending, and the
        // mutex, for which any octets will do, is made before anybody else knows of it.
        let shared: &'static Shared = unsafe { start.cast::<Shared>().as_ref() };
        // Open for as long as the process lives, for the processes that follow it.
        let memory: &'static OwnedFd = Box::leak(Box::new(memory));
        Ok(Self { shared, memory: memory.as_fd() })
    }

    /// The memory, for another process.
    pub(super) fn memory(self) -> BorrowedFd<'static> {
        self.memory
    }

    /// Takes the notice for the calling thread, whose end is noticed from here on.
    ///
    /// # Errors
    ///
    /// It was taken before.
    pub fn hold(self) -> io::Result<Tenure> {
        // SAFETY: the mutex was made in `new` and is never destroyed.
        self.locked(unsafe { libc::pthread_mutex_lock(self.mutex()) })?;
        Ok(self.tenure())
    }

    /// Waits until the agent that holds the notice passes it on, and takes it for the calling thread.
    ///
    /// # Errors
    ///
    /// That agent has ended otherwise.
    pub fn take_over(self) -> io::Result<Tenure> {
        loop {
            // SAFETY: as in `hold`.
            match unsafe { libc::pthread_mutex_trylock(self.mutex()) } {
                libc::EBUSY => thread::sleep(POLL),
                result => break self.locked(result)?,
            }
        }
        match self.ending() {
            Ending::PassedOn => Ok(self.tenure()),
            Ending::InOrder | Ending::Death => {
                self.unlock();
                Err(io::Error::other("the agent before this one has ended without passing its addresses on"))
            }
        }
    }

    fn tenure(self) -> Tenure {
        let [holder, before] = &self.shared.holders;
        before.store(holder.load(Ordering::Relaxed), Ordering::Relaxed);
        holder.store(std::process::id().cast_signed(), Ordering::Relaxed);
        self.shared.ending.store(Ending::Death as u8, Ordering::Release);
        Tenure { notice: self, thread: PhantomData }
    }

    /// Whether the last holder has ended as it was to end.
    pub(super) fn has_ended_in_order(self) -> bool {
        self.ending() == Ending::InOrder
    }

    /// The process that took the notice last, and the one that has passed it on to that; 0 for none.
    pub(super) fn holders(self) -> [i32; 2] {
        self.shared.holders.each_ref().map(|holder| holder.load(Ordering::Relaxed))
    }

    /// Says that the holder's end, which follows, is in order, though it may not come to saying so itself.
    pub fn dismiss(self) {
        self.shared.ending.store(Ending::InOrder as u8, Ordering::Release);
    }

    /// Sleeps until the holder ends, and those that it was passed on to. One that was passed on and is not taken is a death.
    /// The notice must have been taken before. It is held from then on.
    pub(super) fn wait(self) -> io::Result<Ending> {
        let mut passed_on: Option<(i32, Instant)> = None;
        loop {
            // SAFETY: as in `hold`.
            self.locked(unsafe { libc::pthread_mutex_lock(self.mutex()) })?;
            match self.ending() {
                Ending::PassedOn => {
                    let [by, _] = self.holders();
                    // Each agent passes it on for itself.
                    let (_, since) = *passed_on
                        .insert(passed_on.filter(|(last, _)| *last == by).unwrap_or((by, Instant::now())));
                    if since.elapsed() > TAKING_PATIENCE {
                        // Who comes for it after all must not take it.
                        self.shared.ending.store(Ending::Death as u8, Ordering::Release);
                        return Ok(Ending::Death);
                    }
                    self.unlock();
                    thread::sleep(POLL);
                }
                ending @ (Ending::InOrder | Ending::Death) => return Ok(ending),
            }
        }
    }

    /// What it means that a call has locked the mutex. A holder that was killed has left nothing half changed.
    fn locked(self, result: libc::c_int) -> io::Result<()> {
        match result {
            // SAFETY: as in `hold`; this thread has just locked it.
            libc::EOWNERDEAD => check(unsafe { libc::pthread_mutex_consistent(self.mutex()) }),
            result => check(result),
        }
    }

    /// To be called by the thread that holds it.
    fn unlock(self) {
        // SAFETY: as in `hold`; the calling thread has locked it.
        let _ = unsafe { libc::pthread_mutex_unlock(self.mutex()) };
    }

    fn ending(self) -> Ending {
        Ending::from_octet(self.shared.ending.load(Ordering::Acquire))
    }

    fn mutex(self) -> *mut libc::pthread_mutex_t {
        self.shared.mutex.get()
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

    /// Ends for the agent that waits to [take over](Notice::take_over).
    pub fn pass_on(self) {
        self.notice.shared.ending.store(Ending::PassedOn as u8, Ordering::Release);
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        // This thread holds it, because a tenure does not leave its thread.
        self.notice.unlock();
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
    fn a_notice_that_is_passed_on_is_the_next_holders_whose_death_is_noticed() {
        let notice = Notice::new().expect("memory to spare");
        let first = holder(notice, Tenure::pass_on);
        let copy = notice.memory().try_clone_to_owned().expect("descriptors to spare");
        let copy = Notice::open(copy).expect("memory to spare");
        let second = thread::spawn(move || copy.take_over().map(std::mem::forget));
        let taken = second.join().expect("no panic");
        assert!(taken.is_ok(), "{taken:?}");
        assert_eq!(notice.wait().expect("a sound mutex"), Ending::Death);
        end(first);
    }

    #[test]
    fn a_notice_that_is_passed_on_to_nobody_tells_of_a_death_and_cannot_be_taken_any_more() {
        let notice = Notice::new().expect("memory to spare");
        let first = holder(notice, Tenure::pass_on);
        let watching = thread::spawn(move || notice.wait());
        assert_eq!(watching.join().expect("no panic").expect("a sound mutex"), Ending::Death);
        assert!(notice.take_over().is_err());
        end(first);
    }

    #[test]
    fn whoever_watches_a_notice_that_is_passed_on_watches_the_next_holder() {
        let notice = Notice::new().expect("memory to spare");
        let first = holder(notice, Tenure::pass_on);
        let watching = thread::spawn(move || notice.wait());
        let second = thread::spawn(move || notice.take_over().map(Tenure::end));
        assert!(second.join().expect("no panic").is_ok());
        assert_eq!(watching.join().expect("no panic").expect("a sound mutex"), Ending::InOrder);
        end(first);
    }

    #[test]
    fn nobody_succeeds_a_holder_that_was_killed_and_its_death_is_noticed_all_the_same() {
        let notice = Notice::new().expect("memory to spare");
        let child = holder(notice, std::mem::forget);
        let successor = thread::spawn(move || notice.take_over().map(drop));
        end(child);
        assert!(successor.join().expect("no panic").is_err());
        assert_eq!(notice.wait().expect("a sound mutex"), Ending::Death);
    }

    #[test]
    fn nobody_succeeds_a_holder_that_has_ended_in_order() {
        let notice = Notice::new().expect("memory to spare");
        let child = holder(notice, Tenure::end);
        let successor = thread::spawn(move || notice.take_over().map(drop));
        assert!(successor.join().expect("no panic").is_err());
        assert_eq!(notice.wait().expect("a sound mutex"), Ending::InOrder);
        end(child);
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
