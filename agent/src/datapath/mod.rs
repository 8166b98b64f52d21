//! The data plane as the agent sees it: one loaded BPF object per interface, its programs attached by pinned links,
//! its maps pinned, its arrays of cells mapped into memory.

mod arms;
mod attach;
mod bpf;
pub mod cells;
mod contents;
mod error;
mod events;
mod examined;
mod flow_cache;
mod hook;
mod leases;
mod lines;
mod mapping;
mod mount;
pub mod object;
pub mod pins;
pub mod plain;
mod translations;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::RawFd;

use aya::maps::{MapData, PerCpuArray, XskMap};
use aya::{Ebpf, EbpfLoader};
use baton_common::line::{SEED_WORDS, Seed, WAYS};
use baton_common::maps::{self, Device, FrontendKey};
use baton_common::verdict::Verdict;

pub use arms::{Arm, takes_redirected};
use attach::Links;
pub use attach::refuse_foreign_pins;
pub use cells::{Answers, Mailboxes, Ownerships, Services, Tenures};
use contents::Contents;
pub use contents::{Entry, Plan};
pub use error::DatapathError;
pub use examined::ExaminedInterface;
pub use flow_cache::{BackendName, Backends, Cached, FlowCache, FlowHandover, Forwarded, Heritage, Way};
pub use hook::Hook;
pub use leases::Leases;
pub use pins::Pins;
pub use translations::{Translated, TranslationTable};

use crate::config::DatapathLog;
use crate::host::netlink::XdpMode;
use crate::vrrp::Ownership;

/// The maps that outlive the agent. The XSKMAPs are not among them: nothing whose loss matters may depend on one. Nor are the
/// services of the engine, which is the agent.
pub const PINNED_MAPS: [&str; 12] = [
    maps::DEVICE,
    maps::ROUTERS,
    maps::VIPS,
    maps::DISCRIMINATORS,
    maps::PEERS,
    maps::OWNERSHIP,
    maps::MAILBOXES,
    maps::ANSWERS,
    maps::STANDBYS,
    maps::SERVICES,
    maps::COUNTERS,
    maps::ENGINE_PROGRAM,
];

/// The data plane of one interface.
pub struct Datapath {
    bpf: Ebpf,
    /// What the hashes of flows depend on.
    seed: Seed,
    pins: Pins,
    mode: XdpMode,
    adopted: bool,
    links: Links,
    /// What the maps of an earlier run contained before they were configured.
    before: Option<Contents>,
}

impl Datapath {
    /// How the XDP program runs.
    pub fn mode(&self) -> XdpMode {
        self.mode
    }

    /// Whether the programs and maps of an earlier run were adopted.
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// The ids of our programs, each with the place where it runs.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub fn programs(&self) -> Result<[(Hook, u32); 3], DatapathError> {
        let mut programs = Hook::ALL.map(|hook| (hook, 0));
        for (hook, id) in &mut programs {
            let name = hook.program();
            *id = self.bpf.program(name).ok_or(DatapathError::NoProgram(name))?.info()?.id();
        }
        Ok(programs)
    }

    /// Makes the programs know again what an earlier run had configured. To be called before its addresses are bound again.
    ///
    /// # Errors
    ///
    /// A map refuses an entry.
    pub fn restore(&mut self) -> Result<(), DatapathError> {
        self.before.as_ref().map_or(Ok(()), |before| before.write(&mut self.bpf))
    }

    /// Takes off the interface what this run has put there; the maps of an earlier run are then as it left them. To be
    /// called when this run's addresses are bound no more.
    ///
    /// # Errors
    ///
    /// A map does not let go of an entry, or a pin cannot be removed.
    pub fn take_back(mut self) -> Result<(), DatapathError> {
        if let Some(before) = self.before.take() {
            let cells = self.ownerships()?;
            before.prune(&mut self.bpf, &cells)?;
        }
        examined::take_off(&self.pins, self.adopted, &self.links)
    }

    /// What the maps shall contain for `entries` on `device`. A router keeps the slot that an earlier
    /// run gave it; the cells of a new one are freed of what another router may have left there. Nothing else is written.
    ///
    /// # Errors
    ///
    /// A map cannot be read, or has no room for the addresses of `entries` beside those of an earlier run, which it contains
    /// until they are bound no more.
    pub fn plan(&self, device: Device, entries: Vec<Entry>) -> Result<Plan, DatapathError> {
        let known = contents::routers(&self.bpf)?;
        let plan = Plan::new(&known, device, entries);
        contents::check_room(&self.bpf, &plan)?;
        let cells = self.ownerships()?;
        for slot in plan.slots().filter(|slot| !known.iter().any(|(_, router)| router.slot == *slot)) {
            cells.set(slot, Ownership::Released);
        }
        Ok(plan)
    }

    /// Tells the programs which interface they run on and which virtual routers it has, beside those that they know.
    ///
    /// # Errors
    ///
    /// A map cannot be read or refuses an entry.
    pub fn configure(&mut self, plan: &Plan) -> Result<(), DatapathError> {
        let cells = self.ownerships()?;
        if self.adopted {
            self.before = Some(Contents::read(&self.bpf, &cells, plan)?);
        }
        contents::write(&mut self.bpf, &cells, plan)
    }

    /// Makes the programs forget the virtual routers and addresses that are not in `plan`. To be called when these
    /// addresses are bound no more.
    ///
    /// # Errors
    ///
    /// A map cannot be read or does not let go of an entry.
    pub fn prune(&mut self, plan: &Plan) -> Result<(), DatapathError> {
        contents::prune(&mut self.bpf, plan)
    }

    /// Puts our programs in the place of an earlier run's; they know what it has configured. Cannot be taken back, and
    /// needs it least: those programs read the same maps.
    ///
    /// # Errors
    ///
    /// A link was taken off the interface meanwhile.
    pub fn take_over(&mut self) -> Result<(), DatapathError> {
        attach::take_over(&mut self.bpf, &mut self.links)
    }

    /// The ownership cells. The driver alone may write them.
    ///
    /// # Errors
    ///
    /// The map cannot be mapped into memory.
    pub fn ownerships(&self) -> Result<Ownerships, DatapathError> {
        Ownerships::map(self.array(maps::OWNERSHIP)?)
    }

    /// The ownership cells, for somebody who looks whether this host owns.
    ///
    /// # Errors
    ///
    /// The map cannot be mapped into memory.
    pub fn tenures(&self) -> Result<Tenures, DatapathError> {
        Tenures::map(self.array(maps::OWNERSHIP)?)
    }

    /// The mailboxes.
    ///
    /// # Errors
    ///
    /// The map cannot be mapped into memory.
    pub fn mailboxes(&self) -> Result<Mailboxes, DatapathError> {
        Mailboxes::map(self.array(maps::MAILBOXES)?)
    }

    /// The answers to S-BFD probes.
    ///
    /// # Errors
    ///
    /// The map cannot be mapped into memory.
    pub fn answers(&self) -> Result<Answers, DatapathError> {
        Answers::map(self.array(maps::ANSWERS)?)
    }

    /// When the addresses were first of use.
    ///
    /// # Errors
    ///
    /// The map cannot be mapped into memory.
    pub fn services(&self) -> Result<Services, DatapathError> {
        Services::map(self.array(maps::SERVICES)?)
    }

    /// The places for AF_XDP sockets, for whoever opens them. Can be taken once.
    ///
    /// # Errors
    ///
    /// They were taken before.
    pub fn take_sockets(&mut self) -> Result<Sockets, DatapathError> {
        let map = self.bpf.take_map(maps::XSKS).ok_or(DatapathError::NoMap(maps::XSKS))?;
        Ok(Sockets(XskMap::try_from(map)?))
    }

    /// The places for AF_XDP sockets of the engine. Can be taken once.
    ///
    /// # Errors
    ///
    /// They were taken before.
    pub fn take_engine_sockets(&mut self) -> Result<Sockets, DatapathError> {
        let map = self.bpf.take_map(maps::ENGINE_XSKS).ok_or(DatapathError::NoMap(maps::ENGINE_XSKS))?;
        Ok(Sockets(XskMap::try_from(map)?))
    }

    /// Gives to the engine what is for `frontends`, each with the number of its service.
    ///
    /// # Errors
    ///
    /// The map refuses an entry.
    pub fn set_frontends(
        &mut self,
        frontends: impl Iterator<Item = (FrontendKey, u32)>,
    ) -> Result<(), DatapathError> {
        contents::write_frontends(&mut self.bpf, frontends)
    }

    /// The flows that the program forwards by itself.
    ///
    /// # Errors
    ///
    /// The map cannot be mapped into memory.
    pub fn flow_cache(&self) -> Result<FlowCache, DatapathError> {
        FlowCache::of(&self.bpf, self.seed)
    }

    /// What becomes of answers.
    ///
    /// # Errors
    ///
    /// The map cannot be mapped into memory.
    pub fn translations(&self) -> Result<TranslationTable, DatapathError> {
        TranslationTable::of(&self.bpf, self.seed)
    }

    /// What passes the flow cache on, from the agent before and to the next one.
    ///
    /// # Errors
    ///
    /// The process has no descriptor to spare.
    pub fn flow_handover(&self) -> Result<FlowHandover, DatapathError> {
        FlowHandover::of(&self.bpf, &self.pins)
    }

    /// Forgets the flow cache of the agent before, where this one has none.
    ///
    /// # Errors
    ///
    /// The pin cannot be removed.
    pub fn forget_flows(&self) -> Result<(), DatapathError> {
        flow_cache::HANDED_OVER.into_iter().try_for_each(|name| flow_cache::remove_pin(&self.pins.map(name)))
    }

    /// The backends that the program may give frames to.
    ///
    /// # Errors
    ///
    /// The process has no descriptor to spare.
    pub fn backends(&self) -> Result<Backends, DatapathError> {
        Backends::of(&self.bpf)
    }

    /// What the program has forwarded to each backend.
    ///
    /// # Errors
    ///
    /// The process has no descriptor to spare.
    pub fn forwarded(&self) -> Result<Forwarded, DatapathError> {
        Forwarded::of(&self.bpf)
    }

    /// The verdict counters, for a reader on another thread. Can be taken once.
    ///
    /// # Errors
    ///
    /// They were taken before.
    pub fn take_counters(&mut self) -> Result<Counters, DatapathError> {
        let map = self.bpf.take_map(maps::COUNTERS).ok_or(DatapathError::NoMap(maps::COUNTERS))?;
        Ok(Counters(PerCpuArray::try_from(map)?))
    }

    /// Writes the events that the programs log to this process's log, for as long as it is polled. Can be taken once.
    ///
    /// # Errors
    ///
    /// The log ring cannot be read.
    pub fn take_events(&mut self) -> Result<impl Future<Output = ()> + use<>, DatapathError> {
        events::follow(&mut self.bpf)
    }

    fn array(&self, name: &'static str) -> Result<&MapData, DatapathError> {
        flow_cache::array_data(&self.bpf, name)
    }
}

/// Where the advertisements go that arrive on each queue, or what the engine balances. Without a socket the advertisements go to
/// the kernel, and the others nowhere.
pub struct Sockets(XskMap<MapData>);

impl Sockets {
    /// Sends what arrives on `queue` to the AF_XDP socket `fd`, for as long as it is open. The engine's queues are counted over its arms,
    /// see [`maps::engine_socket`].
    ///
    /// # Errors
    ///
    /// The kernel refuses the socket.
    pub fn set(&mut self, queue: u32, fd: RawFd) -> Result<(), DatapathError> {
        Ok(self.0.set(queue, fd, 0)?)
    }

    /// Ends that.
    ///
    /// # Errors
    ///
    /// There is no socket.
    pub fn unset(&mut self, queue: u32) -> Result<(), DatapathError> {
        Ok(self.0.unset(queue)?)
    }
}

/// How many frames met each verdict.
pub struct Counters(PerCpuArray<MapData, u64>);

impl Counters {
    /// Every verdict with its frames since the maps were made, summed over all CPUs.
    pub fn read(&self) -> Vec<(Verdict, u64)> {
        let sum = |verdict: Verdict| -> u64 {
            self.0.get(&(verdict as u32), 0).map_or(0, |cells| cells.iter().sum())
        };
        Verdict::ALL.into_iter().map(|verdict| (verdict, sum(verdict))).collect()
    }

    /// Frames since the maps were made that show that the network lets frames through to this host.
    pub fn let_through(&self) -> u64 {
        self.read()
            .into_iter()
            .filter(|(verdict, _)| verdict.shows_forwarding())
            .map(|(_, count)| count)
            .sum()
    }
}

/// What the programs of an interface are loaded for. Memory for flows is taken at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purpose {
    /// Flows that there is room for in the flow cache; 0 if it is not used.
    pub cached: u32,
    /// Flows that there is room for in the table of translations; 0 if nothing is translated.
    pub translated: u32,
    /// Whether an engine with its services on another interface has backends behind this one.
    pub is_other_arm: bool,
}

/// Loads the object; pinned maps that exist are used, the others are made and pinned. They are for this `purpose`, and their
/// tables have a seed of their own to find flows by.
fn load(pins: &Pins, log: DatapathLog, purpose: Purpose) -> Result<(Ebpf, Seed), DatapathError> {
    let level: u8 = match log {
        DatapathLog::Off => 0,
        DatapathLog::Debug => aya_log::Level::Debug as u8,
    };
    let paths = PINNED_MAPS.map(|name| (name, pins.map(name)));
    let seed = draw_seed();
    // A translated flow whose lines are taken gets another port, and so other lines.
    let (cached, translated) = (lines_for(purpose.cached.saturating_mul(2)), lines_for(purpose.translated));
    let is_other_arm = u32::from(purpose.is_other_arm);
    let mut loader = EbpfLoader::new();
    loader
        .override_global(aya_log::LEVEL, &level, true)
        .override_global(maps::FLOW_LINES, &cached, true)
        .override_global(maps::TRANSLATION_LINES, &translated, true)
        .override_global(maps::IS_OTHER_ARM, &is_other_arm, true)
        .override_global(maps::LINES_SEED, &seed[..], true)
        .map_max_entries(maps::FLOW_CACHE, cached.max(WAYS))
        .map_max_entries(maps::CACHED_FLOWS, cached.max(WAYS))
        .map_max_entries(maps::TRANSLATIONS, translated.max(WAYS));
    for (name, path) in &paths {
        loader.map_pin_path(name, path);
    }
    Ok((loader.load(object::OBJECT)?, seed))
}

/// The most lines of a table: with translations 2.3 GB.
const MOST_LINES: u32 = 1 << 24;

/// So many lines, or a few more. With twice as many as flows, of a thousand flows about eight find none when all are there.
fn lines_for(lines: u32) -> u32 {
    lines.min(MOST_LINES).next_multiple_of(WAYS)
}

/// Random numbers: the standard library has the keys of its hash tables from the kernel.
fn draw_seed() -> Seed {
    [(); SEED_WORDS].map(|()| RandomState::new().build_hasher().finish())
}
