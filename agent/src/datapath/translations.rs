//! What becomes of answers of backends that know nothing of the virtual addresses, as the workers and the XDP program share it.

use std::mem::offset_of;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aya::Ebpf;
use baton_common::flow::{Flow, Translation};
use baton_common::line::{Line, Seed};
use baton_common::maps;

use super::DatapathError;
use super::flow_cache::array_data;
use super::lines::{Entry, LineTable, Lines};
use crate::vrrp::Instant;
use crate::wire::Mac;

/// The flow of an answer, what becomes of it, and when a packet of it or of what it answers was last seen.
pub type Translated = Entry<Translation>;

/// The word with the client's Ethernet address and the worker.
const CLIENT: usize = (offset_of!(Line<Translation>, value) + offset_of!(Translation, client_mac)) / 8;

/// The word behind it, which says whether the flow is established.
const STANDING: usize = CLIENT + 1;

/// The table. No entry makes room for another one: whoever has put one in takes it out.
pub struct TranslationTable {
    table: LineTable<Translation>,
    /// Whoever writes lines has this, but for the times in them.
    writing: Mutex<()>,
}

impl TranslationTable {
    pub(super) fn of(bpf: &Ebpf, seed: Seed) -> Result<Self, DatapathError> {
        // Nobody takes the table over, so the flows are its agent's alone.
        let lines = Lines::map(array_data(bpf, maps::TRANSLATIONS)?, None)?;
        Ok(Self { table: LineTable::new(lines, seed), writing: Mutex::new(()) })
    }

    /// Has answers translated. `false` if another flow has the same, or if there is no room.
    pub fn put(&self, translated: Translated) -> bool {
        let _writing = self.lock();
        self.table.insert(translated)
    }

    /// Has answers translated for another flow than the `known` one, unless that is not as it was. Whether it did.
    pub fn replace(&self, known: &Translated, translated: Translated) -> bool {
        let _writing = self.lock();
        let is_same = |now: Translated| now.value == known.value && now.seen == known.seen;
        let is_there = self.find(&known.flow).is_some_and(is_same);
        if is_there {
            self.table.put(translated);
        }
        is_there
    }

    /// Notes whether the client goes on with the flow.
    pub fn establish(&self, answer: &Flow, is_established: bool) {
        let standing = u8::from(is_established);
        let Some(Translated { value, .. }) = self.find(answer) else { return };
        if value.is_established == standing {
            return;
        }
        let _writing = self.lock();
        // As in `note`.
        if self.find(answer).is_some_and(|again| again.value.flow == value.flow) {
            self.table.set_word(answer, STANDING, u64::from_ne_bytes([standing, 0, 0, 0, 0, 0, 0, 0]));
        }
    }

    /// Ends that. A flow that is not there is what is wanted.
    pub fn remove(&self, answer: &Flow) {
        let _writing = self.lock();
        self.table.remove(answer);
    }

    /// What becomes of an answer.
    pub fn find(&self, answer: &Flow) -> Option<Translated> {
        self.table.find(answer)
    }

    /// Notes that a packet has come; if it is the client's, from where and to which worker.
    pub fn note(&self, answer: &Flow, seen: Instant, client: Option<(Mac, u16)>) {
        let Some(Translated { value, .. }) = self.find(answer) else { return };
        if let Some((mac, worker)) = client.filter(|client| *client != (value.client_mac, value.worker)) {
            let _writing = self.lock();
            // It may be gone by now, or another flow's.
            if self.find(answer).is_some_and(|again| again.value.flow == value.flow) {
                let [a, b, c, d, e, f] = mac;
                let [g, h] = worker.to_ne_bytes();
                self.table.set_word(answer, CLIENT, u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
            }
        }
        self.table.touch(answer, seen);
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        // A thread that has panicked has left the lines to say what they say.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
