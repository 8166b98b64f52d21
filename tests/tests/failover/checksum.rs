//! `checksum = "rfc9568"` on both nodes: the RFC's checksum is on the wire and no other, and the election works with it.

use anyhow::{Result, bail, ensure};
use baton::config::MacMode;
use baton::vrrp::{Checksum, ChecksumMode, Interval, Version, Versions};
use baton::wire::{Discard, Expected, parse_frame};
use baton_tests::lab::{Fault, Host, Lab, Settings, wait_until};
use baton_tests::network::{Hears, Listener};

use super::support::{LEASE_US, SOON, assert_moved, assert_sole_owner, watch, with_settings};

#[test]
fn two_nodes_with_the_checksum_of_the_rfc_hear_each_other() -> Result<()> {
    let settings = Settings { checksum: "rfc9568", ..Settings::USUAL };
    with_settings(MacMode::Virtual, settings, |lab, pair| {
        assert_checksum_of_rfc(lab, Host::A)?;
        let (outcome, _) = watch(lab, || pair.inject(Fault::AgentDeath).map(drop))?;
        assert_moved(&outcome, Host::B, LEASE_US);
        assert_checksum_of_rfc(lab, Host::B)?;
        pair.restore()?;
        wait_until("node a to hear node b", SOON, || {
            let status = lab.baton_status(Host::A)?;
            Ok(status.routers[0].peers.iter().any(|peer| peer.address == Host::B.address()))
        })?;
        assert_sole_owner(pair, Host::B)
    })
}

/// Asserts that the next adverts of `host`, as the client hears them, carry the checksum of the RFC and not keepalived's.
fn assert_checksum_of_rfc(lab: &Lab, host: Host) -> Result<()> {
    let client = lab.namespace(Host::Client).within(|| Ok(Listener::open("eth0", Hears::Everything)?))?;
    let mut heard = 0;
    wait_until("adverts at the client", SOON, || {
        let mut buffer = [0; 128];
        while let Some(frame) = client.next(&mut buffer) {
            match parse(frame, Checksum::Rfc9568) {
                Ok(source) => {
                    ensure!(source == host.address(), "an advert of {source}");
                    ensure!(
                        parse(frame, Checksum::Pseudo) == Err(Discard::Checksum),
                        "both checksums are right"
                    );
                    heard += 1;
                }
                Err(Discard::NotVrrp) => {}
                Err(other) => bail!("an advert with another checksum, or worse: {other}"),
            }
        }
        Ok(heard > 3)
    })
}

fn parse(frame: &[u8], checksum: Checksum) -> Result<std::net::IpAddr, Discard> {
    let expected = Expected::multicast(
        Host::Client.address().into(),
        Versions::Only(Version::V3),
        Interval::from_centiseconds(1).expect("not 0"),
        ChecksumMode::Only(checksum),
    );
    parse_frame(frame, |_, _, _| Some(expected)).map(|received| received.advertisement.source)
}
