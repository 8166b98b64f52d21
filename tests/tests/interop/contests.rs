//! Debian's keepalived and Baton, both of which want to be Active, in every dialect: after a partition, with equal priorities,
//! and when the better one comes later.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Result, ensure};
use baton::wire::Mac;
use baton_tests::lab::{Host, pause, wait_until};
use baton_tests::network::{Hears, Listener};

use super::assert_no_protest;
use super::dialect::{
    A_WHILE, BATON_BETTER, KEEPALIVED_BETTER, MixedPair, Priorities, SOON, with_mixed_pair,
};

/// Equal, and less than an address owner's.
const EQUAL: Priorities = Priorities { baton: 200, keepalived: 200 };
/// Longer than the second sweep of announcements takes to follow the first.
const SWEEPS: Duration = Duration::from_millis(500);
/// How long after a takeover its frequent announcements are over, and a won conflict begins a schedule of its own.
const SETTLED: Duration = Duration::from_millis(1500);

#[test]
fn after_a_partition_the_better_one_alone_is_active_and_announces_again() -> Result<()> {
    with_mixed_pair(Host::A, BATON_BETTER, true, |pair| heals(pair, Host::A))?;
    with_mixed_pair(Host::A, KEEPALIVED_BETTER, true, |pair| heals(pair, Host::B))
}

/// T-044, T-072. The addresses of node b are higher in both families.
#[test]
fn of_two_with_equal_priorities_the_higher_address_wins() -> Result<()> {
    with_mixed_pair(Host::A, EQUAL, true, |pair| heals(pair, Host::B))?;
    with_mixed_pair(Host::B, EQUAL, true, |pair| heals(pair, Host::B))
}

#[test]
fn the_better_one_takes_over_when_it_comes() -> Result<()> {
    with_mixed_pair(Host::A, BATON_BETTER, true, |pair| {
        let _keepalived = pair.start_keepalived()?;
        pair.wait_owned_by(Host::B, 0)?;
        let _baton = pair.start_baton()?;
        comes_to_rest(pair, Host::A)
    })?;
    with_mixed_pair(Host::A, KEEPALIVED_BETTER, true, |pair| {
        let _baton = pair.start_baton()?;
        pair.wait_owned_by(Host::A, 0)?;
        let _keepalived = pair.start_keepalived()?;
        comes_to_rest(pair, Host::B)
    })
}

/// Cuts the nodes off from each other, mends that, and asserts that `winner` ends what was two owners.
fn heals(pair: &MixedPair<'_>, winner: Host) -> Result<()> {
    let lab = pair.lab;
    let _agents = [pair.start_baton()?, pair.start_keepalived()?];
    let all = pair.dialects().len();
    // Equal ones leave it to chance who is first.
    wait_until("an owner in every dialect", SOON, || {
        Ok(pair.owned(Host::A)?.len() + pair.owned(Host::B)?.len() == all)
    })?;
    lab.cut(Host::A)?;
    pair.wait_owned_by(Host::A, all)?;
    pause(SETTLED)?;
    let client = lab.namespace(Host::Client).within(|| Ok(Listener::open("eth0", Hears::Everything)?))?;
    lab.heal(Host::A)?;
    pair.wait_owned_by(winner, 0)?;
    pause(SWEEPS)?;
    let announced = announcements(&client);
    for dialect in pair.dialects() {
        let mac = if winner == pair.baton { dialect.mac(winner) } else { winner.mac() };
        let count = announced.get(&(mac, dialect.vip())).copied().unwrap_or_default();
        // One could be the last of those that followed the takeover.
        ensure!(count > 1, "{}: {count} announcements of {announced:?}", dialect.name);
    }
    comes_to_rest(pair, winner)
}

/// Asserts that `owner` gets all addresses and keeps them, and that keepalived is content.
fn comes_to_rest(pair: &MixedPair<'_>, owner: Host) -> Result<()> {
    let epochs = || pair.routers().iter().map(|router| router.epoch).collect::<Vec<_>>();
    pair.wait_owned_by(owner, 0)?;
    let before = epochs();
    pause(A_WHILE)?;
    assert_eq!((pair.owned(owner)?.len(), pair.owned(owner.other())?.len()), (pair.dialects().len(), 0));
    assert_eq!(epochs(), before, "Baton has not taken over meanwhile");
    assert_no_protest(pair.lab, pair.keepalived())
}

/// How often each address was announced from each MAC, in what `ear` has heard.
fn announcements(ear: &Listener) -> BTreeMap<(Mac, IpAddr), u32> {
    let mut heard = BTreeMap::new();
    let mut buffer = [0; 2048];
    while let Some(frame) = ear.next(&mut buffer) {
        let source = frame.get(6..12).and_then(|octets| Mac::try_from(octets).ok());
        if let (Some(mac), Some(address)) = (source, announced(frame)) {
            *heard.entry((mac, address)).or_default() += 1;
        }
    }
    heard
}

/// The address that `frame` announces: as a gratuitous ARP request, which both send, or as a neighbour advertisement that
/// nobody has asked for.
fn announced(frame: &[u8]) -> Option<IpAddr> {
    const ALL_NODES: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
    match *frame.get(12..22)? {
        [0x08, 0x06, .., 0, 1] => {
            let [sender, target] = [28, 38].map(|at| frame.get(at..at + 4));
            let address = <[u8; 4]>::try_from(sender?).ok()?;
            (sender == target).then(|| Ipv4Addr::from(address).into())
        }
        [0x86, 0xdd, .., 58, _] if frame.starts_with(&ALL_NODES) && frame.get(54) == Some(&136) => {
            let address = <[u8; 16]>::try_from(frame.get(62..78)?).ok()?;
            Some(Ipv6Addr::from(address).into())
        }
        _ => None,
    }
}
