//! What a recording says about a move of the VIP.

use super::Host;
use super::recording::{Probe, Recording};

/// Two that own at once answer by turns: one that answers alone for so long is alone.
const ALONE_NS: u64 = 20_000_000;

/// How the client fared around one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The largest distance, in send time, between two consecutive answered probes with a lost one between them; the
    /// distance of the probes when none was lost. (A stall of the prober itself is no outage: see `stall_us`.)
    pub outage_us: u64,
    /// Probes without an answer.
    pub lost_probes: u64,
    /// How long both nodes owned the VIP for certain: from the first answer of the second owner (UDP by the server's
    /// clock, ARP by its arrival) to the last question that the first owner still answered, by when it was *sent*. A
    /// frame that waits in a queue of a stalled CPU proves nothing, so this is a lower bound; 0 if nothing is proved. Where
    /// the VIP went there and back before, it is that of the last move.
    pub overlap_us: u64,
    /// How often the answering node changed from one probe to the next; 1 for a clean move.
    pub flips: u64,
    /// Who answered before the event.
    pub before: Option<Host>,
    /// Who answered last.
    pub after: Option<Host>,
    /// The largest distance between two probes sent: what the prober could not see.
    pub stall_us: u64,
}

impl Outcome {
    /// Whether the VIP went from one node to the other.
    pub fn moved(&self) -> bool {
        self.before.is_some() && self.after.is_some() && self.before != self.after
    }
}

/// Judges the probes sent from `event_ns` (with the last answered one before it) to the end. The last 5 ms are left
/// out: their answers may have been under way when the prober stopped.
pub fn analyse(recording: &Recording, event_ns: u64) -> Outcome {
    let sent = || recording.probes.iter().filter(|probe| probe.sent_ns != 0);
    let end_ns = sent().next_back().map_or(0, |probe| probe.sent_ns.saturating_sub(5_000_000));
    let last_before = sent().rposition_before(event_ns);
    let window: Vec<&Probe> =
        sent().skip(last_before.unwrap_or(0)).take_while(|probe| probe.sent_ns <= end_ns).collect();
    let answered: Vec<&Probe> = window.iter().copied().filter(|probe| probe.is_answered()).collect();

    let story = last_move(&answered);
    let last = &answered[story..];
    // By then the node that the story begins with has the VIP to itself.
    let alone_ns = if story == 0 { event_ns } else { answered[story].sent_ns + ALONE_NS };
    Outcome {
        outage_us: outage_ns(&window, recording.every_ns) / 1000,
        lost_probes: (window.len() - answered.len()) as u64,
        overlap_us: udp_overlap_ns(last).max(arp_overlap_ns(recording, alone_ns)) / 1000,
        flips: answered.windows(2).filter(|pair| pair[0].node != pair[1].node).count() as u64,
        before: answered.first().and_then(|probe| probe.node),
        after: answered.last().and_then(|probe| probe.node),
        stall_us: window.windows(2).map(|pair| pair[1].sent_ns - pair[0].sent_ns).max().unwrap_or(0) / 1000,
    }
}

/// Finds where the story of an event begins.
trait Before {
    fn rposition_before(self, event_ns: u64) -> Option<usize>;
}

impl<'a, I: Iterator<Item = &'a Probe>> Before for I {
    /// The position of the last answered probe that was sent before `event_ns`.
    fn rposition_before(self, event_ns: u64) -> Option<usize> {
        let before = self.enumerate().take_while(|(_, probe)| probe.sent_ns < event_ns);
        before.filter(|(_, probe)| probe.is_answered()).last().map(|(at, _)| at)
    }
}

fn outage_ns(window: &[&Probe], every_ns: u64) -> u64 {
    let (mut longest, mut last_answered, mut lost) = (every_ns, None, false);
    for probe in window {
        if !probe.is_answered() {
            lost = true;
            continue;
        }
        if let (true, Some(last)) = (lost, last_answered) {
            longest = longest.max(probe.sent_ns - last);
        }
        (last_answered, lost) = (Some(probe.sent_ns), false);
    }
    // An outage that never ended lasts at least as long as it was watched.
    match (lost, last_answered, window.last()) {
        (true, Some(last), Some(end)) => longest.max(end.sent_ns - last),
        (true, None, Some(end)) => longest.max(end.sent_ns - window[0].sent_ns),
        (true, _, None) | (false, _, _) => longest,
    }
}

/// Where the story of the last move begins: with the last node but one that had the VIP to itself for a while.
fn last_move(answered: &[&Probe]) -> usize {
    let (mut begun, mut story) = (0, 0);
    for at in 1..answered.len() {
        if answered[at].node != answered[at - 1].node {
            if answered[at - 1].sent_ns - answered[begun].sent_ns > ALONE_NS {
                story = begun;
            }
            begun = at;
        }
    }
    story
}

/// From when a second node had served a probe to when the last one that the first node served was sent.
fn udp_overlap_ns(answered: &[&Probe]) -> u64 {
    let Some(before) = answered.first().map(|probe| probe.node) else {
        return 0;
    };
    let (first, others): (Vec<&Probe>, Vec<&Probe>) = answered.iter().partition(|probe| probe.node == before);
    between(others.iter().map(|probe| probe.server_ns), first.iter().map(|probe| probe.sent_ns))
}

/// From the first answer of a second Ethernet source to the last request that the first source answered, who is the one
/// that answered before `alone_ns`.
fn arp_overlap_ns(recording: &Recording, alone_ns: u64) -> u64 {
    let answers: Vec<_> = recording
        .arps
        .iter()
        .filter(|arp| arp.answers > 0)
        .flat_map(|arp| [(arp.sent_ns, arp.first), (arp.sent_ns, arp.last)])
        .collect();
    let before = answers.iter().take_while(|(sent_ns, _)| *sent_ns < alone_ns).last();
    let Some((_, owner)) = before.or(answers.first()) else {
        return 0;
    };
    let (first, others): (Vec<_>, Vec<_>) = answers
        .iter()
        .filter(|(sent_ns, _)| *sent_ns >= alone_ns)
        .partition(|(_, answer)| answer.source == owner.source);
    between(others.iter().map(|(_, answer)| answer.seen_ns), first.iter().map(|(sent_ns, _)| *sent_ns))
}

/// From the earliest of `second` to the latest of `first`, if that is later.
fn between(second: impl Iterator<Item = u64>, first: impl Iterator<Item = u64>) -> u64 {
    match (second.min(), first.max()) {
        (Some(second), Some(first)) => first.saturating_sub(second),
        (None, _) | (_, None) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::recording::{ArpAnswer, ArpProbe};
    use super::*;

    const EVERY: u64 = 50_000;

    /// One probe per letter, 50 us apart: `a` and `b` answered, `.` lost; then 10 ms of the last letter.
    fn recording(story: &str) -> Recording {
        let tail = story.chars().last().expect("a story");
        let letters = story.chars().chain(std::iter::repeat_n(tail, 200));
        let probes = letters.zip(1..).map(|(letter, at)| {
            let sent_ns = at * EVERY;
            let node = Host::from_name(&letter.to_string());
            let answered_ns = if node.is_some() { sent_ns + 20_000 } else { 0 };
            Probe { sent_ns, answered_ns, server_ns: if node.is_some() { sent_ns + 10_000 } else { 0 }, node }
        });
        Recording { every_ns: EVERY, arp_every_ns: 250_000, probes: probes.collect(), ..Recording::default() }
    }

    #[test]
    fn a_move_without_loss_counts_one_probe_distance() {
        let outcome = analyse(&recording("aaaabbbb"), 3 * EVERY);
        assert_eq!(
            outcome,
            Outcome {
                outage_us: 50,
                lost_probes: 0,
                overlap_us: 0,
                flips: 1,
                before: Some(Host::A),
                after: Some(Host::B),
                stall_us: 50
            }
        );
        assert!(outcome.moved());
    }

    #[test]
    fn the_outage_runs_from_the_last_to_the_next_answered_probe() {
        let outcome = analyse(&recording("aaaa...bbbb"), 3 * EVERY);
        assert_eq!((outcome.outage_us, outcome.lost_probes, outcome.flips), (200, 3, 1));
    }

    #[test]
    fn losses_before_the_event_do_not_count() {
        let outcome = analyse(&recording("a...aaaaabbbb"), 7 * EVERY);
        assert_eq!((outcome.outage_us, outcome.lost_probes), (50, 0));
    }

    #[test]
    fn an_outage_that_never_ends_lasts_to_the_end_of_the_watch() {
        let outcome = analyse(&recording("aaaa......"), 3 * EVERY);
        // 200 probes of tail less the 5 ms that are left out.
        assert_eq!((outcome.outage_us, outcome.moved()), (106 * 50, false));
    }

    #[test]
    fn an_old_owner_that_answers_what_was_asked_after_the_new_one_had_served_overlaps() {
        let outcome = analyse(&recording("aaaababbbb"), 3 * EVERY);
        // The new owner served 10 us after the fifth probe, the old one still the sixth.
        assert_eq!((outcome.overlap_us, outcome.flips, outcome.outage_us), (40, 3, 50));
    }

    #[test]
    fn the_time_between_there_and_back_is_no_overlap() {
        let story = format!("aaaabbbb{}bbbb", "a".repeat(500));
        let outcome = analyse(&recording(&story), 3 * EVERY);
        assert_eq!((outcome.overlap_us, outcome.flips), (0, 3));
        let story = format!("aaaabbbb{}babbbb", "a".repeat(500));
        assert_eq!(analyse(&recording(&story), 3 * EVERY).overlap_us, 40);
    }

    #[test]
    fn nor_is_it_where_arp_was_asked() {
        let mut recording = recording(&format!("aaaa{}aaaa", "b".repeat(500)));
        recording.arps = recording.probes.iter().step_by(5).filter_map(answered_by_one).collect();
        let outcome = analyse(&recording, 3 * EVERY);
        assert_eq!((outcome.overlap_us, outcome.flips), (0, 2));
    }

    /// An ARP request beside `probe`, answered by the same node.
    fn answered_by_one(probe: &Probe) -> Option<ArpProbe> {
        let answer = ArpAnswer { source: probe.node?.mac(), seen_ns: probe.answered_ns };
        Some(ArpProbe { sent_ns: probe.sent_ns, answers: 1, first: answer, last: answer })
    }

    #[test]
    fn a_probe_that_the_old_owner_serves_late_is_no_overlap() {
        let mut recording = recording("aaaabbbb");
        recording.probes[3].server_ns += 3_000_000;
        assert_eq!(analyse(&recording, 3 * EVERY).overlap_us, 0);
    }

    #[test]
    fn arp_shows_two_owners_where_the_switch_hides_one() {
        let mut recording = recording("aaaabbbb");
        let asked = |sent_ns, first: Host, last: Host| {
            let answer = |host: Host| ArpAnswer { source: host.mac(), seen_ns: sent_ns + 10_000 };
            ArpProbe {
                sent_ns,
                answers: 1 + u64::from(first != last),
                first: answer(first),
                last: answer(last),
            }
        };
        let (a, b) = (Host::A, Host::B);
        recording.arps =
            vec![asked(100_000, a, a), asked(350_000, a, b), asked(600_000, b, a), asked(850_000, b, b)];
        assert_eq!(analyse(&recording, 200_000).overlap_us, 240);
        // One request that both answered: the second may have met it in a queue, and owned only later.
        recording.arps.truncate(2);
        assert_eq!(analyse(&recording, 200_000).overlap_us, 0);
    }

    #[test]
    fn a_stall_of_the_prober_is_no_outage() {
        let mut recording = recording("aaaabbbb");
        for probe in &mut recording.probes[4..] {
            probe.sent_ns += 1_000_000;
        }
        let outcome = analyse(&recording, 3 * EVERY);
        assert_eq!((outcome.outage_us, outcome.stall_us), (50, 1050));
    }
}
