//! The way to standard error. Whoever reads the log must not be able to end the agent or to hold it up: lines go through
//! a bounded queue to a thread of their own, and what cannot be written is lost.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Lines that may wait for a slow reader; enough for all that a start with many interfaces says at once.
const LINES: usize = 1024;

/// Memory may be locked, and the thread does nothing but write.
const STACK: usize = 64 * 1024;

/// Where lines are put; clones share one queue.
#[derive(Clone)]
pub(crate) struct Log {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    /// Whether a line has left the queue and not yet the process.
    writing: bool,
    /// Lines that found the queue full since the last one that did not.
    lost: u64,
}

impl Log {
    /// A log that is written to `output`.
    ///
    /// # Errors
    ///
    /// The process can start no thread.
    pub(crate) fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let work = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).stack_size(STACK).spawn(move || work.carry(output))?;
        Ok(Self { shared })
    }

    /// Says `line`, which ends with a newline. Never fails and never waits for the reader.
    pub(crate) fn say(&self, line: impl Into<Vec<u8>>) {
        self.shared.put(line.into());
    }

    /// Waits until all lines are written, but no longer than `patience`.
    pub(crate) fn flush(&self, patience: Duration) {
        let waiting = |queue: &mut Queue| queue.writing || !queue.lines.is_empty();
        let _ = self.shared.changed.wait_timeout_while(self.shared.lock(), patience, waiting);
    }
}

/// For `tracing`, which writes a line with one call.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.say(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    /// Nothing that happens under the lock can leave the queue half changed.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, line: Vec<u8>) {
        let mut queue = self.lock();
        if queue.lines.len() >= LINES {
            queue.lost += 1;
            return;
        }
        if queue.lost > 0 {
            let lost = std::mem::take(&mut queue.lost);
            let note = format!("{lost} log line(s) lost here: they were not read fast enough\n");
            queue.lines.push_back(note.into_bytes());
        }
        queue.lines.push_back(line);
        self.changed.notify_all();
    }

    /// Writes lines for as long as the process lives.
    fn carry(&self, mut output: impl Write) {
        loop {
            let empty = |queue: &mut Queue| queue.lines.is_empty();
            let mut queue =
                self.changed.wait_while(self.lock(), empty).unwrap_or_else(PoisonError::into_inner);
            let line = queue.lines.pop_front().unwrap_or_default();
            queue.writing = true;
            drop(queue);
            // A reader that is gone or a file system that is full costs lines, nothing else.
            let _ = output.write_all(&line);
            self.lock().writing = false;
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    /// An output whose reader takes a line when it likes.
    struct Reluctant(SyncSender<String>);

    impl Write for Reluctant {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8_lossy(line).into_owned();
            self.0.send(text).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn reluctant() -> (Log, Receiver<String>) {
        let (sender, reader) = sync_channel(0);
        (Log::start(Reluctant(sender)).expect("a thread"), reader)
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_and_is_told_how_many() {
        let (log, reader) = reluctant();
        let next = || reader.recv_timeout(SOON).expect("a line");
        let wait_for = |lines| while log.shared.lock().lines.len() > lines {};
        let said = 3 * LINES;
        log.say("line 0\n");
        // It waits for its reader now.
        wait_for(0);
        for number in 1..said {
            log.say(format!("line {number}\n"));
        }
        assert_eq!(next(), "line 0\n");
        // What was taken makes room.
        wait_for(LINES - 1);
        log.say("the last\n");
        let mut read = 1;
        let note = loop {
            match next() {
                line if line.starts_with("line ") => read += 1,
                note => break note,
            }
        };
        assert_eq!(next(), "the last\n");
        let lost = said - read;
        assert_eq!(note, format!("{lost} log line(s) lost here: they were not read fast enough\n"));
    }

    #[test]
    fn a_reader_that_is_gone_is_no_error() {
        let (log, reader) = reluctant();
        drop(reader);
        log.say("to nobody\n");
        log.say("to nobody again\n");
        log.flush(SOON);
        assert!(log.shared.lock().lines.is_empty());
    }

    #[test]
    fn a_flush_waits_for_the_last_line_but_not_for_ever() {
        let (log, reader) = reluctant();
        log.say("one\n");
        log.say("two\n");
        log.flush(Duration::from_millis(1));
        let taken = thread::spawn(move || reader.iter().take(2).count());
        log.flush(SOON);
        assert_eq!(taken.join().expect("no panic"), 2);
    }
}
