//! Real agents in the namespace lab: the VIP moves on every kind of failure, and never has two owners beyond what is
//! stated. Order and safety only; how fast is the failover benchmark's business.
//!
//! Needs root, and `baton` and `prober` built in the same profile. Run with `--test-threads=1`.

mod both_versions;
mod cable;
mod checksum;
mod control;
mod default_gateway;
mod drain;
mod events;
mod failed_restart;
mod failed_start;
mod flap;
mod gateway;
mod generic;
mod groups;
mod guardian;
mod hooks;
mod interface;
mod interrupted;
mod ipv6;
mod jumbo;
mod log;
mod many_routers;
mod many_vips;
mod metrics;
mod mounts;
mod moves;
mod neighbours;
mod one_agent;
mod one_way;
mod other_version;
mod preemption;
mod refusals;
mod reload;
mod repeated;
mod restart;
mod rights;
mod sbfd;
mod second_card;
mod shared_pins;
mod source;
mod startup_hold;
mod stopped;
mod support;
mod temporary_vips;
mod three;
mod trackers;
mod two_routers;
mod unicast;
mod upkeep;
mod vips_astray;
