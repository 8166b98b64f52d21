//! The table of translations without a map.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard};

use baton::datapath::Translated;
use baton::engine::Translations;
use baton::vrrp::Instant;
use baton::wire::Mac;
use baton_common::flow::Flow;

/// What takes the place of the map of translations.
#[derive(Default)]
pub struct Table(Mutex<HashMap<Flow, Translated>>);

impl Table {
    /// All of them, by the flows of the answers.
    pub fn all(&self) -> MutexGuard<'_, HashMap<Flow, Translated>> {
        self.0.lock().expect("nobody panics with it")
    }
}

impl Translations for Table {
    fn put(&self, translated: Translated) -> bool {
        match self.all().entry(translated.flow) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(translated);
                true
            }
        }
    }

    fn replace(&self, known: &Translated, translated: Translated) -> bool {
        let mut all = self.all();
        let is_there = all.get(&known.flow) == Some(known);
        if is_there {
            all.insert(known.flow, translated);
        }
        is_there
    }

    fn establish(&self, answer: &Flow, is_established: bool) {
        if let Some(translated) = self.all().get_mut(answer) {
            translated.value.is_established = is_established.into();
        }
    }

    fn remove(&self, answer: &Flow) {
        self.all().remove(answer);
    }

    fn find(&self, answer: &Flow) -> Option<Translated> {
        self.all().get(answer).copied()
    }

    fn note(&self, answer: &Flow, seen: Instant, client: Option<(Mac, u16)>) {
        if let Some(translated) = self.all().get_mut(answer) {
            let value = &mut translated.value;
            translated.seen = seen;
            (value.client_mac, value.worker) = client.unwrap_or((value.client_mac, value.worker));
        }
    }
}
