//! The engine: frames against vectors, without IO; and real nodes in front of real backends, in namespaces.
//!
//! The second kind needs root, and `baton` built in the same profile. Run with `--test-threads=1`.

mod bench;
mod benchmark;
mod clients;
mod direct;
mod elsewhere;
mod frames;
mod inquiries;
mod orders;
mod pools;
mod schedule;
mod support;
mod tunnel;
