//! The fence of another version of Baton, whose maps are laid out otherwise: it is not adopted, no second one is put beside it,
//! and detach takes it off.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_common::maps::LAYOUT_VERSION;
use baton_tests::lab::{Host, Lab, VIP, differences, output};

use super::support::{refused, refused_and_unchanged, start_alone};

const OTHERS: [u32; 2] = [LAYOUT_VERSION - 1, LAYOUT_VERSION + 1];

#[test]
fn the_fence_of_another_version_is_refused_and_detach_takes_it_off() -> Result<()> {
    for version in OTHERS {
        let lab = Lab::up()?;
        lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
        let before = lab.snapshot(Host::A)?;
        drop(start_alone(&lab)?);
        leave_to(&lab, version)?;
        refused_and_unchanged(
            &lab,
            &["another version of Baton", &format!("/v{version}/eth0"), "`baton detach`"],
        )?;
        output(&mut lab.baton(Host::A, "detach")?)?;
        assert_eq!(differences(&before, &lab.snapshot(Host::A)?), Vec::<String>::new());
        drop(start_alone(&lab)?);
    }
    Ok(())
}

/// An interface takes one XDP program, but any number of tcx programs.
#[test]
fn tcx_programs_of_another_version_are_refused_too() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    drop(start_alone(&lab)?);
    let pins = leave_to(&lab, OTHERS[0])?;
    let link = pins.join("eth0/baton_xdp_link");
    lab.run(Host::A, "bpftool", &["link", "detach", "pinned", &link.to_string_lossy()])?;
    refused_and_unchanged(&lab, &["another version of Baton", "`baton detach`"])
}

#[test]
fn what_another_version_has_left_of_an_interface_that_is_gone_is_no_obstacle() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let before = lab.snapshot(Host::A)?;
    drop(start_alone(&lab)?);
    let pins = leave_to(&lab, OTHERS[0])?;
    for program in ["baton_xdp", "baton_ingress", "baton_egress"] {
        let link = pins.join(format!("eth0/{program}_link"));
        lab.run(Host::A, "bpftool", &["link", "detach", "pinned", &link.to_string_lossy()])?;
    }
    drop(start_alone(&lab)?);
    output(&mut lab.baton(Host::A, "detach")?)?;
    ensure!(!pins.exists(), "pins are left");
    assert_eq!(differences(&before, &lab.snapshot(Host::A)?), Vec::<String>::new());
    Ok(())
}

#[test]
fn the_fence_that_another_version_has_in_another_network_namespace_is_left_alone() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    drop(start_alone(&lab)?);
    leave_to(&lab, OTHERS[0])?;
    super::shared_pins::share_pins(&lab)?;
    let before = lab.snapshot(Host::A)?;
    for verb in ["run", "detach"] {
        refused(lab.baton(Host::B, verb)?, &["the programs pinned here are on another interface"])?;
    }
    assert_eq!(differences(&before, &lab.snapshot(Host::A)?), Vec::<String>::new());
    Ok(())
}

/// Makes what this version has pinned on node a look like the pins of `version`, and gives their directory.
fn leave_to(lab: &Lab, version: u32) -> Result<PathBuf> {
    let pins = lab.directory().join("bpf").join(Host::A.name());
    let others = pins.join(format!("v{version}"));
    fs::rename(pins.join(format!("v{LAYOUT_VERSION}")), &others)?;
    Ok(others)
}
