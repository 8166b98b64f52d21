//! What the engine is to reach, and whether it does.

use serde::Serialize;

use super::plan::{Conditions, SOME_FLOWS, USUAL};
use super::row::FrameRow;
use super::system::System;

/// The least that the ring path does of what the bare AF_XDP forwarder does.
const RING: f64 = 0.9;
/// How often a frame through the flow cache costs at least what one through nftables does.
const NFTABLES: f64 = 2.0;
/// The most that it costs beyond the reflector, in ns.
const BEYOND_NS: f64 = 190.0;
/// How much more a frame may cost with the most flows, or services, than with one.
const GROWTH: f64 = 1.5;

/// A target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Target {
    /// What was compared.
    pub what: String,
    /// What is wanted.
    pub wanted: String,
    /// What was measured.
    pub measured: f64,
    /// Whether that is enough.
    pub is_met: bool,
}

impl Target {
    fn at_least(what: String, bound: f64, measured: Option<f64>) -> Option<Self> {
        let measured = measured?;
        Some(Self { what, wanted: format!("at least {bound}"), measured, is_met: measured >= bound })
    }

    fn at_most(what: String, bound: f64, measured: Option<f64>) -> Option<Self> {
        let measured = measured?;
        Some(Self { what, wanted: format!("at most {bound}"), measured, is_met: measured <= bound })
    }
}

/// All targets that `rows` tell of.
pub(super) fn targets(rows: &[FrameRow]) -> Vec<Target> {
    let cost = |system: System, conditions: Conditions| -> Option<f64> {
        let row = rows.iter().find(|row| (row.system, row.conditions) == (system.name(), conditions));
        row.map(|row| row.cpu_ns.median)
    };
    let ratio = |one: Option<f64>, other: Option<f64>| Some(one? / other?);
    let usual = |system| cost(system, USUAL);
    let most =
        |count: fn(&Conditions) -> u32| rows.iter().map(|row| count(&row.conditions)).max().unwrap_or(1);
    let (flows, services) = (most(|it| it.flows), most(|it| it.services.into()));
    let mut found = vec![
        Target::at_least(
            "CPU cost of the bare AF_XDP forwarder by that of the ring path".to_owned(),
            RING,
            ratio(usual(System::BareForwarder), usual(System::Ring)),
        ),
        Target::at_least(
            "CPU cost of nftables DNAT by that of the flow cache".to_owned(),
            NFTABLES,
            ratio(usual(System::Nftables), usual(System::FlowCache)),
        ),
    ];
    for flows in [1, 1_000, 100_000] {
        let conditions = Conditions { flows, ..USUAL };
        let reflector = cost(System::Reflector, conditions);
        let beyond = cost(System::FlowCache, conditions).zip(reflector).map(|(cache, least)| cache - least);
        let what = format!("ns of CPU of the flow cache beyond the XDP reflector, {flows} flows");
        found.push(Target::at_most(what, BEYOND_NS, beyond));
    }
    for system in System::BALANCERS {
        let name = system.name();
        let grown = ratio(cost(system, Conditions { flows, ..USUAL }), usual(system)).filter(|_| flows > 1);
        found.push(Target::at_most(
            format!("CPU cost of {name} with {flows} flows by that with 1"),
            GROWTH,
            grown,
        ));
        let one = Conditions { flows: SOME_FLOWS, ..USUAL };
        let services = u16::try_from(services).unwrap_or(u16::MAX);
        let grown =
            ratio(cost(system, Conditions { services, ..one }), cost(system, one)).filter(|_| services > 1);
        let what = format!("CPU cost of {name} with {services} services by that with 1");
        found.push(Target::at_most(what, GROWTH, grown));
    }
    found.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::row::Spread;

    fn row(system: System, flows: u32, services: u16, ns: f64) -> FrameRow {
        FrameRow {
            system: system.name(),
            conditions: Conditions { flows, services, ..USUAL },
            rounds: 1,
            frames_per_second: Spread::default(),
            offered_per_second: Spread::default(),
            cpu_ns: Spread { median: ns, min: ns, max: ns },
            receive_ns: Spread::default(),
            work_ns: Spread::default(),
        }
    }

    #[test]
    fn a_target_is_met_or_missed_by_what_was_measured() {
        let rows = [
            row(System::Reflector, 1, 1, 70.0),
            row(System::BareForwarder, 1, 1, 800.0),
            row(System::Ring, 1, 1, 1000.0),
            row(System::FlowCache, 1, 1, 250.0),
            row(System::FlowCache, 1_000_000, 1, 400.0),
            row(System::Nftables, 1, 1, 900.0),
        ];
        let told: Vec<(f64, bool)> = targets(&rows).iter().map(|it| (it.measured, it.is_met)).collect();
        assert_eq!(told, [(0.8, false), (3.6, true), (180.0, true), (1.6, false)]);
    }

    #[test]
    fn nothing_is_said_of_what_was_not_measured() {
        assert_eq!(targets(&[row(System::Ring, 1, 1, 1000.0)]), []);
    }
}
