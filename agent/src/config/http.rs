//! The keys of requests to web servers, which trackers and pools share.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use hyper::Uri;
use serde_json::{Value as Json, json};

use super::document::Node;
use super::findings::Findings;
use super::key::Key;
use super::section::Section;
use super::shape::{Called, List, Maybe, Number, Shape, Text};
use super::{HttpAnswer, HttpTarget};

/// A URL with an address.
pub(super) const URL: Text<HttpTarget> = Text { pattern: "^https?://", meaning: url };

pub(super) static STATUS: Key<Maybe<List<Statuses>>> = Key {
    name: "status",
    meaning: "The statuses, or ranges of them, that http may answer with; without it, those from 200 to 399.",
    remedy: "write statuses from 100 to 599 and ranges, such as status = [200, \"300-399\"]",
    default: None,
    shape: Maybe(List { least: 1, most: 100, item: "a status", remedy: None, shape: Statuses }),
};
pub(super) static BODY: Key<Maybe<Text<String>>> = Key {
    name: "body",
    meaning: "What the page of http must have within its first 64 KiB, letter by letter.",
    remedy: "write a part of the page, such as body = \"ready\"",
    default: None,
    shape: Maybe(Text {
        pattern: "^.+$",
        meaning: |text| if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) },
    }),
};

/// What web servers are to answer by the table. It `is_asked` where there is a request, which is a matter of `key`.
pub(super) fn answer<S>(section: &mut Section<'_>, key: &Key<S>, is_asked: bool) -> HttpAnswer {
    let (statuses, body) = (section.read(&STATUS).flatten(), section.read(&BODY).flatten());
    if !is_asked && (section.has(&STATUS) || section.has(&BODY)) {
        let at = if section.has(&STATUS) { section.spot_of(&STATUS) } else { section.spot_of(&BODY) };
        section.add(at, "status or body without a request to a web server", key);
    }
    let statuses = statuses.map(|statuses| statuses.into_iter().map(|(_, statuses)| statuses).collect());
    HttpAnswer { statuses: statuses.unwrap_or(HttpAnswer::default().statuses), body }
}

/// A status, or a range of them.
pub(super) struct Statuses;

impl Shape for Statuses {
    type Meaning = RangeInclusive<u16>;

    fn read(&self, node: &Node, called: Called, findings: &mut Findings) -> Option<Self::Meaning> {
        match node.value.text() {
            Ok(text) if text.contains('-') => {
                let wrong = || format!("\"{text}\" is no range from 100 to 599");
                called.noted(range(text).ok_or_else(wrong), node, findings)
            }
            Ok(_) | Err(_) => ONE.read(node, called, findings),
        }
    }

    fn schema(&self) -> Json {
        json!({ "anyOf": [ONE.schema(), { "type": "string", "pattern": "^[0-9]+-[0-9]+$" }] })
    }
}

const ONE: Number<RangeInclusive<u16>> = Number {
    least: 100,
    most: 599,
    step: 1,
    meaning: |status| u16::try_from(status).ok().map(|status| status..=status),
};

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-')?;
    let range: RangeInclusive<u16> = first.parse().ok()?..=last.parse().ok()?;
    (*range.start() >= 100 && *range.end() <= 599 && !range.is_empty()).then_some(range)
}

fn url(text: &str) -> Result<HttpTarget, String> {
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
    Ok(HttpTarget { is_tls, address, authority: host.to_owned(), path, answer: HttpAnswer::default() })
}
