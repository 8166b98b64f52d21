//! More addresses than an advert names: they move with those that it does.

use anyhow::{Context as _, Result};
use baton::config::MacMode;
use baton::wire::max_addresses;
use baton_common::vrid::Family;
use baton_tests::lab::{Echo, Fault, Host, Lab, Pair};

use super::support::{LEASE_US, assert_moved, assert_sole_owner, router, watch_vip};

const VIPS: u16 = 600;

#[test]
fn an_address_that_no_advert_names_moves_like_the_others() -> Result<()> {
    assert!(usize::from(VIPS) > 2 * max_addresses(Family::Ipv4));
    let lab = Lab::up()?;
    let mut pair = Pair::start(&lab, MacMode::Virtual.into(), VIPS)?;
    let last = pair.probed();
    let echoes = [Echo::start(&lab, Host::A, last)?, Echo::start(&lab, Host::B, last)?];
    pair.settle()?;
    let (outcome, _) = watch_vip(&lab, last, || pair.inject(Fault::Planned).map(drop))?;
    assert_moved(&outcome, Host::B, LEASE_US);
    pair.restore()?;
    assert_sole_owner(&pair, Host::B)?;
    for host in Host::NODES {
        let router = router(&lab, host)?;
        assert_eq!(router.vips.len(), usize::from(VIPS));
        let peer = router.peers.first().with_context(|| format!("node {} heard nobody", host.name()))?;
        assert!(peer.same_vips, "an advert names what it can");
    }
    pair.stop()?;
    drop(echoes);
    Ok(())
}
