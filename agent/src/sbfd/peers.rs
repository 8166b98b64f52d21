//! The peers of one interface that are watched: whom each virtual router has a session with, and whom nobody believes dead
//! on missing answers for a while because that was wrong before.

use std::time::Duration;

use super::Profile;
use super::session::Session;
use super::watch::Watch;
use crate::vrrp::{Instant, Interval, Standing};

/// How long a peer is not believed dead on missing answers, after it once was and was not: at first, and at the most.
const DISTRUST: Duration = Duration::from_secs(1);
const LONGEST_DISTRUST: Duration = Duration::from_secs(256);
/// After this time without another mistake the distrust begins anew.
const FORGIVEN: Duration = Duration::from_secs(600);

/// The watched peers. `A` is the address type of the family.
#[derive(Clone, Debug)]
pub struct Peers<A> {
    /// How many there are at the most.
    most: usize,
    /// How they are watched; `None` where nobody is.
    profile: Option<Profile>,
    watches: Vec<Watch<A>>,
    /// Whom each virtual router has a session with.
    targets: Vec<Option<A>>,
    /// The Active router that each virtual router has taken over from because it did not answer, and until when it may
    /// prove that it was alive.
    succeeded: Vec<Option<(A, Instant)>>,
    distrust: Vec<Distrust<A>>,
}

/// A peer that was taken for dead and was not.
#[derive(Clone, Copy, Debug)]
struct Distrust<A> {
    peer: A,
    until: Instant,
    wait: Duration,
}

/// The last advertisement of a router.
#[derive(Clone, Copy, Debug)]
pub struct Spoken<A> {
    /// Its address.
    pub router: A,
    /// The priority octet.
    pub standing: Standing,
    /// Max Advertise Interval.
    pub interval: Interval,
    /// When it arrived.
    pub heard: Instant,
}

/// Whether `peer` may just have given up in favour of a better router: one that was heard less than its interval ago.
/// Then it does not serve, but nobody is to succeed it. Its last word may have been read after the word of the better
/// one, which a Backup that watches it follows only from the next advertisement on.
pub fn has_given_way<A: Copy + Ord>(
    peer: A,
    spoken: impl Iterator<Item = Spoken<A>> + Clone,
    now: Instant,
) -> bool {
    let own = spoken.clone().find(|own| own.router == peer).map(|own| own.standing);
    spoken
        .filter(|other| other.standing != Standing::Leaving && now < other.heard + other.interval.duration())
        .any(|other| {
            other.router != peer && own.is_none_or(|own| (other.standing, other.router) > (own, peer))
        })
}

impl<A: Copy + Eq> Peers<A> {
    /// Nobody is watched yet on behalf of `routers` virtual routers, and never more than `most` peers.
    pub fn new(routers: usize, most: usize) -> Self {
        Self {
            most,
            profile: None,
            watches: Vec::with_capacity(most),
            targets: vec![None; routers],
            succeeded: vec![None; routers],
            distrust: Vec::with_capacity(most),
        }
    }

    /// How peers are watched from the next session on; `None` if none is to begin.
    pub fn set_profile(&mut self, profile: Option<Profile>) {
        self.profile = profile;
    }

    /// When a watch is to be polled.
    pub fn deadline(&self) -> Option<Instant> {
        self.watches.iter().filter_map(Watch::deadline).min()
    }

    /// One watch per peer. They keep their places until a session ends.
    pub fn watches(&self) -> &[Watch<A>] {
        &self.watches
    }

    /// The same, to be fed.
    pub fn watches_mut(&mut self) -> &mut [Watch<A>] {
        &mut self.watches
    }

    /// The session of a virtual router, and the watch that it belongs to.
    pub fn session(&self, router: usize) -> Option<(&Watch<A>, &Session)> {
        let peer = self.targets.get(router).copied().flatten()?;
        let watch = self.watches.iter().find(|watch| watch.peer == peer)?;
        let session = watch.sessions().iter().find(|session| session.router == router)?;
        Some((watch, session))
    }

    /// `router` listens to `active` and to nobody else: ends a session with another. Answers with the peer that a
    /// session is missing with.
    pub fn follow(&mut self, router: usize, active: Option<A>) -> Option<A> {
        if active == self.targets[router] {
            return None;
        }
        self.end_session(router);
        active
    }

    /// Begins a session of `router` with `peer`, which knows it by `discriminator` and whose adverts come from `mac`;
    /// not if the peer is distrusted or there are too many.
    pub fn begin_session(&mut self, router: usize, discriminator: u32, peer: A, mac: [u8; 6], now: Instant) {
        let Some(profile) = self.profile.filter(|_| self.trusts(peer, now)) else { return };
        let known = self.watches.iter().position(|watch| watch.peer == peer);
        if known.is_none() && self.watches.len() == self.most {
            return;
        }
        let index = known.unwrap_or_else(|| {
            self.watches.push(Watch::new(peer, profile, self.targets.len()));
            self.watches.len() - 1
        });
        self.watches[index].begin_session(router, discriminator, mac, now);
        self.targets[router] = Some(peer);
    }

    /// The Active router of `router` advertises from `mac`.
    pub fn move_to(&mut self, router: usize, mac: [u8; 6]) {
        if let Some(peer) = self.targets[router] {
            self.watches
                .iter_mut()
                .filter(|watch| watch.peer == peer)
                .for_each(|watch| watch.move_to(router, mac));
        }
    }

    /// `router` takes over from `peer`, which does not answer but may prove until then that it was alive.
    pub fn convict(&mut self, router: usize, peer: A, until: Instant) {
        self.succeeded[router] = Some((peer, until));
    }

    /// An Active router has spoken. If `router` took over because it was thought dead, it is not believed dead so soon
    /// again, and for the time that this answers with the timers of VRRP watch it alone.
    pub fn acquit(&mut self, router: usize, speaker: A, now: Instant) -> Option<Duration> {
        let (peer, until) = self.succeeded[router]?;
        if now < until && peer != speaker {
            return None;
        }
        self.succeeded[router] = None;
        (now < until).then(|| self.distrust(peer, now))
    }

    fn trusts(&self, peer: A, now: Instant) -> bool {
        !self.distrust.iter().any(|distrust| distrust.peer == peer && now < distrust.until)
    }

    /// Ends all sessions with `peer` until it is trusted again. One mistake counts once, however many virtual routers it
    /// was made for.
    fn distrust(&mut self, peer: A, now: Instant) -> Duration {
        self.watches.retain(|watch| watch.peer != peer);
        self.targets.iter_mut().filter(|target| **target == Some(peer)).for_each(|target| *target = None);
        let known = self.distrust.iter_mut().find(|distrust| distrust.peer == peer);
        if let Some(known) = known {
            if now < known.until {
                return known.wait;
            }
            let again = now < known.until + FORGIVEN;
            known.wait = if again { LONGEST_DISTRUST.min(known.wait * 2) } else { DISTRUST };
            known.until = now + known.wait;
            return known.wait;
        }
        if self.distrust.len() == self.most {
            self.distrust.swap_remove(0);
        }
        self.distrust.push(Distrust { peer, until: now + DISTRUST, wait: DISTRUST });
        DISTRUST
    }

    /// Ends the session of `router`, whoever it is with.
    fn end_session(&mut self, router: usize) {
        if self.targets[router].take().is_some() {
            self.watches.iter_mut().for_each(|watch| watch.end_session(router));
            self.watches.retain(|watch| !watch.sessions().is_empty());
        }
    }
}
