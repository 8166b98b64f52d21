//! A `[[track]]` table.

use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use hyper::Uri;
use toml::Spanned;
use toml::de::DeValue;

use super::hook::{EXEC, USER};
use super::section::{Findings, Key, Section};
use super::{Check, HttpTarget, TrackerConfig, value};

pub(super) const TRACK: Key =
    Key { name: "track", remedy: "write [[track]], with two brackets, above its keys" };

const NAME: Key =
    Key { name: "name", remedy: "write a name for routers to refer to, such as name = \"nginx\"" };
const PROCESS: Key =
    Key { name: "process", remedy: "write the path of its PID file, such as \"/run/mysqld/mysqld.pid\"" };
const CARRIER: Key =
    Key { name: "carrier", remedy: "write the name that `ip link` shows, such as carrier = \"eth1\"" };
const TCP: Key = Key {
    name: "tcp",
    remedy: "write address and port, such as \"127.0.0.1:3306\"; names are not looked up",
};
const HTTP: Key = Key {
    name: "http",
    remedy: "write a URL with an address, such as \"http://127.0.0.1:80/\"; names are not looked up",
};
const FILE: Key = Key { name: "file", remedy: "write an absolute path, such as \"/run/maintenance\"" };
const INTERVAL_MS: Key = Key { name: "interval_ms", remedy: "write 10 to 60000" };
const TIMEOUT_MS: Key = Key { name: "timeout_ms", remedy: "write 10 to 60000" };
const RISE: Key = Key { name: "rise", remedy: "write how many good looks in a row it takes, 1 to 255" };
const FALL: Key = Key { name: "fall", remedy: "write how many bad looks in a row it takes, 1 to 255" };
const WEIGHT: Key = Key {
    name: "weight",
    remedy: "write what a failure takes from the priority, 1 to 254, or leave it out: a failure hands the router over then",
};
const KEYS: [Key; 13] =
    [NAME, PROCESS, CARRIER, TCP, HTTP, FILE, EXEC, USER, INTERVAL_MS, TIMEOUT_MS, RISE, FALL, WEIGHT];

const DEFAULT_INTERVAL: Duration = Duration::from_millis(200);
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(500);
const DEFAULT_LOOKS: u8 = 2;

/// The tracker that a table spells; what is wrong with it was noted if there is none.
pub(super) fn tracker<'a>(
    table: &'a Spanned<DeValue<'a>>,
    findings: &mut Findings<'a>,
) -> Option<TrackerConfig> {
    let at = table.span().start;
    let table = value::table(table.get_ref())
        .map_err(|wrong| findings.add(at, format!("a tracker {wrong}"), TRACK.remedy))
        .ok()?;
    let mut section = Section::open("[[track]]", &KEYS, table, at, findings);
    let name = section.required(NAME, value::name);
    let checks = checks(&mut section);
    let millis = |value: &DeValue<'_>| value::millis(value, 10..=60_000);
    let interval = section.optional(INTERVAL_MS, DEFAULT_INTERVAL, millis);
    let patience = section.optional(TIMEOUT_MS, DEFAULT_TIMEOUT, millis);
    let looks = |value: &DeValue<'_>| value::octet(value, 1..=255);
    let rise = section.optional(RISE, DEFAULT_LOOKS, looks).and_then(NonZeroU8::new);
    let fall = section.optional(FALL, DEFAULT_LOOKS, looks).and_then(NonZeroU8::new);
    let weight = section.optional(WEIGHT, None, |value| value::octet(value, 1..=254).map(Some));
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
fn checks(section: &mut Section<'_, '_>) -> Option<Vec<Check>> {
    let user = section.optional(USER, None, |value| value::name(value).map(Some)).flatten();
    if user.is_some() && !section.has(EXEC) {
        let at = section.place(USER);
        section.add(at, "user without exec".to_owned(), EXEC);
    }
    let exec = |words| Check::Exec { words, user };
    let given = [
        section.optional(PROCESS, None, |value| Ok(Some(Check::Process(value::absolute(value)?)))),
        section.optional(CARRIER, None, |value| Ok(Some(Check::Carrier(value::interface(value)?)))),
        section.optional(FILE, None, |value| Ok(Some(Check::File(value::absolute(value)?)))),
        section.optional(TCP, None, |value| Ok(Some(Check::Tcp(value::socket_address(value)?)))),
        section.optional(HTTP, None, |value| Ok(Some(Check::Http(url(value)?)))),
        section.optional(EXEC, None, |value| value::program(value).map(exec).map(Some)),
    ];
    // A mistake in one of them was noted.
    let given: Option<Vec<Option<Check>>> = given.into_iter().collect();
    let checks: Vec<Check> = given?.into_iter().flatten().collect();
    if checks.is_empty() {
        return section.complain(
            "nothing to look at",
            "write process, carrier, tcp, http, file or exec, or several of them",
        );
    }
    Some(checks)
}

fn url(value: &DeValue<'_>) -> Result<HttpTarget, String> {
    let text = value::text(value)?;
    let wrong = || format!("\"{text}\" is not an http:// or https:// URL with an address");
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let (is_tls, port) = match uri.scheme_str() {
        Some("http") => (false, 80),
        Some("https") => (true, 443),
        Some(_) | None => return Err(wrong()),
    };
    let authority = uri.authority().ok_or_else(wrong)?;
    // With a port that is none, or somebody's name before it, it is neither of the two.
    let host = authority.as_str();
    let alone = || Some(SocketAddr::new(host.trim_matches(['[', ']']).parse().ok()?, port));
    let address = host.parse().ok().or_else(alone).ok_or_else(wrong)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(HttpTarget { is_tls, address, authority: host.to_owned(), path })
}
