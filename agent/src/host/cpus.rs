//! Which CPUs threads run on.
//!
//! The kernel zeroes the memory of a map in one go. One that is built without preemption (`preempt=none`, as servers have) lets no other thread
//! on that CPU meanwhile, whatever its priority: tens of milliseconds for a large table, in which an election thread that waits
//! there loses its leases. So while the next agent makes its tables it keeps off the CPU of this one's election.

use std::fs;
use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::{Pid, getppid};

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// The CPUs that the calling thread may run on, the lowest first.
///
/// # Errors
///
/// The kernel does not say: there are more than it can.
pub fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(SELF)?;
    Ok((0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or_default()).collect())
}

/// Keeps the calling thread on `cpu`. One that cannot be kept there works elsewhere as well.
pub fn stay_on(cpu: usize) {
    let _ = only(cpu).and_then(|set| sched_setaffinity(SELF, &set));
}

/// Lets the calling thread run wherever its process's parent may, and threads that it starts from then on.
///
/// # Errors
///
/// The kernel does not say where that is.
pub fn as_parent() -> io::Result<()> {
    Ok(sched_getaffinity(getppid()).and_then(|set| sched_setaffinity(SELF, &set))?)
}

/// A thread that stays on the CPU where it was found, until this is dropped.
pub struct Kept {
    thread: Pid,
    cpu: usize,
    before: CpuSet,
}

impl Kept {
    /// Keeps the thread of this process that has this `name` where it is.
    ///
    /// # Errors
    ///
    /// There is none, or the kernel does not say where it is.
    pub fn named(name: &str) -> io::Result<Self> {
        let thread = thread_named(name)?;
        let cpu = cpu_of(thread)?;
        let before = sched_getaffinity(thread)?;
        sched_setaffinity(thread, &only(cpu)?)?;
        Ok(Self { thread, cpu, before })
    }

    /// Does `work` on other CPUs than that one, if there are any; so do the processes that it starts.
    pub fn elsewhere<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = sched_getaffinity(SELF);
        let others = before.and_then(|mut set| set.unset(self.cpu).map(|()| set));
        // Of no CPU at all the kernel will not hear.
        let _ = others.and_then(|others| sched_setaffinity(SELF, &others));
        let done = work();
        let _ = before.and_then(|before| sched_setaffinity(SELF, &before));
        done
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // A thread that has ended is kept nowhere.
        let _ = sched_setaffinity(self.thread, &self.before);
    }
}

fn only(cpu: usize) -> nix::Result<CpuSet> {
    let mut set = CpuSet::new();
    set.set(cpu).map(|()| set)
}

fn thread_named(name: &str) -> io::Result<Pid> {
    for thread in fs::read_dir("/proc/self/task")? {
        let thread = thread?;
        // Others may end meanwhile.
        let found = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        if found.trim_end() == name
            && let Some(number) = thread.file_name().to_str().and_then(|number| number.parse().ok())
        {
            return Ok(Pid::from_raw(number));
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("no thread is called {name}")))
}

/// The CPU that a thread of this process was on last.
fn cpu_of(thread: Pid) -> io::Result<usize> {
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat"))?;
    // proc_pid_stat(5): the name, which may have anything in it, is in brackets, and the CPU is the 37th number behind it.
    let behind = stat.rsplit_once(") ").map_or("", |(_, behind)| behind);
    let cpu = behind.split(' ').nth(36).and_then(|cpu| cpu.parse().ok());
    cpu.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a thread's stat names no CPU"))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn all() -> Vec<usize> {
        allowed().expect("few CPUs")
    }

    #[test]
    fn a_thread_is_kept_until_it_is_let_go_and_others_work_elsewhere_meanwhile() {
        let (ask, asked) = mpsc::channel::<mpsc::Sender<Vec<usize>>>();
        let answer = move || asked.iter().for_each(|question| question.send(all()).expect("somebody asks"));
        let thread = thread::Builder::new().name("kept-for-test".to_owned()).spawn(answer).expect("a thread");
        let where_it_may = || {
            let (question, answer) = mpsc::channel();
            ask.send(question).expect("it listens");
            answer.recv().expect("it answers")
        };
        let everywhere = where_it_may();
        let kept = Kept::named("kept-for-test").expect("it is there");
        assert_eq!(where_it_may(), [kept.cpu]);
        let before = all();
        let others: Vec<usize> = before.iter().copied().filter(|cpu| *cpu != kept.cpu).collect();
        let expected = if others.is_empty() { before.clone() } else { others };
        assert_eq!(kept.elsewhere(all), expected);
        assert_eq!(all(), before);
        drop(kept);
        assert_eq!(where_it_may(), everywhere);
        drop(ask);
        thread.join().expect("it ends in order");
        assert!(Kept::named("kept-for-test").is_err());
    }
}
