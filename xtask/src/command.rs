//! Running other programs: every step is printed before it is taken.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

/// A program with its arguments.
pub(crate) fn command<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// This cargo, in the root of the workspace.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    command(env!("CARGO"), args)
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(PathBuf::from).unwrap_or(manifest)
}

/// A program that `cargo xtask build` or another verb has put into the release directory.
pub(crate) fn built(name: &str) -> PathBuf {
    release_directory().join(name)
}

/// Where release builds go.
pub(crate) fn release_directory() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root().join(target).join("release")
}

/// Prints a line. A reader that has gone (`cargo xtask lab up | head`) must not end the work half done.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints the command and runs it to its end.
pub(crate) fn step(command: &mut Command) -> anyhow::Result<()> {
    say(format_args!("+ {}", spelled(command)));
    let status = command.status().with_context(|| format!("running {}", spelled(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", spelled(command));
    }
    Ok(())
}

/// Prints the command and becomes it, so that signals and exit codes are its own.
pub(crate) fn become_command(command: &mut Command) -> anyhow::Result<()> {
    say(format_args!("+ {}", spelled(command)));
    let error = command.exec();
    Err(error).with_context(|| format!("running {}", spelled(command)))
}

/// The command as one would type it in a shell.
pub(crate) fn spelled(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), value?.to_string_lossy())));
    let program =
        std::path::Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    let words = command.get_args().map(|word| {
        let word = word.to_string_lossy();
        // The shell's own variables, which setup prints, are left to the shell.
        if word.contains(char::is_whitespace) { quoted(&word) } else { word.into_owned() }
    });
    variables.chain([program.into_owned()]).chain(words).collect::<Vec<_>>().join(" ")
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    uids.split_whitespace().nth(1) == Some("0")
}

/// Fails when this process is not root, with the command that is to be typed instead.
pub(crate) fn need_root(what: &str) -> anyhow::Result<()> {
    if !is_root() {
        let words = std::env::args().skip(1).map(|word| quoted(&word));
        let call =
            ["cargo".to_owned(), "xtask".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ");
        // sudo's own PATH has no cargo where rustup has put it.
        bail!(
            "{what} needs root (network namespaces, BPF): `sudo -E env \"PATH=$PATH\" {call}`, or `{call}` as root"
        );
    }
    Ok(())
}

/// The word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reads_in_a_shell_as_what_it_is() {
        for (word, text) in [
            ("--rounds=3", "--rounds=3"),
            ("", "''"),
            ("ip a", "'ip a'"),
            ("it's", "'it'\\''s'"),
            ("$HOME", "'$HOME'"),
        ] {
            assert_eq!(quoted(word), text);
        }
    }
}
