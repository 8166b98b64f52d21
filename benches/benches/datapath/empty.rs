//! Programs that do nothing, to be subtracted from those that do something.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use anyhow::{Context, Result};

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TEST_RUN: libc::c_long = 10;
pub(crate) const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
pub(crate) const BPF_PROG_TYPE_XDP: u32 = 6;

/// `r0 = 2; exit`: XDP_PASS, and for tc a drop, which costs as little.
const INSTRUCTIONS: [u64; 2] = [0x0000_0002_0000_00b7, 0x0000_0000_0000_0095];

/// A loaded program that does nothing.
pub(crate) struct Empty(OwnedFd);

/// The start of `union bpf_attr` for BPF_PROG_LOAD; the kernel takes what is missing for zero.
#[repr(C)]
struct LoadAttributes {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
}

/// The start of `union bpf_attr` for BPF_PROG_TEST_RUN.
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
}

impl Empty {
    pub(crate) fn load(program_type: u32) -> Result<Self> {
        let mut attributes = LoadAttributes {
            program_type,
            instruction_count: INSTRUCTIONS.len().try_into()?,
            instructions: INSTRUCTIONS.as_ptr() as u64,
            license: c"Dual MIT/GPL".as_ptr() as u64,
        };
        // SAFETY: the attributes are those of the command, and point to live constants of the stated length.
        let program = unsafe { bpf(BPF_PROG_LOAD, &mut attributes) }.context("loading the empty program")?;
        // SAFETY: the kernel has just made the descriptor for this process.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(program) }))
    }

    /// ns for one run, the mean of `repeat`.
    pub(crate) fn time(&self, frame: &[u8], repeat: u32) -> Result<u32> {
        let mut attributes = TestRunAttributes {
            program: self.0.as_raw_fd(),
            return_value: 0,
            data_size_in: frame.len().try_into()?,
            data_size_out: 0,
            data_in: frame.as_ptr() as u64,
            data_out: 0,
            repeat,
            duration: 0,
        };
        // SAFETY: the attributes are those of the command, and point to a live frame of the stated length.
        unsafe { bpf(BPF_PROG_TEST_RUN, &mut attributes) }.context("running the empty program")?;
        Ok(attributes.duration)
    }
}

/// bpf(2), whose result is a descriptor or 0.
///
/// # Safety
///
/// `attributes` must be those of `command`, and the memory that they point to must be there.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<RawFd> {
    // SAFETY: the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes as *mut T, size_of::<T>()) };
    RawFd::try_from(result).ok().filter(|result| *result >= 0).ok_or_else(io::Error::last_os_error)
}
