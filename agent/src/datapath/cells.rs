//! The ownership cells, and those that the XDP program writes, mapped into this process: reading and writing them is a memory access, no
//! system call. The switchover is [`Ownerships::set`].

use std::mem::offset_of;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use aya::Pod;
use aya::maps::MapData;
use baton_common::maps::{MAILBOXES, MAX_ROUTERS};
use baton_common::ownership::{self, Mailbox, Service};
use baton_common::sbfd::Answer;

use super::mapping::Mapping;
use super::plain::Plain;
use super::{DatapathError, Pins};
use crate::address;
use crate::vrrp::{Instant, Ownership};

/// The ownership map, one cell per slot. One writer only: the driver. When that is dead, [`super::Leases`].
pub struct Ownerships(Mapping<ownership::Ownership>);

impl Ownerships {
    pub(super) fn map(map: &MapData) -> Result<Self, DatapathError> {
        // The capacity of these maps is part of the layout version.
        Mapping::of(map, MAX_ROUTERS).map(Self)
    }

    /// The map that is pinned at `path`.
    pub(super) fn pinned(path: &Path) -> Result<Self, DatapathError> {
        Self::map(&MapData::from_pin(path)?)
    }

    /// Owns `slot` or not. The XDP program sees it with its next frame.
    pub fn set(&self, slot: u32, ownership: Ownership) {
        let (until, flags) = match ownership {
            Ownership::Released => (Instant::default(), 0),
            Ownership::Held(until) => (until, 0),
            Ownership::Lingering(until) | Ownership::Offered(until) => (until, ownership::LEAVING),
        };
        if let Ownership::Lingering(_) = ownership {
            self.set_successor(slot, None);
        }
        // What the flag means is there before it is seen.
        fence(Ordering::Release);
        // SAFETY: as in `set_mac`.
        let set_flags = || unsafe { (&raw mut (*self.0.cell(slot)).flags).write_volatile(flags) };
        if ownership == Ownership::Released {
            // Whoever was told that this host is out of service must not be told otherwise once more.
            self.lease_cell(slot).store(0, Ordering::Release);
            fence(Ordering::Release);
            set_flags();
        } else {
            set_flags();
            self.lease_cell(slot).store(until.as_nanos(), Ordering::Release);
        }
    }

    /// Names the only router that may succeed, for [`Ownership::Offered`], which is to be set afterwards. The name stays, and
    /// means nothing, when the offer is over: a reader that has just seen the flag must not find that anybody may.
    pub fn set_successor(&self, slot: u32, successor: Option<IpAddr>) {
        let address = successor.map_or([0; 16], address::to_map);
        // SAFETY: as in `set_mac`; the program reads it as two aligned words.
        unsafe { (&raw mut (*self.0.cell(slot)).successor).write_volatile(address) };
    }

    fn has_successor(&self, slot: u32) -> bool {
        // SAFETY: as in `set_successor`.
        unsafe { (&raw const (*self.0.cell(slot)).successor).read_volatile() != [0; 16] }
    }

    /// The end of the lease of `slot`; zero when it is not owned.
    pub fn lease(&self, slot: u32) -> Instant {
        Instant::from_nanos(self.lease_cell(slot).load(Ordering::Acquire))
    }

    /// What the map says of `slot`; a lease may have lapsed.
    pub fn read(&self, slot: u32) -> Ownership {
        // SAFETY: as in `set_mac`.
        let flags = unsafe { (&raw const (*self.0.cell(slot)).flags).read_volatile() };
        match self.lease(slot) {
            until if until == Instant::default() => Ownership::Released,
            until if flags & ownership::LEAVING == 0 => Ownership::Held(until),
            until if self.has_successor(slot) => Ownership::Offered(until),
            until => Ownership::Lingering(until),
        }
    }

    /// Sets the MAC that stands for the addresses of `slot`.
    pub fn set_mac(&self, slot: u32, mac: [u8; 6]) {
        // SAFETY: the pointer is to a live cell, aligned for its type; see `Mapping::cell`. Only this process's one
        // writer writes, and the program reads the MAC octet by octet, so no reference is held on either side.
        unsafe { (&raw mut (*self.0.cell(slot)).mac).write_volatile(mac) };
    }

    /// The MAC that stands for the addresses of `slot`.
    pub(super) fn mac(&self, slot: u32) -> [u8; 6] {
        // SAFETY: as in `set_mac`.
        unsafe { (&raw const (*self.0.cell(slot)).mac).read_volatile() }
    }

    /// Sets what the owner's kernel gets.
    pub fn set_delivery(&self, slot: u32, delivery: u8) {
        // SAFETY: as in `set_mac`.
        unsafe { (&raw mut (*self.0.cell(slot)).delivery).write_volatile(delivery) };
    }

    /// What the owner's kernel gets.
    pub(super) fn delivery(&self, slot: u32) -> u8 {
        // SAFETY: as in `set_mac`.
        unsafe { (&raw const (*self.0.cell(slot)).delivery).read_volatile() }
    }

    /// Counts one more takeover of `slot`.
    pub fn next_epoch(&self, slot: u32) {
        let cell = self.0.cell(slot);
        // SAFETY: as in `set_mac`.
        let epoch = unsafe { (&raw const (*cell).epoch).read_volatile() }.wrapping_add(1);
        // SAFETY: as in `set_mac`.
        unsafe { (&raw mut (*cell).epoch).write_volatile(epoch) };
    }

    /// The number of takeovers of `slot`.
    pub fn epoch(&self, slot: u32) -> u32 {
        // SAFETY: as in `set_mac`.
        unsafe { (&raw const (*self.0.cell(slot)).epoch).read_volatile() }
    }

    /// Says that the owner of `slot` wants to be succeeded, by anybody.
    pub(super) fn set_leaving(&self, slot: u32) {
        self.set_successor(slot, None);
        fence(Ordering::Release);
        // SAFETY: as in `set_mac`.
        unsafe { (&raw mut (*self.0.cell(slot)).flags).write_volatile(ownership::LEAVING) };
    }

    pub(super) fn lease_cell(&self, slot: u32) -> &AtomicU64 {
        const { assert!(offset_of!(ownership::Ownership, lease_until_ns) == 0) };
        // SAFETY: the cell is 8-byte aligned and lives as long as the mapping; the kernel side reads it with single
        // aligned loads, which is how an atomic wants to be shared.
        unsafe { AtomicU64::from_ptr(self.0.cell(slot).cast()) }
    }
}

/// Cells that the XDP program writes, or the driver, and others only read, one per slot.
pub struct Cells<T>(Mapping<T>);

/// What was last heard.
pub type Mailboxes = Cells<Mailbox>;
/// The answers to S-BFD probes.
pub type Answers = Cells<Answer>;
/// When the addresses were first of use.
pub type Services = Cells<Service>;
/// What this host owns, for those that have no say in it.
pub type Tenures = Cells<ownership::Ownership>;

impl<T: Copy> Cells<T>
where
    Plain<T>: Pod,
{
    pub(super) fn map(map: &MapData) -> Result<Self, DatapathError> {
        Mapping::of(map, MAX_ROUTERS).map(Self)
    }

    /// The cell of `slot` as it is.
    pub fn read(&self, slot: u32) -> T {
        // SAFETY: the pointer is to a live cell, aligned for its type, and any bytes are a valid `T`, which is a type of the
        // contract. A torn read is allowed for by the types' contracts.
        unsafe { self.0.cell(slot).read_volatile() }
    }
}

impl Tenures {
    /// Whether this host owns the virtual router at `slot`, as the XDP program decides it.
    pub fn is_owned(&self, slot: u32, now: Instant) -> bool {
        now < Instant::from_nanos(self.read(slot).lease_until_ns)
    }
}

/// How often a mailbox is read again that is being written: a frame takes longer than that.
const REREADS: usize = 4;

impl Mailboxes {
    /// The mailbox of `slot`, for one who will act on it: read until it is seen twice alike, so that it does not have the
    /// priority of one advertisement and the source of the next.
    pub fn read_settled(&self, slot: u32) -> Mailbox {
        let mut mailbox = self.read(slot);
        for _ in 0..REREADS {
            fence(Ordering::Acquire);
            let before = std::mem::replace(&mut mailbox, self.read(slot));
            if mailbox == before {
                break;
            }
        }
        mailbox
    }

    /// The mailboxes of the interface with `pins`, for another process than the one that has loaded the programs.
    ///
    /// # Errors
    ///
    /// They are not pinned there, or cannot be mapped into memory.
    pub fn pinned(pins: &Pins) -> Result<Self, DatapathError> {
        Self::map(&MapData::from_pin(pins.map(MAILBOXES))?)
    }
}
