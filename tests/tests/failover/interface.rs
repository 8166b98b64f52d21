//! What an agent at work does not do to its interface: others have paid for a MAC that was changed and for features that were
//! switched.

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Host, Lab, VIP, differences, leftovers, mac_text};

use super::support::start_alone;

#[test]
fn an_agent_at_work_leaves_mac_addresses_routes_and_features_of_its_interface_alone() -> Result<()> {
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let (before, addresses) = (lab.snapshot(Host::A)?, addresses(&lab)?);
    let agent = start_alone(&lab)?;
    let changed = differences(&before, &lab.snapshot(Host::A)?);
    ensure!(changed.iter().any(|line| line.contains("bpftool")), "nothing has changed at all: {changed:?}");
    let untouched = ["ethtool ", "ip route ", "ip rule ", "tc qdisc "];
    let is_wrong = |line: &&String| {
        untouched.iter().any(|title| line.contains(title)) && !line.contains(&format!("local {VIP} dev lo"))
    };
    assert_eq!(changed.iter().filter(is_wrong).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(self::addresses(&lab)?, addresses);
    let link = lab.run(Host::A, "ip", &["link", "show", "eth0"])?;
    ensure!(link.contains(&format!("link/ether {} ", mac_text(Host::A.mac()))), "{link}");
    drop(agent);
    drop(lab);
    assert_eq!(leftovers(&id), Vec::<String>::new());
    Ok(())
}

fn addresses(lab: &Lab) -> Result<String> {
    lab.run(Host::A, "ip", &["-o", "address", "show", "dev", "eth0"])
}
