//! The host that most tests are about: VRID 51 of both families, with three IPv4 VIPs and two of IPv6, on the untagged link of an interface.

use std::collections::BTreeMap;

use baton_common::maps::{ACCEPT_PSEUDO, ACCEPT_RFC9568};
use baton_common::verdict::Verdict;
use baton_tests::datapath::{Datapath, FOREVER, Outcome};

pub(crate) const DEVICE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
pub(crate) const VIRTUAL_MAC: [u8; 6] = [0x00, 0x00, 0x5e, 0x00, 0x01, 51];
pub(crate) const VIRTUAL_MAC6: [u8; 6] = [0x00, 0x00, 0x5e, 0x00, 0x02, 51];
/// No vector comes from these addresses.
pub(crate) const PRIMARY: [u8; 4] = [192, 0, 2, 9];
pub(crate) const PRIMARY6: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
/// Not 0, so that an uninitialised slot would not go unnoticed.
pub(crate) const SLOT: u32 = 3;
/// That of the IPv6 router.
pub(crate) const SLOT6: u32 = 4;
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
    host.set_device(DEVICE_MAC, PRIMARY, PRIMARY6);
    host.add_router(0, 51, SLOT, checksums, PRIMARY);
    for last in 100..=102 {
        host.add_vip(0, [192, 0, 2, last], SLOT);
    }
    host.add_router(0, 51, SLOT6, BOTH, PRIMARY6);
    for prefix in [0xfe80, 0x2001] {
        let group = if prefix == 0x2001 { 0xdb8 } else { 0 };
        host.add_vip(0, [prefix, group, 0, 0, 0, 0, 0, 0x100_u16], SLOT6);
    }
    let lease = if role == Role::Active { FOREVER } else { 0 };
    host.set_ownership(SLOT, lease, VIRTUAL_MAC);
    host.set_ownership(SLOT6, lease, VIRTUAL_MAC6);
    host
}

/// What is expected of a frame that is left as it is.
pub(crate) fn outcome(action: u32, verdict: Verdict, frame: &[u8]) -> Outcome {
    Outcome { action, counted: BTreeMap::from([(verdict, 1)]), frame: frame.to_vec() }
}
