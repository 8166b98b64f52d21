//! Where the backends are: looked up in the kernel's neighbour table, which is made to keep them there.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{sleep, timeout};

use super::plan::{Backend, Plan};
use super::pools::Pools;
use crate::host::neighbours::{Neighbour, Neighbours};

/// How often the kernel is reminded of the backends, without which it would forget those that it has nothing to send to.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the kernel may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The least from one look to the next: a thousand neighbours may come at once.
const PAUSE: Duration = Duration::from_millis(10);

/// Keeps `pools` as the neighbours of `interface` are.
pub(super) async fn watch(plan: &Plan, pools: &ArcSwap<Pools>, mut neighbours: Neighbours, interface: &str) {
    loop {
        let known = look(plan, pools, &neighbours, interface).await;
        for Backend { address, .. } in &plan.backends {
            if !known.get(address).is_some_and(|neighbour| neighbour.entered) {
                // One that does not take it now is asked again.
                let _ = timeout(PATIENCE, neighbours.ask_for(*address)).await;
            }
        }
        let following = async {
            loop {
                sleep(PAUSE).await;
                neighbours.changed().await;
                look(plan, pools, &neighbours, interface).await;
            }
        };
        let _: Result<(), _> = timeout(INTERVAL, following).await;
    }
}

/// Makes `pools` of what the kernel knows of the neighbours, and answers with it.
async fn look(
    plan: &Plan,
    pools: &ArcSwap<Pools>,
    neighbours: &Neighbours,
    interface: &str,
) -> HashMap<IpAddr, Neighbour> {
    match timeout(PATIENCE, neighbours.list()).await {
        Ok(Ok(known)) => {
            let mac = |backend: &Backend| known.get(&backend.address).map(|neighbour| neighbour.mac);
            replace(plan, pools, plan.backends.iter().map(mac).collect(), interface);
            return known;
        }
        Ok(Err(error)) => tracing::warn!(interface, %error, "not known where the backends are"),
        Err(_) => tracing::warn!(interface, "the kernel does not tell its neighbours"),
    }
    HashMap::new()
}

/// Makes other pools if backends have come, gone or moved, and says so.
fn replace(plan: &Plan, pools: &ArcSwap<Pools>, macs: Vec<Option<[u8; 6]>>, interface: &str) {
    let before = pools.load();
    if before.macs() == macs {
        return;
    }
    for ((backend, old), new) in plan.backends.iter().zip(before.macs()).zip(&macs) {
        let (pool, address) = (&plan.pools[backend.pool].name, backend.address);
        match (old, new) {
            (None, Some(_)) => tracing::info!(interface, pool, %address, "backend found"),
            (Some(_), None) => tracing::warn!(interface, pool, %address, "backend does not answer"),
            (Some(old), Some(new)) if old != new => {
                tracing::info!(interface, pool, %address, "backend has another MAC address");
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    pools.store(Pools::new(plan, macs).into());
}
