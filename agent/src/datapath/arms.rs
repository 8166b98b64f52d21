//! An engine whose backends are behind other interfaces than its services. What these answer comes in there: the XDP program of that
//! interface gives it to a program that has the maps of the services' interface, and so looks at their leases.

use aya::maps::{Array, MapData, ProgramArray};
use aya::programs::{ProgramFd, Xdp};
use baton_common::flow;
use baton_common::maps::{self, ANSWER_PROGRAM};

use super::plain::Plain;
use super::{Datapath, DatapathError};
use crate::host::netlink::XdpMode;
use crate::host::redirects;
use crate::wire::Mac;

/// An interface of an engine, as its datapath needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its own MAC address.
    pub mac: Mac,
    /// Its receive queues.
    pub queues: u32,
    /// Whether XDP can send by it what came in by another arm. The workers do that otherwise.
    pub takes_redirected: bool,
}

/// Whether XDP can send by the interface with this index what came in by interfaces where it runs in these modes. Where the kernel does
/// not say, it cannot.
pub fn takes_redirected(index: u32, mut modes: impl Iterator<Item = XdpMode>) -> bool {
    // In generic mode frames are sent like any others.
    modes.all(|mode| mode == XdpMode::Generic) || redirects::are_taken(index).is_ok_and(|taken| taken)
}

impl Datapath {
    /// Tells the programs of the `arms` of the engine, this one's interface first.
    ///
    /// # Errors
    ///
    /// There are more than [`maps::MAX_ARMS`].
    pub fn set_arms(&mut self, arms: &[Arm]) -> Result<(), DatapathError> {
        let map = self.bpf.map_mut(maps::ARMS).ok_or(DatapathError::NoMap(maps::ARMS))?;
        let mut cells: Array<&mut MapData, Plain<flow::Arm>> = Array::try_from(map)?;
        for (number, &Arm { index, mac, takes_redirected, .. }) in (0..).zip(arms) {
            let takes_redirected = takes_redirected.into();
            cells.set(number, Plain(flow::Arm { interface: index, mac, takes_redirected, _pad: 0 }), 0)?;
        }
        Ok(())
    }

    /// The program for what comes in by the other arms, which is loaded now unless it was.
    ///
    /// # Errors
    ///
    /// The kernel refuses it.
    pub fn answer_program(&mut self) -> Result<ProgramFd, DatapathError> {
        let program = self.bpf.program_mut(ANSWER_PROGRAM).ok_or(DatapathError::NoProgram(ANSWER_PROGRAM))?;
        let program: &mut Xdp = program.try_into()?;
        if program.fd().is_err() {
            program.load()?;
        }
        program.fd()?.try_clone().map_err(DatapathError::Map)
    }

    /// Has `program` look at what is nothing of this interface's own, if it is an arm of an engine.
    ///
    /// # Errors
    ///
    /// The map refuses it.
    pub fn set_engine_program(&mut self, program: Option<&ProgramFd>) -> Result<(), DatapathError> {
        let name = maps::ENGINE_PROGRAM;
        let mut map = ProgramArray::try_from(self.bpf.map_mut(name).ok_or(DatapathError::NoMap(name))?)?;
        match program {
            Some(program) => map.set(0, program, 0)?,
            // One that is not there is what is wanted.
            None => drop(map.clear_index(&0)),
        }
        Ok(())
    }
}
