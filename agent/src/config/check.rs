//! What the backends of a `[[pool]]` must be good for.

use hyper::http::uri::PathAndQuery;

use super::hook::{EXEC_REMEDY, USER};
use super::http;
use super::key::Key;
use super::section::Section;
use super::shape::{Maybe, Text};
use super::text::Program;
use super::{BackendCheck, HttpAnswer};

pub(super) static CHECK: Key<Maybe<Text<BackendCheck>>> = Key {
    name: "check",
    meaning: "What every backend must be good for: a page, by default with a status below 400; a connection; datagrams that are not refused; an ICMP echo.",
    remedy: "write \"http:PORT/PATH\", \"https:PORT/PATH\", \"tcp:PORT\", \"udp:PORT\" or \"ping\", such as check = \"http:80/health\"",
    default: None,
    shape: Maybe(Text { pattern: "^(ping|(tcp|udp):[0-9]+|https?:[0-9]+/.*)$", meaning: check_text }),
};
pub(super) static EXEC: Key<Maybe<Program>> = Key {
    name: "exec",
    meaning: "Program and arguments, run without a shell and with the backend's address as its last argument, that must end with exit code 0.",
    remedy: EXEC_REMEDY,
    default: None,
    shape: Maybe(Program),
};
/// The checks that the table has, the quickest first.
pub(super) fn checks(section: &mut Section<'_>) -> Option<Vec<BackendCheck>> {
    let (check, exec, user) = (section.read(&CHECK), section.read(&EXEC), section.read(&USER).flatten());
    if user.is_some() && !section.has(&EXEC) {
        section.add(section.spot_of(&USER), "user without exec", &EXEC);
    }
    let is_page =
        !matches!(check, Some(None | Some(BackendCheck::Ping | BackendCheck::Tcp(_) | BackendCheck::Udp(_))));
    let expected = http::answer(section, &CHECK, is_page);
    let check = check?.map(|mut check| {
        if let BackendCheck::Http { answer, .. } = &mut check {
            *answer = expected;
        }
        check
    });
    let exec = exec?.map(|words| BackendCheck::Exec { words, user });
    Some(check.into_iter().chain(exec).collect())
}

fn check_text(text: &str) -> Result<BackendCheck, String> {
    if text == "ping" {
        return Ok(BackendCheck::Ping);
    }
    let wrong = || format!("\"{text}\" is no check");
    let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
    let (port, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    match (kind, path.parse::<PathAndQuery>()) {
        ("tcp", _) if path.is_empty() => Ok(BackendCheck::Tcp(port)),
        ("udp", _) if path.is_empty() => Ok(BackendCheck::Udp(port)),
        ("http" | "https", Ok(target)) if !path.is_empty() => {
            let (is_tls, path, answer) = (kind == "https", target.to_string(), HttpAnswer::default());
            Ok(BackendCheck::Http { is_tls, port, path, answer })
        }
        _ => Err(wrong()),
    }
}
