//! The scale benchmark: what many virtual routers under one agent cost, and how long it takes until all of them have moved.

mod cost;
mod measure;
mod plan;
mod report;
mod round;

pub use cost::{NodeCost, ProcessCost, ScaleCost};
pub use measure::{Measured, measure};
pub use plan::{Conditions, FAULTS, Plan};
pub use report::{Course, Report, ScaleRow};
