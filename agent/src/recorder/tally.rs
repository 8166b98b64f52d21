//! What the flight recorder has seen since the agent started, in numbers.

use std::time::Duration;

use super::{Record, Spans};
use crate::vrrp::{Instant, Reason, Role, Transition};

/// What is counted of a takeover, from its decision on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The lease was in the map.
    Stored,
    /// The first advertisement was handed to the wire.
    Transmitted,
    /// The first gratuitous ARP was handed to the wire.
    Announced,
    /// The first frame to one of the addresses was accepted.
    Served,
}

impl Stage {
    /// All, in their order.
    pub const ALL: [Self; 4] = [Self::Stored, Self::Transmitted, Self::Announced, Self::Served];

    /// Its name in `/metrics`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Transmitted => "transmitted",
            Self::Announced => "announced",
            Self::Served => "served",
        }
    }
}

/// The numbers of a virtual router.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// By role before, role after, and reason.
    transitions: [[[u64; Reason::ALL.len()]; Role::ALL.len()]; Role::ALL.len()],
    /// By stage, from the decision to it.
    stages: [Spans; Stage::ALL.len()],
    /// Between two adverts of the Active router.
    gaps: Spans,
    /// When the last takeover was decided, until a stage behind its record is reached.
    unannounced: Option<Instant>,
    unserved: Option<Instant>,
}

impl Tally {
    /// Counts a role change, and of a takeover the stages that it has reached.
    pub fn note(&mut self, record: &Record) {
        let Record { transition, stages } = record;
        let Transition { from, to, reason } = *transition;
        self.transitions[from as usize][to as usize][reason as usize] += 1;
        if !transition.is_takeover() {
            return;
        }
        for (stage, reached) in [(Stage::Stored, stages.stored), (Stage::Transmitted, stages.transmitted)] {
            if let Some(reached) = reached {
                self.reach(stage, stages.decided, reached);
            }
        }
        (self.unannounced, self.unserved) = (Some(stages.decided), Some(stages.decided));
    }

    /// The addresses were announced; it is the first time after a takeover that counts.
    pub fn note_announcement(&mut self, at: Instant) {
        if let Some(decided) = self.unannounced.take() {
            self.reach(Stage::Announced, decided, at);
        }
    }

    /// The addresses have been of use since then.
    pub fn note_service(&mut self, since: Instant) {
        if let Some(decided) = self.unserved.take() {
            self.reach(Stage::Served, decided, since);
        }
    }

    /// The Active router has advertised again after `gap`.
    pub fn note_gap(&mut self, gap: Duration) {
        self.gaps.note(gap);
    }

    /// How long the Active router was silent between two adverts.
    pub fn gaps(&self) -> &Spans {
        &self.gaps
    }

    fn reach(&mut self, stage: Stage, decided: Instant, reached: Instant) {
        self.stages[stage as usize].note(reached.saturating_since(decided));
    }

    /// How long takeovers took from their decision to `stage`.
    pub fn stage(&self, stage: Stage) -> &Spans {
        &self.stages[stage as usize]
    }

    /// The role changes that have happened, and how often.
    pub fn transitions(&self) -> impl Iterator<Item = (Transition, u64)> {
        let pairs = Role::ALL.into_iter().flat_map(|from| Role::ALL.map(|to| (from, to)));
        pairs
            .flat_map(|(from, to)| Reason::ALL.map(|reason| Transition { from, to, reason }))
            .map(|change| {
                let Transition { from, to, reason } = change;
                (change, self.transitions[from as usize][to as usize][reason as usize])
            })
            .filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stages;
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_nanos(micros * 1_000)
    }

    fn change(from: Role, to: Role, reason: Reason) -> Record {
        let stages = Stages {
            decided: at(100),
            stored: Some(at(102)),
            transmitted: Some(at(120)),
            ..Stages::default()
        };
        Record { transition: Transition { from, to, reason }, stages }
    }

    /// Count and sum of each stage in us.
    fn stages(tally: &Tally) -> [(u64, u128); 4] {
        Stage::ALL.map(|stage| {
            let spans = tally.stage(stage);
            (spans.by_bound().map(|(_, count)| count).sum(), spans.sum().as_micros())
        })
    }

    #[test]
    fn every_stage_of_a_takeover_counts_once() {
        let mut tally = Tally::default();
        tally.note(&change(Role::Backup, Role::Active, Reason::ActiveDown));
        for micros in [130, 140] {
            tally.note_announcement(at(micros));
            tally.note_service(at(micros + 50));
        }
        assert_eq!(stages(&tally), [(1, 2), (1, 20), (1, 30), (1, 80)]);
    }

    #[test]
    fn what_is_no_takeover_counts_as_a_role_change_only() {
        let mut tally = Tally::default();
        tally.note(&change(Role::Initialize, Role::Active, Reason::Resumed));
        for _ in 0..2 {
            tally.note(&change(Role::Active, Role::Active, Reason::Handover));
        }
        tally.note_announcement(at(130));
        tally.note_service(at(150));
        assert_eq!(stages(&tally), [(0, 0); 4]);
        let counted: Vec<_> = tally
            .transitions()
            .map(|(change, count)| (change.from, change.to, change.reason, count))
            .collect();
        let expected = [
            (Role::Initialize, Role::Active, Reason::Resumed, 1),
            (Role::Active, Role::Active, Reason::Handover, 2),
        ];
        assert_eq!(counted, expected);
    }
}
