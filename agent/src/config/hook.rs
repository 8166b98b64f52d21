//! A `[[hook]]` table, and how programs are written.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::section::{Findings, Key, Section};
use super::{HookConfig, value};
use crate::vrrp::Role;

pub(super) const HOOK: Key =
    Key { name: "hook", remedy: "write [[hook]], with two brackets, above its keys" };

/// A program of the operator's.
pub(super) const EXEC: Key = Key {
    name: "exec",
    remedy: "write program and arguments, such as [\"/usr/local/bin/promote\", \"--now\"]; there is no shell",
};
/// Whose rights it has.
pub(super) const USER: Key = Key {
    name: "user",
    remedy: "write the name of a user, such as \"nobody\"; without it the agent's is taken",
};
const ON: Key = Key { name: "on", remedy: "write some of [\"active\", \"backup\", \"initialize\"]" };
const TIMEOUT_MS: Key = Key { name: "timeout_ms", remedy: "write 10 to 60000" };
const KEYS: [Key; 4] = [EXEC, ON, USER, TIMEOUT_MS];

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The hook that a table spells; what is wrong with it was noted if there is none.
pub(super) fn hook<'a>(table: &'a Spanned<DeValue<'a>>, findings: &mut Findings<'a>) -> Option<HookConfig> {
    let at = table.span().start;
    let table = value::table(table.get_ref())
        .map_err(|wrong| findings.add(at, format!("a hook {wrong}"), HOOK.remedy))
        .ok()?;
    let mut section = Section::open("[[hook]]", &KEYS, table, at, findings);
    let exec = section.required(EXEC, value::program);
    let on = section.optional(ON, Vec::new(), roles);
    let user = section.optional(USER, None, |value| value::name(value).map(Some));
    let patience = section.optional(TIMEOUT_MS, DEFAULT_TIMEOUT, |value| value::millis(value, 10..=60_000));
    Some(HookConfig { exec: exec?, on: on?, user: user?, patience: patience? })
}

fn roles(value: &DeValue<'_>) -> Result<Vec<Role>, String> {
    let words = [("active", Role::Active), ("backup", Role::Backup), ("initialize", Role::Initialize)];
    value::array(value)?.iter().map(|item| value::choice(item.get_ref(), &words)).collect()
}
