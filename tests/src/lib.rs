//! Support for the suites: captured and synthetic frames, a simulated LAN for the election core, and a lab of network
//! namespaces for real agents. `README.md` beside this crate's manifest draws the topologies.

pub mod datapath;
pub mod frames;
pub mod lab;
pub mod lan;
