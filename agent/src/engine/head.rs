//! What is to be known of a frame before it is decided about. Frames come in batches, and their flows lie scattered in memory: what is
//! looked for all together is waited for once.

use std::hint::black_box;

use baton_common::flow::Flow;

use super::flow;
use super::flows::Flows;
use super::packet::{self, Signal};
use crate::wire::Mac;

/// The flow of a frame, the hash of that, what the frame says about it, and who has sent it on this link.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub(super) flow: Flow,
    pub(super) hash: u64,
    pub(super) signal: Signal,
    pub(super) sender: Mac,
}

impl Head {
    /// That of a frame that begins with `frame` and has so many octets `behind`, if it has one.
    pub(super) fn of(frame: &[u8], behind: usize) -> Option<Self> {
        let (flow, signal) = packet::parse(frame, behind)?;
        let sender = *frame.get(6..)?.first_chunk()?;
        Some(Self { flow, hash: flow::hash(&flow), signal, sender })
    }
}

/// The heads of a batch, one of each frame.
#[derive(Debug, Default)]
pub struct Heads(Vec<Option<Head>>);

impl Heads {
    /// Reads those of `frames`, each with what it has behind, and has what `flows` knows of them fetched. Each loop does one thing, so
    /// that the processor gets far ahead in it.
    pub(super) fn read<'a>(
        &mut self,
        frames: impl Iterator<Item = (&'a [u8], usize)> + Clone,
        flows: &Flows,
    ) {
        // The frames were written on another CPU.
        for (frame, _) in frames.clone() {
            black_box(frame.first().copied());
        }
        self.0.clear();
        self.0.extend(frames.map(|(frame, behind)| Head::of(frame, behind)));
        let hashes = self.0.iter().flatten().map(|head| head.hash);
        flows.fetch(hashes);
    }

    /// All of them, in the order of their frames.
    pub fn iter(&self) -> impl Iterator<Item = Option<Head>> {
        self.0.iter().copied()
    }
}
