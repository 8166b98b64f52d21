//! Answering on the control socket. The answers come from the election thread, which is asked without being held up.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, RwLock, Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::draft_path;
use super::events::Events;
use super::order::Chosen;
use super::protocol::{Event, Request, Response};
use super::status::status;
use crate::clock;
use crate::config::{Config, RouterConfig};
use crate::datapath::Counters;
use crate::driver::{Command, Place, PortSnapshot, Remote, Snapshot};
use crate::engine::{Adjustments, Engine, Filter};
use crate::host::drained::Drained;
use crate::track::Opinions;

/// A request is a short line; whoever sends more is no client of ours.
const LONGEST_REQUEST: u64 = 4096;
/// Clients listened to at once; more wait.
const CLIENTS: usize = 128;
/// Questions answered at once: each is a command for the election thread, whose queue must keep room for others.
const QUESTIONS: usize = 16;
/// Clients that are told of events at once.
const LISTENERS: usize = 16;
/// How long a client may take to say its line. Short, for a crowd that says nothing keeps others waiting that long.
const LINE_PATIENCE: Duration = Duration::from_secs(1);
/// How long a client may take to read ours.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// How long no client is taken when there is no descriptor for one.
pub(super) const DESCRIPTOR_PAUSE: Duration = Duration::from_secs(5);
/// How long the election thread may take to answer before it counts as stuck.
const DRIVER_PATIENCE: Duration = Duration::from_secs(2);

/// One interface as the server knows it.
pub struct ServedPort {
    /// Its name.
    pub interface: String,
    /// The addresses that its adverts come from.
    pub primaries: Vec<IpAddr>,
    /// How XDP runs.
    pub xdp_mode: String,
    /// Receive queues.
    pub queues: u32,
    /// The engine, if it has services.
    pub engine: Option<Arc<Engine>>,
    /// The verdict counters.
    pub counters: Counters,
    /// Its virtual routers, in the driver's order.
    pub routers: Vec<ServedRouter>,
}

/// One virtual router as the server knows it.
pub struct ServedRouter {
    /// As it is configured.
    pub config: RouterConfig,
    /// The MAC that stands for its addresses.
    pub mac: [u8; 6],
}

/// What the answers are made from.
pub struct Server {
    /// The interfaces, in the driver's order.
    pub ports: Vec<ServedPort>,
    /// What the agent runs with.
    pub config: Config,
    /// What the trackers think.
    pub opinions: Opinions,
    /// Who is told what happens.
    pub events: Events,
    /// The election thread.
    pub remote: Remote,
    /// The guardian's process; 0 while there is none that could act.
    pub guardian: AtomicU32,
    /// Whether a drain is to outlast the agent.
    pub drained: Drained,
    /// What the operator has set for backends.
    pub adjustments: Mutex<Adjustments>,
    /// Whether another agent is about to take over: what is ordered now, it would not know of.
    pub restarting: AtomicBool,
    /// Who restarts the agent.
    pub restarts: mpsc::Sender<RestartRequest>,
    /// Shared by whoever is being answered.
    pub answering: RwLock<()>,
}

/// Where the outcome of a restart goes: the process of the next agent, or why there is none.
pub type RestartRequest = oneshot::Sender<Result<u32, String>>;

/// The election thread did not answer in time.
pub(super) const STUCK: &str =
    "the election thread does not answer; its leases lapse: stop baton and start it again";

/// A restart cannot be had now.
pub(crate) const RESTARTING: &str = "the agent is being restarted or stopped already; see `baton status`";

/// Makes the socket, which only the owner and the group of the agent may use, and says where it is until it takes its
/// [place](publish) at `path`: the agent before this one may still serve there.
///
/// # Errors
///
/// The socket cannot be made, or something else is at `path`.
pub fn bind(path: &Path) -> io::Result<(UnixListener, PathBuf)> {
    use std::os::unix::fs::PermissionsExt;
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let draft = draft_path(path);
    remove_if_present(&draft)?;
    let listener = UnixListener::bind(&draft)?;
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o660))?;
    Ok((listener, draft))
}

/// Puts the socket from `draft` to `path`, in the place of one that another agent has left or leaves now.
///
/// # Errors
///
/// The directory cannot be written.
pub fn publish(draft: &Path, path: &Path) -> io::Result<()> {
    std::fs::rename(draft, path)
}

/// Removes the socket of an agent that serves no more, be it at `path` or on the way there.
///
/// # Errors
///
/// The directory cannot be written.
pub fn remove(path: &Path) -> io::Result<()> {
    remove_if_present(&draft_path(path))?;
    remove_if_present(path)
}

fn remove_if_present(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Serves clients until the future is dropped.
pub async fn serve(listener: UnixListener, server: Arc<Server>) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    let turns =
        Arc::new(Turns { questions: Semaphore::new(QUESTIONS), listeners: Semaphore::new(LISTENERS) });
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (server, turns) = (Arc::clone(&server), Arc::clone(&turns));
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, &server, &turns).await {
                        tracing::debug!(%error, "control client");
                    }
                    drop(place);
                });
            }
            // Out of descriptors: wait for clients to go.
            Err(error) => {
                tracing::warn!(%error, "control socket");
                sleep(DESCRIPTOR_PAUSE).await;
            }
        }
    }
}

/// How many may ask and listen.
struct Turns {
    questions: Semaphore,
    listeners: Semaphore,
}

async fn converse(stream: UnixStream, server: &Server, turns: &Turns) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(LONGEST_REQUEST));
    let mut answering = None;
    let response = match timeout(LINE_PATIENCE, reader.read_line(&mut line)).await {
        Ok(read) => {
            read?;
            let turn = turns.questions.acquire().await;
            answering = Some(server.answering.read().await);
            match serde_json::from_str(&line) {
                Ok(request) => match server.answer(request).await {
                    Answer::Line(response) => response,
                    Answer::Lines => {
                        // Nobody waits for their end, not even a restart.
                        drop((turn, answering));
                        return narrate(server, turns, reader.into_inner().into_inner(), writer).await;
                    }
                },
                Err(error) => Response::Error(format!("the request is not understood: {error}")),
            }
        }
        Err(_) => Response::Error(format!("no request came within {LINE_PATIENCE:?}")),
    };
    say(&mut writer, &response).await?;
    drop(answering);
    Ok(())
}

/// Tells a client what is, and then what happens, until it goes.
async fn narrate(
    server: &Server,
    turns: &Turns,
    mut reader: OwnedReadHalf,
    mut writer: OwnedWriteHalf,
) -> io::Result<()> {
    let Ok(_place) = turns.listeners.try_acquire() else {
        let full = format!("{LISTENERS} clients listen to events already; end one of them");
        return say(&mut writer, &Response::Error(full)).await;
    };
    // Before the look at what is, so that nothing is missed between the two.
    let mut listener = server.events.listen();
    let since = clock::now().as_nanos();
    let snapshot = {
        let _turn = turns.questions.acquire().await;
        server.snapshot().await
    };
    let Some(snapshot) = snapshot else { return say(&mut writer, &stuck()).await };
    for event in server.present(&snapshot) {
        say(&mut writer, &event).await?;
    }
    loop {
        tokio::select! {
            event = listener.next() => match event {
                // It is part of what was told first.
                Some(Event::Transition { change, .. }) if change.decided_ns < since => {}
                Some(event) => say(&mut writer, &event).await?,
                None => return Ok(()),
            },
            // It has nothing more to say: that is its end.
            _ = reader.read_u8() => return Ok(()),
        }
    }
}

/// Writes one line.
async fn say(writer: &mut OwnedWriteHalf, what: &impl serde::Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string(what)?;
    text.push('\n');
    timeout(ANSWER_PATIENCE, writer.write_all(text.as_bytes())).await?
}

/// The answer when [the election thread](STUCK) gives none.
pub(super) fn stuck() -> Response {
    Response::Error(STUCK.to_owned())
}

/// How a request is answered.
enum Answer {
    /// With one line.
    Line(Response),
    /// With what is and what happens.
    Lines,
}

impl Server {
    async fn answer(&self, request: Request) -> Answer {
        Answer::Line(match request {
            Request::Status {} => match self.snapshot().await {
                Some(snapshot) => Response::Status(status(self, &snapshot)),
                None => stuck(),
            },
            Request::Engine {} => Response::Engine(self.engines().await),
            Request::Load {} => self.load().await,
            Request::Flows { vip, port, backend, limit } => {
                self.flows(Filter { vip, port, backend }, limit).await
            }
            Request::Trace { flow } => self.trace(flow).await,
            Request::Adjust { pool, address, change } => self.adjust(&pool, address, change).await,
            Request::Events {} => return Answer::Lines,
            Request::Handover { vrid, interface, to } => {
                self.hand_over(Chosen { vrid, interface: interface.as_deref() }, to).await
            }
            Request::Drain {} => self.drain().await,
            Request::Resume {} => self.resume().await,
            Request::Restart {} => self.restart().await,
            Request::Reload {} => self.reload().await,
        })
    }

    /// The virtual routers, each with its place and its interface.
    pub fn routers(&self) -> impl Iterator<Item = (Place, &ServedPort, &ServedRouter)> {
        self.ports.iter().enumerate().flat_map(|(port, served)| {
            let of_port = served.routers.iter().enumerate();
            of_port.map(move |(router, config)| (Place { port, router }, served, config))
        })
    }

    /// The virtual router at `place`, with its interface.
    pub fn served(&self, place: Place) -> Option<(&ServedPort, &ServedRouter)> {
        let port = self.ports.get(place.port)?;
        Some((port, port.routers.get(place.router)?))
    }

    /// Waits until all are answered who have asked.
    pub async fn finish(&self) {
        let _ = timeout(ANSWER_PATIENCE, self.answering.write()).await;
    }

    /// Whether one of the virtual routers at `places` waits for a successor; `None` when the election thread is
    /// [stuck](STUCK).
    pub(super) async fn is_any_leaving(&self, places: &[Place]) -> Option<bool> {
        let (reply, answer) = oneshot::channel();
        self.remote.send(Command::AnyLeaving { routers: places.to_vec(), reply }).ok()?;
        timeout(DRIVER_PATIENCE, answer).await.ok()?.ok()
    }

    /// What the election thread says of itself; `None` when it is [stuck](STUCK).
    pub(super) async fn snapshot(&self) -> Option<Snapshot> {
        let with_room = |port: &ServedPort| PortSnapshot {
            routers: Vec::with_capacity(port.routers.len()),
            ..PortSnapshot::default()
        };
        let into = self.ports.iter().map(with_room).collect();
        let (reply, answer) = oneshot::channel();
        self.remote.send(Command::Status { into, reply }).ok()?;
        timeout(DRIVER_PATIENCE, answer).await.ok()?.ok()
    }
}
