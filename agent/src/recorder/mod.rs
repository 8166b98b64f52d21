//! The flight recorder: the last role changes of a virtual router with the time of each stage, in a ring that never
//! grows, and what all of them come to. All stamps are CLOCK_BOOTTIME, the clock of the XDP program.

mod spans;
mod tally;

pub use spans::Spans;
pub use tally::{Stage, Tally};

use std::time::Duration;

use crate::vrrp::{Instant, Transition};

/// Role changes that are kept.
const KEPT: usize = 16;

/// When each stage of a role change was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    /// The last advertisement of another router had arrived.
    pub heard: Option<Instant>,
    /// The last S-BFD answer of the Active router had arrived, which has failed.
    pub answered: Option<Instant>,
    /// The core was asked.
    pub decided: Instant,
    /// The lease was in the map, where XDP sees it.
    pub stored: Option<Instant>,
    /// The first advertisement was handed to the wire.
    pub transmitted: Option<Instant>,
    /// The first gratuitous ARP was handed to the wire.
    pub announced: Option<Instant>,
}

/// A role change and its stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What changed and why.
    pub transition: Transition,
    /// When.
    pub stages: Stages,
}

/// The last records, oldest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recorder {
    records: [Option<Record>; KEPT],
    next: usize,
    tally: Tally,
}

impl Recorder {
    /// Keeps `record` in the place of the oldest.
    pub fn push(&mut self, record: Record) {
        self.tally.note(&record);
        self.records[self.next % KEPT] = Some(record);
        self.next = (self.next + 1) % KEPT;
    }

    /// Notes an announcement: the first one after a role change is its last stage.
    pub fn note_announcement(&mut self, at: Instant) {
        self.tally.note_announcement(at);
        let newest = (self.next + KEPT - 1) % KEPT;
        if let Some(record) = self.records[newest].as_mut() {
            record.stages.announced.get_or_insert(at);
        }
    }

    /// Notes that the addresses have been of use since then, after the last takeover.
    pub fn note_service(&mut self, since: Instant) {
        self.tally.note_service(since);
    }

    /// Notes the time between two adverts of the Active router.
    pub fn note_gap(&mut self, gap: Duration) {
        self.tally.note_gap(gap);
    }

    /// What all of it comes to.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The records, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        let (newer, older) = self.records.split_at(self.next);
        older.iter().chain(newer).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::{Reason, Role};

    #[test]
    fn the_ring_keeps_the_newest_in_order() {
        let mut recorder = Recorder::default();
        let transition = Transition { from: Role::Backup, to: Role::Active, reason: Reason::ActiveDown };
        for nanos in 0..40 {
            let stages = Stages { decided: Instant::from_nanos(nanos), ..Stages::default() };
            recorder.push(Record { transition, stages });
        }
        let kept: Vec<u64> = recorder.iter().map(|record| record.stages.decided.as_nanos()).collect();
        assert_eq!(kept, (24..40).collect::<Vec<u64>>());
    }
}
