//! What strangers, operators and other versions of the program can say, from any octets: nothing of it makes the agent or a
//! command panic, and what is understood is understood in one way. `tests/fuzz` hunts with these targets, and the suite
//! `fuzz` replays the corpus that is kept there and mutations of it.

mod advert;
mod configuration;
mod control;
mod digest;
mod forward;
mod http;
mod mutation;
mod packet;
mod translate;

pub use advert::advert;
pub use configuration::configuration;
pub use control::{answer, request};
pub use digest::digest;
pub use forward::forward;
pub use http::http;
pub use mutation::mutate;
pub use translate::translate;

/// A target: its name, which is that of its corpus too, and what it does with any octets. It says whether they were understood.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All targets.
pub const TARGETS: [Target; 8] = [
    ("advert", advert),
    ("answer", answer),
    ("configuration", configuration),
    ("digest", digest),
    ("forward", forward),
    ("http", http),
    ("request", request),
    ("translate", translate),
];
