//! The status as a person reads it.

use std::fmt::{self, Write};

use super::protocol::{
    InterfaceStatus, LatenessStatus, Outcome, PeerStatus, Reloaded, Restarted, RouterStatus, Status,
    TrackerStatus, TransitionStatus, WatchStatus,
};

/// Role changes that are shown, the latest first.
const TRANSITIONS: usize = 5;

/// The text of `baton status`.
pub fn status(status: &Status) -> String {
    let guardian = match status.guardian {
        Some(process) => format!("guardian {process}"),
        None => "NO GUARDIAN: if it dies, its leases lapse; stop baton and start it again".to_owned(),
    };
    let mut text = format!("baton {}, process {}, {guardian}\n", status.version, status.pid);
    let _ = write_load(&mut text, status);
    for interface in &status.interfaces {
        // Writing to a String cannot fail.
        let _ = write_interface(&mut text, interface);
        for router in status.routers.iter().filter(|router| router.interface == interface.interface) {
            let _ = write_router(&mut text, router);
        }
    }
    text
}

/// What the election costs, of one core.
fn write_load(text: &mut String, status: &Status) -> fmt::Result {
    let permille = 1000 * status.election_cpu_ms / status.election_running_ms.max(1);
    let (percent, tenth) = (permille / 10, permille % 10);
    let LatenessStatus { p50_us, p99_us, max_us, .. } = status.election_lateness;
    writeln!(
        text,
        "election: {percent}.{tenth} % of one core in {}; wakes late by {p50_us} us (p50), {p99_us} (p99), {max_us} (max)",
        span(status.election_running_ms)
    )
}

fn write_interface(text: &mut String, interface: &InterfaceStatus) -> fmt::Result {
    writeln!(
        text,
        "\n{}: XDP {}, {} queue(s), adverts heard by {}",
        interface.interface, interface.xdp_mode, interface.queues, interface.receive_path
    )?;
    let seen: Vec<String> = interface
        .verdicts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(verdict, count)| format!("{verdict} {count}"))
        .collect();
    writeln!(
        text,
        "  frames by verdict: {}",
        if seen.is_empty() { "none yet".to_owned() } else { seen.join(", ") }
    )?;
    if interface.discarded > 0 {
        writeln!(text, "  discarded by the agent itself: {}", interface.discarded)?;
    }
    Ok(())
}

/// What a virtual router is called on its interface. Most are of IPv4, and it goes without saying.
pub(super) fn name(vrid: u8, family: &str) -> String {
    if family == "ipv6" { format!("vrid {vrid} (IPv6)") } else { format!("vrid {vrid}") }
}

fn write_router(text: &mut String, router: &RouterStatus) -> fmt::Result {
    let since = router.since_ms.map_or_else(String::new, |millis| format!(" for {}", span(millis)));
    let reason = reason(router).map_or_else(String::new, |reason| format!(" ({reason})"));
    let note = match router {
        RouterStatus { leaving: true, .. } => ", serving until a successor speaks",
        RouterStatus { yielded: true, .. } => ", handed over and not preempting",
        RouterStatus { ready: true, .. } => ", waiting for its group",
        RouterStatus { deaf: true, .. } => ", no frame heard yet",
        RouterStatus { drained: true, .. } => ", until `baton resume`",
        RouterStatus { .. } => "",
    };
    writeln!(text, "  {}: {}{since}{reason}{note}", name(router.vrid, &router.family), router.role)?;
    let vips: Vec<String> = router.vips.iter().map(ToString::to_string).collect();
    writeln!(text, "    vips {} at {}", vips.join(", "), router.mac)?;
    writeln!(
        text,
        "    {}priority {}, interval {} ms, lease left {:.1} ms, {} takeover(s)",
        version(router),
        priority(router),
        u32::from(router.interval_cs) * 10,
        std::time::Duration::from_micros(router.lease_left_us).as_secs_f64() * 1000.0,
        router.epoch
    )?;
    for tracker in &router.trackers {
        write_tracker(text, tracker)?;
    }
    for peer in &router.peers {
        write_peer(text, router, peer)?;
    }
    if let Some(watch) = &router.watch {
        write_watch(text, watch)?;
    }
    for transition in router.transitions.iter().rev().take(TRANSITIONS) {
        write_transition(text, transition)?;
    }
    Ok(())
}

/// Why the router is what it is. One that has never started waits for the same that `link-down` is the loss of.
fn reason(router: &RouterStatus) -> Option<String> {
    match (router.role.as_str(), router.reason.as_deref()) {
        ("Initialize", None | Some("link-down")) if !router.drained => {
            Some(format!("no carrier or no primary address on {}", router.interface))
        }
        (_, reason) => reason.map(str::to_owned),
    }
}

/// The version of VRRP, which goes without saying if it is 3.
fn version(router: &RouterStatus) -> String {
    if router.version == "3" { String::new() } else { format!("VRRP version {}, ", router.version) }
}

/// The priority that is advertised, and what it would be if no tracker failed.
fn priority(router: &RouterStatus) -> String {
    let RouterStatus { priority, effective_priority, .. } = router;
    if priority == effective_priority {
        priority.to_string()
    } else {
        format!("{effective_priority} instead of {priority}")
    }
}

fn write_tracker(text: &mut String, tracker: &TrackerStatus) -> fmt::Result {
    let TrackerStatus { name, state, detail, weight } = tracker;
    write!(text, "    tracker {name}: {state}")?;
    if let Some(detail) = detail {
        write!(text, " ({detail})")?;
    }
    match weight {
        Some(weight) => writeln!(text, ", weight {weight}"),
        None => writeln!(text),
    }
}

fn write_peer(text: &mut String, router: &RouterStatus, peer: &PeerStatus) -> fmt::Result {
    let standing = match peer.priority {
        0 => "left".to_owned(),
        priority => format!("priority {priority}"),
    };
    write!(text, "    peer {}: {standing}, heard {} ago", peer.address, span(peer.last_heard_ms))?;
    if peer.interval_cs != router.interval_cs {
        write!(text, ", with ANOTHER INTERVAL: {} ms", u32::from(peer.interval_cs) * 10)?;
    }
    if !peer.same_vips {
        write!(text, ", with OTHER VIPS")?;
    }
    writeln!(text)
}

fn write_watch(text: &mut String, watch: &WatchStatus) -> fmt::Result {
    let WatchStatus { peer, up, next_in_line, missed, vetoed } = watch;
    let state = match (up, next_in_line) {
        (false, _) => "silent: not Baton, or not watched yet",
        (true, true) => "up, this host is next in line",
        (true, false) => "up",
    };
    writeln!(
        text,
        "    S-BFD with {peer}: {state}; {missed} answer(s) missed, {vetoed} of them in stalls of this host"
    )
}

/// A role change, and how long after the decision each of its stages was reached.
fn write_transition(text: &mut String, transition: &TransitionStatus) -> fmt::Result {
    let TransitionStatus { from, to, reason, decided_ns, age_ms, .. } = transition;
    write!(text, "    {} ago: {from} -> {to} ({reason})", span(*age_ms))?;
    let stages = [
        ("lease", transition.stored_ns),
        ("advert", transition.transmitted_ns),
        ("ARP", transition.announced_ns),
    ];
    for (name, reached) in stages {
        if let Some(reached) = reached {
            write!(text, ", {name} +{} us", reached.saturating_sub(*decided_ns) / 1000)?;
        }
    }
    writeln!(text)
}

/// A span in the unit that suits it.
pub(super) fn span(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..120_000 => format!("{} s", millis / 1_000),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        _ => format!("{} h", millis / 3_600_000),
    }
}

/// The text of `baton restart`.
pub fn restarted(restarted: Restarted) -> String {
    format!("restarted: the agent is process {}\n", restarted.pid)
}

/// The text of `baton reload`.
pub fn reloaded(Reloaded { differences, pid }: &Reloaded) -> String {
    let lines: String = differences.iter().map(|difference| format!("{difference}\n")).collect();
    match pid {
        Some(pid) => format!("{lines}reloaded: the agent is process {pid}\n"),
        None => "nothing has changed\n".to_owned(),
    }
}

/// The text of what came of an order.
pub fn outcomes(outcomes: &[Outcome]) -> String {
    let line = |Outcome { interface, vrid, family, detail, .. }: &Outcome| {
        format!("{interface} {}: {detail}\n", name(*vrid, family))
    };
    outcomes.iter().map(line).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    pub(in crate::control) fn example() -> Status {
        let interface = InterfaceStatus {
            interface: "eth0".to_owned(),
            xdp_mode: "native".to_owned(),
            queues: 4,
            receive_path: "af-xdp".to_owned(),
            verdicts: BTreeMap::from([("other".to_owned(), 7), ("vrrp-ttl".to_owned(), 0)]),
            discarded: 2,
        };
        let peer = PeerStatus {
            address: [192, 0, 2, 2].into(),
            priority: 100,
            interval_cs: 100,
            last_heard_ms: 4_200,
            same_vips: false,
        };
        let transition = TransitionStatus {
            from: "Backup".to_owned(),
            to: "Active".to_owned(),
            reason: "active-down".to_owned(),
            age_ms: 130_000,
            heard_ns: Some(700_000),
            answered_ns: None,
            decided_ns: 1_000_000,
            stored_ns: Some(1_001_000),
            transmitted_ns: Some(1_015_999),
            announced_ns: None,
        };
        let router = RouterStatus {
            interface: "eth0".to_owned(),
            vrid: 51,
            family: "ipv4".to_owned(),
            role: "Active".to_owned(),
            since_ns: Some(1_000_000),
            since_ms: Some(130_000),
            reason: Some("active-down".to_owned()),
            priority: 200,
            effective_priority: 170,
            fitness: "fit".to_owned(),
            trackers: vec![
                TrackerStatus {
                    name: "nginx".to_owned(),
                    state: "good".to_owned(),
                    detail: None,
                    weight: None,
                },
                TrackerStatus {
                    name: "uplink".to_owned(),
                    state: "failing".to_owned(),
                    detail: Some("connecting to 192.0.2.9:179: timed out".to_owned()),
                    weight: Some(30),
                },
            ],
            version: "3".to_owned(),
            interval_cs: 1,
            down_timer_adverts: 3,
            leaving: false,
            yielded: false,
            ready: false,
            preempt_delay_left_ms: 0,
            deaf: false,
            drained: false,
            lease_left_us: 21_500,
            vips: vec![[192, 0, 2, 100].into()],
            mac: "00:00:5e:00:01:33".to_owned(),
            epoch: 3,
            served_ns: Some(1_071_000),
            peers: vec![peer],
            watch: Some(WatchStatus {
                peer: [192, 0, 2, 3].into(),
                up: true,
                next_in_line: true,
                missed: 5,
                vetoed: 2,
            }),
            transitions: vec![transition],
        };
        Status {
            version: "1.2.3".to_owned(),
            pid: 42,
            guardian: Some(41),
            election_cpu_ms: 300,
            election_running_ms: 130_000,
            election_lateness: LatenessStatus { wakes: 130, p50_us: 9, p99_us: 80, max_us: 1_200 },
            interfaces: vec![interface],
            routers: vec![router],
        }
    }

    #[test]
    fn the_status_tells_all_that_an_operator_asks_for() {
        let expected = "\
baton 1.2.3, process 42, guardian 41
election: 0.2 % of one core in 2 min; wakes late by 9 us (p50), 80 (p99), 1200 (max)

eth0: XDP native, 4 queue(s), adverts heard by af-xdp
  frames by verdict: other 7
  discarded by the agent itself: 2
  vrid 51: Active for 2 min (active-down)
    vips 192.0.2.100 at 00:00:5e:00:01:33
    priority 170 instead of 200, interval 10 ms, lease left 21.5 ms, 3 takeover(s)
    tracker nginx: good
    tracker uplink: failing (connecting to 192.0.2.9:179: timed out), weight 30
    peer 192.0.2.2: priority 100, heard 4 s ago, with ANOTHER INTERVAL: 1000 ms, with OTHER VIPS
    S-BFD with 192.0.2.3: up, this host is next in line; 5 answer(s) missed, 2 of them in stalls of this host
    2 min ago: Backup -> Active (active-down), lease +1 us, advert +15 us
";
        assert_eq!(status(&example()), expected);
    }

    #[test]
    fn another_version_than_3_is_shown() {
        let mut example = example();
        example.routers[0].version = "2+3".to_owned();
        let text = status(&example);
        assert!(text.contains("    VRRP version 2+3, priority 170 instead of 200, interval 10 ms"), "{text}");
    }

    #[test]
    fn an_agent_without_a_guardian_says_so() {
        let status = status(&Status { guardian: None, ..example() });
        let first = "baton 1.2.3, process 42, NO GUARDIAN: if it dies, its leases lapse; stop baton and start it again\n";
        assert!(status.starts_with(first), "{status}");
    }

    #[test]
    fn a_router_that_cannot_start_tells_what_it_waits_for() {
        for reason in [None, Some("link-down".to_owned())] {
            let mut example = example();
            let router = &mut example.routers[0];
            (router.role, router.reason, router.since_ms) = ("Initialize".to_owned(), reason, None);
            let text = status(&example);
            assert!(
                text.contains("  vrid 51: Initialize (no carrier or no primary address on eth0)\n"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_router_that_was_drained_waits_for_the_operator() {
        let mut example = example();
        let router = &mut example.routers[0];
        (router.role, router.reason, router.drained) =
            ("Initialize".to_owned(), Some("drained".to_owned()), true);
        let text = status(&example);
        assert!(text.contains("Initialize for 2 min (drained), until `baton resume`\n"), "{text}");
    }
}
