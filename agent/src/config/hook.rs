//! A `[[hook]]` table, and the keys of programs.

use std::time::Duration;

use super::HookConfig;
use super::document::Map;
use super::findings::{Findings, Spot};
use super::key::{Key, Table};
use super::section::Section;
use super::shape::{List, Maybe, Number, Tabular, Text, Word};
use super::text::{self, Program};
use crate::vrrp::Role;

pub(super) static HOOK: Key<List<Tabular>> = Key {
    name: "hook",
    meaning: "Programs that are run when a role has changed.",
    remedy: "write [[hook]], with two brackets, above its keys",
    default: Some("[]"),
    shape: List { least: 0, most: usize::MAX, item: "a hook", remedy: None, shape: Tabular(&TABLE) },
};

static TABLE: Table = Table {
    name: "[[hook]]",
    kind: "hook",
    identity: &[("", "exec")],
    keys: &[&EXEC, &ON, &USER, &TIMEOUT_MS],
};

/// What helps where a program is not written as it must be.
pub(super) const EXEC_REMEDY: &str =
    "write program and arguments, such as [\"/usr/local/bin/promote\", \"--now\"]; there is no shell";

static EXEC: Key<Program> = Key {
    name: "exec",
    meaning: "Program and arguments, run without a shell.",
    remedy: EXEC_REMEDY,
    default: None,
    shape: Program,
};
static ON: Key<List<Word<Role>>> = Key {
    name: "on",
    meaning: "The roles for which it is run when they are taken; without any, all.",
    remedy: "write some of [\"active\", \"backup\", \"initialize\"]",
    default: Some("[]"),
    shape: List {
        least: 0,
        most: usize::MAX,
        item: "a role of on",
        remedy: None,
        shape: Word(&[("active", Role::Active), ("backup", Role::Backup), ("initialize", Role::Initialize)]),
    },
};
/// Whose rights a program has.
pub(super) static USER: Key<Maybe<Text<String>>> = Key {
    name: "user",
    meaning: "Whose rights the program has; without it, the agent's user.",
    remedy: "write the name of a user, such as \"nobody\"; without it the agent's is taken",
    default: None,
    shape: Maybe(text::NAME),
};
static TIMEOUT_MS: Key<Number<Duration>> = Key {
    name: "timeout_ms",
    meaning: "After so long it is killed.",
    remedy: "write 10 to 60000",
    default: Some("10000"),
    shape: MILLIS,
};

/// Time for something that is done again and again.
pub(super) const MILLIS: Number<Duration> =
    Number { least: 10, most: 60_000, step: 1, meaning: |millis| Some(Duration::from_millis(millis.into())) };

/// The hook that a table spells; what is wrong with it was noted if there is none.
pub(super) fn hook(table: (Spot, Map), findings: &mut Findings) -> Option<HookConfig> {
    let mut section = Section::open(&TABLE, table, findings);
    let exec = section.read(&EXEC);
    let on = section.read(&ON);
    let user = section.read(&USER);
    let patience = section.read(&TIMEOUT_MS);
    let on = on?.into_iter().map(|(_, role)| role).collect();
    Some(HookConfig { exec: exec?, on, user: user?, patience: patience? })
}
