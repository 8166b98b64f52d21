//! Baton's agent: elects the owner of virtual IP addresses and writes its lease into the data plane.
//!
//! Dependencies point one way: the binary uses [`control`] and [`driver`]; the driver uses [`vrrp`], [`wire`], [`xsk`],
//! [`datapath`], [`recorder`] and [`clock`]; those do not know each other, but for `wire`, which speaks in the
//! election's own types.

pub mod announce;
pub mod clock;
pub mod config;
pub mod control;
pub mod datapath;
pub mod detach;
pub mod driver;
pub mod host;
pub mod recorder;
pub mod run;
pub mod socket;
pub mod vrrp;
pub mod wire;
pub mod xsk;
