//! What the engine is to reach, and whether it does.

use serde::Serialize;

use super::measure::Series;
use super::plan::{Conditions, SOME_FLOWS, USUAL};
use super::row::Spread;
use super::sample::Sample;
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
    /// What was measured in each round. The machine has better and worse times, which both sides of a comparison meet then.
    pub measured: Spread,
    /// Whether the median is enough.
    pub is_met: bool,
}

impl Target {
    fn at_least(what: String, bound: f64, measured: Option<Spread>) -> Option<Self> {
        let measured = measured?;
        Some(Self { what, wanted: format!("at least {bound}"), measured, is_met: measured.median >= bound })
    }

    fn at_most(what: String, bound: f64, measured: Option<Spread>) -> Option<Self> {
        let measured = measured?;
        Some(Self { what, wanted: format!("at most {bound}"), measured, is_met: measured.median <= bound })
    }
}

/// A system under some conditions.
type Side = (System, Conditions);

fn cost_by(one: &Sample, other: &Sample) -> f64 {
    one.cost_ns() / other.cost_ns()
}

fn cost_beyond(one: &Sample, other: &Sample) -> f64 {
    one.cost_ns() - other.cost_ns()
}

fn frames_by(one: &Sample, other: &Sample) -> f64 {
    one.forwarded / other.forwarded
}

/// All targets that `all` tell of.
pub(super) fn targets(all: &[Series]) -> Vec<Target> {
    let usual = |system| (system, USUAL);
    let most =
        |count: fn(&Conditions) -> u32| all.iter().map(|series| count(&series.conditions)).max().unwrap_or(1);
    let (flows, services) = (most(|it| it.flows), most(|it| it.services.into()));
    let services = u16::try_from(services).unwrap_or(u16::MAX);
    let mut found = vec![
        Target::at_least(
            "CPU cost of the bare AF_XDP forwarder by that of the ring path".to_owned(),
            RING,
            compared(all, usual(System::BareForwarder), usual(System::Ring), cost_by),
        ),
        Target::at_least(
            "frames per second of the ring path by those of the bare AF_XDP forwarder".to_owned(),
            RING,
            compared(all, usual(System::Ring), usual(System::BareForwarder), frames_by),
        ),
        Target::at_least(
            "CPU cost of nftables DNAT by that of the flow cache".to_owned(),
            NFTABLES,
            compared(all, usual(System::Nftables), usual(System::FlowCache), cost_by),
        ),
    ];
    for flows in [1, 1_000, 100_000] {
        let with_flows = |system| (system, Conditions { flows, ..USUAL });
        let sides = [System::FlowCache, System::Reflector].map(with_flows);
        let what = format!("ns of CPU of the flow cache beyond the XDP reflector, {flows} flows");
        found.push(Target::at_most(what, BEYOND_NS, compared(all, sides[0], sides[1], cost_beyond)));
    }
    for system in System::BALANCERS {
        let name = system.name();
        let growth = |many: Conditions, one: Conditions| {
            compared(all, (system, many), (system, one), cost_by).filter(|_| many != one)
        };
        let what = format!("CPU cost of {name} with {flows} flows by that with 1");
        found.push(Target::at_most(what, GROWTH, growth(Conditions { flows, ..USUAL }, USUAL)));
        let one = Conditions { flows: SOME_FLOWS, ..USUAL };
        let what = format!("CPU cost of {name} with {services} services by that with 1");
        found.push(Target::at_most(what, GROWTH, growth(Conditions { services, ..one }, one)));
    }
    found.into_iter().flatten().collect()
}

/// `one` compared with `other` in each round that has both; `None` without such.
fn compared(all: &[Series], one: Side, other: Side, by: fn(&Sample, &Sample) -> f64) -> Option<Spread> {
    let samples = |side: Side| {
        let series = all.iter().find(move |series| (series.system, series.conditions) == side);
        series.into_iter().flat_map(|series| &series.samples)
    };
    let in_round = |wanted: u32| samples(other).find(move |(round, _)| *round == wanted);
    let pairs: Vec<f64> = samples(one)
        .filter_map(|(round, sample)| in_round(*round).map(|(_, other)| by(sample, other)))
        .collect();
    (!pairs.is_empty()).then(|| Spread::of(pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each round cost, beginning with the first.
    fn series(system: System, flows: u32, costs: &[f64]) -> Series {
        let conditions = Conditions { flows, ..USUAL };
        let sample =
            |work_ns: &f64| Sample { work_ns: *work_ns, forwarded: 1e9 / work_ns, ..Sample::default() };
        Series { system, conditions, samples: (1..).zip(costs.iter().map(sample)).collect() }
    }

    fn same(value: f64) -> Spread {
        Spread { median: value, min: value, max: value }
    }

    #[test]
    fn a_target_is_met_or_missed_by_what_was_measured() {
        let all = [
            series(System::Reflector, 1, &[70.0]),
            series(System::BareForwarder, 1, &[800.0]),
            series(System::Ring, 1, &[1000.0]),
            series(System::FlowCache, 1, &[250.0]),
            series(System::FlowCache, 1_000_000, &[400.0]),
            series(System::Nftables, 1, &[900.0]),
        ];
        let told: Vec<(Spread, bool)> = targets(&all).iter().map(|it| (it.measured, it.is_met)).collect();
        let wanted = [(0.8, false), (0.8, false), (3.6, true), (180.0, true), (1.6, false)];
        assert_eq!(told, wanted.map(|(value, is_met)| (same(value), is_met)));
    }

    #[test]
    fn rounds_are_compared_with_themselves() {
        // The machine has a bad time: twice as dear for both, which neither median shows.
        let all = [
            series(System::BareForwarder, 1, &[800.0, 1900.0, 900.0]),
            series(System::Ring, 1, &[1000.0, 2000.0, 1000.0]),
        ];
        let costs = compared(&all, (System::BareForwarder, USUAL), (System::Ring, USUAL), cost_by);
        assert_eq!(costs, Some(Spread { median: 0.9, min: 0.8, max: 0.95 }));
    }

    #[test]
    fn a_round_that_lacks_one_side_is_left_out() {
        let all = [series(System::BareForwarder, 1, &[800.0]), series(System::Ring, 1, &[1000.0, 2000.0])];
        let costs = compared(&all, (System::BareForwarder, USUAL), (System::Ring, USUAL), cost_by);
        assert_eq!(costs, Some(same(0.8)));
    }

    #[test]
    fn nothing_is_said_of_what_was_not_measured() {
        assert_eq!(targets(&[series(System::Ring, 1, &[1000.0])]), []);
    }
}
