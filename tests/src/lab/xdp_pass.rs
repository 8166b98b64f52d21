//! The program on the switch's ports. A veth lets XDP_TX frames of its peer in only when it runs native XDP itself.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_PROG_TYPE_XDP: u32 = 6;
const XDP_PASS: u64 = 2;

/// `r0 = XDP_PASS; exit`, as the kernel's `struct bpf_insn` lays it out: code, registers, offset, immediate.
const PROGRAM: [u64; 2] = [0xb7 | XDP_PASS << 32, 0x95];

/// The part of `union bpf_attr` that BPF_PROG_LOAD reads here; the kernel takes what is missing as zero.
#[repr(C)]
struct ProgLoad {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
}

/// The part of `union bpf_attr` that BPF_OBJ_PIN reads.
#[repr(C)]
struct ObjPin {
    path: u64,
    descriptor: u32,
    flags: u32,
}

/// Loads the program and pins it at `path`, which lies on a bpffs.
pub(super) fn pin(path: &Path) -> Result<()> {
    let load = ProgLoad {
        kind: BPF_PROG_TYPE_XDP,
        instruction_count: 2,
        instructions: PROGRAM.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
    };
    let program = bpf(BPF_PROG_LOAD, &load).context("load the XDP_PASS program")?;
    let program = i32::try_from(program).context("a descriptor fits an int")?;
    // SAFETY: the kernel has just returned this descriptor and nobody else knows it.
    let program = unsafe { OwnedFd::from_raw_fd(program) };
    let name = CString::new(path.as_os_str().as_bytes()).context("a path without a zero octet")?;
    let descriptor = u32::try_from(program.as_raw_fd()).context("a descriptor is not negative")?;
    let pin = ObjPin { path: name.as_ptr() as u64, descriptor, flags: 0 };
    bpf(BPF_OBJ_PIN, &pin).with_context(|| format!("pin the XDP_PASS program at {}", path.display()))?;
    Ok(())
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<libc::c_long> {
    // SAFETY: both attribute types are plain integers in the kernel's layout, their size goes along, and the memory
    // that their addresses name lives in the caller until the call returns.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
