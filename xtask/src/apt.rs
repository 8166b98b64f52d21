//! apt-get as Baton needs it: the servers are installed for the lab alone, so none of them starts; and who holds the lock is
//! told.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::command::{command, spelled};

/// Tells dpkg whether services may be started at installation.
pub(crate) const POLICY: &str = "/usr/sbin/policy-rc.d";
/// The line of a policy of ours, before the number of the process that will remove it.
const MARK: &str = "# cargo xtask setup, process ";
/// The packages that start a service when they are installed.
const SERVICES: [&str; 6] = ["frr", "haproxy", "keepalived", "mariadb-server", "nginx-light", "redis-server"];
/// What apt-get and dpkg lock while they work.
const LOCKS: [&str; 3] = ["/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock"];

/// What keeps a service from being started at installation, while this process is at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Nothing.
    None,
    /// A file of ours whose process was killed.
    Stale,
    /// A file of the operator's, or of a setup that is at work. It is left alone.
    Others,
}

impl Policy {
    /// What is there at this moment.
    pub(crate) fn find() -> anyhow::Result<Self> {
        if !Path::new(POLICY).exists() {
            return Ok(Self::None);
        }
        let text = fs::read_to_string(POLICY).with_context(|| format!("reading {POLICY}"))?;
        Ok(Self::of(&text))
    }

    fn of(text: &str) -> Self {
        let Some(process) = text.lines().find_map(|line| line.strip_prefix(MARK)) else {
            return Self::Others;
        };
        // Another process may have the number by now.
        let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        if name.trim() == "sh" { Self::Others } else { Self::Stale }
    }
}

/// Brings the lists of packages up to date.
pub(crate) fn update() -> Command {
    command("apt-get", ["update", "--quiet"])
}

/// Installs `packages`. None of their services starts; where there is a policy, it decides.
pub(crate) fn install(packages: &[String], policy: Policy) -> Command {
    let mut install = command("apt-get", ["install", "--yes", "--quiet", "--no-install-recommends"]);
    install.args(packages);
    if policy != Policy::Others && packages.iter().any(|name| SERVICES.contains(&name.as_str())) {
        install = command("sh", ["-c", &guarded(POLICY, &spelled(&install))]);
    }
    install.env("DEBIAN_FRONTEND", "noninteractive");
    install
}

/// A shell's script that runs `command` with a file at `policy` by which no service starts. The file goes with the script,
/// also when that is interrupted, and not before `command` has ended: apt-get takes its time to be interrupted.
fn guarded(policy: &str, command: &str) -> String {
    let text = format!("#!/bin/sh\\n{MARK}%s\\nexit 101\\n");
    format!(
        "trap \"rm -f {policy}\" EXIT; trap \"exit 1\" HUP INT TERM; \
         printf \"{text}\" $$ >{policy} && chmod 755 {policy} && {command}"
    )
}

/// Fails when another process installs packages; called when apt-get has failed, to tell why.
pub(crate) fn ensure_unlocked() -> anyhow::Result<()> {
    let table = fs::read_to_string("/proc/locks").context("reading /proc/locks")?;
    for path in LOCKS {
        let holder = fs::metadata(path).ok().and_then(|file| holder(&table, file.ino()));
        if let Some(process) = holder {
            bail!(
                "process {process} holds {path}: another installation is at work, perhaps one that was interrupted and \
                 finishes what it has begun; wait for its end (`ps {process}`) and call this again"
            );
        }
    }
    Ok(())
}

/// The process that holds a lock of the file with inode `inode`, by the kernel's table of locks.
fn holder(table: &str, inode: u64) -> Option<&str> {
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, _, _, _, process, file, ..] = words[..] else {
            return None;
        };
        (file.rsplit(':').next()? == inode.to_string()).then_some(process)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn the_policy_goes_when_the_installation_is_interrupted_but_not_before_it_has_ended() {
        let file = std::env::temp_dir().join(format!("policy-{}", std::process::id()));
        let [begun, done] = ["begun", "done"].map(|extension| file.with_extension(extension));
        // Like apt-get, it finishes what it has begun.
        let work = format!(
            "sh -c \"trap : TERM; : >{1}; sleep 0.5; sleep 0.5; test -e {0} && : >{2}\"",
            file.display(),
            begun.display(),
            done.display()
        );
        let script = guarded(&file.display().to_string(), &work);
        let mut command = Command::new("sh");
        command.args(["-c", &script]).process_group(0).stderr(Stdio::null());
        let mut shell = command.spawn().expect("a shell");
        let end = Instant::now() + Duration::from_secs(10);
        while !begun.exists() {
            assert!(Instant::now() < end, "the work does not begin");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(Policy::of(&fs::read_to_string(&file).expect("the policy")), Policy::Others, "at work");
        let group = format!("-{}", shell.id());
        let killed = Command::new("kill").args(["-TERM", "--", &group]).status().expect("procps");
        assert!(killed.success());
        assert!(!shell.wait().expect("our child").success());
        assert!(done.exists(), "the policy went before the work had ended");
        assert!(!file.exists(), "{} is still there", file.display());
        for file in [begun, done] {
            let _ = fs::remove_file(file);
        }
    }

    #[test]
    fn a_policy_of_ours_is_known_when_its_process_is_gone() {
        let ours = |process: u32| format!("#!/bin/sh\n{MARK}{process}\nexit 101\n");
        assert_eq!(Policy::of(&ours(u32::MAX)), Policy::Stale);
        // The number of a process that is no shell.
        assert_eq!(Policy::of(&ours(std::process::id())), Policy::Stale);
        assert_eq!(Policy::of("#!/bin/sh\nexit 101\n"), Policy::Others, "an operator's");
    }

    #[test]
    fn the_holder_of_a_lock_is_found() {
        let table =
            "1: POSIX  ADVISORY  WRITE 812 fe:00:1311 0 EOF\n2: FLOCK  ADVISORY  WRITE 7 00:19:131 0 EOF\n";
        assert_eq!(holder(table, 1311), Some("812"));
        assert_eq!(holder(table, 131), Some("7"));
        assert_eq!(holder(table, 11), None);
    }
}
