//! `baton events`: what an agent is, and what happens to it from then on.

use tokio::sync::broadcast::{self, error::RecvError};

use super::protocol::Event;
use super::server::{ServedRouter, Server};
use super::status::{millis, peer_status, tracker_status, transition_status};
use crate::clock;
use crate::driver::{self, News, Snapshot};
use crate::track::State;

/// Events that a reader may be behind, at the least, and of each virtual router: all may move at once.
const BACKLOG: usize = 256;
const BACKLOG_OF_ROUTER: usize = 4;

/// Where events go, whether somebody listens or not.
#[derive(Debug)]
pub struct Events(broadcast::Sender<Event>);

impl Events {
    /// For what happens to so many virtual routers.
    pub fn of(routers: usize) -> Self {
        Self(broadcast::Sender::new(BACKLOG.max(BACKLOG_OF_ROUTER * routers)))
    }

    /// Tells all who listen.
    fn tell(&self, event: Event) {
        // Perhaps nobody does.
        let _ = self.0.send(event);
    }

    /// Listens from here on.
    pub(super) fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

/// Somebody who listens.
pub(super) struct Listener(broadcast::Receiver<Event>);

impl Listener {
    /// The next event; `None` when there will be none.
    pub(super) async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(events)) => Some(Event::Lost { events }),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Server {
    /// Tells those who listen what the election thread reports.
    pub fn tell(&self, event: &driver::Event) {
        let Some((port, ServedRouter { config, .. })) = self.served(event.place) else { return };
        let (interface, vrid, now) = (port.interface.clone(), config.vrid.get(), clock::now());
        let family = config.family().name().to_owned();
        self.events.tell(match &event.news {
            News::Transition { record, epoch } => Event::Transition {
                interface,
                vrid,
                family,
                epoch: *epoch,
                change: transition_status(record, now),
            },
            News::Peer(peer) => Event::Peer { interface, vrid, family, peer: peer_status(peer, now) },
            News::LongSilence { peer, gap } => {
                Event::LongSilence { interface, vrid, family, peer: *peer, gap_ms: millis(*gap) }
            }
            News::FalseAlarm { peer, wait } => {
                Event::FalseAlarm { interface, vrid, family, peer: *peer, wait_ms: millis(*wait) }
            }
        });
    }

    /// Tells them what the trackers think, until this is dropped.
    pub async fn tell_of_trackers(&self) {
        let mut opinions = self.opinions.clone();
        let mut told = vec![State::Unknown; self.config.trackers.len()];
        loop {
            let states = opinions.borrow_and_update().clone();
            for ((tracker, state), told) in self.config.trackers.iter().zip(states).zip(&mut told) {
                if *told != state {
                    self.events.tell(Event::Tracker(tracker_status(tracker, &state)));
                    *told = state;
                }
            }
            if opinions.changed().await.is_err() {
                return;
            }
        }
    }

    /// What is so now, as events.
    pub(super) fn present(&self, snapshot: &Snapshot) -> Vec<Event> {
        let routers = self.ports.iter().zip(&snapshot.ports).flat_map(|(port, seen)| {
            port.routers.iter().zip(&seen.routers).map(|(served, router)| Event::State {
                interface: port.interface.clone(),
                vrid: served.config.vrid.get(),
                family: served.config.family().name().to_owned(),
                role: router.role.to_string(),
                epoch: router.epoch,
            })
        });
        let opinions = self.opinions.borrow();
        let trackers = self.config.trackers.iter().zip(opinions.iter());
        routers
            .chain(trackers.map(|(tracker, state)| Event::Tracker(tracker_status(tracker, state))))
            .collect()
    }
}
