//! One event that befalls all virtual routers of a node, seen by a client that asks all of their addresses by turns.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use baton_common::vrid::{Family, Vrid};
use baton_tests::lab::{
    Crowd, Fault, Host, Lab, Outcome, Probe, Prober, Recording, analyse, mac_text, pause, wait_until,
};

use crate::machine;

/// The longest time that a move is waited for.
const MOVE: Duration = Duration::from_secs(12);
/// How long a client watches beyond that and before, and how often at least each address is asked meanwhile.
const WATCH: Duration = Duration::from_millis(300);
const TURNS: u32 = 3;
/// The distance of the probes. Those of the failover benchmark would take the cores that the agents of a thousand need.
pub(super) const EVERY: Duration = Duration::from_micros(200);
/// The longest recording of one round.
const LIMIT: Duration = Duration::from_secs(20);

/// What came of an event.
#[derive(Clone, Debug)]
pub(super) struct Round {
    /// How each address fared.
    pub(super) outcomes: Vec<Outcome>,
    /// From the event until each address was first served by the other node; addresses that never were are missing.
    pub(super) served_us: Vec<u64>,
    /// The same until the other node had the lease of each, where it says so.
    pub(super) leases_us: Vec<u64>,
    /// From its first decision until it served the first frame to any of them, where it says so.
    pub(super) switch_us: Option<u64>,
    /// What the hypervisor took from the machine meanwhile.
    pub(super) steal_us: u64,
}

/// Lets `fault` befall the owner of all of `crowd`, watches, and puts everything back in order.
pub(super) fn run(lab: &Lab, crowd: &mut Crowd<'_>, fault: Fault) -> Result<Round> {
    let owner = crowd.settle()?;
    let vips = introduce(lab, crowd, owner)?;
    let steal_before_us = machine::steal_us()?;
    let prober = Prober::start_round(lab, &vips, EVERY, LIMIT)?;
    let count = u32::try_from(vips.len()).context("a number of addresses")?;
    let watch = WATCH.max(TURNS * count * EVERY);
    pause(watch)?;
    let event_ns = crowd.inject(fault, owner)?.as_nanos();
    let successor = owner.other();
    // One that does not move is a result too.
    let _ = wait_until("the move of all", MOVE, || Ok(crowd.owned(successor)? == vips.len()));
    pause(watch)?;
    let recording = prober.finish()?;
    let steal_us = machine::steal_us()? - steal_before_us;
    let (leases_us, switch_us) = told(lab, crowd, successor, event_ns)?;
    crowd.restore().with_context(|| format!("put things in order after {}", fault.name()))?;
    crowd.settle()?;
    let each: Vec<Recording> = (0..vips.len()).map(|at| part(&recording, at, vips.len())).collect();
    Ok(Round {
        outcomes: each.iter().map(|recording| analyse(recording, event_ns)).collect(),
        served_us: each.iter().filter_map(|recording| served_us(recording, successor, event_ns)).collect(),
        leases_us,
        switch_us,
        steal_us,
    })
}

/// The client has talked to all addresses before: it knows where they are, without a question. Entries that were learned
/// from elsewhere are not thrown out when there are a thousand.
fn introduce(lab: &Lab, crowd: &Crowd<'_>, owner: Host) -> Result<Vec<Ipv4Addr>> {
    let (mut vips, mut lines) = (Vec::new(), String::new());
    for member in crowd.members() {
        let mac = if crowd.system().is_baton() {
            Vrid::new(member.vrid).context("an identifier")?.virtual_mac(Family::Ipv4)
        } else {
            member.link.mac(owner)
        };
        for vip in &member.vips {
            let IpAddr::V4(vip) = vip else { continue };
            vips.push(*vip);
            let (interface, mac) = (member.link.interface(), mac_text(mac));
            let _ = writeln!(
                lines,
                "neigh replace {vip} dev {interface} lladdr {mac} nud reachable extern_learn"
            );
        }
    }
    let file = lab.directory().join("neighbours");
    fs::write(&file, lines)?;
    lab.run(Host::Client, "ip", &["-batch", &file.to_string_lossy()])?;
    Ok(vips)
}

/// What the new owner says: when it had each lease, and how long after its first decision it served a frame.
fn told(lab: &Lab, crowd: &Crowd<'_>, successor: Host, event_ns: u64) -> Result<(Vec<u64>, Option<u64>)> {
    if !crowd.system().is_baton() {
        return Ok((Vec::new(), None));
    }
    let (mut leases_us, mut decided, mut served) = (Vec::new(), Vec::new(), Vec::new());
    for router in lab.baton_status(successor)?.routers {
        let mut changes = router.transitions.iter();
        let taken = changes.find(|change| change.to == "Active" && change.decided_ns > event_ns);
        if let Some(change) = taken {
            decided.push(change.decided_ns);
            leases_us.extend(change.stored_ns.map(|stored| (stored - event_ns) / 1000));
            served.extend(router.served_ns);
        }
    }
    let (decided, served) = (decided.into_iter().min(), served.into_iter().min());
    let switch = decided.zip(served).map(|(decided, served)| served.saturating_sub(decided) / 1000);
    Ok((leases_us, switch))
}

/// What the client saw of address number `at` of `count`.
fn part(recording: &Recording, at: usize, count: usize) -> Recording {
    let probes: Vec<Probe> = recording.probes.iter().skip(at).step_by(count).copied().collect();
    Recording { every_ns: recording.every_ns * count as u64, probes, ..Recording::default() }
}

/// From the event until `successor` had the first frame.
fn served_us(recording: &Recording, successor: Host, event_ns: u64) -> Option<u64> {
    let mut probes = recording.probes.iter();
    let first = probes.find(|probe| probe.sent_ns > event_ns && probe.node == Some(successor))?;
    Some(first.server_ns.saturating_sub(event_ns) / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_part_of_the_probes() {
        let probe = |sent_ns, node: Option<Host>| {
            let at = node.map_or(0, |_| sent_ns + 2000);
            Probe { sent_ns, answered_ns: at, server_ns: at, node }
        };
        let (a, b) = (Some(Host::A), Some(Host::B));
        let probes = vec![probe(1000, a), probe(2000, a), probe(3000, None), probe(4000, b), probe(5000, b)];
        let recording = Recording { every_ns: 1000, probes, ..Recording::default() };
        let parts = [part(&recording, 0, 2), part(&recording, 1, 2)];
        assert_eq!(parts.each_ref().map(|part| (part.every_ns, part.probes.len())), [(2000, 3), (2000, 2)]);
        assert_eq!(parts.each_ref().map(|part| served_us(part, Host::B, 1500)), [Some(5), Some(4)]);
        assert_eq!(served_us(&parts[1], Host::B, 4500), None);
    }
}
