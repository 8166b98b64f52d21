//! The engine: frames against vectors, without IO; and real nodes in front of real backends, in namespaces.
//!
//! The second kind needs root, and `baton` built in the same profile. Run with `--test-threads=1`.

mod agreement;
mod bench;
mod benchmark;
mod buffers;
mod clients;
mod crossing;
mod direct;
mod dissected;
mod elsewhere;
mod frames;
mod inquiries;
mod jumbo;
mod nat;
mod nftables;
mod orders;
mod pools;
mod restarts;
mod schedule;
mod storms;
mod support;
mod translated;
mod tunnel;
mod two_arms;
