//! The initiator, fed by hand: a probe at a time, answered or not.

use std::time::Duration;

use baton_common::sbfd::{Answer, FINAL, STATE_UP};

use super::{Peers, Probe, Profile, Spoken, Step, Watch, has_given_way};
use crate::vrrp::{Failure, Instant, Interval, Standing};

/// When and where the peer has last advertised.
const NEVER: Instant = Instant::from_nanos(0);
const MAC: [u8; 6] = [2; 6];
const TICK: Duration = Profile::FAST.interval;
/// When the sessions begin whose first probes are due at 1 s.
const BEGUN: Instant = ms(980);

const fn ms(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

/// A watch of a peer with one session about router 0, whose discriminator is 7; its first probe is due at 1 s.
fn watch() -> Watch<u8> {
    let mut watch = Watch::new(2, Profile::FAST, 4);
    watch.begin_session(0, 7, MAC, BEGUN);
    watch
}

#[test]
fn many_links_share_the_probes_of_one_by_the_fastest_profile() {
    let interval = |profile: Profile, links| profile.among(links).interval.as_micros();
    assert_eq!([1, 2, 4, 8].map(|links| interval(Profile::FAST, links)), [100, 100, 200, 400]);
    assert_eq!([1, 2].map(|links| interval(Profile::FASTEST, links)), [50, 100]);
    assert_eq!(interval(Profile::RELAXED, 8), 500);
    let patience = |profile: Profile| (profile.patience, profile.multiplier);
    assert_eq!(patience(Profile::FAST.among(8)), patience(Profile::FAST));
}

/// The probe that is due at `now`.
fn probe(watch: &mut Watch<u8>, now: Instant) -> Probe {
    match watch.poll(now, || NEVER, |_| true) {
        Some(Step::Probe(probe)) => probe,
        other => panic!("{other:?} instead of a probe"),
    }
}

fn answer(probe: &Probe, state: u8, next_in_line: bool) -> Answer {
    Answer {
        arrived_ns: ms(1000).as_nanos(),
        sequence: probe.sequence,
        discriminator: probe.discriminator,
        required_min_rx_us: 50,
        state,
        next_in_line: next_in_line.into(),
        ..Answer::default()
    }
}

/// A watch whose session is Up, and the time of its next probe.
fn up() -> (Watch<u8>, Instant) {
    let mut watch = watch();
    let first = probe(&mut watch, ms(1000));
    assert_eq!(watch.hear(0, &answer(&first, STATE_UP, false), NEVER, ms(1000)), None);
    (watch, ms(1001))
}

/// Sends probes, `answered` or not, from `now` on, and answers with the time behind the last and what came out of it.
fn ticks(watch: &mut Watch<u8>, mut now: Instant, answered: &[bool], sound: bool) -> (Instant, Option<Step>) {
    let mut last = None;
    for answered in answered {
        last = watch.poll(now, || NEVER, |_| sound);
        if watch.take_doubt() {
            watch.stall_question = Some(1);
        }
        if let Some(Step::Probe(probe)) = last
            && *answered
        {
            assert_eq!(watch.hear(0, &answer(&probe, STATE_UP, true), NEVER, now), None);
        }
        now = now + TICK;
    }
    (now, last)
}

/// T-113: one probe when the way has settled, and then not more than one in 750 ms.
#[test]
fn a_session_that_is_down_is_probed_slowly() {
    let mut watch = watch();
    assert_eq!(watch.deadline(), Some(ms(1000)));
    let first = probe(&mut watch, ms(1000));
    assert_eq!((first.up, first.poll, first.interval), (false, false, Duration::from_secs(1)));
    assert_eq!(watch.poll(ms(1749), || NEVER, |_| true), None);
    assert!((ms(1750)..=ms(2000)).contains(&watch.deadline().expect("a probe is due")));
}

#[test]
fn a_peer_that_never_answers_is_asked_ever_more_rarely() {
    let mut watch = watch();
    let mut gaps = Vec::new();
    for _ in 0..9 {
        let due = watch.deadline().expect("a probe is due");
        probe(&mut watch, due);
        gaps.push(watch.deadline().expect("another is due").saturating_since(due).as_secs_f64());
    }
    for (gap, most) in gaps.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 64.0, 64.0]) {
        assert!((0.75 * most..=most).contains(gap), "{gap} of {most}");
    }
}

/// T-114.
#[test]
fn the_first_answer_that_says_up_makes_the_probes_fast() {
    let (mut watch, now) = up();
    assert_eq!(watch.deadline(), Some(ms(1000)), "at once: a time long past would be told as lateness");
    let fast = probe(&mut watch, now);
    let patience = Profile::FAST.patience;
    assert_eq!((fast.up, fast.poll, fast.interval, fast.multiplier), (true, true, patience, 3));
    let due = watch.deadline().expect("a probe is due").saturating_since(now);
    assert!((patience * 3 / 4..=patience).contains(&due), "{due:?}");
}

/// RFC 5880 6.8.3.
#[test]
fn the_poll_ends_with_the_first_final() {
    let (mut watch, now) = up();
    let polling = probe(&mut watch, now);
    watch.hear(0, &answer(&polling, STATE_UP, false), NEVER, now);
    let still = probe(&mut watch, now + TICK);
    assert!(still.poll);
    watch.hear(0, &answer(&still, STATE_UP | FINAL, false), NEVER, now + TICK);
    assert!(!probe(&mut watch, now + TICK * 2).poll);
}

/// T-115.
#[test]
fn probes_are_no_faster_than_the_peer_can_take() {
    let (mut watch, now) = up();
    let fast = probe(&mut watch, now);
    watch.hear(0, &Answer { required_min_rx_us: 250, ..answer(&fast, STATE_UP, false) }, NEVER, now);
    assert_eq!(probe(&mut watch, now + TICK).interval, Duration::from_micros(250));
    let due = watch.deadline().expect("a probe is due").saturating_since(now + TICK);
    assert!(due >= Duration::from_micros(187), "{due:?}");
}

/// T-116: the third of three.
#[test]
fn as_many_missing_answers_as_the_multiplier_says_and_the_peer_is_unreachable() {
    let (mut watch, now) = up();
    let (now, last) = ticks(&mut watch, now, &[true, true, false, false, false, false], true);
    assert_eq!(last, Some(Step::Unreachable));
    assert_eq!(watch.fail(now), Some((0, true)));
    assert_eq!(watch.fail(now), None);
    assert!(watch.poll(now, || NEVER, |_| true).is_none(), "it is left alone for a second");
}

#[test]
fn an_answer_in_between_begins_the_count_anew() {
    let (mut watch, now) = up();
    let answered = [true, false, false, true, false, false, true];
    let (_, last) = ticks(&mut watch, now, &answered, true);
    assert!(matches!(last, Some(Step::Probe(_))), "{last:?}");
}

/// T-120: however long the caller was away, that is one miss.
#[test]
fn a_stalled_caller_convicts_nobody() {
    let (mut watch, now) = up();
    let (now, _) = ticks(&mut watch, now, &[true, false], true);
    let later = now + Duration::from_millis(50);
    assert!(matches!(watch.poll(later, || NEVER, |_| true), Some(Step::Probe(_))));
}

/// A miss that this thread was late to notice does not count, and the CPUs are asked anew.
#[test]
fn a_doubt_that_was_slept_through_takes_fresh_misses() {
    let (mut watch, now) = up();
    let (now, _) = ticks(&mut watch, now, &[true, false, false], true);
    assert_eq!(watch.stall_question, Some(1));
    let later = now + TICK * 3;
    assert!(matches!(watch.poll(later, || NEVER, |_| true), Some(Step::Probe(_))));
    assert_eq!((watch.vetoed, watch.stall_question, watch.take_doubt()), (1, None, true));
    let (now, last) = ticks(&mut watch, later + TICK, &[false], true);
    assert!(matches!(last, Some(Step::Probe(_))), "{last:?}");
    assert_eq!(watch.poll(now, || NEVER, |_| true), Some(Step::Unreachable));
}

/// The advertisement came after the first probe that was not answered.
#[test]
fn a_peer_that_advertises_is_alive() {
    let (mut watch, now) = up();
    let (now, _) = ticks(&mut watch, now, &[true, false, false, false], true);
    assert!(matches!(watch.poll(now, || now, |_| true), Some(Step::Probe(_))));
    // One that came before proves nothing.
    let (mut watch, begin) = up();
    let (now, _) = ticks(&mut watch, begin, &[true, false, false, false], true);
    assert_eq!(watch.poll(now, || begin, |_| true), Some(Step::Unreachable));
}

#[test]
fn misses_do_not_count_while_this_host_is_stalled() {
    let (mut watch, now) = up();
    let (now, last) = ticks(&mut watch, now, &[true, false, false, false, false, false], false);
    assert!(matches!(last, Some(Step::Probe(_))), "{last:?}");
    assert_eq!((watch.missed, watch.vetoed), (4, 2));
    // Afterwards it takes a fresh one.
    let (_, last) = ticks(&mut watch, now, &[false], true);
    assert_eq!(last, Some(Step::Unreachable));
}

/// T-117, RFC 7880 7.3.3: told once, and left alone for a second.
#[test]
fn a_peer_that_says_admin_down_is_out_of_service() {
    let (mut watch, now) = up();
    let fast = probe(&mut watch, now);
    let down = answer(&fast, 0, true);
    assert_eq!(watch.hear(0, &down, NEVER, now), Some(Failure::OutOfService));
    assert_eq!(watch.hear(0, &down, NEVER, now), None);
    assert_eq!(watch.deadline(), Some(now + Duration::from_secs(1)));
}

/// A stalled caller finds the answer late, and the advertisements that came after it.
#[test]
fn a_peer_that_has_advertised_since_is_in_service() {
    let (mut watch, now) = up();
    let fast = probe(&mut watch, now);
    let down = Answer { arrived_ns: now.as_nanos(), ..answer(&fast, 0, true) };
    let later = now + Duration::from_millis(50);
    assert_eq!(watch.hear(0, &down, now + TICK, later), None);
    assert!(watch.sessions()[0].is_up());
    let again = probe(&mut watch, later);
    let down = Answer { arrived_ns: later.as_nanos(), ..answer(&again, 0, true) };
    assert_eq!(watch.hear(0, &down, now + TICK, later), Some(Failure::OutOfService), "it says so again");
}

/// It has never said that it serves.
#[test]
fn a_peer_that_was_never_up_does_not_fail() {
    let mut watch = watch();
    let first = probe(&mut watch, ms(1000));
    assert_eq!(watch.hear(0, &answer(&first, 0, true), NEVER, ms(1000)), None);
    assert!(watch.deadline() >= Some(ms(1750)));
}

/// T-118, T-119.
#[test]
fn what_answers_another_probe_or_comes_from_another_peer_is_no_answer() {
    let (mut watch, now) = up();
    let fast = probe(&mut watch, now);
    let good = answer(&fast, STATE_UP, true);
    for bad in
        [Answer { sequence: good.sequence.wrapping_sub(1), ..good }, Answer { discriminator: 8, ..good }]
    {
        assert_eq!(watch.hear(0, &bad, NEVER, now), None);
        assert!(!watch.sessions()[0].next_in_line);
    }
    watch.hear(1, &good, NEVER, now);
    assert!(!watch.sessions()[0].next_in_line, "another virtual router's");
}

#[test]
fn the_sessions_with_a_peer_share_its_probes_and_its_fate() {
    let mut watch = watch();
    for router in 1..=2 {
        watch.begin_session(router, 7 + u32::try_from(router).expect("small"), MAC, BEGUN);
    }
    let mut now = ms(1000);
    for _ in 0..3 {
        let first = probe(&mut watch, now);
        watch.hear(first.router, &answer(&first, STATE_UP, false), NEVER, now);
    }
    let mut asked = Vec::new();
    for _ in 0..6 {
        now = now + TICK;
        let fast = probe(&mut watch, now);
        asked.push(fast.router);
        // Next in line for the first two.
        watch.hear(fast.router, &answer(&fast, STATE_UP, fast.router < 2), NEVER, now);
    }
    asked.sort_unstable();
    assert_eq!(asked, [0, 0, 1, 1, 2, 2]);
    for _ in 0..3 {
        now = now + TICK;
        probe(&mut watch, now);
    }
    assert_eq!(watch.poll(now + TICK, || NEVER, |_| true), Some(Step::Unreachable));
    let failed: Vec<(usize, bool)> = std::iter::from_fn(|| watch.fail(now)).collect();
    assert_eq!(failed, [(0, true), (1, true), (2, false)]);
}

/// A way that is longer than the patience: the answers come, each after the next probe has left.
#[test]
fn late_answers_are_answers_and_teach_patience() {
    let (mut watch, mut now) = up();
    let mut last = probe(&mut watch, now);
    for _ in 0..20 {
        now = watch.deadline().expect("something is due");
        let Some(Step::Probe(next)) = watch.poll(now, || NEVER, |_| true) else {
            panic!("a peer whose answers come late was given up");
        };
        let arrived_ns = now.as_nanos();
        assert_eq!(watch.hear(0, &Answer { arrived_ns, ..answer(&last, STATE_UP, true) }, NEVER, now), None);
        assert!(watch.sessions()[0].next_in_line);
        last = next;
    }
    assert_eq!(watch.missed, 1, "only the first was missed");
    let patient = watch.deadline().expect("something is due").saturating_since(now);
    assert!(patient > TICK || watch.sessions()[0].is_waiting());
}

/// The first probe has shown how long the way is.
#[test]
fn patience_is_twice_what_an_answer_takes() {
    let mut watch = watch();
    let first = probe(&mut watch, ms(1000));
    let arrived_ns = ms(1000).as_nanos() + 400_000;
    watch.hear(0, &Answer { arrived_ns, ..answer(&first, STATE_UP, true) }, NEVER, ms(1001));
    probe(&mut watch, ms(1001));
    let due = watch.deadline().expect("an answer is due").saturating_since(ms(1001));
    assert!((Duration::from_micros(600)..=Duration::from_micros(800)).contains(&due), "{due:?}");
}

/// Of a session that ended before this one began.
#[test]
fn an_answer_that_came_before_the_session_is_none() {
    let mut watch = watch();
    let first = probe(&mut watch, ms(1000));
    let stale = Answer { arrived_ns: ms(979).as_nanos(), ..answer(&first, STATE_UP, true) };
    watch.hear(0, &stale, NEVER, ms(1000));
    assert!(!watch.sessions()[0].is_up());
}

/// What is missing was sent to where the peer is no more.
#[test]
fn a_virtual_router_that_is_advertised_from_elsewhere_is_probed_there() {
    let (mut watch, now) = up();
    let (now, _) = ticks(&mut watch, now, &[true, false, false, false], true);
    watch.move_to(0, [3; 6]);
    let moved = probe(&mut watch, now);
    assert_eq!(moved.mac, [3; 6]);
    let (_, last) = ticks(&mut watch, now + TICK, &[false, false], true);
    assert!(matches!(last, Some(Step::Probe(_))), "the count begins anew: {last:?}");
}

/// What is missing is asked for again sooner than what has come.
#[test]
fn doubt_is_followed_up_at_once() {
    let mut watch = Watch::new(2, Profile::FASTEST, 1);
    watch.begin_session(0, 7, MAC, BEGUN);
    let first = probe(&mut watch, ms(1000));
    watch.hear(0, &answer(&first, STATE_UP, true), NEVER, ms(1000));
    let mut now = ms(1001);
    let fast = probe(&mut watch, now);
    assert_eq!(fast.interval, Profile::FASTEST.patience, "what it says it may send");
    let due = |watch: &Watch<u8>, now| watch.deadline().expect("a probe is due").saturating_since(now);
    let patience = Profile::FASTEST.patience * 3 / 4..=Profile::FASTEST.patience;
    assert!(patience.contains(&due(&watch, now)), "{:?} for the answer", due(&watch, now));
    watch.hear(0, &answer(&fast, STATE_UP, true), NEVER, now);
    let interval = Profile::FASTEST.interval * 3 / 4..=Profile::FASTEST.interval;
    assert!(interval.contains(&due(&watch, now)), "{:?} after it", due(&watch, now));
    for _ in 0..3 {
        now = watch.deadline().expect("a probe is due");
        probe(&mut watch, now);
        assert!(patience.contains(&due(&watch, now)), "{:?} in doubt", due(&watch, now));
    }
    now = watch.deadline().expect("a judgement is due");
    assert_eq!(watch.poll(now, || NEVER, |_| true), Some(Step::Unreachable));
}

#[test]
fn a_watch_without_sessions_wants_nothing() {
    let (mut watch, now) = up();
    watch.end_session(0);
    assert_eq!((watch.deadline(), watch.poll(now, || NEVER, |_| true)), (None, None));
}

/// Peers of two virtual routers, three of them at the most, with a session of router 0 with peer 2.
fn peers() -> Peers<u8> {
    let mut peers = Peers::new(2, 3);
    peers.set_profile(Some(Profile::FAST));
    assert_eq!(peers.follow(0, Some(2)), Some(2));
    peers.begin_session(0, 7, 2, [2; 6], BEGUN);
    peers
}

fn watched(peers: &Peers<u8>) -> Vec<u8> {
    peers.watches().iter().map(|watch| watch.peer).collect()
}

#[test]
fn a_virtual_router_has_a_session_with_the_active_router_and_nobody_else() {
    let mut peers = peers();
    assert_eq!(peers.follow(0, Some(2)), None, "it has one");
    assert_eq!(peers.session(0).map(|(watch, session)| (watch.peer, session.discriminator)), Some((2, 7)));
    assert_eq!(peers.follow(1, Some(2)), Some(2));
    peers.begin_session(1, 8, 2, [2; 6], BEGUN);
    assert_eq!(watched(&peers), [2], "they share a watch");
    assert_eq!(peers.follow(0, Some(3)), Some(3));
    assert!(peers.session(0).is_none());
    assert_eq!(watched(&peers), [2], "the other's goes on");
    assert_eq!(peers.follow(1, None), None);
    assert_eq!((watched(&peers), peers.deadline()), (vec![], None));
}

#[test]
fn there_are_no_more_watches_than_agreed_and_none_without_a_profile() {
    let mut peers = Peers::new(4, 3);
    let join = |peers: &mut Peers<u8>| {
        for router in 0..4 {
            let peer = u8::try_from(router).expect("four");
            peers.begin_session(router, 7, peer, [2; 6], ms(1000));
        }
    };
    join(&mut peers);
    assert_eq!(watched(&peers), [0; 0]);
    peers.set_profile(Some(Profile::FAST));
    join(&mut peers);
    assert_eq!(watched(&peers), [0, 1, 2]);
    assert_eq!(peers.follow(3, Some(3)), Some(3), "it is asked for again");
}

/// Who was taken for dead and was not is distrusted for a second, then for twice as long each time, up to 256 s; after
/// ten minutes without a mistake it begins anew.
#[test]
fn a_mistake_is_not_repeated_soon() {
    let mut peers = peers();
    let mut now = ms(2000);
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 256] {
        peers.convict(0, 2, now + TICK);
        assert_eq!(peers.acquit(0, 3, now), None, "somebody else");
        let wait = Duration::from_secs(seconds);
        assert_eq!(peers.acquit(0, 2, now), Some(wait));
        assert_eq!(peers.acquit(0, 2, now), None, "once");
        peers.follow(0, None);
        peers.begin_session(0, 7, 2, [2; 6], now + (wait - TICK));
        assert_eq!(watched(&peers), [0; 0], "distrusted");
        now = now + wait;
        peers.begin_session(0, 7, 2, [2; 6], now);
        assert_eq!(watched(&peers), [2]);
    }
    now = now + Duration::from_secs(600);
    peers.convict(0, 2, now + TICK);
    assert_eq!(peers.acquit(0, 2, now), Some(Duration::from_secs(1)));
}

/// Its lease has lapsed meanwhile: it may come back as it likes.
#[test]
fn who_speaks_late_proves_nothing() {
    let mut peers = peers();
    peers.convict(0, 2, ms(3000));
    assert_eq!(peers.acquit(0, 2, ms(3000)), None);
    assert_eq!(peers.acquit(0, 2, ms(2000)), None, "the conviction is forgotten");
}

/// The last word of a router that has met a better one may be read after the better one's.
#[test]
fn who_gave_way_to_a_better_router_is_not_to_be_succeeded() {
    let interval = Interval::from_centiseconds(10).expect("100 ms");
    let spoken = |router: u8, priority| Spoken {
        router,
        standing: Standing::from_octet(priority),
        interval,
        heard: ms(1000),
    };
    for (others, given_way) in [
        (vec![], false),
        (vec![spoken(3, 101)], true),
        (vec![spoken(3, 100)], true),
        (vec![spoken(1, 100)], false),
        (vec![spoken(3, 99)], false),
        (vec![spoken(3, 0)], false),
        (vec![spoken(3, 99), spoken(4, 254)], true),
    ] {
        let all = others.iter().copied().chain([spoken(2, 100)]);
        assert_eq!(has_given_way(2, all.clone(), ms(1099)), given_way, "{others:?}");
        assert!(!has_given_way(2, all, ms(1100)), "the better one would have spoken again");
    }
}
