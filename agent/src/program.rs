//! The operator's own programs, run for him: without a shell, for a limited time, and without the rights that the agent was
//! given beyond those of its user. `setpriv` takes these away on the other side of the exec: a fork of this process, whose
//! memory is locked, would cost the election thread a fault for every page that it writes.

use std::io;
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, User};
use tokio::process::{Child, Command};

use crate::xsk;

/// Takes rights away. Its path is whole: a name to look up would mean a fork.
const SETPRIV: &str = "/usr/bin/setpriv";
/// What programs find their tools by.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program with its arguments, and whose rights it has.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program, and what it is told.
    words: Vec<String>,
    /// Another user than the agent's.
    user: Option<User>,
}

/// What has become of a program.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// There is no such user.
    #[error("there is no user {0}; add it with `useradd --system {0}`")]
    NoUser(String),
    /// The list of users cannot be read.
    #[error("looking for user {name}: {source}")]
    Users {
        /// Whom was looked for.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// It was not started.
    #[error("not started: {0}")]
    NotStarted(io::Error),
    /// It was not heard of again.
    #[error("its end was not seen: {0}")]
    Lost(io::Error),
    /// It has failed.
    #[error("{0}")]
    Failed(ExitStatus),
}

/// The processes of a program that runs.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // They may have ended this moment.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

impl Program {
    /// The program that `words` begin with, to run as `user` or as the agent does.
    ///
    /// # Errors
    ///
    /// There is no such user.
    pub fn new(words: &[String], user: Option<&str>) -> Result<Self, ProgramError> {
        let find = |name: &str| match User::from_name(name) {
            Ok(user) => user.ok_or_else(|| ProgramError::NoUser(name.to_owned())),
            Err(errno) => Err(ProgramError::Users { name: name.to_owned(), source: errno.into() }),
        };
        Ok(Self { words: words.to_vec(), user: user.map(find).transpose()? })
    }

    /// Runs it with `variables` in its environment. It is killed, with all that it has started, if this is dropped before its
    /// end.
    ///
    /// # Errors
    ///
    /// It was not started, or has failed.
    pub async fn run(&self, variables: &[(&str, String)]) -> Result<(), ProgramError> {
        let mut child = self.start(variables).map_err(ProgramError::NotStarted)?;
        let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw));
        let status = child.wait().await;
        // Its number may be another's from here on.
        group.0 = None;
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(ProgramError::Failed(status)),
            Err(error) => Err(ProgramError::Lost(error)),
        }
    }

    fn start(&self, variables: &[(&str, String)]) -> io::Result<Child> {
        let mut command = Command::new(SETPRIV);
        command.args(["--ambient-caps=-all", "--inh-caps=-all"]);
        if let Some(User { name, gid, .. }) = &self.user {
            command.arg(format!("--reuid={name}")).arg(format!("--regid={gid}")).arg("--init-groups");
        }
        command
            .arg("--")
            .args(&self.words)
            .env_clear()
            .env("PATH", PATH)
            .envs(variables.iter().map(|(name, value)| (*name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        let child = {
            let _kept = xsk::lock_out_spawns();
            command.spawn()?
        };
        if let Some(process) = child.id() {
            // The agent may be protected; this program need not be. It may have ended already.
            let _ = std::fs::write(format!("/proc/{process}/oom_score_adj"), "0");
        }
        Ok(child)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn shell(script: &str, user: Option<&str>) -> Program {
        Program::new(&["/bin/sh", "-c", script].map(str::to_owned), user).expect("a user")
    }

    /// `None` if it has not ended in time.
    fn run(program: &Program, patience: Duration) -> Option<Result<(), ProgramError>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let variables = [("BATON_ROLE", "Active".to_owned())];
        runtime.block_on(async { timeout(patience, program.run(&variables)).await.ok() })
    }

    #[test]
    fn a_program_is_told_what_there_is_and_nothing_else() {
        let long = Duration::from_secs(10);
        let told = shell("test \"$BATON_ROLE\" = Active && test -z \"$CARGO\" && test \"$PWD\" = /", None);
        run(&told, long).expect("in time").expect("its environment");
        let failed = run(&shell("exit 3", None), long).expect("in time").expect_err("it fails");
        assert!(matches!(failed, ProgramError::Failed(status) if status.code() == Some(3)), "{failed}");
        assert!(matches!(Program::new(&[], Some("no-such-user")), Err(ProgramError::NoUser(_))));
    }

    #[test]
    fn one_that_takes_too_long_is_killed_with_all_that_it_has_started() {
        let path = std::env::temp_dir().join(format!("baton-program-{}", std::process::id()));
        let script = format!("sleep 60 & echo $! >{}; wait", path.display());
        assert!(run(&shell(&script, None), Duration::from_secs(3)).is_none(), "it is late");
        let sleeper = std::fs::read_to_string(&path).expect("its number");
        std::fs::remove_file(&path).expect("it is there");
        let sleeps = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", sleeper.trim()));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        assert!((0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            !sleeps()
        }));
    }
}
