//! What the operator orders: handover, drain, resume, restart, reload. Others carry it out; this waits for what came of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::protocol::{Outcome, Reloaded, Response, Restarted};
use super::server::{RESTARTING, Server, stuck};
use crate::address;
use crate::config::{Config, Difference};
use crate::driver::{Command, PeerSnapshot, Place, RouterSnapshot, Snapshot};
use crate::vrrp::{Reason, Role};

/// How often a move in progress is looked at.
const MOVE_POLL: Duration = Duration::from_millis(2);
/// Virtual routers that are handed over at once. A thousand would want several thousand frames of either node, and what has not
/// found a successor after an interval comes back.
const AT_ONCE: usize = 32;

/// The virtual routers that an order is about.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chosen<'a> {
    pub(super) vrid: Option<u8>,
    pub(super) interface: Option<&'a str>,
}

impl Server {
    /// Hands over what is chosen and waits until every one has a successor or has come back.
    pub(super) async fn hand_over(&self, chosen: Chosen<'_>, to: Option<IpAddr>) -> Response {
        let Some(before) = self.snapshot().await else { return stuck() };
        let chosen: Vec<Place> = self
            .places(&before, chosen)
            .map(|(place, _)| place)
            .filter(|place| to.is_none_or(|to| self.is_of_family(*place, to)))
            .collect();
        let places: Vec<Place> = self
            .places(&before, Chosen::default())
            .filter(|(place, state)| state.role == Role::Active && self.moves_with(*place, &chosen))
            .map(|(place, _)| place)
            .collect();
        if places.is_empty() {
            return Response::Error(
                "this host is Active for no such virtual router; see `baton status`".to_owned(),
            );
        }
        if to.is_some() && places.iter().any(|place| self.group_of(*place).is_some()) {
            return Response::Error(
                "a router of a group moves with the others, and whoever succeeds them has another address for each; hand \
                 over without --to"
                    .to_owned(),
            );
        }
        if let Some(to) = to.filter(|to| places.iter().any(|place| !self.may_name(*place, *to))) {
            return Response::Error(format!(
                "{to} is an address of this host or a virtual one; --to takes the primary address of a peer"
            ));
        }
        for places in parts(&places, |place| self.group_of(place)) {
            let command = Command::Handover { routers: places.clone(), to };
            if let Err(refusal) = self.carry_out(command, &places).await {
                return refusal;
            }
        }
        self.outcomes(&places, |state| handover_outcome(state, to)).await
    }

    /// Hands everything over and takes this host out of the election. It outlasts a restart of the agent when nothing has
    /// stayed here.
    pub(super) async fn drain(&self) -> Response {
        let Some(before) = self.snapshot().await else { return stuck() };
        let places: Vec<Place> = self.places(&before, Chosen::default()).map(|(place, _)| place).collect();
        let response = self.order(Command::Drain, &places, drain_outcome).await;
        if let Response::Outcomes(outcomes) = &response
            && outcomes.iter().all(|outcome| outcome.done)
            && let Err(error) = self.drained.set()
        {
            tracing::warn!(%error, "drained, but a restart of the agent will end it");
        }
        response
    }

    /// Ends a drain.
    pub(super) async fn resume(&self) -> Response {
        let Some(before) = self.snapshot().await else { return stuck() };
        let was_drained = |(place, state): (Place, &RouterSnapshot)| state.drained.then_some(place);
        let places: Vec<Place> = self.places(&before, Chosen::default()).filter_map(was_drained).collect();
        if places.is_empty() {
            return Response::Error("this host is not drained".to_owned());
        }
        let response = self.order(Command::Undrain, &places, |_| (true, "takes part again".to_owned())).await;
        if let Response::Outcomes(_) = response
            && let Err(error) = self.drained.clear()
        {
            return Response::Error(format!(
                "takes part again, but a restart would bring the drain back: {error}"
            ));
        }
        response
    }

    /// Waits for handovers that are under way, so that whoever has asked for them is told, and then for the next agent.
    pub(super) async fn restart(&self) -> Response {
        if self.restarting.swap(true, Ordering::Relaxed) {
            return Response::Error(RESTARTING.to_owned());
        }
        let response = self.replace().await;
        // What is ordered when another agent has taken over is for that one.
        let is_replaced = matches!(response, Response::Restarted(_));
        self.restarting.store(is_replaced, Ordering::Relaxed);
        response
    }

    /// Restarts if the configuration has changed since this agent has read it, and tells the log what has come of it.
    pub(crate) async fn reload(&self) -> Response {
        let differences = match self.differences().await {
            Ok(differences) => differences,
            Err(error) => {
                tracing::error!("not reloaded: {error:#}");
                return Response::Error(format!("not reloaded: {error:#}"));
            }
        };
        if differences.is_empty() {
            tracing::info!("reload: nothing in the configuration has changed");
            return Response::Reloaded(Reloaded { differences, pid: None });
        }
        for difference in &differences {
            tracing::info!("reload: {difference}");
        }
        match self.restart().await {
            Response::Restarted(Restarted { pid }) => {
                Response::Reloaded(Reloaded { differences, pid: Some(pid) })
            }
            // Why has been logged where it was found out.
            refusal @ (Response::Error(_)
            | Response::Status(_)
            | Response::Engine(_)
            | Response::Load(_)
            | Response::Flows(_)
            | Response::Trace(_)
            | Response::Adjusted(_)
            | Response::Outcomes(_)
            | Response::Reloaded(_)) => refusal,
        }
    }

    /// In what the configuration on the disk differs from the one that this agent runs with.
    async fn differences(&self) -> anyhow::Result<Vec<Difference>> {
        let path = self.config.path.clone();
        // A disk may be slow, and others have questions, too.
        let new = tokio::task::spawn_blocking(move || Config::load(&path)).await??;
        Ok(self.config.differences(&new))
    }

    async fn replace(&self) -> Response {
        let all: Vec<Place> = self.routers().map(|(place, _, _)| place).collect();
        if self.settled(&all).await.is_none() {
            return stuck();
        }
        let (reply, outcome) = oneshot::channel();
        if self.restarts.try_send(reply).is_err() {
            return Response::Error(RESTARTING.to_owned());
        }
        match outcome.await {
            Ok(Ok(pid)) => Response::Restarted(Restarted { pid }),
            Ok(Err(error)) => Response::Error(error),
            Err(_) => Response::Error(RESTARTING.to_owned()),
        }
    }

    /// Gives `command` to the election thread, waits until it is carried out at `places`, and tells what came of it.
    async fn order(
        &self,
        command: Command,
        places: &[Place],
        judge: impl Fn(&RouterSnapshot) -> (bool, String),
    ) -> Response {
        match self.carry_out(command, places).await {
            Ok(()) => self.outcomes(places, judge).await,
            Err(refusal) => refusal,
        }
    }

    /// Gives `command` to the election thread, and waits until nothing at `places` is under way any more.
    async fn carry_out(&self, command: Command, places: &[Place]) -> Result<(), Response> {
        // Nothing is waited for between this look and the command, and a restart looks for what is under way.
        if self.restarting.load(Ordering::Relaxed) {
            return Err(Response::Error(RESTARTING.to_owned()));
        }
        if self.remote.send(command).is_err() {
            return Err(stuck());
        }
        self.settled(places).await.ok_or_else(stuck)
    }

    /// What `judge` thinks of the virtual routers at `places`.
    async fn outcomes(
        &self,
        places: &[Place],
        judge: impl Fn(&RouterSnapshot) -> (bool, String),
    ) -> Response {
        let Some(snapshot) = self.snapshot().await else { return stuck() };
        let outcome = |place: &Place| {
            let state = snapshot.ports.get(place.port)?.routers.get(place.router)?;
            let (port, router) = self.served(*place)?;
            let (done, detail) = judge(state);
            Some(Outcome {
                interface: port.interface.clone(),
                vrid: router.config.vrid.get(),
                family: router.config.family().name().to_owned(),
                done,
                detail,
            })
        };
        places.iter().map(outcome).collect::<Option<_>>().map_or_else(stuck, Response::Outcomes)
    }

    /// Waits until none of the virtual routers at `places` is leaving any more.
    async fn settled(&self, places: &[Place]) -> Option<()> {
        while self.is_any_leaving(places).await? {
            sleep(MOVE_POLL).await;
        }
        Some(())
    }

    fn places<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        chosen: Chosen<'a>,
    ) -> impl Iterator<Item = (Place, &'a RouterSnapshot)> {
        let ports = self.ports.iter().zip(&snapshot.ports).enumerate();
        ports
            .filter(move |(_, (served, _))| chosen.interface.is_none_or(|name| name == served.interface))
            .flat_map(move |(port, (served, seen))| {
                let routers = served.routers.iter().zip(&seen.routers).enumerate();
                routers
                    .filter(move |(_, (served, _))| {
                        chosen.vrid.is_none_or(|vrid| vrid == served.config.vrid.get())
                    })
                    .map(move |(router, (_, state))| (Place { port, router }, state))
            })
    }

    /// Whether the virtual router at `place` is one of `others`, or in a group with one.
    fn moves_with(&self, place: Place, others: &[Place]) -> bool {
        let group = self.group_of(place);
        others.iter().any(|other| *other == place || (group.is_some() && self.group_of(*other) == group))
    }

    fn group_of(&self, place: Place) -> Option<&str> {
        self.served(place).and_then(|(_, router)| router.config.group.as_deref())
    }

    fn is_of_family(&self, place: Place, address: IpAddr) -> bool {
        self.served(place).is_some_and(|(_, router)| router.config.family() == address::family(address))
    }

    /// Whether `address` may be that of a successor.
    fn may_name(&self, place: Place, address: IpAddr) -> bool {
        self.served(place).is_some_and(|(port, router)| {
            !port.primaries.contains(&address) && !router.config.vips.contains(&address)
        })
    }
}

/// `places` in parts of [`AT_ONCE`], or more where a group is the last of a part: its members only move together.
fn parts<'a>(places: &[Place], group_of: impl Fn(Place) -> Option<&'a str>) -> Vec<Vec<Place>> {
    let mut wholes: Vec<Vec<Place>> = Vec::new();
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    for place in places {
        let known = group_of(*place).map(|group| *groups.entry(group).or_insert(wholes.len()));
        match known.and_then(|at| wholes.get_mut(at)) {
            Some(members) => members.push(*place),
            None => wholes.push(vec![*place]),
        }
    }
    let mut parts: Vec<Vec<Place>> = Vec::new();
    for whole in wholes {
        match parts.last_mut().filter(|part| part.len() < AT_ONCE) {
            Some(part) => part.extend(whole),
            None => parts.push(whole),
        }
    }
    parts
}

fn handover_outcome(state: &RouterSnapshot, to: Option<IpAddr>) -> (bool, String) {
    let by = successor(state);
    match (by, state.role, to) {
        (Some(peer), _, Some(to)) if peer != to => {
            (false, format!("not handed over to {to}: {peer} has taken over"))
        }
        (Some(peer), _, _) => (true, format!("handed over to {peer}")),
        (None, Role::Active, None) => {
            (false, "not handed over: no Backup took over; still Active".to_owned())
        }
        (None, Role::Active, Some(to)) => (
            false,
            format!(
                "not handed over: {to} did not take over; still Active. It must be a Baton that watches this host by \
                 S-BFD: see `baton status` there"
            ),
        ),
        (None, role, _) => {
            (false, format!("not handed over: no successor was heard; {role} now{}", because(state)))
        }
    }
}

fn drain_outcome(state: &RouterSnapshot) -> (bool, String) {
    match (state.drained, successor(state)) {
        (true, Some(peer)) => (true, format!("drained; handed over to {peer}")),
        (true, None) => (true, "drained".to_owned()),
        (false, _) => {
            (false, format!("not drained: no Backup took over; {} still{}", state.role, because(state)))
        }
    }
}

/// Who has taken over from a virtual router that was left by order.
fn successor(state: &RouterSnapshot) -> Option<IpAddr> {
    let moved = state.role != Role::Active && state.reason == Some(Reason::Succeeded);
    let newest = |state: &RouterSnapshot| -> Option<PeerSnapshot> {
        state.peers.into_iter().flatten().max_by_key(|peer| peer.heard)
    };
    newest(state).filter(|_| moved).map(|peer| peer.address)
}

fn because(state: &RouterSnapshot) -> String {
    state.reason.map(|reason| format!(" ({reason})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_group_is_divided_when_many_are_handed_over() {
        // Of each pair one is on the first interface and one on the second; the last of the first have no group.
        let names: Vec<String> = (0..20).map(|group| format!("group {group}")).collect();
        let groups = |place: Place| names.get(place.router).map(String::as_str);
        let places: Vec<Place> = (0..2)
            .flat_map(|port| (0..20 + 30 * (1 - port)).map(move |router| Place { port, router }))
            .collect();
        let parts = parts(&places, groups);
        let sizes: Vec<usize> = parts.iter().map(Vec::len).collect();
        assert_eq!(sizes, [AT_ONCE, AT_ONCE, 6]);
        for pair in 0..20 {
            let of_pair = |part: &Vec<Place>| part.iter().filter(|place| place.router == pair).count();
            assert_eq!(parts.iter().map(of_pair).max(), Some(2), "group {pair}");
        }
        let mut all = parts.concat();
        all.sort_by_key(|place| (place.port, place.router));
        assert_eq!(all, places);
    }

    #[test]
    fn a_group_that_is_larger_than_a_part_is_one() {
        let places: Vec<Place> = (0..100).map(|router| Place { port: 0, router }).collect();
        assert_eq!(parts(&places, |_| Some("all")), [places]);
    }
}
