//! `version = "2+3"`: all that is said is said in VRRPv2 and in VRRPv3, by the agent and by its guardian.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton::config::MacMode;
use baton::vrrp::{Checksum, ChecksumMode, Interval, Versions};
use baton::wire::{Expected, parse_frame};
use baton_tests::lab::{Host, Lab, Settings, VIP, output, pause, wait_until};
use baton_tests::network::{Hears, Listener};
use nix::sys::signal::Signal;

use super::support::{SOON, assert_sole_owner, epochs, with_settings};

/// Five intervals, the shortest that VRRPv2 has. A Backup that hears nobody has taken over by then.
const A_WHILE: Duration = Duration::from_secs(5);
const SETTINGS: Settings =
    Settings { interval_ms: 1000, more: "startup_hold_ms = 0\nversion = \"2+3\"\n", ..Settings::USUAL };

/// T-085, and that a peer of both versions is heard in either.
#[test]
fn every_word_is_said_in_both_versions() -> Result<()> {
    with_settings(MacMode::Virtual, SETTINGS, |lab, pair| {
        let client = listener(lab)?;
        pause(A_WHILE)?;
        let said = said(&client);
        let count = said.get(&(2, 254)).copied().unwrap_or_default();
        ensure!((4..=6).contains(&count), "in five intervals: {said:?}");
        assert_eq!(said, BTreeMap::from([((2, 254), count), ((3, 254), count)]), "and nothing else");
        assert_sole_owner(pair, Host::A)?;
        output(&mut lab.baton(Host::A, "handover")?)?;
        wait_until("node b to be Active", SOON, || Ok(lab.ask(VIP)? == Some(Host::B)))?;
        let said = self::said(&client);
        assert_eq!((said.get(&(2, 0)), said.get(&(3, 0))), (Some(&3), Some(&3)), "{said:?}");
        let router = &lab.baton_status(Host::A)?.routers[0];
        assert_eq!(router.version, "2+3");
        assert_sole_owner(pair, Host::B)
    })
}

/// T-085.
#[test]
fn the_guardian_says_priority_0_in_both_versions() -> Result<()> {
    with_settings(MacMode::Virtual, SETTINGS, |lab, pair| {
        let client = listener(lab)?;
        lab.signal_agent(Host::A, Signal::SIGKILL)?;
        wait_until("node b to be Active", SOON, || Ok(lab.ask(VIP)? == Some(Host::B)))?;
        let said = said(&client);
        assert_eq!((said.get(&(2, 0)), said.get(&(3, 0))), (Some(&3), Some(&3)), "{said:?}");
        assert_sole_owner(pair, Host::B)
    })
}

/// The way of README.md, and back, where a Backup of both versions last heard VRRPv3 and hears VRRPv2 alone from then on.
#[test]
fn a_pair_goes_over_from_version_2_to_3_and_back_and_the_vip_stays() -> Result<()> {
    let settings = Settings { more: "startup_hold_ms = 0\nversion = 2\n", ..SETTINGS };
    with_settings(MacMode::Virtual, settings, |lab, pair| {
        let before = epochs(lab)?;
        for (host, version) in [
            (Host::B, "\"2+3\""),
            (Host::A, "\"2+3\""),
            (Host::B, "3"),
            (Host::A, "3"),
            (Host::A, "\"2+3\""),
            (Host::B, "\"2+3\""),
            (Host::A, "2"),
            (Host::B, "2"),
        ] {
            let file = lab.host_directory(host).join("baton.toml");
            let text = fs::read_to_string(&file)?;
            let line = text.lines().find(|line| line.starts_with("version = ")).context("a version")?;
            fs::write(&file, text.replace(line, &format!("version = {version}")))?;
            output(&mut lab.baton(host, "reload")?)?;
            pause(A_WHILE)?;
            assert_eq!(epochs(lab)?, before, "node {} went over to {version}", host.name());
            assert_sole_owner(pair, Host::A)?;
        }
        Ok(())
    })
}

fn listener(lab: &Lab) -> Result<Listener> {
    lab.namespace(Host::Client).within(|| Ok(Listener::open("eth0", Hears::Everything)?))
}

/// How many adverts of each version and priority `ear` has heard.
fn said(ear: &Listener) -> BTreeMap<(u8, u8), u32> {
    let expected = Expected::multicast(
        Host::Client.address().into(),
        Versions::Both { password: None },
        Interval::DEFAULT,
        ChecksumMode::Only(Checksum::Pseudo),
    );
    let mut said = BTreeMap::new();
    let mut buffer = [0; 2048];
    while let Some(frame) = ear.next(&mut buffer) {
        if let Ok(received) = parse_frame(frame, |_, _, _| Some(expected)) {
            let advertisement = received.advertisement;
            let word = (advertisement.version.number(), advertisement.standing.octet());
            *said.entry(word).or_default() += 1;
        }
    }
    said
}
