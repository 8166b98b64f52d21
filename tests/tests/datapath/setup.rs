//! The host that most tests are about: VRID 51 with three VIPs on the untagged link of an interface.

use std::collections::BTreeMap;

use baton_common::maps::{ACCEPT_PSEUDO, ACCEPT_RFC9568};
use baton_common::verdict::Verdict;
use baton_tests::datapath::{Datapath, FOREVER, Outcome};

pub(crate) const DEVICE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
pub(crate) const VIRTUAL_MAC: [u8; 6] = [0x00, 0x00, 0x5e, 0x00, 0x01, 51];
/// No vector comes from this address.
pub(crate) const PRIMARY: [u8; 4] = [192, 0, 2, 9];
/// Not 0, so that an uninitialised slot would not go unnoticed.
pub(crate) const SLOT: u32 = 3;
pub(crate) const BOTH: u32 = ACCEPT_RFC9568 | ACCEPT_PSEUDO;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Active,
    Backup,
}

/// The host in a role that lasts.
pub(crate) fn host(role: Role) -> Datapath {
    host_accepting(role, BOTH)
}

/// The host, with the checksums that it accepts.
pub(crate) fn host_accepting(role: Role, checksums: u32) -> Datapath {
    let mut host = Datapath::load();
    host.set_device(DEVICE_MAC, PRIMARY);
    host.add_router(0, 51, SLOT, checksums, PRIMARY);
    for last in 100..=102 {
        host.add_vip(0, [192, 0, 2, last], SLOT);
    }
    host.set_ownership(SLOT, if role == Role::Active { FOREVER } else { 0 }, VIRTUAL_MAC);
    host
}

/// What is expected of a frame that is left as it is.
pub(crate) fn outcome(action: u32, verdict: Verdict, frame: &[u8]) -> Outcome {
    Outcome { action, counted: BTreeMap::from([(verdict, 1)]), frame: frame.to_vec() }
}
