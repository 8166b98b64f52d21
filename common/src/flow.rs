//! The flow cache: flows whose frames the XDP program forwards by itself, by what the engine has decided about the first ones.

use core::mem::size_of;

use crate::maps::Address;

/// A flow as seen from the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Flow {
    /// The client.
    pub source: Address,
    /// The virtual address.
    pub destination: Address,
    /// The client's port.
    pub source_port: u16,
    /// The service's port.
    pub destination_port: u16,
    /// The protocol's number.
    pub protocol: u8,
    /// Always zero.
    pub _pad: [u8; 3],
}

/// What the XDP program knows of a flow. The engine puts it there, the program notes what it sees, and the next agent's engine
/// takes it up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CachedFlow {
    /// When its last frame was forwarded, or before that, when it was put here, in ns of CLOCK_BOOTTIME.
    pub seen_ns: u64,
    /// The address of its backend, for other agents, which may number backends otherwise. The program does not read it.
    pub address: Address,
    /// The number of its backend.
    pub backend: u32,
    /// The number of its service.
    pub service: u32,
}

/// A backend as the XDP program needs to know it. Read and written as one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Backend {
    /// Where it is.
    pub mac: [u8; 6],
    /// 1 if it can be given frames. Those of its flows are the engine's otherwise.
    pub is_up: u8,
    /// 1 if its frames go through its [`Tunnel`].
    pub is_tunnelled: u8,
}

/// How packets for a backend are wrapped (RFC 2003, RFC 2473). The agent writes it before it says that the backend is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Tunnel {
    /// This host's end.
    pub source: Address,
    /// The backend's end, of the same family.
    pub destination: Address,
    /// The longest packet that goes through it, in octets. Longer ones are the engine's, which tells the client.
    pub longest: u32,
    /// Always zero.
    pub _pad: [u8; 4],
}

/// Frames that the XDP program has forwarded to a backend, or of a service, and their octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Carried {
    /// Frames.
    pub frames: u64,
    /// Octets, Ethernet headers included.
    pub octets: u64,
}

const _: () = assert!(size_of::<Flow>() == 40);
const _: () = assert!(size_of::<CachedFlow>() == 32);
const _: () = assert!(size_of::<Backend>() == 8);
const _: () = assert!(size_of::<Tunnel>() == 40);
const _: () = assert!(size_of::<Carried>() == 16);
