//! The three places of an interface where a program of ours runs.

use std::fmt;
use std::io;

use baton_common::maps::{TCX_EGRESS_PROGRAM, TCX_INGRESS_PROGRAM, XDP_PROGRAM};

use super::DatapathError;
use super::bpf::{TcxHook, tcx_programs};
use crate::host::netlink::Interface;

/// A place where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// XDP.
    Xdp,
    /// tcx, for what arrives.
    Ingress,
    /// tcx, for what leaves.
    Egress,
}

impl Hook {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Xdp, Self::Ingress, Self::Egress];

    /// The name of our program for it.
    pub(super) const fn program(self) -> &'static str {
        match self {
            Self::Xdp => XDP_PROGRAM,
            Self::Ingress => TCX_INGRESS_PROGRAM,
            Self::Egress => TCX_EGRESS_PROGRAM,
        }
    }

    /// The ids of the programs that run there. At tcx these may have changed since `interface` was looked at.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub fn running(self, interface: &Interface) -> Result<Vec<u32>, DatapathError> {
        let hook = match self {
            Self::Xdp => return Ok(interface.xdp.map(|(id, _)| id).into_iter().collect()),
            Self::Ingress => TcxHook::Ingress,
            Self::Egress => TcxHook::Egress,
        };
        let failed = |source: io::Error| DatapathError::Query { interface: interface.name.clone(), source };
        tcx_programs(interface.index, hook).map_err(failed)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xdp => "XDP",
            Self::Ingress => "tcx ingress",
            Self::Egress => "tcx egress",
        })
    }
}
