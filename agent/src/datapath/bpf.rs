//! bpf(2) for what aya leaves open: what a pinned link is attached to, which programs run at a tcx hook (aya opens each
//! of them by its id, which takes CAP_SYS_ADMIN), and taking a link off its interface at once.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Commands of `enum bpf_cmd`.
const BPF_OBJ_GET: libc::c_long = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_PROG_QUERY: libc::c_long = 16;
const BPF_LINK_DETACH: libc::c_long = 34;

/// Kinds of `enum bpf_link_type` that are attached to an interface.
const LINK_XDP: u32 = 6;
const LINK_TCX: u32 = 11;

/// Programs at one hook that are looked at; the kernel allows no more.
const MOST_PROGRAMS: usize = 64;

/// A side of the tcx hook, with its number in `enum bpf_attach_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum TcxHook {
    Ingress = 46,
    Egress = 47,
}

/// The start of `struct bpf_link_info` for a link on an interface.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct LinkInfo {
    kind: u32,
    id: u32,
    /// The id of its program.
    pub(super) program: u32,
    _pad: u32,
    /// The interface's index in its own network namespace, 0 when the interface is gone or the link was detached.
    pub(super) interface: u32,
    hook: u32,
}

/// The link that is pinned at `path`, `None` when nothing is.
///
/// # Errors
///
/// The pin cannot be opened, or is no link on an interface.
pub(super) fn pinned_link(path: &Path) -> io::Result<Option<LinkInfo>> {
    #[repr(C)]
    struct Attributes {
        descriptor: RawFd,
        length: u32,
        info: u64,
    }
    let link = match open_pin(path) {
        Ok(link) => link,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut info = LinkInfo::default();
    let mut attributes = Attributes {
        descriptor: link.as_raw_fd(),
        length: u32::try_from(size_of::<LinkInfo>()).map_err(io::Error::other)?,
        info: (&raw mut info) as u64,
    };
    // SAFETY: the attributes are those of the command, and point to a live `LinkInfo` of the stated length, for which
    // any octets are valid.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    match info.kind {
        LINK_XDP | LINK_TCX => Ok(Some(info)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The ids of the programs that run at `hook` of the interface with index `index`.
///
/// # Errors
///
/// The interface is gone, or the process has not CAP_NET_ADMIN.
pub(super) fn tcx_programs(index: u32, hook: TcxHook) -> io::Result<Vec<u32>> {
    #[repr(C)]
    struct Attributes {
        interface: u32,
        hook: u32,
        flags: [u32; 2],
        ids: u64,
        count: u32,
        _pad: u32,
        further: [u64; 3],
        revision: u64,
    }
    let mut ids = vec![0_u32; MOST_PROGRAMS];
    let mut attributes = Attributes {
        interface: index,
        hook: hook as u32,
        flags: [0; 2],
        ids: ids.as_mut_ptr() as u64,
        count: u32::try_from(MOST_PROGRAMS).map_err(io::Error::other)?,
        _pad: 0,
        further: [0; 3],
        revision: 0,
    };
    // SAFETY: the attributes are those of the command, and point to live memory for as many ids as they state.
    unsafe { bpf(BPF_PROG_QUERY, &mut attributes) }?;
    ids.truncate(attributes.count as usize);
    Ok(ids)
}

/// Takes the link that is pinned at `path` off its interface. When its pin goes it would go as well, but some time later:
/// the kernel leaves that to a worker.
///
/// # Errors
///
/// The pin cannot be opened, or is no link.
pub(super) fn detach_link(path: &Path) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        descriptor: RawFd,
    }
    let link = open_pin(path)?;
    let mut attributes = Attributes { descriptor: link.as_raw_fd() };
    // SAFETY: the attributes are those of the command, and point to nothing.
    unsafe { bpf(BPF_LINK_DETACH, &mut attributes) }?;
    Ok(())
}

fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        path: u64,
        descriptor: RawFd,
        flags: u32,
    }
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes = Attributes { path: name.as_ptr() as u64, descriptor: 0, flags: 0 };
    // SAFETY: the attributes are those of the command, and point to a live string that ends in a zero.
    let descriptor = unsafe { bpf(BPF_OBJ_GET, &mut attributes) }?;
    // SAFETY: the kernel has just made the descriptor for this process.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
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
