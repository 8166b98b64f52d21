//! Array maps in this process's memory.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{NonNull, null_mut};

use aya::maps::MapData;

use super::DatapathError;

/// A whole array map of cells, or memory like it.
pub(super) struct Mapping<T> {
    cells: NonNull<T>,
    count: u32,
}

// SAFETY: the mapping is shared memory without thread affinity; its users go through atomics or volatile accesses.
unsafe impl<T> Send for Mapping<T> {}
// SAFETY: as above; nothing is reached by a reference to it but pointers.
unsafe impl<T> Sync for Mapping<T> {}

impl<T> Mapping<T> {
    /// All `count` cells of `map`, or of memory of nobody else's.
    fn new(map: Option<&MapData>, count: u32) -> Result<Self, DatapathError> {
        const { assert!(size_of::<T>().is_multiple_of(8), "array cells lie 8 bytes apart or a multiple of it") };
        let (flags, descriptor) = match map {
            Some(map) => (libc::MAP_SHARED, map.fd().as_fd().as_raw_fd()),
            None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
        };
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours; the kernel refuses what is longer
        // than the map.
        let start = unsafe {
            libc::mmap(
                null_mut(),
                length::<T>(count),
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                descriptor,
                0,
            )
        };
        match NonNull::new(start.cast()) {
            Some(cells) if start != libc::MAP_FAILED => Ok(Self { cells, count }),
            _ => Err(DatapathError::Map(io::Error::last_os_error())),
        }
    }

    /// The first `count` cells of `map`.
    pub(super) fn of(map: &MapData, count: u32) -> Result<Self, DatapathError> {
        Self::new(Some(map), count)
    }

    /// As many cells of zeroes, which are nobody else's.
    ///
    /// # Errors
    ///
    /// There is no memory for them.
    pub(super) fn zeroes(count: u32) -> Result<Self, DatapathError> {
        Self::new(None, count)
    }

    /// How many cells there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The cell with this number, which is aligned as the pages are, and lives as long as the mapping. Numbers come from the agent's
    /// own configuration, or were reduced to what there is; never from a frame.
    pub(super) fn cell(&self, number: u32) -> *mut T {
        assert!(number < self.count, "cell {number} of a map with {}", self.count);
        // SAFETY: the cell is inside the mapping, as checked.
        unsafe { self.cells.as_ptr().add(number as usize) }
    }
}

impl<T> Drop for Mapping<T> {
    fn drop(&mut self) {
        // SAFETY: start and length are those of a mapping made in `new`, and no reference into it outlives `self`.
        unsafe { libc::munmap(self.cells.as_ptr().cast(), length::<T>(self.count)) };
    }
}

/// Octets of so many cells.
fn length<T>(count: u32) -> usize {
    size_of::<T>() * count as usize
}
