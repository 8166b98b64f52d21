//! A program that does nothing: what stands on the switch's ports, what is subtracted from a measurement, and what lets a
//! flood in; and one that takes every frame off. They are two instructions that exist only here, so they are loaded with
//! bpf(2).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_OBJ_PIN: libc::c_long = 6;
const BPF_PROG_TEST_RUN: libc::c_long = 10;

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

/// The loaded program.
#[derive(Debug)]
pub struct EmptyProgram(OwnedFd);

/// The start of `union bpf_attr` for BPF_PROG_LOAD; the kernel takes what is missing for zero.
#[repr(C)]
struct LoadAttributes {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
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

impl EmptyProgram {
    /// Loads the program.
    pub fn load(kind: Kind) -> Result<Self> {
        Self::returning(PASS, kind)
    }

    /// Loads the XDP program that takes every frame off.
    pub fn load_dropping() -> Result<Self> {
        Self::returning(DROP, Kind::Xdp)
    }

    fn returning(answer: u64, kind: Kind) -> Result<Self> {
        // `r0 = answer; exit`, as the kernel's `struct bpf_insn` lays it out: code, registers, offset, immediate.
        let instructions = [answer << 32 | 0xb7, 0x95];
        let mut attributes = LoadAttributes {
            program_type: kind as u32,
            instruction_count: instructions.len().try_into()?,
            instructions: instructions.as_ptr() as u64,
            license: c"Dual MIT/GPL".as_ptr() as u64,
        };
        // SAFETY: the attributes are those of the command, and point to live memory of the stated length.
        let program = unsafe { bpf(BPF_PROG_LOAD, &mut attributes) }.context("load the empty program")?;
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
            .with_context(|| format!("pin the empty program at {}", path.display()))?;
        Ok(())
    }

    /// The time that it takes for `frame`, the mean over `repeat` runs.
    pub fn time(&self, frame: &[u8], repeat: u32) -> Result<Duration> {
        let mut attributes =
            TestRunAttributes { repeat, ..TestRunAttributes::of(self.0.as_raw_fd(), frame)? };
        // SAFETY: the attributes are those of the command, and point to a live frame of the stated length.
        unsafe { bpf(BPF_PROG_TEST_RUN, &mut attributes) }.context("run the empty program")?;
        Ok(Duration::from_nanos(attributes.duration.into()))
    }

    /// Lets `count` copies of `frame` arrive on the interface with that index, which runs native XDP, as fast as this thread
    /// can. For [`Kind::Xdp`] only.
    pub fn flood(&self, frame: &[u8], interface: u32, count: u32) -> Result<()> {
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
