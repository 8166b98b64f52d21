//! How far it is, and how long it will about take.

use std::time::{Duration, Instant};

/// The progress of a run whose parts were estimated.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    began: Instant,
    total: Duration,
    done: Duration,
}

impl Pace {
    /// The beginning of what should take `total`.
    pub fn begin(total: Duration) -> Self {
        Self { began: Instant::now(), total, done: Duration::ZERO }
    }

    /// Notes that a part is done that should have taken `estimate`, and tells where that leads.
    pub fn done(&mut self, estimate: Duration) -> String {
        self.done += estimate;
        let left = left(self.total, self.done, self.began.elapsed());
        format!("[{} %, about {} left]", percent(self.total, self.done), in_words(left))
    }
}

/// The time left, if the rest is as far from its estimate as what was done.
fn left(total: Duration, done: Duration, took: Duration) -> Duration {
    let rest = total.saturating_sub(done);
    if done.is_zero() { rest } else { rest.mul_f64(took.as_secs_f64() / done.as_secs_f64()) }
}

fn percent(total: Duration, done: Duration) -> u128 {
    100 * done.as_millis() / total.as_millis().max(1)
}

/// A span for people.
pub fn in_words(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..90 => format!("{seconds} s"),
        seconds @ 90..5400 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_left_is_corrected_by_what_was_seen() {
        assert_eq!(left(seconds(100), seconds(0), seconds(0)), seconds(100));
        assert_eq!(left(seconds(100), seconds(25), seconds(50)), seconds(150));
        assert_eq!(left(seconds(100), seconds(120), seconds(50)), seconds(0));
        assert_eq!(percent(seconds(100), seconds(25)), 25);
    }

    #[test]
    fn spans_are_told_as_one_would() {
        let told = [0, 89, 90, 3000, 5400, 9999].map(|span| in_words(seconds(span)));
        assert_eq!(told, ["0 s", "89 s", "2 min", "50 min", "1 h 30 min", "2 h 46 min"]);
    }
}
