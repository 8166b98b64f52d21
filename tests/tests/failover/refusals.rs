//! What an agent does on a host that is not as it should be: it says why, fails, and leaves the host as it was. And
//! what `detach` leaves: nothing.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Echo, Host, Lab, Pair, VIP, binary, differences, output};

use super::support::{reconfigure, refused, refused_and_unchanged, start_alone};

#[test]
fn detach_leaves_the_host_as_it_was() -> Result<()> {
    let lab = Lab::up()?;
    let before = [lab.snapshot(Host::A)?, lab.snapshot(Host::B)?];
    let pair = Pair::start(&lab, MacMode::Virtual.into(), 3)?;
    let echoes = [Echo::start(&lab, Host::A, pair.probed())?, Echo::start(&lab, Host::B, pair.probed())?];
    pair.settle()?;
    ensure!(
        !differences(&before[0], &lab.snapshot(Host::A)?).is_empty(),
        "an agent without a trace does nothing"
    );
    pair.stop()?;
    drop(echoes);
    for (host, before) in Host::NODES.into_iter().zip(&before) {
        assert_eq!(differences(before, &lab.snapshot(host)?), Vec::<String>::new(), "node {}", host.name());
    }
    Ok(())
}

#[test]
fn detach_after_a_kill_leaves_the_host_as_it_was() -> Result<()> {
    let lab = Lab::up()?;
    let own = lab.host_directory(Host::A);
    let runtime = own.join("runtime");
    let directory = |path: &Path| format!("directory = \"{}\"", path.display());
    reconfigure(&lab, &directory(&own), &directory(&runtime))?;
    let before = lab.snapshot(Host::A)?;
    let agent = start_alone(&lab)?;
    drop(agent);
    ensure!(runtime.join("control.sock").exists(), "a killed agent cannot take its socket away");
    output(&mut lab.baton(Host::A, "detach")?)?;
    assert_eq!(differences(&before, &lab.snapshot(Host::A)?), Vec::<String>::new());
    ensure!(!runtime.exists(), "the runtime directory is left");
    Ok(())
}

#[test]
fn detach_keeps_a_sysctl_that_was_changed_since() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let before = lab.snapshot(Host::A)?;
    drop(start_alone(&lab)?);
    lab.namespace(Host::A).set("net/ipv4/conf/all/arp_ignore", "2")?;
    output(&mut lab.baton(Host::A, "detach")?)?;
    let path = "/proc/sys/net/ipv4/conf/all/arp_ignore";
    let expected = [format!("gone: {path}: 0"), format!("new: {path}: 2")];
    assert_eq!(differences(&before, &lab.snapshot(Host::A)?), expected);
    Ok(())
}

#[test]
fn a_second_agent_on_the_host_is_refused_and_the_first_serves_on() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let _agent = start_alone(&lab)?;
    let before = lab.snapshot(Host::A)?;
    refused(
        lab.baton(Host::A, "run")?,
        &["another baton runs on this host, process ", "one serves all interfaces: stop it first"],
    )?;
    assert_eq!(differences(&before, &lab.snapshot(Host::A)?), Vec::<String>::new());
    assert_eq!(lab.baton_status(Host::A)?.routers[0].role, "Active");
    Ok(())
}

#[test]
fn an_interface_with_a_foreign_xdp_program_is_refused_and_the_program_stays() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let foreign = lab.directory().join("bpf/xdp-pass");
    lab.run(Host::A, "ip", &["link", "set", "dev", "eth0", "xdpdrv", "pinned", &foreign.to_string_lossy()])?;
    refused_and_unchanged(
        &lab,
        &["eth0 carries the XDP program", "stop its owner first", "ip link set dev eth0 xdp off"],
    )
}

#[test]
fn an_interface_that_does_not_exist_is_refused_by_name() -> Result<()> {
    let lab = Lab::up()?;
    reconfigure(&lab, "interface = \"eth0\"", "interface = \"eth7\"")?;
    refused_and_unchanged(&lab, &["there is no interface eth7; `ip link` lists those that exist"])
}

#[test]
fn an_interface_without_ethernet_is_refused() -> Result<()> {
    let lab = Lab::up()?;
    reconfigure(&lab, "interface = \"eth0\"", "interface = \"lo\"")?;
    refused_and_unchanged(&lab, &["lo is no Ethernet interface"])
}

#[test]
fn an_interface_without_an_address_is_refused() -> Result<()> {
    let lab = Lab::up()?;
    lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    lab.run(Host::A, "ip", &["address", "flush", "dev", "eth0"])?;
    refused_and_unchanged(
        &lab,
        &["eth0 has no IPv4 address besides the VIPs", "`ip address add ADDRESS/LENGTH dev eth0`"],
    )
}

#[test]
fn an_interface_whose_driver_has_no_xdp_is_refused_when_native_is_demanded() -> Result<()> {
    let lab = Lab::up()?;
    // A macvlan is Ethernet without XDP of its own.
    lab.run(Host::A, "ip", &["link", "add", "mv7", "link", "eth0", "type", "macvlan"])?;
    lab.run(Host::A, "ip", &["address", "add", "10.78.0.1/24", "dev", "mv7"])?;
    lab.run(Host::A, "ip", &["link", "set", "mv7", "up"])?;
    let file = reconfigure(&lab, "interface = \"eth0\"", "interface = \"mv7\"")?;
    let text = fs::read_to_string(&file)?.replace("[runtime]\n", "[runtime]\nxdp = \"native\"\n");
    fs::write(&file, text)?;
    refused_and_unchanged(
        &lab,
        &["mv7 takes no XDP program (native: ", "write xdp = \"auto\" to allow generic mode"],
    )
}

#[test]
fn an_agent_without_rights_is_refused_and_told_which_capabilities_it_lacks() -> Result<()> {
    let lab = Lab::up()?;
    let file = lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let before = lab.snapshot(Host::A)?;
    // nobody may not look into every directory where a build ends up.
    let program = lab.directory().join("baton");
    fs::copy(binary("baton")?, &program)?;
    let mut command = lab.command(Host::A, "setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    command.args(["run", "--config"]).arg(file);
    let capabilities = ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF"];
    refused(
        command,
        &[&["baton: missing ", "run as root, or grant the capabilities"], &capabilities[..]].concat(),
    )?;
    assert_eq!(differences(&before, &lab.snapshot(Host::A)?), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_bad_configuration_is_refused_with_every_mistake_and_its_line() -> Result<()> {
    let lab = Lab::up()?;
    let file = reconfigure(&lab, "vrid = 51", "vrid = 0")?;
    let text = fs::read_to_string(&file)?.replace("interval_ms = 10", "interval_ms = 5");
    fs::write(&file, &text)?;
    let line = |key: &str| text.lines().position(|line| line.starts_with(key)).map_or(0, |at| at + 1);
    let vrid = format!("line {}, column 8: vrid 0 is out of range; RFC 9568 allows 1 to 255", line("vrid"));
    let interval = format!(
        "line {}, column 15: interval_ms 5 is out of range; VRRP counts centiseconds",
        line("interval_ms")
    );
    refused_and_unchanged(&lab, &[&vrid, &interval])
}

#[test]
fn a_missing_configuration_is_refused_with_its_path() -> Result<()> {
    let lab = Lab::up()?;
    let file = lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    fs::remove_file(&file)?;
    let unreadable = format!("cannot read {}: No such file", file.display());
    refused_and_unchanged(&lab, &[&unreadable, "give the path of a readable file with --config"])
}
