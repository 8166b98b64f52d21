//! What the measuring programs share: real-time scheduling, ARP probing, rounds of faults, statistics and reports.

pub mod arp;
pub mod cost;
pub mod realtime;
pub mod report;
pub mod rounds;
pub mod stats;
pub mod svg;
