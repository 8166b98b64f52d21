//! Asking a running agent.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::protocol::{Request, Response};

/// The agent answers at once; what takes long says why it does.
const PATIENCE: Duration = Duration::from_secs(5);
/// A handover may take an Advertisement_Interval of 40 s.
const HANDOVER_PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No agent listens.
    #[error("no agent answers at {path}: {source}; is `baton run` running with this configuration?")]
    NoAgent {
        /// The socket.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The agent has taken the question and says nothing.
    #[error("the agent does not answer; is it stopped, or starved of processor time? its leases lapse")]
    Silent,
    /// The conversation broke.
    #[error("asking the agent: {0}")]
    Io(#[from] io::Error),
    /// The answer is not understood: agent and command line are of different versions.
    #[error("the agent's answer is not understood ({0}); is it of another version than this command?")]
    Answer(#[from] serde_json::Error),
}

/// Asks the agent behind the socket at `path`.
///
/// # Errors
///
/// No agent listens, it does not answer in time, or its answer is not understood.
pub fn ask(path: &Path, request: &Request) -> Result<Response, ClientError> {
    let mut stream = UnixStream::connect(path)
        .map_err(|source| ClientError::NoAgent { path: path.display().to_string(), source })?;
    stream.set_read_timeout(Some(match request {
        Request::Status => PATIENCE,
        Request::Handover { .. } => HANDOVER_PATIENCE,
    }))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    let read = BufReader::new(stream).read_line(&mut answer);
    if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
        return Err(ClientError::Silent);
    }
    read?;
    Ok(serde_json::from_str(&answer)?)
}
