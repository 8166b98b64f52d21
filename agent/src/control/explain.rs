//! `baton explain`: why every virtual router is what it is, in sentences, and how long each stage of the last change took.

use std::fmt::{self, Write};

use super::protocol::{RouterStatus, Status, TrackerStatus, TransitionStatus};
use super::render::{name, span};

/// The text of `baton explain`.
pub fn explain(status: &Status) -> String {
    let mut text = String::new();
    for router in &status.routers {
        // Writing to a String cannot fail.
        let _ = write_router(&mut text, router);
    }
    text
}

fn write_router(text: &mut String, router: &RouterStatus) -> fmt::Result {
    let RouterStatus { interface, vrid, family, role, .. } = router;
    let since = router.since_ms.map_or_else(String::new, |millis| format!(" since {}", span(millis)));
    writeln!(text, "{interface} {} is {role}{since}.", name(*vrid, family))?;
    if let Some(reason) = &router.reason {
        writeln!(text, "  Because {}.", cause(reason, router))?;
    }
    writeln!(text, "  {}", prospect(router))?;
    if let Some(voice) = voice(router) {
        writeln!(text, "  {voice}")?;
    }
    for tracker in &router.trackers {
        if let Some(detail) = &tracker.detail {
            writeln!(text, "  {}", burden(tracker, detail))?;
        }
    }
    // The newest that changed the role; a handover that began or was refused is no change.
    let change = router.transitions.iter().rev().find(|transition| transition.from != transition.to);
    if let Some(change) = change {
        write_stages(text, router, change)?;
    }
    Ok(())
}

/// What the reason of the last role change means.
fn cause(reason: &str, router: &RouterStatus) -> String {
    let RouterStatus { interface, effective_priority: priority, down_timer_adverts: adverts, .. } = router;
    match reason {
        "startup" => "the agent started, or the interface came up: a router begins as Backup".to_owned(),
        "resumed" => "the agent was restarted while its lease held, so nobody else had taken over".to_owned(),
        "shutdown" => "the agent was told to stop".to_owned(),
        "link-down" => format!("{interface} has no carrier or no primary address, and nothing can be sent"),
        "active-down" => {
            format!("no advert had come for {adverts} intervals and the Skew_Time of this priority")
        }
        "active-left" => "the Active Router had said priority 0, and Skew_Time had passed".to_owned(),
        "active-unreachable" => "the Active Router had not answered S-BFD probes".to_owned(),
        "active-out-of-service" => {
            "the Active Router had answered an S-BFD probe with AdminDown: its lease had lapsed, or it was leaving"
                .to_owned()
        }
        "preempted" => format!("the Active Router had a lower priority than {priority}, and preempt is on"),
        "address-owner" => "priority 255 is the owner of the addresses, which never waits".to_owned(),
        "higher-priority" => "a router was Active that goes before this one: higher priority, or an equal one \
                              and a higher address"
            .to_owned(),
        "drained" => "the operator has taken it out of the election".to_owned(),
        "succeeded" => "another router took over when this one was told to hand over, to drain or to stop, or its \
                        trackers failed"
            .to_owned(),
        "group-moved" => "a member of its group has lost the role, and the others follow".to_owned(),
        "lease-lapsed" => "its lease had run out before an advert was sent: this host was stalled, or could not \
                           transmit; somebody may have taken over meanwhile"
            .to_owned(),
        "datapath-lost" => format!("a program was taken off {interface}: stop baton and start it again"),
        other => other.to_owned(),
    }
}

/// What would change the role.
fn prospect(router: &RouterStatus) -> String {
    match router.role.as_str() {
        "Active" if router.leaving => "It has asked for a successor and serves until one speaks.".to_owned(),
        "Active" => format!(
            "It stays so while its adverts leave (lease: {:.1} ms) and no router of more than priority {} speaks.",
            std::time::Duration::from_micros(router.lease_left_us).as_secs_f64() * 1000.0,
            router.effective_priority
        ),
        "Backup" if router.ready => {
            "It would be Active, and waits for its group: a member that `baton status` does not show as waiting listens to \
             another router, waits for its adverts, or has no link."
                .to_owned()
        }
        "Backup" if router.deaf => {
            "It has heard no frame since it came up: the switch port may let none through yet (spanning tree). With the \
             first one it begins to wait for adverts, without one after `startup_hold_ms`."
                .to_owned()
        }
        "Backup" => {
            let by = match &router.watch {
                Some(watch) if watch.up && watch.next_in_line => format!(
                    "at once when {} does not answer or serve, being next in line; else when its adverts stop",
                    watch.peer
                ),
                Some(watch) if watch.up => {
                    format!(
                        "a Skew_Time after {} stops answering or serving; else when its adverts stop",
                        watch.peer
                    )
                }
                Some(_) | None => {
                    format!("when adverts stop for {} intervals and its Skew_Time", router.down_timer_adverts)
                }
            };
            let preempt = match router.preempt_delay_left_ms {
                _ if router.yielded => ", and does not preempt: it has handed over".to_owned(),
                0 => String::new(),
                left => format!(", and leaves the role to a weaker router for {} yet", span(left)),
            };
            format!("It takes over {by}{preempt}.")
        }
        _ if router.drained => "It takes no part until `baton resume`.".to_owned(),
        _ => "It waits for a carrier and a primary address.".to_owned(),
    }
}

/// Who it can speak with, where that is not everybody with VRRPv3 alone.
fn voice(router: &RouterStatus) -> Option<&'static str> {
    match router.version.as_str() {
        "2" => Some("It speaks VRRPv2 alone: routers of VRRPv3 do not hear it."),
        "2+3" => Some("It says everything in VRRPv2 and in VRRPv3, for routers that speak one of them."),
        _ => None,
    }
}

/// What a failing tracker does to the router.
fn burden(tracker: &TrackerStatus, detail: &str) -> String {
    let name = &tracker.name;
    match tracker.weight {
        Some(weight) => format!("Tracker {name} takes {weight} from its priority: {detail}."),
        None => format!("Tracker {name} wants another to serve: {detail}."),
    }
}

/// How long after the decision each stage was reached; what came before it as a span, too.
fn write_stages(text: &mut String, router: &RouterStatus, change: &TransitionStatus) -> fmt::Result {
    let TransitionStatus { from, to, reason, age_ms, decided_ns, .. } = change;
    writeln!(text, "  The change from {from} to {to} ({reason}), {} ago:", span(*age_ms))?;
    if let Some(heard) = change.heard_ns {
        writeln!(text, "    {:>10}  last advert of another router", before(*decided_ns, heard))?;
    }
    if let Some(answered) = change.answered_ns {
        writeln!(text, "    {:>10}  last S-BFD answer of the Active Router", before(*decided_ns, answered))?;
    }
    writeln!(text, "    {:>10}  decided", "0 us")?;
    let is_takeover = to == "Active";
    let stages = [
        ("lease stored", change.stored_ns),
        ("advert handed to the wire", change.transmitted_ns),
        ("gratuitous ARP handed to the wire", change.announced_ns),
        ("first frame to a VIP accepted", router.served_ns.filter(|_| is_takeover)),
    ];
    for (name, reached) in stages {
        match reached.and_then(|reached| reached.checked_sub(*decided_ns)) {
            Some(after) => writeln!(text, "    {:>10}  {name}", format!("+{} us", after / 1000))?,
            None if is_takeover => writeln!(text, "    {:>10}  {name}", "not yet")?,
            None => {}
        }
    }
    Ok(())
}

fn before(decided_ns: u64, heard_ns: u64) -> String {
    format!("-{} us", decided_ns.saturating_sub(heard_ns) / 1000)
}

#[cfg(test)]
mod tests {
    use super::super::render::tests::example;
    use super::*;

    #[test]
    fn a_takeover_is_explained_with_all_its_stages() {
        let expected = "\
eth0 vrid 51 is Active since 2 min.
  Because no advert had come for 3 intervals and the Skew_Time of this priority.
  It stays so while its adverts leave (lease: 21.5 ms) and no router of more than priority 170 speaks.
  Tracker uplink takes 30 from its priority: connecting to 192.0.2.9:179: timed out.
  The change from Backup to Active (active-down), 2 min ago:
       -300 us  last advert of another router
          0 us  decided
         +1 us  lease stored
        +15 us  advert handed to the wire
       not yet  gratuitous ARP handed to the wire
        +71 us  first frame to a VIP accepted
";
        assert_eq!(explain(&example()), expected);
    }

    #[test]
    fn a_router_of_both_versions_tells_who_it_speaks_with() {
        let mut status = example();
        status.routers[0].version = "2+3".to_owned();
        let line = "\n  It says everything in VRRPv2 and in VRRPv3, for routers that speak one of them.\n";
        assert!(explain(&status).contains(line));
    }

    #[test]
    fn a_takeover_by_s_bfd_tells_of_the_last_answer() {
        let mut status = example();
        let change = &mut status.routers[0].transitions[0];
        (change.reason, change.answered_ns) = ("active-unreachable".to_owned(), Some(650_000));
        let told = explain(&status);
        assert!(told.contains("     -350 us  last S-BFD answer of the Active Router\n"), "{told}");
    }

    #[test]
    fn a_backup_tells_when_it_takes_over() {
        let mut status = example();
        let router = &mut status.routers[0];
        (router.role, router.reason) = ("Backup".to_owned(), Some("startup".to_owned()));
        let told = |router: &RouterStatus| prospect(router);
        assert_eq!(
            told(router),
            "It takes over at once when 192.0.2.3 does not answer or serve, being next in line; else when its adverts stop."
        );
        router.watch = None;
        router.preempt_delay_left_ms = 7_000;
        assert_eq!(
            told(router),
            "It takes over when adverts stop for 3 intervals and its Skew_Time, and leaves the role to a weaker router for 7 s yet."
        );
        router.yielded = true;
        assert_eq!(
            told(router),
            "It takes over when adverts stop for 3 intervals and its Skew_Time, and does not preempt: it has handed over."
        );
    }

    #[test]
    fn a_backup_that_is_deaf_tells_what_it_waits_for() {
        let mut status = example();
        let router = &mut status.routers[0];
        (router.role, router.deaf) = ("Backup".to_owned(), true);
        assert!(
            prospect(router).starts_with("It has heard no frame since it came up"),
            "{}",
            prospect(router)
        );
    }

    #[test]
    fn a_backup_that_waits_for_its_group_says_so() {
        let mut status = example();
        let router = &mut status.routers[0];
        (router.role, router.ready) = ("Backup".to_owned(), true);
        assert!(prospect(router).contains("waits for its group"), "{}", prospect(router));
    }

    /// All that a role can change for; a handover that begins or is refused changes none.
    #[test]
    fn no_reason_is_left_unexplained() {
        use crate::vrrp::Reason::*;
        let status = example();
        for reason in [
            Startup,
            Resumed,
            Shutdown,
            LinkDown,
            ActiveDown,
            ActiveLeft,
            ActiveUnreachable,
            ActiveOutOfService,
            Preempted,
            AddressOwner,
            HigherPriority,
            Drained,
            Succeeded,
            GroupMoved,
            LeaseLapsed,
            DatapathLost,
        ] {
            let name = reason.to_string();
            assert_ne!(cause(&name, &status.routers[0]), name);
        }
    }
}
