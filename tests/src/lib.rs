//! Support for the suites: captured and synthetic frames, the BPF object without an interface, interfaces for one test,
//! a simulated LAN for the election core, and a lab of network namespaces for real agents. `README.md` beside this
//! crate's manifest draws the topologies.

pub mod datapath;
pub mod frames;
pub mod fuzz;
pub mod lab;
pub mod lan;
pub mod mounts;
pub mod network;
pub mod pool;
pub mod program;
pub mod random;
pub mod repetitions;
pub mod translations;
