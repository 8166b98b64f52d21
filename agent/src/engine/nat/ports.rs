//! The ports that translated packets come from (RFC 6056 3.3.4, by the flow's hash).

use std::ops::RangeInclusive;

use baton_common::sbfd;

use crate::host::HostError;
use crate::host::local_ports::local_ports;

/// Ports that are tried for one flow.
const TRIES: u64 = 128;
/// Those below are for services.
const FIRST: u16 = 1024;

/// With fewer ports there is no point in NAT.
const LEAST: usize = 1024;

/// Ports that this host's own connections do not come from, so that no answer to one is taken for that to a translated packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports(RangeInclusive<u16>);

impl Ports {
    /// Those of this host.
    ///
    /// # Errors
    ///
    /// Its own connections leave fewer than 1024.
    pub fn of_host() -> Result<Self, HostError> {
        let ports = Self::beside(&local_ports());
        if ports.count() < LEAST {
            return Err(HostError::NoNatPorts { least: LEAST });
        }
        Ok(ports)
    }

    /// Those below or above the `local` ones, where there are more.
    pub fn beside(local: &RangeInclusive<u16>) -> Self {
        let below = FIRST..=local.start().saturating_sub(1);
        match local.end().checked_add(1).map(|first| first.max(FIRST)..=u16::MAX) {
            Some(above) if above.len() > below.len() => Self(above),
            Some(_) | None => Self(below),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Some of them in an order that depends on the `hash`, none twice. That of S-BFD is none: XDP looks for probes first.
    pub(super) fn for_flow(&self, hash: u64) -> impl Iterator<Item = u16> {
        let (first, count) = (u64::from(*self.0.start()), self.0.len() as u64);
        let (start, step) = (hash & 0xffff_ffff, 1 | hash >> 32);
        // A step that has no divisor in common with the count comes by every port before it comes by one again.
        let step = (step..).step_by(2).find(|step| is_coprime(*step, count)).unwrap_or(1);
        let port = move |turn| u16::try_from(first + (start + turn * step) % count).unwrap_or(FIRST);
        (0..TRIES.min(count)).map(port).filter(|port| *port != sbfd::PORT)
    }
}

fn is_coprime(mut one: u64, mut other: u64) -> bool {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one == 1
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ports_of_the_hosts_own_connections_are_left_out() {
        for (local, ports) in [
            (32_768..=60_999, 1024..=32_767),
            (1024..=40_000, 40_001..=65_535),
            (0..=100, 1024..=65_535),
            (2000..=65_535, 1024..=1999),
        ] {
            assert_eq!(Ports::beside(&local), Ports(ports), "{local:?}");
        }
        assert_eq!(Ports::beside(&(1024..=65_535)).count(), 0);
    }

    proptest! {
        #[test]
        fn none_is_tried_twice_or_is_one_of_the_hosts(hash: u64, first in 1024_u16..60_000, count in 1_u16..5000) {
            let ports = Ports(first..=first.saturating_add(count));
            let tried: Vec<u16> = ports.for_flow(hash).collect();
            let is_left_out = usize::from(ports.0.contains(&sbfd::PORT));
            prop_assert!((ports.count().min(128) - is_left_out..=128).contains(&tried.len()));
            prop_assert!(!tried.contains(&sbfd::PORT));
            prop_assert!(tried.iter().all(|port| ports.0.contains(port)));
            prop_assert_eq!(tried.iter().collect::<HashSet<_>>().len(), tried.len());
        }
    }
}
