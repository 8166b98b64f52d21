//! Trackers: whether what the virtual routers lead to is in order. They run beside the election, in tokio, and tell it what
//! they think; what that means for the role is the election's decision.

mod carrier;
mod check;
mod file;
mod fitness;
mod http;
mod opinion;
mod ping;
mod process;
mod tls;

use std::time::Duration;

use futures_util::future::select_all;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

pub use self::check::{Probe, no_engine};
pub use self::opinion::State;

use self::check::Looker;
use self::opinion::{Finding, Opinion};
use crate::config::TrackerConfig;
use crate::driver::{Command, Place, Remote};
use crate::program::ProgramError;
use crate::vrrp::{Fitness, Priority};

/// How soon a virtual router is told again whose election thread did not take it.
const RETRY: Duration = Duration::from_millis(100);

/// How soon all have begun to look: what is not known yet is waited for.
const SOON: Duration = Duration::from_millis(100);

/// A tracker that has not looked yet.
pub struct Tracker {
    config: TrackerConfig,
    lookers: Vec<Looker>,
    /// How long the first look is put off.
    delay: Duration,
    /// How long after it the second is, at the most.
    first_pause: Duration,
}

impl Tracker {
    /// What `config` describes. The engine of an interface is asked by what `engine` gives.
    ///
    /// # Errors
    ///
    /// It is to run a program as a user that there is not.
    pub fn new(config: &TrackerConfig, engine: &dyn Fn(&str) -> Probe) -> Result<Self, ProgramError> {
        let looker = |check| Looker::new(check, config.patience, engine);
        let lookers = config.checks.iter().map(looker).collect::<Result<_, _>>()?;
        Ok(Self { config: config.clone(), lookers, delay: Duration::ZERO, first_pause: config.interval })
    }

    /// The same, which looks as the one with this `number` among `all`: first they look one soon after the other, and then spread
    /// over the interval, so that many are not asked in one moment.
    pub fn in_turn(self, number: usize, all: usize) -> Self {
        let [delay, first_pause] = [SOON, self.config.interval].map(|span| turn(number, all, span));
        Self { delay, first_pause, ..self }
    }
}

/// When it is the turn of `number` among `all`, which have `span` for it.
fn turn(number: usize, all: usize, span: Duration) -> Duration {
    let [number, all] = [number, all].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    span / all.max(1) * number
}

/// A virtual router that has trackers.
pub struct Tracked {
    /// Where it is.
    pub place: Place,
    /// Its priority while all is in order.
    pub configured: Priority,
    /// The indices of its trackers.
    pub trackers: Vec<usize>,
}

/// What all trackers think, in the order of the configuration.
pub type Opinions = watch::Receiver<Vec<State>>;

/// Runs `trackers` and tells the election what they mean for the `routers`, until it is dropped. What they think goes to
/// `opinions`, too.
pub async fn run(
    trackers: Vec<Tracker>,
    routers: Vec<Tracked>,
    opinions: watch::Sender<Vec<State>>,
    remote: Remote,
) {
    let mut changes = opinions.subscribe();
    let weights: Vec<Option<u8>> = trackers.iter().map(|tracker| tracker.config.weight).collect();
    let _looking = begin(trackers.into_iter().enumerate(), &opinions);
    let mut told: Vec<Option<(Priority, Fitness)>> = vec![None; routers.len()];
    loop {
        let now = judge(&weights, &routers, &changes.borrow_and_update());
        let is_told = tell(&routers, &now, &told, &remote);
        if is_told {
            told = now;
        }
        let next = changes.changed();
        // The channel is open: this function has its sender.
        let _ = if is_told { next.await } else { timeout(RETRY, next).await.unwrap_or(Ok(())) };
    }
}

/// Begins to look with `trackers`, each with the place among the `opinions` that its own goes to, until the set is dropped.
pub fn begin(
    trackers: impl Iterator<Item = (usize, Tracker)>,
    opinions: &watch::Sender<Vec<State>>,
) -> JoinSet<()> {
    trackers.map(|(index, tracker)| look(index, tracker, opinions.clone())).collect()
}

/// What the trackers mean for every router.
fn judge(weights: &[Option<u8>], routers: &[Tracked], states: &[State]) -> Vec<Option<(Priority, Fitness)>> {
    let judged = |router: &Tracked| {
        let own = router.trackers.iter().map(|&index| (weights[index], &states[index]));
        Some(fitness::fitness(router.configured, own))
    };
    routers.iter().map(judged).collect()
}

/// Tells the election what is new, all at once; false if that could not be done.
fn tell(
    routers: &[Tracked],
    now: &[Option<(Priority, Fitness)>],
    told: &[Option<(Priority, Fitness)>],
    remote: &Remote,
) -> bool {
    let changed = routers.iter().zip(now).zip(told).filter(|((_, now), told)| now != told);
    let news = changed
        .filter_map(|((router, now), _)| now.map(|(priority, fitness)| (router.place, priority, fitness)));
    let routers: Vec<_> = news.collect();
    routers.is_empty() || remote.send(Command::Tracked { routers }).is_ok()
}

/// Looks again and again, and notes what is thought then.
async fn look(index: usize, tracker: Tracker, opinions: watch::Sender<Vec<State>>) {
    let Tracker { config, mut lookers, delay, first_pause: mut pause } = tracker;
    let TrackerConfig { name, interval, patience, rise, fall, .. } = config;
    let mut opinion = Opinion::new(rise, fall);
    sleep(delay).await;
    loop {
        let late = |_| Finding::Bad(format!("no answer in {patience:?}"));
        let finding = timeout(patience, look_at_all(&mut lookers)).await.unwrap_or_else(late);
        if let Some(state) = opinion.note(finding) {
            match state {
                State::Failing(how) => tracing::warn!(tracker = name, "failing: {how}"),
                State::Good | State::Unknown => tracing::info!(tracker = name, "in order"),
            }
            opinions.send_modify(|states| states[index] = state.clone());
        }
        // Or sooner, when something has happened.
        let _ = timeout(pause, select_all(lookers.iter_mut().map(|looker| Box::pin(looker.stirred())))).await;
        pause = interval;
    }
}

/// The first that is not good, or that all are.
async fn look_at_all(lookers: &mut [Looker]) -> Finding {
    for looker in lookers {
        match looker.look().await {
            Finding::Good => {}
            found @ (Finding::Bad(_) | Finding::Gone(_) | Finding::Pending) => return found,
        }
    }
    Finding::Good
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use super::*;

    #[test]
    fn many_begin_to_look_at_once_and_look_spread_over_the_interval_then() {
        let config = TrackerConfig {
            name: "web".to_owned(),
            checks: Vec::new(),
            interval: Duration::from_secs(60),
            patience: Duration::ZERO,
            rise: NonZeroU8::MIN,
            fall: NonZeroU8::MIN,
            weight: None,
        };
        let times = |tracker: Tracker| (tracker.delay.as_millis(), tracker.first_pause.as_millis());
        let tracker = || Tracker::new(&config, &no_engine).expect("no user");
        assert_eq!(times(tracker()), (0, 60_000));
        for (number, all, expected) in [
            (0, 1, (0, 0)),
            (0, 4, (0, 0)),
            (1, 4, (25, 15_000)),
            (3, 4, (75, 45_000)),
            (999, 1000, (99, 59_940)),
        ] {
            assert_eq!(times(tracker().in_turn(number, all)), expected, "{number} of {all}");
        }
    }
}
