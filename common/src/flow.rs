//! The flow cache: flows whose frames the XDP program forwards by itself, by what the engine has decided about the first ones.

use core::mem::{offset_of, size_of};

use crate::line::{FLOW_WORDS, Line};
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

impl Flow {
    /// No flow: no packet is of protocol 0.
    pub const NONE: Self = Self {
        source: [0; 16],
        destination: [0; 16],
        source_port: 0,
        destination_port: 0,
        protocol: 0,
        _pad: [0; 3],
    };

    /// Its octets as words.
    pub fn words(&self) -> [u64; FLOW_WORDS] {
        let [source, destination] = [self.source, self.destination].map(halves);
        let ([a, b], [c, d]) = (self.source_port.to_ne_bytes(), self.destination_port.to_ne_bytes());
        let rest = u64::from_ne_bytes([a, b, c, d, self.protocol, 0, 0, 0]);
        [source[0], source[1], destination[0], destination[1], rest]
    }
}

/// The two words of an address as they stand in memory.
fn halves(address: Address) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = address;
    [[a, b, c, d, e, f, g, h], rest].map(u64::from_ne_bytes)
}

/// What the XDP program does with the frames of a flow, as the engine has decided. Numbers are those of the agent that has put it
/// there, see [`NamedBackend`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CachedFlow {
    /// The number of its backend.
    pub backend: u16,
    /// The number of its service.
    pub service: u16,
    /// The port that its packets come from at the backend, if they are translated; else 0.
    pub port: u16,
    /// Where its packets come from on this link, if they are translated; else zeroes. From elsewhere they are the engine's.
    pub client_mac: [u8; 6],
}

/// What the number of a backend stands for in a flow cache, for other agents, which may number backends otherwise. The program does
/// not read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct NamedBackend {
    /// The backend's address.
    pub address: Address,
    /// What its packets get in the place of what they have: another translation would be another flow to it. Zeroes for nothing.
    pub nat: Nat,
    /// The kernel's ids of the flow cache in which it has the number, and of the flows beside that: the pins of two agents may be
    /// met side by side.
    pub cache: [u32; 2],
}

/// A backend as the XDP program needs to know it. Read and written as one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Backend {
    /// Where it is.
    pub mac: [u8; 6],
    /// One more than the number of the [`Arm`] that it is behind, if the program can give it frames; else 0, and those of its flows are
    /// the engine's.
    pub exit: u8,
    /// [`DIRECT`], [`TUNNELLED`] or [`TRANSLATED`].
    pub way: u8,
}

/// An interface of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Arm {
    /// The interface's index; 0 if there is no such arm.
    pub interface: u32,
    /// Its own MAC address.
    pub mac: [u8; 6],
    /// 1 if the program can send by it what came in by another one. That is the engine's otherwise.
    pub takes_redirected: u8,
    /// Always zero.
    pub _pad: u8,
}

/// In [`Backend::way`]: packets for it stay as they are.
pub const DIRECT: u8 = 0;
/// In [`Backend::way`]: they go through its [`Tunnel`].
pub const TUNNELLED: u8 = 1;
/// In [`Backend::way`]: they are translated by its [`Nat`].
pub const TRANSLATED: u8 = 2;

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

/// What packets for a backend get in the place of what they have (RFC 3022). Written as a [`Tunnel`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Nat {
    /// The address that they come from; zero for the client's own.
    pub source: Address,
    /// The backend's address.
    pub destination: Address,
    /// The backend's port; 0 for the service's.
    pub port: u16,
    /// Always zero.
    pub _pad: [u8; 6],
}

/// Frames that the XDP program has forwarded to a backend, or of a service, and their octets; and what was translated of the answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Carried {
    /// Frames.
    pub frames: u64,
    /// Octets, Ethernet headers included.
    pub octets: u64,
    /// Frames of answers.
    pub answers: u64,
    /// Octets of these.
    pub answer_octets: u64,
}

/// What becomes of an answer of a backend that knows nothing of the virtual address: one of the service. It is looked up by the flow of
/// the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Translation {
    /// The number of its backend.
    pub backend: u16,
    /// The number of its service.
    pub service: u16,
    /// The flow as the client knows it.
    pub flow: Flow,
    /// Where the client's packets come from on this link, and so where answers go. Changes with the worker, as one aligned word.
    pub client_mac: [u8; 6],
    /// The worker that the client's packets came to last, whose port this is.
    pub worker: u16,
    /// 1 once the client has gone on with the flow, until the backend ends it: its port is nobody else's meanwhile.
    pub is_established: u8,
    /// Always zero.
    pub _pad: [u8; 23],
}

const _: () = assert!(size_of::<Flow>() == 40);
const _: () = assert!(size_of::<CachedFlow>() == 12);
const _: () = assert!(size_of::<Line<CachedFlow>>() == 32 && Line::<CachedFlow>::WORDS == 4);
const _: () = assert!(size_of::<NamedBackend>() == 64);
const _: () = assert!(size_of::<Backend>() == 8);
const _: () = assert!(size_of::<Arm>() == 12);
const _: () = assert!(size_of::<Tunnel>() == 40);
const _: () = assert!(size_of::<Nat>() == 40);
const _: () = assert!(size_of::<Carried>() == 32);
const _: () = assert!(size_of::<Line<Translation>>() == 96 && Line::<Translation>::WORDS == 12);
const _: () =
    assert!((offset_of!(Line<Translation>, value) + offset_of!(Translation, client_mac)).is_multiple_of(8));
const _: () = assert!(offset_of!(Translation, is_established) == offset_of!(Translation, client_mac) + 8);
