//! The benchmark of the engine: what a frame costs, how long it takes, and how that grows, beside the limits of XDP and AF_XDP and
//! beside other ways to balance.

mod assembler;
mod bare;
mod baton;
mod connections;
mod measure;
mod plan;
mod programs;
mod report;
mod row;
mod sample;
mod site;
mod system;
mod target;
mod threads;

pub use measure::{Measured, measure};
pub use plan::Plan;
pub use report::Report;
pub use system::System;
