//! Whether every CPU of this host runs: a thread on each shows it when asked.
//!
//! An answer that has not come may lie on a CPU that the hypervisor has taken away, or that something holds in the kernel:
//! the frame waits in that CPU's queue. A peer must not be convicted on such evidence. The threads sleep until they are
//! asked, which is when an answer is missing; in quiet times they cost nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use crate::host::cpus;

/// All memory of the agent is locked, and the threads do next to nothing.
const STACK: usize = 64 * 1024;

/// The threads, one on each CPU that the process may use.
pub struct StallWatch {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    /// The number of the last question.
    asked: AtomicU32,
    /// The last question that each CPU has answered.
    answered: Vec<AtomicU32>,
    stopping: AtomicBool,
}

impl StallWatch {
    /// Starts the threads, with the scheduling of the calling one.
    ///
    /// # Errors
    ///
    /// The process may not have as many threads.
    pub fn start() -> io::Result<Self> {
        let cpus = cpus::allowed()?;
        let shared = Arc::new(Shared {
            asked: AtomicU32::new(0),
            answered: cpus.iter().map(|_| AtomicU32::new(0)).collect(),
            stopping: AtomicBool::new(false),
        });
        let mut watch = Self { shared, threads: Vec::with_capacity(cpus.len()) };
        for (index, cpu) in cpus.into_iter().enumerate() {
            let shared = Arc::clone(&watch.shared);
            let thread = thread::Builder::new()
                .name(format!("stall-{cpu}"))
                .stack_size(STACK)
                .spawn(move || shared.answer(index, cpu))?;
            watch.threads.push(thread);
        }
        Ok(watch)
    }

    /// Asks every CPU to show that it runs. Answers with the number of the question.
    pub fn ask(&self) -> u32 {
        let question = self.shared.asked.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        for thread in &self.threads {
            thread.thread().unpark();
        }
        question
    }

    /// Whether every CPU has run since that question was asked.
    pub fn all_ran_since(&self, question: u32) -> bool {
        let passed =
            |answered: &AtomicU32| answered.load(Ordering::Relaxed).wrapping_sub(question).cast_signed() >= 0;
        self.shared.answered.iter().all(passed)
    }
}

impl Shared {
    fn answer(&self, index: usize, cpu: usize) {
        // A thread that cannot be bound answers for whatever CPU it is on.
        cpus::stay_on(cpu);
        while !self.stopping.load(Ordering::Relaxed) {
            self.answered[index].store(self.asked.load(Ordering::Relaxed), Ordering::Relaxed);
            thread::park();
        }
    }
}

impl Drop for StallWatch {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            // It does nothing that could fail.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cpus_run_soon_after_they_were_asked() {
        let watch = StallWatch::start().expect("threads to spare");
        for _ in 0..100 {
            let question = watch.ask();
            while !watch.all_ran_since(question) {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn a_question_is_open_until_it_is_answered() {
        let mut watch = StallWatch::start().expect("threads to spare");
        // Without its threads nobody answers.
        watch.shared.stopping.store(true, Ordering::Relaxed);
        for thread in watch.threads.drain(..) {
            thread.thread().unpark();
            thread.join().expect("it does nothing that could fail");
        }
        let question = watch.ask();
        assert!(watch.all_ran_since(question.wrapping_sub(1)), "an earlier one was answered");
        assert!(!watch.all_ran_since(question));
    }
}
