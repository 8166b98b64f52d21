//! Why the data plane is not there, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use aya::EbpfError;
use aya::maps::MapError;
use aya::pin::PinError;
use aya::programs::ProgramError;
use aya::programs::links::LinkError;
use baton_common::maps;

use crate::host::netlink::XdpMode;

/// Why the data plane could not be set up or taken down. What it says is still true: nothing was attached that had not
/// been attached before.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// Another XDP program is on the interface.
    #[error(
        "{interface} carries the XDP program {program} already, which is not under {}; stop its owner first (`ip link set \
         dev {interface} xdp off` removes one that nobody holds, `baton detach` with its configuration one of ours)",
        pins.display()
    )]
    ForeignProgram {
        /// The interface.
        interface: String,
        /// The program's id and name.
        program: String,
        /// Where our own link would be pinned.
        pins: PathBuf,
    },
    /// Another version of Baton has left its programs on the interface.
    #[error(
        "{interface} carries the programs of another version of Baton, pinned in {}, whose maps this one cannot read; \
         `baton detach` takes them off, and the next run begins afresh",
        pins.display()
    )]
    OtherVersion {
        /// The interface.
        interface: String,
        /// Where they are pinned.
        pins: PathBuf,
    },
    /// The pins hold programs on another interface: those of an agent in another network namespace.
    #[error(
        "{}: the programs pinned here are on another interface than this {interface}, probably in another network \
         namespace; give each agent its own `pins` and `directory` in [runtime], or, if the interface was moved or renamed, \
         remove the directory of the pins first",
        pins.display()
    )]
    ForeignPins {
        /// The interface whose pins they would be.
        interface: String,
        /// Where they are pinned.
        pins: PathBuf,
    },
    /// The interface takes no XDP program in any mode that the configuration allows.
    #[error("{interface} takes no XDP program ({attempts}); {remedy}")]
    NoXdp {
        /// The interface.
        interface: String,
        /// Each mode that was tried, with the system's answer.
        attempts: String,
        /// What to try.
        remedy: String,
    },
    /// An earlier run's program is in a mode that the configuration does not allow.
    #[error(
        "XDP on {interface} is {mode} since an earlier run; `baton detach` first, the next run takes the mode of its configuration"
    )]
    OtherMode {
        /// The interface.
        interface: String,
        /// The mode it is in.
        mode: XdpMode,
    },
    /// The kernel attached without a BPF link, so nothing could be pinned and a dead agent would not be fenced.
    #[error("{interface}: the kernel gives no BPF link; Linux 6.6 or newer is needed")]
    NoLink {
        /// The interface.
        interface: String,
    },
    /// The pin directory cannot be used.
    #[error("{}: {what}: {source}", path.display())]
    Pins {
        /// The directory or file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The place for a BPF file system is in use.
    #[error(
        "{} holds other files, which a BPF file system mounted there would hide; let `pins` in [runtime] name a directory \
         that is empty or does not exist yet, or one on a BPF file system",
        path.display()
    )]
    PinsTaken {
        /// The directory.
        path: PathBuf,
    },
    /// There is no BPF file system, and none could be mounted.
    #[error(
        "mounting a BPF file system on {}: {source}; mount one as root (`mount -t bpf bpf {}`), or let `pins` in [runtime] \
         name a directory on one",
        path.display(),
        path.display()
    )]
    Mount {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel does not say which programs run on the interface.
    #[error("asking which tcx programs run on {interface}: {source}")]
    Query {
        /// The interface.
        interface: String,
        /// What the system said.
        source: io::Error,
    },
    /// What had been done could not be taken back.
    #[error("{error}; what was done cannot be taken back either: {remains}; `baton detach` removes it")]
    NotTakenBack {
        /// Why it was to be taken back.
        error: Box<DatapathError>,
        /// Why it is still there.
        remains: Box<DatapathError>,
    },
    /// The maps have no room for the addresses of two configurations.
    #[error(
        "{added} more vips than the {before} of the earlier run have no room beside those, which must be fenced until they are \
         unbound: {} is the limit; go over in two steps, first without the vips that leave, then with the new ones, or stop \
         baton and `baton detach` first",
        maps::MAX_VIPS
    )]
    NoRoom {
        /// The addresses that the maps contain.
        before: usize,
        /// Those that would come beside them.
        added: usize,
    },
    /// The object lacks a map that the contract names.
    #[error("the BPF object has no map {0}; build agent and object from one tree (`cargo xtask build`)")]
    NoMap(&'static str),
    /// The object lacks a program that the contract names.
    #[error("the BPF object has no program {0}; build agent and object from one tree (`cargo xtask build`)")]
    NoProgram(&'static str),
    /// A map could not be mapped into memory.
    #[error("mapping a BPF map into memory: {0}")]
    Map(io::Error),
    /// The event ring could not be watched.
    #[error("watching the event ring: {0}")]
    Ring(io::Error),
    /// The kernel refused the object.
    #[error(
        "loading the BPF object, or adopting pinned maps: {0}; `baton detach` removes what another version has left"
    )]
    Load(#[from] EbpfError),
    /// The kernel refused a program.
    #[error("loading or attaching a BPF program: {0}")]
    Program(#[from] ProgramError),
    /// The kernel refused an access to a map.
    #[error("accessing a BPF map: {0}")]
    Write(#[from] MapError),
    /// A link could not be read or replaced.
    #[error("adopting or pinning a BPF link: {0}")]
    Link(#[from] LinkError),
    /// Something could not be pinned.
    #[error("pinning: {0}")]
    Pin(#[from] PinError),
    /// The interface could not be looked at.
    #[error(transparent)]
    Host(#[from] Box<crate::host::HostError>),
    /// The event ring could not be opened.
    #[error("opening the event ring: {0}")]
    Events(#[from] aya_log::Error),
}

impl DatapathError {
    /// What makes an error of the system's answer to `what`, done with `path`.
    pub(super) fn pins(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Pins { path, what, source }
    }
}
