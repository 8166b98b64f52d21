//! The whole of `baton.toml`: which tables it has, and what they mean together.

use std::path::Path;

use super::document::Map;
use super::draft::{self, Draft};
use super::environment::Environment;
use super::findings::{Findings, Spot};
use super::hook::{HOOK, hook};
use super::include::{self, INCLUDE};
use super::key::Table;
use super::object::Object;
use super::pool::{self, POOL, PoolDraft, pool};
use super::problem::Problem;
use super::router::{ROUTER, router};
use super::runtime::{RUNTIME, runtime};
use super::section::Section;
use super::service::{self, SERVICE, ServiceDraft, service};
use super::track::{TRACK, tracker};
use super::{Config, HookConfig, RouterConfig, Runtime, TrackerConfig, arms, group};

pub(super) static TABLE: Table = Table {
    name: "the file",
    kind: "file",
    identity: &[],
    keys: &[&INCLUDE, &RUNTIME, &ROUTER, &TRACK, &HOOK, &POOL, &SERVICE],
};

/// What a file was read as.
pub(super) struct Reading {
    /// `None` if there is a mistake in it.
    pub(super) runtime: Option<Runtime>,
    /// The whole, or every mistake in it.
    pub(super) config: Result<Config, Vec<Problem>>,
}

/// Reads the file at `path`, which holds `text`, and what it includes.
pub(super) fn parse(path: &Path, text: String, environment: Environment<'_>) -> Reading {
    let mut findings = Findings::default();
    let parts =
        include::read(path, text, environment, &mut findings).map(|members| parts(members, &mut findings));
    let runtime = parts.as_ref().and_then(|parts| parts.runtime.clone());
    let config = parts.and_then(|parts| whole(path, parts, &mut findings));
    let config = config.filter(|_| findings.len() == 0).ok_or_else(|| findings.into_problems());
    Reading { runtime, config }
}

/// The tables, as far as they are without mistakes.
struct Parts {
    runtime: Option<Runtime>,
    routers: Vec<Draft>,
    /// Each with its place; `None` if there is a mistake in one, for what that is called is not known.
    trackers: Option<Vec<(Spot, TrackerConfig)>>,
    hooks: Vec<HookConfig>,
    pools: Vec<PoolDraft>,
    services: Vec<ServiceDraft>,
    /// All of these as they are spelled.
    objects: Vec<Object>,
}

fn parts(members: Map, findings: &mut Findings) -> Parts {
    let mut file = Section::open(&TABLE, (Spot::default(), members), findings);
    let runtime_table = file.read(&RUNTIME);
    let [routers, tracks, hooks, pools, services] =
        [&ROUTER, &TRACK, &HOOK, &POOL, &SERVICE].map(|key| tables(file.read(key)));
    let mut objects = Vec::new();
    for (table, found) in [
        (RUNTIME.shape.0, runtime_table.as_slice()),
        (ROUTER.shape.shape.0, &routers),
        (TRACK.shape.shape.0, &tracks),
        (HOOK.shape.shape.0, &hooks),
        (POOL.shape.shape.0, &pools),
        (SERVICE.shape.shape.0, &services),
    ] {
        objects.extend(found.iter().map(|members| Object::new(table, members, findings)));
    }
    Parts {
        runtime: runtime_table.and_then(|table| runtime(table, findings)),
        routers: routers.into_iter().map(|table| router(table, findings)).collect(),
        trackers: all(tracks.into_iter().map(|table| Some((table.0, tracker(table, findings)?)))),
        hooks: hooks.into_iter().filter_map(|table| hook(table, findings)).collect(),
        pools: pools.into_iter().map(|table| pool(table, findings)).collect(),
        services: services.into_iter().map(|table| service(table, findings)).collect(),
        objects,
    }
}

/// The tables of an array of them.
fn tables(array: Option<Vec<(Spot, (Spot, Map))>>) -> Vec<(Spot, Map)> {
    array.into_iter().flatten().map(|(_, table)| table).collect()
}

/// All of `items`, each of which is looked at, or nothing if one is nothing.
fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    items.collect::<Vec<_>>().into_iter().collect()
}

/// What the tables mean together; what is wrong with that was noted if it is nothing.
fn whole(path: &Path, parts: Parts, findings: &mut Findings) -> Option<Config> {
    let Parts { runtime, routers, trackers, hooks, pools, services, objects } = parts;
    let vips = draft::check(&routers, findings);
    pool::check(&pools, &vips, findings);
    service::check(&services, &pools, &routers, findings);
    arms::check(&services, &pools, &routers, findings);
    let trackers = trackers?;
    draft::check_trackers(&routers, &trackers, findings);
    let mut trackers: Vec<TrackerConfig> = trackers.into_iter().map(|(_, tracker)| tracker).collect();
    let balanced = services.iter().filter_map(ServiceDraft::vip).collect();
    let mut routers: Vec<RouterConfig> =
        routers.into_iter().map(|draft| draft.finished(&trackers, &balanced)).collect::<Option<_>>()?;
    service::tie(&mut routers, &mut trackers);
    group::tie(&mut routers);
    let services: Option<_> = services.into_iter().map(|service| service.finished(&pools)).collect();
    let pools: Option<_> = pools.into_iter().map(PoolDraft::finished).collect();
    Some(Config {
        path: path.to_owned(),
        runtime: runtime?,
        routers,
        trackers,
        hooks,
        pools: pools?,
        services: services?,
        objects,
    })
}
