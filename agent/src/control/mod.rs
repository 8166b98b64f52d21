//! The control socket: one line of JSON in, one line out, then the connection ends. `protocol` is what is said, `server`
//! answers in the agent: `status` what is so, `events` what happens, on many lines, `order` what is to change; `client` asks from the command line, `render` and
//! `explain` make the answer readable. `engine` does both for the engine, and so do `adjust` for what is set for its backends, `flows` and
//! `trace` for single flows, and `top` for the load. `metrics` is the same for Prometheus, over HTTP.

pub mod adjust;
pub mod client;
pub mod engine;
pub mod events;
pub mod explain;
pub mod flows;
pub mod metrics;
mod order;
pub mod protocol;
pub mod render;
pub mod server;
mod status;
pub mod top;
pub mod trace;

use std::path::{Path, PathBuf};

/// Where the control socket is, for an agent whose runtime directory is `directory`.
pub fn socket_path(directory: &Path) -> PathBuf {
    directory.join("control.sock")
}

/// Where it is made, before it takes its place.
fn draft_path(socket: &Path) -> PathBuf {
    socket.with_extension("sock.new")
}
