//! Network namespaces share the BPF file system: agents in two of them may be given the same `pins` by mistake.

use std::fs;

use anyhow::Result;
use baton::config::MacMode;
use baton_tests::lab::{Host, Lab, VIP, differences, output};

use super::support::{reconfigure, refused, start_alone};

/// Gives node b the pins of node a, and a runtime directory of its own.
pub(super) fn share_pins(lab: &Lab) -> Result<()> {
    let file = lab.configure_baton(Host::B, MacMode::Virtual, 10, &[VIP])?;
    let [own, others] = [Host::B, Host::A].map(|host| lab.directory().join("bpf").join(host.name()));
    let text = fs::read_to_string(&file)?;
    fs::write(&file, text.replace(&own.display().to_string(), &others.display().to_string()))?;
    Ok(())
}

fn assert_refused_and_all_unchanged(lab: &Lab) -> Result<()> {
    let snapshots = || Ok::<_, anyhow::Error>([lab.snapshot(Host::A)?, lab.snapshot(Host::B)?]);
    let before = snapshots()?;
    for verb in ["run", "detach"] {
        refused(
            lab.baton(Host::B, verb)?,
            &["/eth0: the programs pinned here are on another interface", "its own `pins` and `directory`"],
        )?;
        for (before, after) in before.iter().zip(&snapshots()?) {
            assert_eq!(differences(before, after), Vec::<String>::new(), "after `{verb}`");
        }
    }
    Ok(())
}

#[test]
fn an_agent_that_is_given_the_pins_of_another_network_namespace_leaves_them_alone() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let agent = start_alone(&lab)?;
    share_pins(&lab)?;
    assert_refused_and_all_unchanged(&lab)?;
    assert_eq!(lab.baton_status(Host::A)?.routers[0].role, "Active");
    // The fence of an agent that is gone is no less its own.
    drop(agent);
    assert_refused_and_all_unchanged(&lab)
}

#[test]
fn an_interface_that_was_replaced_by_another_of_its_name_is_fenced_afresh() -> Result<()> {
    let lab = Lab::up()?;
    let before = lab.snapshot(Host::A)?;
    for _ in 0..2 {
        super::upkeep::second_interface(&lab)?;
        reconfigure(&lab, "interface = \"eth0\"", "interface = \"eth1\"")?;
        drop(start_alone(&lab)?);
        lab.run(Host::A, "ip", &["link", "delete", "eth1"])?;
    }
    output(&mut lab.baton(Host::A, "detach")?)?;
    assert_eq!(differences(&before, &lab.snapshot(Host::A)?), Vec::<String>::new());
    Ok(())
}

#[test]
fn detach_follows_an_interface_that_was_renamed() -> Result<()> {
    let lab = Lab::up()?;
    reconfigure(&lab, "interface = \"eth0\"", "interface = \"eth1\"")?;
    super::upkeep::second_interface(&lab)?;
    let rename = |from, to| lab.run(Host::A, "ip", &["link", "set", from, "name", to]);
    rename("eth1", "wan0")?;
    let before = lab.snapshot(Host::A)?;
    rename("wan0", "eth1")?;
    drop(start_alone(&lab)?);
    rename("eth1", "wan0")?;
    output(&mut lab.baton(Host::A, "detach")?)?;
    assert_eq!(differences(&before, &lab.snapshot(Host::A)?), Vec::<String>::new());
    Ok(())
}
