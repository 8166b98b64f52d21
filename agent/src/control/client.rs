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

/// A restart waits for the next agent, and for a handover that is under way.
const RESTART_PATIENCE: Duration = Duration::from_secs(180);

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
    /// The agent has taken the question and closed the connection.
    #[error("the agent ended while it was asked; its log says why")]
    Ended,
    /// The agent does not tell what happens.
    #[error("{0}")]
    Refused(String),
    /// What happens was told to its end.
    #[error(
        "the agent has ended, another has taken its place, or this reader was too slow; ask again to go on"
    )]
    Over,
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
    let answer = hear(&mut say(path, request)?)?.ok_or(ClientError::Ended)?;
    Ok(serde_json::from_str(&answer)?)
}

/// Has the agent behind the socket at `path` tell what happens, and gives each line to `tell` until that says false.
///
/// # Errors
///
/// No agent listens, it does not answer in time, or it has ended.
pub fn listen(path: &Path, mut tell: impl FnMut(&str) -> io::Result<bool>) -> Result<(), ClientError> {
    let mut lines = say(path, &Request::Events {})?;
    while let Some(line) = hear(&mut lines)? {
        // The first one has come in time.
        lines.get_ref().set_read_timeout(None)?;
        if let Ok(Response::Error(message)) = serde_json::from_str(&line) {
            return Err(ClientError::Refused(message));
        }
        if !tell(&line)? {
            return Ok(());
        }
    }
    Err(ClientError::Over)
}

/// Says `request`, and gives what is answered.
fn say(path: &Path, request: &Request) -> Result<BufReader<UnixStream>, ClientError> {
    let mut stream = UnixStream::connect(path)
        .map_err(|source| ClientError::NoAgent { path: path.display().to_string(), source })?;
    stream.set_read_timeout(Some(match request {
        Request::Status {}
        | Request::Engine {}
        | Request::Load {}
        | Request::Flows { .. }
        | Request::Trace { .. }
        | Request::Adjust { .. }
        | Request::Events {}
        | Request::Resume {} => PATIENCE,
        Request::Handover { .. } | Request::Drain {} => HANDOVER_PATIENCE,
        Request::Restart {} | Request::Reload {} => RESTART_PATIENCE,
    }))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    Ok(BufReader::new(stream))
}

/// The next line of the answer; `None` when the agent has closed the connection.
fn hear(lines: &mut BufReader<UnixStream>) -> Result<Option<String>, ClientError> {
    let mut line = String::new();
    match lines.read_line(&mut line).map_err(|error| (error.kind(), error)) {
        Err((io::ErrorKind::WouldBlock, _)) => Err(ClientError::Silent),
        Ok(0) | Err((io::ErrorKind::ConnectionReset, _)) => Ok(None),
        Err((_, error)) => Err(error.into()),
        Ok(_) => Ok(Some(line)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn an_agent_that_ends_while_it_is_asked_is_said_to_have_ended() {
        let path = std::env::temp_dir().join(format!("baton-client-{}.sock", std::process::id()));
        let listener = UnixListener::bind(&path).expect("a socket");
        let agent = std::thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a client");
            let mut question = String::new();
            BufReader::new(stream).read_line(&mut question).expect("a question");
            question
        });
        let answer = ask(&path, &Request::Handover { vrid: Some(51), interface: None, to: None });
        assert!(matches!(answer, Err(ClientError::Ended)), "{answer:?}");
        assert_eq!(
            agent.join().expect("no panic"),
            "{\"command\":\"handover\",\"vrid\":51,\"interface\":null,\"to\":null}\n"
        );
        std::fs::remove_file(path).expect("the socket is there");
    }
}
