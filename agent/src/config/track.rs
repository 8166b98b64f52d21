//! A `[[track]]` table.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use super::document::Map;
use super::findings::{Findings, Spot};
use super::hook::{EXEC_REMEDY, MILLIS, USER};
use super::http::{self, BODY, STATUS};
use super::key::{Key, Table};
use super::section::Section;
use super::shape::{List, Maybe, Number, Tabular, Text};
use super::text::{self, Program};
use super::{Check, HttpTarget, TrackerConfig};

pub(super) static TRACK: Key<List<Tabular>> = Key {
    name: "track",
    meaning: "What virtual routers depend on; in order when all of its checks are.",
    remedy: "write [[track]], with two brackets, above its keys",
    default: Some("[]"),
    shape: List { least: 0, most: usize::MAX, item: "a tracker", remedy: None, shape: Tabular(&TABLE) },
};

static TABLE: Table = Table {
    name: "[[track]]",
    kind: "track",
    identity: &[("", "name")],
    keys: &[
        &NAME,
        &PROCESS,
        &CARRIER,
        &PING,
        &TCP,
        &UDP,
        &HTTP,
        &STATUS,
        &BODY,
        &FILE,
        &EXEC,
        &USER,
        &INTERVAL_MS,
        &TIMEOUT_MS,
        &RISE,
        &FALL,
        &WEIGHT,
    ],
};

static NAME: Key<Text<String>> = Key {
    name: "name",
    meaning: "What [[router]] tables call it.",
    remedy: "write a name for routers to refer to, such as name = \"nginx\"",
    default: None,
    shape: text::NAME,
};
static PROCESS: Key<Maybe<Text<PathBuf>>> = Key {
    name: "process",
    meaning: "The PID file of a process that must run.",
    remedy: "write the path of its PID file, such as \"/run/mysqld/mysqld.pid\"",
    default: None,
    shape: Maybe(text::PATH),
};
static CARRIER: Key<Maybe<Text<String>>> = Key {
    name: "carrier",
    meaning: "Another interface that must have a carrier.",
    remedy: "write the name that `ip link` shows, such as carrier = \"eth1\"",
    default: None,
    shape: Maybe(text::INTERFACE),
};
static PING: Key<Maybe<Text<IpAddr>>> = Key {
    name: "ping",
    meaning: "Address that must answer ICMP echo requests.",
    remedy: "write an address, such as \"192.0.2.254\"; names are not looked up",
    default: None,
    shape: Maybe(text::ADDRESS),
};
static TCP: Key<Maybe<Text<SocketAddr>>> = Key {
    name: "tcp",
    meaning: "Address and port that must take connections.",
    remedy: "write address and port, such as \"127.0.0.1:3306\"; names are not looked up",
    default: None,
    shape: Maybe(text::SOCKET_ADDRESS),
};
static UDP: Key<Maybe<Text<SocketAddr>>> = Key {
    name: "udp",
    meaning: "Address and port that must not refuse datagrams.",
    remedy: "write address and port, such as \"192.0.2.1:53\"; names are not looked up",
    default: None,
    shape: Maybe(text::SOCKET_ADDRESS),
};
static HTTP: Key<Maybe<Text<HttpTarget>>> = Key {
    name: "http",
    meaning: "URL with an address that must answer, by default with a status below 400.",
    remedy: "write a URL with an address, such as \"http://127.0.0.1:80/\"; names are not looked up",
    default: None,
    shape: Maybe(http::URL),
};
static FILE: Key<Maybe<Text<PathBuf>>> = Key {
    name: "file",
    meaning: "A file that must hold 0, or nothing, or not be there.",
    remedy: "write an absolute path, such as \"/run/maintenance\"",
    default: None,
    shape: Maybe(text::PATH),
};
static EXEC: Key<Maybe<Program>> = Key {
    name: "exec",
    meaning: "Program and arguments, run without a shell, that must end with exit code 0.",
    remedy: EXEC_REMEDY,
    default: None,
    shape: Maybe(Program),
};
static INTERVAL_MS: Key<Number<Duration>> = Key {
    name: "interval_ms",
    meaning: "From one look to the next.",
    remedy: "write 10 to 60000",
    default: Some("200"),
    shape: MILLIS,
};
static TIMEOUT_MS: Key<Number<Duration>> = Key {
    name: "timeout_ms",
    meaning: "How long a look may take.",
    remedy: "write 10 to 60000",
    default: Some("500"),
    shape: MILLIS,
};
static RISE: Key<Number<NonZeroU8>> = Key {
    name: "rise",
    meaning: "Good looks in a row after which it is in order again.",
    remedy: "write how many good looks in a row it takes, 1 to 255",
    default: Some("2"),
    shape: LOOKS,
};
static FALL: Key<Number<NonZeroU8>> = Key {
    name: "fall",
    meaning: "Bad looks in a row after which it is failing.",
    remedy: "write how many bad looks in a row it takes, 1 to 255",
    default: Some("2"),
    shape: LOOKS,
};
static WEIGHT: Key<Maybe<Number<u8>>> = Key {
    name: "weight",
    meaning: "What a failure takes from the priority; without it a failure hands over.",
    remedy: "write what a failure takes from the priority, 1 to 254, or leave it out: a failure hands the router over then",
    default: None,
    shape: Maybe(Number { least: 1, most: 254, step: 1, meaning: |weight| u8::try_from(weight).ok() }),
};

pub(super) const LOOKS: Number<NonZeroU8> =
    Number { least: 1, most: 255, step: 1, meaning: |looks| NonZeroU8::new(u8::try_from(looks).ok()?) };

/// The tracker that a table spells; what is wrong with it was noted if there is none.
pub(super) fn tracker(table: (Spot, Map), findings: &mut Findings) -> Option<TrackerConfig> {
    let mut section = Section::open(&TABLE, table, findings);
    let name = section.read(&NAME);
    let checks = checks(&mut section);
    let interval = section.read(&INTERVAL_MS);
    let patience = section.read(&TIMEOUT_MS);
    let rise = section.read(&RISE);
    let fall = section.read(&FALL);
    let weight = section.read(&WEIGHT);
    Some(TrackerConfig {
        name: name?,
        checks: checks?,
        interval: interval?,
        patience: patience?,
        rise: rise?,
        fall: fall?,
        weight: weight?,
    })
}

/// The checks that the table has, the quickest first.
fn checks(section: &mut Section<'_>) -> Option<Vec<Check>> {
    let user = section.read(&USER).flatten();
    if user.is_some() && !section.has(&EXEC) {
        section.add(section.spot_of(&USER), "user without exec", &EXEC);
    }
    let exec = |words| Check::Exec { words, user };
    let answer = http::answer(section, &HTTP, section.has(&HTTP));
    let page = |target: HttpTarget| Check::Http(HttpTarget { answer, ..target });
    let given = [
        section.read(&PROCESS).map(|path| path.map(Check::Process)),
        section.read(&CARRIER).map(|interface| interface.map(Check::Carrier)),
        section.read(&FILE).map(|path| path.map(Check::File)),
        section.read(&PING).map(|address| address.map(Check::Ping)),
        section.read(&TCP).map(|address| address.map(Check::Tcp)),
        section.read(&UDP).map(|address| address.map(Check::Udp)),
        section.read(&HTTP).map(|target| target.map(page)),
        section.read(&EXEC).map(|words| words.map(exec)),
    ];
    // A mistake in one of them was noted.
    let given: Option<Vec<Option<Check>>> = given.into_iter().collect();
    let checks: Vec<Check> = given?.into_iter().flatten().collect();
    if checks.is_empty() {
        return section.complain(
            "nothing to look at",
            "write process, carrier, ping, tcp, udp, http, file or exec, or several of them",
        );
    }
    Some(checks)
}
