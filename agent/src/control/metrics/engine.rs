//! What the engines tell at `/metrics`.

use std::fmt;

use super::Scrape;
use super::text::{Families, Labels, label};
use crate::control::protocol::{BackendStatus, EngineStatus, PeerTableStatus, PoolStatus, ServiceStatus};
use crate::engine::{Accord, Condition};

impl Scrape {
    /// Nothing where there are no services.
    pub(super) fn engines(&self, families: &mut Families<'_>) -> fmt::Result {
        if self.engines.is_empty() {
            return Ok(());
        }
        let conditions = self.backends().flat_map(|(labels, backend)| {
            Condition::NAMES.map(|name| {
                let labels = [&labels[..], &[label("condition", name)]].concat();
                (labels, u32::from(backend.condition == name))
            })
        });
        let help = "1 for the condition of the backend, 0 for the others";
        families.gauges("backend_condition", help, None, conditions)?;
        let slots = self.backends().map(|(labels, backend)| (labels, backend.slots));
        let help = "Its slots of all in the table of its pool: its share of new flows";
        families.gauges("backend_slots", help, None, slots)?;
        let help = "0 if the peer has had another table of the pool for a while, or no such pool";
        let differs = |accord: &str| accord == Accord::Differs.name();
        let agrees = self.peer_tables().map(|(labels, peer)| (labels, u32::from(!differs(&peer.accord))));
        families.gauges("engine_pool_peer_agrees", help, None, agrees)?;
        let each = |of: fn(&BackendStatus) -> u64| self.backends().map(move |(labels, it)| (labels, of(it)));
        let help = "Frames that were sent to it, since the agent started";
        families.counters("backend_frames", help, None, each(|backend| backend.frames))?;
        let help = "Octets of these, Ethernet headers included";
        families.counters("backend_octets", help, None, each(|backend| backend.octets))?;

        let help = "Flows that have begun to go to it, since the agent started";
        families.counters("backend_begun_flows", help, None, each(|backend| backend.begun))?;
        let help = "Frames of its answers that were translated, since the agent started";
        families.counters("backend_answer_frames", help, None, each(|backend| backend.answers))?;
        let help = "Octets of these, Ethernet headers included";
        families.counters("backend_answer_octets", help, None, each(|backend| backend.answer_octets))?;

        let each = |of: fn(&ServiceStatus) -> u64| self.services().map(move |(labels, it)| (labels, of(it)));
        let help = "Frames of the service that were sent to backends, since the agent started";
        families.counters("engine_service_frames", help, None, each(|service| service.frames))?;
        let help = "Octets of these, Ethernet headers included";
        families.counters("engine_service_octets", help, None, each(|service| service.octets))?;
        let help = "Flows of the service that have begun, since the agent started";
        families.counters("engine_service_begun_flows", help, None, each(|service| service.begun))?;
        let help = "Frames of answers of the service that were translated, since the agent started";
        families.counters("engine_service_answer_frames", help, None, each(|service| service.answers))?;
        let help = "Octets of these, Ethernet headers included";
        families.counters(
            "engine_service_answer_octets",
            help,
            None,
            each(|service| service.answer_octets),
        )?;

        let of_engine = |engine: &EngineStatus| vec![label("interface", &engine.interface)];
        let flows = self.engines.iter().map(|engine| (of_engine(engine), engine.flows));
        families.gauges("engine_flows", "Flows that the workers remember", None, flows)?;
        let evicted = self.engines.iter().map(|engine| (of_engine(engine), engine.evicted));
        let help = "Flows that were forgotten before they were over, for want of room";
        families.counters("engine_evicted_flows", help, None, evicted)?;
        let lost = self.engines.iter().flat_map(|engine| {
            let of = |reason| [&of_engine(engine)[..], &[label("reason", reason)]].concat();
            engine.lost.iter().map(move |(reason, count)| (of(reason), *count))
        });
        let help = "Frames that the workers could send to nobody, since the agent started";
        families.counters("engine_lost_frames", help, None, lost)
    }

    fn services(&self) -> impl Iterator<Item = (Labels, &ServiceStatus)> {
        self.engines.iter().flat_map(|engine| {
            engine.services.iter().map(|service| {
                let labels = vec![
                    label("interface", &engine.interface),
                    label("vip", service.vip),
                    label("protocol", &service.protocol),
                    label("port", &service.port),
                ];
                (labels, service)
            })
        })
    }

    fn backends(&self) -> impl Iterator<Item = (Labels, &BackendStatus)> {
        self.pools().flat_map(|(labels, pool)| {
            let with = move |address| [&labels[..], &[label("backend", address)]].concat();
            pool.backends.iter().map(move |backend| (with(backend.address), backend))
        })
    }

    fn peer_tables(&self) -> impl Iterator<Item = (Labels, &PeerTableStatus)> {
        self.pools().flat_map(|(labels, pool)| {
            let with = move |address| [&labels[..], &[label("peer", address)]].concat();
            pool.peers.iter().map(move |peer| (with(peer.address), peer))
        })
    }

    fn pools(&self) -> impl Iterator<Item = (Labels, &PoolStatus)> {
        self.engines.iter().flat_map(|engine| {
            engine
                .pools
                .iter()
                .map(|pool| (vec![label("interface", &engine.interface), label("pool", &pool.name)], pool))
        })
    }
}
