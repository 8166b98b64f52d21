//! The BPF file system that the pins are on: Baton mounts one where there is none, and takes along what it has mounted.
//! Every test has a mount namespace of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use baton_tests::lab::{Host, Lab, output};
use baton_tests::mounts::with_own_mounts;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::failed_start::block_control_socket;
use super::support::{reconfigure, refused_and_unchanged, start_alone};

const USUAL: &str = "/sys/fs/bpf";
const PINS: &str = "/sys/fs/bpf/baton";

#[test]
fn the_default_pins_are_on_a_file_system_that_baton_mounts_and_detach_unmounts() -> Result<()> {
    let lab = Lab::up()?;
    with_own_mounts(|| {
        plain_sysfs()?;
        configure_pins(&lab, "")?;
        let agent = start_alone(&lab)?;
        ensure!(mounted_at(USUAL)?.as_deref() == Some("baton"), "nothing mounted");
        assert_eq!(fs::metadata(USUAL)?.permissions().mode() & 0o777, 0o700);
        ensure!(Path::new(PINS).exists(), "the pins are elsewhere");
        let log = fs::read_to_string(lab.baton_log(Host::A))?;
        ensure!(log.contains("ends with the agent's mount namespace, and the fence with it"), "{log}");

        drop(agent);
        drop(start_alone(&lab)?);
        output(&mut lab.baton(Host::A, "detach")?)?;
        assert_eq!(mounted_at(USUAL)?, None);
        Ok(())
    })
}

#[test]
fn a_failed_start_takes_its_mount_along() -> Result<()> {
    let lab = Lab::up()?;
    with_own_mounts(|| {
        plain_sysfs()?;
        let own = lab.directory().join("pins");
        for (line, point) in [("", Path::new(USUAL)), (&format!("pins = \"{}\"", own.display()), &own)] {
            configure_pins(&lab, line)?;
            let place = block_control_socket(&lab)?;
            refused_and_unchanged(&lab, &["making the control socket"])?;
            assert_eq!(mounted_at(point)?, None);
            fs::remove_dir(place)?;
        }
        ensure!(!own.exists(), "{} is still there", own.display());
        Ok(())
    })
}

#[test]
fn an_operators_file_system_stays_when_baton_goes() -> Result<()> {
    let lab = Lab::up()?;
    with_own_mounts(|| {
        plain_sysfs()?;
        mount(Some("bpf"), USUAL, Some("bpf"), MsFlags::empty(), None::<&str>).context("mount a bpffs")?;
        configure_pins(&lab, "")?;
        drop(start_alone(&lab)?);
        output(&mut lab.baton(Host::A, "detach")?)?;
        assert_eq!(mounted_at(USUAL)?.as_deref(), Some("bpf"));
        ensure!(!Path::new(PINS).exists(), "pins are left");
        Ok(())
    })
}

#[test]
fn what_somebody_else_has_pinned_keeps_the_file_system() -> Result<()> {
    let lab = Lab::up()?;
    with_own_mounts(|| {
        plain_sysfs()?;
        configure_pins(&lab, "")?;
        drop(start_alone(&lab)?);
        let others = Path::new(USUAL).join("others");
        fs::create_dir(&others)?;
        output(&mut lab.baton(Host::A, "detach")?)?;
        ensure!(others.exists() && !Path::new(PINS).exists(), "the wrong pins are left");
        Ok(())
    })
}

#[test]
fn a_directory_with_files_is_not_mounted_over() -> Result<()> {
    let lab = Lab::up()?;
    let pins = lab.directory().join("files");
    fs::create_dir(&pins)?;
    fs::write(pins.join("file"), "")?;
    configure_pins(&lab, &format!("pins = \"{}\"", pins.display()))?;
    refused_and_unchanged(
        &lab,
        &["/files holds other files, which a BPF file system mounted there would hide"],
    )?;
    ensure!(pins.join("file").exists(), "the file is hidden");
    Ok(())
}

/// `/sys` without a BPF file system, as it is in a container and under `ip netns exec`.
fn plain_sysfs() -> Result<()> {
    umount2("/sys", MntFlags::MNT_DETACH).context("unmount /sys and all that is below")?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>).context("mount a sysfs")
}

/// The usual configuration of node a with `line` in the place of its `pins`.
pub(super) fn configure_pins(lab: &Lab, line: &str) -> Result<PathBuf> {
    let pins = lab.directory().join("bpf").join(Host::A.name());
    reconfigure(lab, &format!("pins = \"{}\"", pins.display()), line)
}

/// The source of what is mounted at `point`.
fn mounted_at(point: impl AsRef<Path>) -> Result<Option<String>> {
    let table = fs::read_to_string("/proc/thread-self/mounts")?;
    let mut mounts = table.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?))
    });
    let found = mounts.find(|(_, place)| Path::new(place) == point.as_ref());
    Ok(found.map(|(source, _)| source.to_owned()))
}
