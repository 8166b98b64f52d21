//! What a tracker thinks of its object after looking at it again and again: one look proves little.

use std::num::NonZeroU8;

/// What one look has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// In order.
    Good,
    /// Not in order, and how; perhaps only this time.
    Bad(String),
    /// Gone for certain, and how.
    Gone(String),
    /// Nothing, yet.
    Pending,
}

/// What is thought of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has looked yet.
    Unknown,
    /// It is in order.
    Good,
    /// It is not, and how.
    Failing(String),
}

/// How many looks in a row it takes to think otherwise; the first good look decides alone.
#[derive(Debug)]
pub(super) struct Opinion {
    rise: NonZeroU8,
    fall: NonZeroU8,
    state: State,
    /// Looks in a row that speak against the state.
    against: u8,
}

impl Opinion {
    /// No opinion yet. It takes `rise` good looks to become good and `fall` bad ones to become failing.
    pub(super) fn new(rise: NonZeroU8, fall: NonZeroU8) -> Self {
        Self { rise, fall, state: State::Unknown, against: 0 }
    }

    /// Takes in a look; the new state if that changes it.
    pub(super) fn note(&mut self, finding: Finding) -> Option<&State> {
        let needed = match (&self.state, &finding) {
            (State::Unknown, Finding::Good) | (_, Finding::Gone(_)) => 1,
            (State::Unknown | State::Good, Finding::Bad(_)) => self.fall.get(),
            (State::Failing(_), Finding::Good) => self.rise.get(),
            (State::Good, Finding::Good) | (State::Failing(_), Finding::Bad(_)) | (_, Finding::Pending) => {
                self.against = 0;
                return None;
            }
        };
        self.against += 1;
        if self.against < needed {
            return None;
        }
        let is_news = !matches!((&self.state, &finding), (State::Failing(_), Finding::Gone(_)));
        self.against = 0;
        self.state = match finding {
            Finding::Good => State::Good,
            Finding::Bad(how) | Finding::Gone(how) => State::Failing(how),
            Finding::Pending => return None,
        };
        is_news.then_some(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(story: &str) -> String {
        let two = NonZeroU8::new(2).expect("not 0");
        let mut opinion = Opinion::new(NonZeroU8::new(3).expect("not 0"), two);
        let mut told = String::new();
        for look in story.chars() {
            let finding = match look {
                '+' => Finding::Good,
                '-' => Finding::Bad("bad".to_owned()),
                '?' => Finding::Pending,
                _ => Finding::Gone("gone".to_owned()),
            };
            told.push(match opinion.note(finding) {
                None => '.',
                Some(State::Good) => 'G',
                Some(State::Failing(_)) => 'F',
                Some(State::Unknown) => '?',
            });
        }
        told
    }

    #[test]
    fn it_takes_some_looks_in_a_row_to_think_otherwise() {
        for (story, told) in [
            ("+", "G"),
            ("-", "."),
            ("--", ".F"),
            ("-+", ".G"),
            ("x", "F"),
            ("+-+-+", "G...."),
            ("+--", "G.F"),
            ("+--++-+++", "G.F.....G"),
            ("+x", "GF"),
            ("+-x+++", "G.F..G"),
            ("--x-", ".F.."),
            ("x+x+++", "F....G"),
            ("??+?-?--", "..G....F"),
        ] {
            assert_eq!(looks(story), told, "{story}");
        }
    }
}
