//! Baton's agent: elects the owner of virtual IP addresses and writes its lease into the data plane.
//!
//! Dependencies point one way: the binary uses [`run`], [`control`], [`decap`], [`detach`], [`review`] and [`guardian`]; `run` uses `control`,
//! `guardian`, [`track`] and [`engine`], `control` shows what `track` thinks and what the `engine` does, which looks at its backends as
//! `track` does; those but the guardian and the engine use [`driver`], and `run` and `track`
//! use [`program`], which keeps out of the way of [`xsk`]; driver and guardian use [`vrrp`], [`sbfd`], [`wire`], [`xsk`],
//! [`socket`], [`datapath`], [`announce`], [`recorder`], [`stall`], [`clock`] and [`host`]. Those do not know each other, but
//! all may use the election's value types, [`address`] and [`config`], and `datapath` asks `host` about interfaces. Nothing uses its users.
//!
//! Unsafe code is where memory is shared with the kernel: `datapath`, `xsk`, `socket`, and in `host`, `driver` and
//! `guardian` the calls that no library wraps.

#[forbid(unsafe_code)]
pub mod address;
#[forbid(unsafe_code)]
pub mod announce;
#[forbid(unsafe_code)]
pub mod clock;
#[forbid(unsafe_code)]
pub mod config;
#[forbid(unsafe_code)]
pub mod control;
pub mod datapath;
#[forbid(unsafe_code)]
pub mod decap;
pub mod detach;
pub mod driver;
#[forbid(unsafe_code)]
pub mod engine;
pub mod guardian;
pub mod host;
#[forbid(unsafe_code)]
pub mod program;
#[forbid(unsafe_code)]
pub mod recorder;
#[forbid(unsafe_code)]
pub mod review;
#[forbid(unsafe_code)]
pub mod run;
#[forbid(unsafe_code)]
pub mod sbfd;
pub mod socket;
#[forbid(unsafe_code)]
pub mod stall;
#[forbid(unsafe_code)]
pub mod track;
#[forbid(unsafe_code)]
pub mod vrrp;
#[forbid(unsafe_code)]
pub mod wire;
pub mod xsk;
