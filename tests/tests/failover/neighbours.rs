//! Neighbours that are configured otherwise: what they send is named in the log.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use baton::address;
use baton::config::MacMode;
use baton::socket::PacketSocket;
use baton::vrrp::{Checksum, Interval, Standing, Version};
use baton::wire::{MAX_ADVERTISEMENT_FRAME, Outgoing};
use baton_common::vrid::Vrid;
use baton_tests::lab::{Host, Lab, Settings, VIP, VIPS6, VRID, pause, wait_until};
use nix::net::if_::if_nametoindex;

use super::support::{router6_table, start_alone};

/// Longer than the log waits before it looks.
const LOOK: Duration = Duration::from_secs(20);

#[test]
fn adverts_of_other_routers_and_with_a_wrong_first_address_are_named() -> Result<()> {
    let lab = Lab::up()?;
    lab.enable_ipv6()?;
    let file = lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    fs::write(&file, fs::read_to_string(&file)? + &router6_table(Host::A, Settings::USUAL.more))?;
    let _agent = start_alone(&lab)?;
    let log = lab.baton_log(Host::A);
    let lines = |words: [&str; 2]| -> Result<usize> {
        let text = fs::read_to_string(&log)?;
        Ok(text.lines().filter(|line| words.iter().all(|words| line.contains(words))).count())
    };
    let (foreign, wrong) = (["INFO", "vrrp-unknown-router"], ["WARN", "not link-local"]);
    wait_until("the log to name both", LOOK, || {
        advertise(&lab, VRID + 1, 0)?;
        advertise(&lab, VRID, 1)?;
        Ok(lines(foreign)? == 1 && lines(wrong)? == 1)
    })?;
    // They go on coming, and those that harm nobody are not mentioned again so soon.
    wait_until("the wrong ones to be named again", LOOK, || {
        advertise(&lab, VRID + 1, 0)?;
        advertise(&lab, VRID, 1)?;
        pause(Duration::from_millis(100))?;
        Ok(lines(wrong)? == 2)
    })?;
    ensure!(lines(foreign)? == 1, "named twice: {}", fs::read_to_string(&log)?);
    let counts = lab.baton_status(Host::A)?.interfaces.remove(0).verdicts;
    ensure!(counts["vrrp-unknown-router"] > 1 && counts["vrrp-address"] > 1, "{counts:?}");
    Ok(())
}

/// Sends an advert over IPv6 from the client, which names one of [`VIPS6`].
fn advertise(lab: &Lab, vrid: u8, vip: usize) -> Result<()> {
    let advertisement = Outgoing {
        mac: Host::Client.mac(),
        vlan: 0,
        source: "fe80::9".parse()?,
        version: Version::V3,
        vrid: Vrid::new(vrid).expect("not 0"),
        standing: Standing::from_octet(1),
        interval: Interval::from_centiseconds(1).expect("not 0"),
        checksum: Checksum::Rfc9568,
        addresses: &[VIPS6[vip].into()],
    };
    lab.namespace(Host::Client).within(|| {
        let mut buffer = [0; MAX_ADVERTISEMENT_FRAME];
        let length =
            advertisement.build(address::vrrp_group(address::family(advertisement.source)), &mut buffer)?;
        Ok(PacketSocket::open(if_nametoindex("eth0")?)?.transmit(&buffer[..length])?)
    })
}
