//! The contract between the XDP program and the agent: map names and capacities, the plain-bytes types in the maps,
//! the verdicts, and virtual-MAC arithmetic. Whatever only one side needs does not belong here.
#![no_std]
#![forbid(unsafe_code)]

pub mod flow;
pub mod line;
pub mod maps;
pub mod ownership;
pub mod sbfd;
pub mod verdict;
pub mod vrid;
