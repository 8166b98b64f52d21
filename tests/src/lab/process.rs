//! Processes: started, signalled as a whole tree, never left behind.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::signals::pause;

/// A process that the lab started. Dropping it kills it and its descendants.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    detached: bool,
}

impl Process {
    /// Starts `command`, both outputs appended to the file `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("open {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        Self::spawn(command)
    }

    /// Starts `command` with the standard streams that it was given.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Self { name, child, detached: false })
    }

    /// The process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id fits pid_t"))
    }

    /// The child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The process and its descendants, the youngest generation first: a parent that is signalled last cannot react
    /// to what happened to its children.
    pub fn tree(&self) -> Vec<Pid> {
        let mut tree = vec![self.pid()];
        let mut next = 0;
        let table: Vec<(Pid, Pid)> = all().into_iter().filter_map(|pid| Some((pid, parent(pid)?))).collect();
        while let Some(&at) = tree.get(next) {
            tree.extend(table.iter().filter(|(_, parent)| *parent == at).map(|(pid, _)| *pid));
            next += 1;
        }
        tree.reverse();
        tree
    }

    /// Sends `signal` to the process alone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).with_context(|| format!("send {signal} to {}", self.name))
    }

    /// Sends `signal` to the process and all its descendants.
    pub fn signal_tree(&self, signal: Signal) -> Result<()> {
        self.tree().into_iter().try_for_each(|pid| self.signal_one(pid, signal))
    }

    /// Sends `signal` to `pid`, which may have ended meanwhile: an agent's checks and hooks do all the time.
    fn signal_one(&self, pid: Pid, signal: Signal) -> Result<()> {
        match kill(pid, signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => {
                Err(error).with_context(|| format!("send {signal} to process {pid} of {}", self.name))
            }
        }
    }

    /// Kills the process and all its descendants, and waits until they are no more. None of them does anything about the
    /// others' end: children are stopped before, and parents killed before, which works at once.
    pub fn kill_tree(&self) -> Result<()> {
        let tree = self.tree();
        tree.iter().try_for_each(|pid| self.signal_one(*pid, Signal::SIGSTOP))?;
        for pid in tree.iter().rev() {
            self.signal_one(*pid, Signal::SIGKILL)?;
        }
        let end = Instant::now() + Duration::from_secs(5);
        while !tree.iter().copied().all(has_ended) {
            ensure!(Instant::now() < end, "{} is killed and does not end", self.name);
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits at most `limit` for the end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < end, "{} did not end within {limit:?}", self.name);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Asks it to end, and waits at most `limit`.
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(limit)
    }

    /// Lets it live on after this process.
    pub fn detach(mut self) {
        self.detached = true;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.detached || !self.is_running() {
            return;
        }
        // Gone in the meantime is as good as killed.
        let _ = self.kill_tree();
        let _ = self.child.wait();
    }
}

/// Runs `command` to its end and gives its standard output; anything but success is an error with what it said.
pub fn output(command: &mut Command) -> Result<String> {
    let words = || {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    };
    let words = words();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("start `{words}`"))?;
    if !output.status.success() {
        let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
        bail!("`{words}`: {}: {}", output.status, String::from_utf8_lossy(said).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Asks `condition` every few milliseconds until it holds; an error after `limit` or on Ctrl-C. `what` completes the
/// sentence "waited in vain for ...".
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + limit;
    loop {
        if condition()? {
            return Ok(());
        }
        ensure!(Instant::now() < end, "waited in vain for {what} ({limit:?})");
        pause(Duration::from_millis(5))?;
    }
}

/// All processes of the machine.
pub(super) fn all() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw).collect()
}

/// When process `pid` started, in clock ticks since boot: with the id it names a process for good.
pub(super) fn start_time(pid: u32) -> Option<u64> {
    field(&format!("/proc/{pid}/stat"), 19)?.parse().ok()
}

fn parent(pid: Pid) -> Option<Pid> {
    Some(Pid::from_raw(field(&format!("/proc/{pid}/stat"), 1)?.parse().ok()?))
}

/// Whether process `pid` is no more, with all its threads, though its parent may not know it yet.
pub fn has_ended(pid: Pid) -> bool {
    let stat = |index| field(&format!("/proc/{pid}/stat"), index);
    let is_alive = |state| state != "Z" || stat(17).is_some_and(|threads| threads != "1" && threads != "0");
    !stat(0).is_some_and(is_alive)
}

/// Whether all threads of process `pid` are stopped: they go on for a while after the signal.
pub fn has_stopped(pid: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let state = |thread: fs::DirEntry| field(&thread.path().join("stat").to_string_lossy(), 0);
    threads.map(state).all(|state| state.as_deref() == Some("T"))
}

/// The field `index` of a stat file, counted from the state: the name before it may hold blanks and brackets.
fn field(path: &str, index: usize) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(index).map(str::to_owned)
}
