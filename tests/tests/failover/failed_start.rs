//! A start that fails: the host is then as the start found it, be it untouched or behind the fence of an earlier run.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use baton::config::MacMode;
use baton_common::maps::{DiscriminatorKey, LAYOUT_VERSION, MAX_ROUTERS, MAX_VIPS, VipKey};
use baton_tests::lab::{Host, Lab, VIP, vips};

use super::support::{reconfigure, refused_and_unchanged, start_alone};
use super::upkeep::{has_xdp, second_interface};

#[test]
fn a_start_that_fails_at_its_last_step_is_taken_back() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let place = block_control_socket(&lab)?;
    refused_and_unchanged(&lab, &["making the control socket", &place.to_string_lossy()])
}

#[test]
fn a_start_that_fails_over_an_earlier_fence_leaves_that_fence_as_it_was() -> Result<()> {
    let lab = Lab::up()?;
    second_interface(&lab)?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    drop(start_alone(&lab)?);
    let place = block_control_socket(&lab)?;
    // Another VIP, another MAC for it, and a second interface: everything would change.
    let [_, other, third] = vips(3)[..] else { bail!("three addresses") };
    let file = lab.configure_baton(Host::A, MacMode::Interface, 10, &[other])?;
    let second = format!("[[router]]\ninterface = \"eth1\"\nvrid = 52\nvips = [\"{third}\"]\n");
    fs::write(&file, fs::read_to_string(&file)? + &second)?;
    let before = fence(&lab)?;
    ensure!(before.concat().contains(&hexadecimal(VIP)), "no {VIP} in {before:?}");
    refused_and_unchanged(&lab, &["making the control socket", &place.to_string_lossy()])?;
    assert_eq!(fence(&lab)?, before);

    fs::remove_dir(&place)?;
    let _agent = start_alone(&lab)?;
    let bound = lab.run(Host::A, "ip", &["address", "show", "lo"])?;
    let is_bound = |vip| bound.contains(&format!("inet {vip}/32"));
    assert_eq!([VIP, other, third].map(is_bound), [false, true, true], "{bound}");
    ensure!(has_xdp(&lab, "eth1")?, "the second interface has no fence");
    let known = fence(&lab)?.concat();
    ensure!(!known.contains(&hexadecimal(VIP)), "the data plane still knows {VIP}: {known}");
    Ok(())
}

#[test]
fn a_start_that_fails_while_it_configures_restores_what_the_maps_contained() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    drop(start_alone(&lab)?);
    // A full map takes no discriminator of another virtual router.
    fill::<DiscriminatorKey>(&lab, "DISCRIMINATORS", MAX_ROUTERS - 1)?;
    lab.configure_baton(Host::A, MacMode::Interface, 10, &vips(2)[1..])?;
    reconfigure(&lab, "vrid = 51", "vrid = 52")?;
    let before = fence(&lab)?;
    refused_and_unchanged(&lab, &["accessing a BPF map"])?;
    assert!(fence(&lab)? == before, "the maps are not as they were");
    Ok(())
}

#[test]
fn a_start_whose_addresses_have_no_room_beside_an_earlier_run_s_is_refused() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    drop(start_alone(&lab)?);
    fill::<VipKey>(&lab, "VIPS", MAX_VIPS - 1)?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &vips(2)[1..])?;
    let before = fence(&lab)?;
    refused_and_unchanged(&lab, &["1 more vips than the 8192 of the earlier run", "in two steps"])?;
    assert!(fence(&lab)? == before, "the maps are not as they were");
    Ok(())
}

/// Puts `count` entries into `map` of node a, whose keys are of type `K` and begin with a VLAN, which is nobody's.
pub(super) fn fill<K>(lab: &Lab, map: &str, count: u32) -> Result<()> {
    let rest = " 0".repeat(size_of::<K>() - 8);
    let pin = map_pin(lab, map).display().to_string();
    let junk: String = (1..=count)
        .map(|n| {
            let octets = n.to_be_bytes().map(|octet| format!("{octet:#x}")).join(" ");
            format!("map update pinned {pin} key 2 0 0 0 {octets}{rest} value 0 0 0 0\n")
        })
        .collect();
    let batch = lab.directory().join("batch");
    fs::write(&batch, junk)?;
    lab.run(Host::A, "bpftool", &["batch", "file", &batch.to_string_lossy()]).map(drop)
}

/// What an agent on node a has left, line by line in order: its record, and what the maps of `eth0` tell the programs.
fn fence(lab: &Lab) -> Result<Vec<String>> {
    let mut lines = vec![fs::read_to_string(lab.host_directory(Host::A).join("host.json"))?];
    for map in ["DEVICE", "ROUTERS", "VIPS", "DISCRIMINATORS", "OWNERSHIP"] {
        let pin = map_pin(lab, map);
        let text = lab.run(Host::A, "bpftool", &["map", "dump", "pinned", &pin.to_string_lossy()])?;
        lines.extend(text.lines().map(|line| format!("{map} {line}")));
    }
    lines.sort_unstable();
    Ok(lines)
}

fn map_pin(lab: &Lab, map: &str) -> PathBuf {
    lab.directory().join("bpf").join(Host::A.name()).join(format!("v{LAYOUT_VERSION}/eth0")).join(map)
}

/// An address as bpftool prints its octets.
fn hexadecimal(address: Ipv4Addr) -> String {
    address.octets().map(|octet| format!("{octet:02x}")).join(" ")
}

/// Puts a directory in the place of the control socket, which cannot be replaced then.
pub(super) fn block_control_socket(lab: &Lab) -> Result<PathBuf> {
    let place = lab.host_directory(Host::A).join("control.sock");
    if place.exists() {
        fs::remove_file(&place)?;
    }
    fs::create_dir(&place)?;
    Ok(place)
}
