//! Small BPF programs, loaded with bpf(2) by their instructions, and the maps that they need. The smallest does nothing: what
//! stands on the switch's ports, what is subtracted from a measurement, and what lets a flood in; another takes every frame off.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_OBJ_PIN: libc::c_long = 6;
const BPF_PROG_TEST_RUN: libc::c_long = 10;

/// BPF_F_XDP_HAS_FRAGS: frames in several buffers, too, without which no MTU is above a page.
const HAS_FRAGS: u32 = 1 << 5;

/// BPF_F_TEST_XDP_LIVE_FRAMES: the verdict on each frame is carried out.
const LIVE_FRAMES: u32 = 1 << 1;

/// What it returns: to XDP that is XDP_PASS, to tc a drop, which costs as little.
const PASS: u64 = 2;
/// XDP_DROP.
const DROP: u64 = 1;

/// Where the program can be attached; numbers of `enum bpf_prog_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// BPF_PROG_TYPE_SCHED_CLS.
    Tc = 3,
    /// BPF_PROG_TYPE_XDP.
    Xdp = 6,
}

/// A loaded program.
#[derive(Debug)]
pub struct Program(OwnedFd);

/// What a map is; numbers of `enum bpf_map_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MapKind {
    /// BPF_MAP_TYPE_ARRAY.
    Array = 2,
    /// BPF_MAP_TYPE_XSKMAP.
    Sockets = 17,
}

/// A map with keys and values of whole numbers.
#[derive(Debug)]
pub struct NumberMap {
    descriptor: OwnedFd,
    value_size: usize,
}

/// The start of `union bpf_attr` for BPF_MAP_CREATE.
#[repr(C)]
struct MapAttributes {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
}

/// The start of `union bpf_attr` for BPF_MAP_LOOKUP_ELEM and BPF_MAP_UPDATE_ELEM.
#[repr(C)]
struct ElementAttributes {
    map: RawFd,
    _pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The start of `union bpf_attr` for BPF_PROG_LOAD; the kernel takes what is missing for zero.
#[repr(C)]
struct LoadAttributes {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The start of `union bpf_attr` for BPF_OBJ_PIN.
#[repr(C)]
struct PinAttributes {
    path: u64,
    descriptor: RawFd,
    flags: u32,
}

/// The start of `union bpf_attr` for BPF_PROG_TEST_RUN.
#[derive(Default)]
#[repr(C)]
struct TestRunAttributes {
    program: RawFd,
    return_value: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    unused: u32,
}

/// The kernel's `struct xdp_md`.
#[repr(C)]
struct XdpContext {
    data: u32,
    data_end: u32,
    data_meta: u32,
    ingress_ifindex: u32,
    rx_queue_index: u32,
    egress_ifindex: u32,
}

impl NumberMap {
    /// Makes a map with room for so many `entries`, each of which has a key of 4 octets and a value of `value_size`.
    pub fn create(kind: MapKind, value_size: usize, entries: u32) -> Result<Self> {
        let mut attributes =
            MapAttributes { kind: kind as u32, key_size: 4, value_size: value_size.try_into()?, entries };
        // SAFETY: the attributes are those of the command.
        let map = unsafe { bpf(BPF_MAP_CREATE, &mut attributes) }.context("make a map")?;
        // SAFETY: the kernel has just made the descriptor for this process.
        Ok(Self { descriptor: unsafe { OwnedFd::from_raw_fd(map) }, value_size })
    }

    /// Puts a `value` of 4 octets at `key`.
    pub fn set(&self, key: u32, value: RawFd) -> Result<()> {
        ensure!(self.value_size == size_of_val(&value), "a value has {} octets", self.value_size);
        let mut attributes = ElementAttributes {
            map: self.descriptor.as_raw_fd(),
            _pad: 0,
            key: std::ptr::from_ref(&key) as u64,
            value: std::ptr::from_ref(&value) as u64,
            flags: 0,
        };
        // SAFETY: the attributes are those of the command, and point to a key and a value of the stated sizes.
        unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attributes) }.context("fill a map")?;
        Ok(())
    }

    /// Reads the first value into `numbers`, which are as long as it.
    pub fn read(&self, numbers: &mut [u64]) -> Result<()> {
        let key = 0u32;
        let mut attributes = ElementAttributes {
            map: self.descriptor.as_raw_fd(),
            _pad: 0,
            key: std::ptr::from_ref(&key) as u64,
            value: numbers.as_mut_ptr() as u64,
            flags: 0,
        };
        ensure!(size_of_val(numbers) == self.value_size, "a value has {} octets", self.value_size);
        // SAFETY: the attributes are those of the command, and point to a key and a value of the map's sizes.
        unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &mut attributes) }.context("read a map")?;
        Ok(())
    }

    /// What instructions call it.
    pub fn descriptor(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

impl Program {
    /// Loads the program that does nothing.
    pub fn empty(kind: Kind) -> Result<Self> {
        Self::returning(PASS, kind)
    }

    /// Loads the XDP program that takes every frame off.
    pub fn dropping() -> Result<Self> {
        Self::returning(DROP, Kind::Xdp)
    }

    fn returning(answer: u64, kind: Kind) -> Result<Self> {
        // `r0 = answer; exit`, as the kernel's `struct bpf_insn` lays it out: code, registers, offset, immediate.
        Self::load(kind, &[answer << 32 | 0xb7, 0x95])
    }

    /// Loads the program with these `instructions`, each as the kernel's `struct bpf_insn`. The maps that they name may go, but
    /// for their descriptors, which the program keeps.
    pub fn load(kind: Kind, instructions: &[u64]) -> Result<Self> {
        let mut log = vec![0; 64 * 1024];
        let mut attributes = LoadAttributes {
            program_type: kind as u32,
            instruction_count: instructions.len().try_into()?,
            instructions: instructions.as_ptr() as u64,
            license: c"Dual MIT/GPL".as_ptr() as u64,
            log_level: 1,
            log_size: log.len().try_into()?,
            log: log.as_mut_ptr() as u64,
            kernel_version: 0,
            flags: match kind {
                Kind::Tc => 0,
                Kind::Xdp => HAS_FRAGS,
            },
        };
        // SAFETY: the attributes are those of the command, and point to live memory of the stated length.
        let program = unsafe { bpf(BPF_PROG_LOAD, &mut attributes) };
        let said = || String::from_utf8_lossy(&log).trim_end_matches('\0').to_owned();
        let program = program.with_context(|| format!("load a program: {}", said()))?;
        // SAFETY: the kernel has just made the descriptor for this process.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(program) }))
    }

    /// Pins it at `path`, which lies on a bpffs.
    pub fn pin(&self, path: &Path) -> Result<()> {
        let name = CString::new(path.as_os_str().as_bytes()).context("a path without a zero octet")?;
        let mut attributes =
            PinAttributes { path: name.as_ptr() as u64, descriptor: self.0.as_raw_fd(), flags: 0 };
        // SAFETY: the attributes are those of the command, and point to a live string that ends in a zero.
        unsafe { bpf(BPF_OBJ_PIN, &mut attributes) }
            .with_context(|| format!("pin a program at {}", path.display()))?;
        Ok(())
    }

    /// The time that it takes for `frame`, the mean over `repeat` runs.
    pub fn time(&self, frame: &[u8], repeat: u32) -> Result<Duration> {
        let mut attributes =
            TestRunAttributes { repeat, ..TestRunAttributes::of(self.0.as_raw_fd(), frame)? };
        // SAFETY: the attributes are those of the command, and point to a live frame of the stated length.
        unsafe { bpf(BPF_PROG_TEST_RUN, &mut attributes) }.context("run a program")?;
        Ok(Duration::from_nanos(attributes.duration.into()))
    }

    /// Lets `count` copies of `frame` arrive on the interface with that index, which runs native XDP, as fast as this thread
    /// can, and carries out what the program says of each. For [`Kind::Xdp`] only.
    pub fn flood(&self, frame: &[u8], interface: u32, count: u32) -> Result<()> {
        self.flood_in_batches(frame, interface, count, 0)
    }

    /// The same, where so many frames go together; 0 leaves that to the kernel.
    pub fn flood_in_batches(&self, frame: &[u8], interface: u32, count: u32, batch_size: u32) -> Result<()> {
        let context = XdpContext {
            data: 0,
            data_end: frame.len().try_into()?,
            data_meta: 0,
            ingress_ifindex: interface,
            rx_queue_index: 0,
            egress_ifindex: 0,
        };
        let mut attributes = TestRunAttributes {
            repeat: count,
            batch_size,
            context_size_in: size_of::<XdpContext>().try_into()?,
            context_in: std::ptr::from_ref(&context) as u64,
            flags: LIVE_FRAMES,
            ..TestRunAttributes::of(self.0.as_raw_fd(), frame)?
        };
        // SAFETY: the attributes are those of the command, and point to a live frame and context of the stated lengths.
        unsafe { bpf(BPF_PROG_TEST_RUN, &mut attributes) }.context("let frames arrive")?;
        Ok(())
    }
}

impl TestRunAttributes {
    /// Those of a run of `program` on `frame`.
    fn of(program: RawFd, frame: &[u8]) -> Result<Self> {
        let data_size_in = frame.len().try_into()?;
        Ok(Self { program, data_size_in, data_in: frame.as_ptr() as u64, ..Self::default() })
    }
}

/// bpf(2), whose result is a descriptor or 0.
///
/// # Safety
///
/// `attributes` must be those of `command`, and the memory that they point to must be there.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<RawFd> {
    // SAFETY: the caller's promise.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>()) };
    RawFd::try_from(result).ok().filter(|result| *result >= 0).ok_or_else(io::Error::last_os_error)
}
