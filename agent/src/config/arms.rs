//! Interfaces that backends are behind and services are not. A receive queue has one AF_XDP socket: it is the engine's that serves the
//! backends, so there can be one such engine only.

use std::collections::{BTreeMap, BTreeSet};

use baton_common::maps::MAX_ARMS;

use super::Config;
use super::draft::Draft;
use super::findings::Findings;
use super::pool::PoolDraft;
use super::service::ServiceDraft;

/// Interfaces with backends beside the one with the services.
const MAX_OTHERS: usize = MAX_ARMS as usize - 1;

/// Notes pools whose interface has services of its own, or backends of services on another one, and more interfaces than an engine can have.
pub(super) fn check(
    services: &[ServiceDraft],
    pools: &[PoolDraft],
    routers: &[Draft],
    findings: &mut Findings,
) {
    let home = |service: &ServiceDraft| {
        let vip = service.vip()?;
        let router = routers.iter().find(|router| router.vips.iter().any(|(_, other)| *other == vip));
        router?.interface.as_deref()
    };
    let homes: BTreeSet<&str> = services.iter().filter_map(home).collect();
    let mut homes_of = BTreeMap::new();
    for service in services {
        let pool =
            pools.iter().find(|pool| pool.name.is_some() && pool.name.as_deref() == service.pool_name());
        let Some((home, (at, arm))) = home(service).zip(pool.and_then(|pool| pool.interface.as_ref())) else {
            continue;
        };
        if home == arm {
            continue;
        }
        if homes.contains(arm.as_str()) {
            let what = format!("{arm} has services of its own, and cannot have backends of those on {home}");
            findings.add(*at, what, "let these backends be reached by an interface without services");
        }
        let count = homes_of.values().filter(|other| **other == home).count();
        match homes_of.insert(arm.as_str(), home) {
            Some(other) if other != home => {
                let what = format!(
                    "{arm} has backends of services on {other}, and cannot have those of {home}, too"
                );
                findings.add(*at, what, "let the services be on one interface");
            }
            None if count == MAX_OTHERS => {
                let what = format!(
                    "services on {home} have backends behind more than {MAX_OTHERS} other interfaces"
                );
                findings.add(*at, what, "let backends share interfaces");
            }
            Some(_) | None => {}
        }
    }
}

impl Config {
    /// The other interfaces that backends of services on `interface` are behind, each once.
    pub fn arms_of(&self, interface: &str) -> Vec<&str> {
        let mut arms: Vec<&str> = Vec::new();
        for service in self.routers_on(interface).flat_map(|router| self.services_of(router)) {
            if let Some(arm) = self.pools[service.pool].interface.as_deref()
                && arm != interface
                && !arms.contains(&arm)
            {
                arms.push(arm);
            }
        }
        arms
    }

    /// The interface with the services whose backends are behind `interface`, if that is another one.
    pub fn home_of(&self, interface: &str) -> Option<&str> {
        let mut homes = self.routers.iter().map(|router| router.interface.as_str());
        homes.find(|home| self.arms_of(home).contains(&interface))
    }
}
