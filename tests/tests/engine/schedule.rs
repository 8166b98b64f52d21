//! Whom schedulers choose, without IO.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use baton::config::{BackendConfig, PoolConfig, Ports, Protocol, Schedule, ServiceConfig};
use baton::datapath::FlowCache;
use baton::engine::{Condition, Forwarder, Plan, Pools, Traffic};
use baton::vrrp::Instant;
use baton_tests::frames::{octets, with};
use baton_tests::pool::pool;
use proptest::prelude::*;

/// Of the vectors.
const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100));
/// Where the source address of a frame of the vectors is, behind which its port comes.
const SOURCE: usize = 26;
const SOURCE_PORT: usize = 34;

/// How many flows begin: of none is forgotten any.
const FLOWS: u32 = 20_000;

/// How many new flows each backend of a pool gets, with these weights and whether it is in order, from a client for each or from
/// one alone.
fn spread(schedule: Schedule, backends: &[(u16, bool)], clients: u32) -> Vec<u64> {
    let backend = |(last, (weight, _)): (u8, &(u16, bool))| BackendConfig {
        address: [10, 0, 0, last].into(),
        weight: *weight,
        is_backup: false,
        port: None,
    };
    let pool = PoolConfig { schedule, ..pool((1..).zip(backends).map(backend).collect()) };
    let service = ServiceConfig { vip: VIP, protocol: Protocol::Tcp, ports: Ports::Any, pool: 0 };
    let plan = Arc::new(Plan::new(&[pool], vec![service]));
    let condition =
        |(_, is_up): &(u16, bool)| if *is_up { Condition::Up([2; 6]) } else { Condition::Unreachable };
    let pools = Pools::unknown(&plan).then(&plan, backends.iter().map(condition).collect());
    let traffic = Arc::new(Traffic::new(backends.len(), 1));
    let mut forwarder = Forwarder::<FlowCache>::new(plan, 65_536, None, None, [[2; 6]], Arc::clone(&traffic));
    let syn = octets("lb-tcp-syn-vip");
    for number in 0..FLOWS {
        let [_, a, b, c] = (number % clients).to_be_bytes();
        let port = u16::try_from(number).expect("few").to_be_bytes();
        let mut frame = with(&with(&syn, SOURCE, &[10, a, b, c]), SOURCE_PORT, &port);
        forwarder.forward(&mut frame, &pools, Instant::from_nanos(1));
    }
    traffic.per_backend().map(|carriage| carriage.frames).collect()
}

#[test]
fn a_client_keeps_its_backend_where_its_address_decides() {
    let of_one = spread(Schedule::Source, &[(1, true); 4], 1);
    assert_eq!(of_one.iter().filter(|count| **count > 0).count(), 1, "{of_one:?}");
    let of_many = spread(Schedule::Source, &[(1, true); 4], FLOWS);
    assert!(of_many.iter().all(|count| (4_500..5_500).contains(count)), "{of_many:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_backend_in_order_gets_flows_by_its_weight_and_no_other_gets_any(
        backends in prop::collection::vec((0_u16..10, any::<bool>()), 1..6),
    ) {
        let weight = |(weight, is_up): &(u16, bool)| if *is_up { f64::from(*weight) } else { 0.0 };
        let all: f64 = backends.iter().map(weight).sum();
        for schedule in
            [Schedule::Maglev, Schedule::Source, Schedule::RoundRobin, Schedule::LeastConnections]
        {
            let counts = spread(schedule, &backends, FLOWS);
            for (backend, count) in backends.iter().zip(&counts) {
                let wanted = if all > 0.0 { weight(backend) / all * f64::from(FLOWS) } else { 0.0 };
                let count = *count as f64;
                // Of a hash, what chance may do beside: four standard deviations.
                let chance = match schedule {
                    Schedule::Maglev | Schedule::Source => 4.0 * wanted.sqrt(),
                    Schedule::RoundRobin | Schedule::LeastConnections => 0.0,
                };
                prop_assert!(
                    (count - wanted).abs() <= wanted * 0.05 + chance,
                    "{:?}: {:?} of {:?}", schedule, counts, backends
                );
            }
        }
    }
}
