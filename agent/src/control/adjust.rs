//! What the operator sets for backends, for `baton engine weight`, `drain` and `undrain`.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::atomic::Ordering;

use super::protocol::{Adjusted, BackendChange, Response};
use super::server::{RESTARTING, Server};
use crate::config::{BackendConfig, MAX_WEIGHT};
use crate::engine::{Adjustment, Engine};

impl Server {
    /// Sets `change` for a backend on all interfaces, for as long as this host runs: agents pass it on.
    pub(super) async fn adjust(&self, pool: &str, address: IpAddr, change: BackendChange) -> Response {
        match self.try_adjust(pool, address, change).await {
            Ok(adjusted) => Response::Adjusted(adjusted),
            Err(refusal) => Response::Error(refusal),
        }
    }

    async fn try_adjust(
        &self,
        pool: &str,
        address: IpAddr,
        change: BackendChange,
    ) -> Result<Adjusted, String> {
        let configured_weight = self.backend(pool, address)?.weight;
        let mut adjustments = self.adjustments.lock().await;
        // The next agent may have read what is set already. It is not waited between this look and the change.
        if self.restarting.load(Ordering::Relaxed) {
            return Err(RESTARTING.to_owned());
        }
        let adjustment = changed(adjustments.of(pool, address), change)?;
        let set = adjustments.set(pool, address, adjustment);
        set.map_err(|error| format!("nothing is changed, for it could not be kept: {error}"))?;
        let Adjustment { weight, is_drained } = adjustment;
        tracing::info!(pool, %address, ?weight, drained = is_drained, "set for a backend by the operator");
        let mut without_backend = Vec::new();
        for (interface, engine) in self.running_engines() {
            engine.adjust(&adjustments);
            if has_none(engine, pool) {
                without_backend.push(interface.to_owned());
            }
        }
        Ok(Adjusted {
            pool: pool.to_owned(),
            address,
            weight: weight.unwrap_or(configured_weight),
            configured_weight,
            drained: is_drained,
            without_backend,
        })
    }

    /// The backend of `pool` with this `address`, or what there is instead.
    fn backend(&self, pool: &str, address: IpAddr) -> Result<&BackendConfig, String> {
        let pools = &self.config.pools;
        let Some(found) = pools.iter().find(|other| other.name == pool) else {
            let names = listed(pools.iter().map(|pool| &pool.name));
            return Err(format!("there is no pool {pool}; there is {names}"));
        };
        found.backends.iter().find(|backend| backend.address == address).ok_or_else(|| {
            let addresses = listed(found.backends.iter().map(|backend| backend.address));
            format!("pool {pool} has no backend {address}; it has {addresses}")
        })
    }
}

/// What is set after `change`.
fn changed(before: Adjustment, change: BackendChange) -> Result<Adjustment, String> {
    Ok(match change {
        BackendChange::Weight(weight) if weight > MAX_WEIGHT => {
            return Err(format!("weight {weight} is too large; write 0 to {MAX_WEIGHT}"));
        }
        BackendChange::Weight(weight) => Adjustment { weight: Some(weight), ..before },
        BackendChange::ConfiguredWeight => Adjustment { weight: None, ..before },
        BackendChange::Drain => Adjustment { is_drained: true, ..before },
        BackendChange::Undrain => Adjustment { is_drained: false, ..before },
    })
}

/// Whether the engine has services with `pool`, and nobody for their new flows.
fn has_none(engine: &Engine, pool: &str) -> bool {
    let (plan, pools) = (&engine.plan, engine.pools());
    let number = plan.pools.iter().position(|other| other.name == pool);
    number.is_some_and(|number| !pools.has_takers(number))
}

fn listed(names: impl Iterator<Item = impl Display>) -> String {
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The text of an answer.
pub fn adjusted(adjusted: &Adjusted) -> String {
    let Adjusted { pool, address, weight, configured_weight, drained, without_backend } = adjusted;
    let state = match () {
        () if *drained => "drained: no new flows, those that it has go on",
        () if *weight == 0 => "no new flows, those that it has go on",
        () => "takes new flows while it is up",
    };
    let configured = if weight == configured_weight {
        String::new()
    } else {
        format!(" ({configured_weight} configured)")
    };
    let mut text = format!("{address} of pool {pool}: weight {weight}{configured}, {state}\n");
    for interface in without_backend {
        text += &format!(
            "{interface}: no backend of pool {pool} takes new flows; the VIP moves if another node is better off\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_and_a_weight_do_not_undo_each_other() {
        let mut now = Adjustment::default();
        for (change, weight, is_drained) in [
            (BackendChange::Weight(5), Some(5), false),
            (BackendChange::Drain, Some(5), true),
            (BackendChange::Weight(0), Some(0), true),
            (BackendChange::Undrain, Some(0), false),
            (BackendChange::ConfiguredWeight, None, false),
        ] {
            now = changed(now, change).expect("it is allowed");
            assert_eq!(now, Adjustment { weight, is_drained }, "{change:?}");
        }
        assert!(changed(now, BackendChange::Weight(1000)).is_ok());
        assert!(changed(now, BackendChange::Weight(1001)).is_err());
    }

    #[test]
    fn an_operator_reads_what_is_set_and_what_that_means() {
        let example = |weight, drained, without_backend: &[&str]| Adjusted {
            pool: "web".to_owned(),
            address: [192, 0, 2, 11].into(),
            weight,
            configured_weight: 1,
            drained,
            without_backend: without_backend.iter().map(|&name| name.to_owned()).collect(),
        };
        for (answer, text) in [
            (example(1, false, &[]), "weight 1, takes new flows while it is up\n"),
            (example(1, true, &[]), "weight 1, drained: no new flows, those that it has go on\n"),
            (
                example(0, false, &["eth0"]),
                "weight 0 (1 configured), no new flows, those that it has go on\n\
                 eth0: no backend of pool web takes new flows; the VIP moves if another node is better off\n",
            ),
        ] {
            assert_eq!(adjusted(&answer), format!("192.0.2.11 of pool web: {text}"));
        }
    }
}
