//! The agent as a user with the capabilities of the README's systemd drop-in, no others, and what the drop-in prepares below
//! `/run`. What else systemd would do is left out. Every test has a mount namespace of its own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use aya::programs::tc::{SchedClassifier, TcAttachType};
use baton::address::vrrp_group;
use baton::engine::{Datagram, MAX_LENGTH, PORT, hash_of_name};
use baton::socket::DatagramSocket;
use baton_common::maps::TCX_INGRESS_PROGRAM;
use baton_common::vrid::Family;
use baton_tests::datapath::Datapath;
use baton_tests::lab::{Host, Lab, Process, VIP, binary, output, wait_until};
use baton_tests::mounts::{empty_run, with_own_mounts};
use nix::net::if_::if_nametoindex;

use super::mounts::configure_pins;
use super::support::{SOON, refused, wait_for_guardian, wait_for_rings};

const README: &str = include_str!("../../../README.md");
/// Stands for the user `baton`, whom the machine need not have.
const NOBODY: u32 = 65534;

#[test]
fn an_agent_with_the_documented_rights_starts_restarts_stops_and_adopts_its_fence() -> Result<()> {
    with_drop_in(|lab| {
        for adopted in [false, true] {
            let mut started = start(lab)?;
            wait_for_rings(lab, Host::A)?;
            ensure!(fs::read_to_string(lab.baton_log(Host::A))?.contains(&format!("adopted={adopted}")));
            output(&mut agent(lab, "restart")?)?;
            wait_for_rings(lab, Host::A)?;
            wait_for_guardian(lab, Host::A)?;
            let log = fs::read_to_string(lab.baton_log(Host::A))?;
            // systemd grants what the guardian asks for, without a capability.
            let warns = |line: &str| line.contains("WARN") && !line.contains("OOMScoreAdjust=-1000");
            ensure!(!log.lines().any(warns), "{log}");
            ensure!(started.stop(SOON)?.success(), "it failed: {log}");
        }
        Ok(())
    })
}

#[test]
fn an_agent_with_the_documented_rights_tells_other_nodes_its_tables() -> Result<()> {
    with_drop_in(|lab| {
        let file = lab.host_directory(Host::A).join("baton.toml");
        let tables = format!(
            "[[service]]\nvip = \"{VIP}\"\nport = 80\npool = \"web\"\n\
             [[pool]]\nname = \"web\"\nbackend = [{{ address = \"{}\" }}]\n",
            Host::Client.address()
        );
        fs::write(&file, fs::read_to_string(&file)? + &tables)?;
        let groups = [vrrp_group(Family::Ipv4)].into();
        let mut socket = lab.namespace(Host::B).within(|| {
            Ok(DatagramSocket::open(Family::Ipv4, "eth0", if_nametoindex("eth0")?, &groups, PORT)?)
        })?;
        let mut serving = start(lab)?;
        for round in 0..2 {
            wait_until("a datagram", SOON, || {
                let mut buffer = [0; MAX_LENGTH];
                let Some(heard) = socket.receive(&mut buffer) else { return Ok(false) };
                assert_eq!((heard.source, heard.hops), (Host::A.address().into(), 255));
                let pools = Datagram::parse(heard.octets).context("one of ours")?.pools;
                Ok(pools.len() == 1 && pools[0].name == hash_of_name("web"))
            })?;
            if round == 0 {
                output(&mut agent(lab, "restart")?)?;
                while socket.receive(&mut [0]).is_some() {}
            }
        }
        ensure!(!fs::read_to_string(lab.baton_log(Host::A))?.contains("not compared"));
        serving.stop(SOON).map(drop)
    })
}

#[test]
fn an_agent_with_the_documented_rights_starts_beside_another_tcx_program() -> Result<()> {
    with_drop_in(|lab| {
        // Knows no router, and lets everything pass.
        let mut other = Datapath::load();
        lab.namespace(Host::A).within(|| {
            let program = other.bpf_mut().program_mut(TCX_INGRESS_PROGRAM).context("the program")?;
            let program: &mut SchedClassifier = program.try_into()?;
            program.attach("eth0", TcAttachType::Ingress)?;
            Ok(())
        })?;
        for _ in 0..2 {
            start(lab)?.stop(SOON)?;
        }
        Ok(())
    })
}

#[test]
fn an_agent_with_the_documented_rights_names_a_foreign_program() -> Result<()> {
    with_drop_in(|lab| {
        let foreign = lab.directory().join("bpf/xdp-pass");
        let words = ["link", "set", "dev", "eth0", "xdpdrv", "pinned", &foreign.to_string_lossy()];
        lab.run(Host::A, "ip", &words)?;
        refused(agent(lab, "run")?, &["eth0 carries the XDP program", "stop its owner first"])
    })
}

/// Runs `test` in a lab whose `/run` is as the drop-in makes it, and ends with root's `baton detach`.
fn with_drop_in(test: impl FnOnce(&Lab) -> Result<()> + Send) -> Result<()> {
    let lab = Lab::up()?;
    with_own_mounts(|| {
        empty_run(lab.directory())?;
        let file = configure_pins(&lab, "pins = \"/run/baton/pins\"")?;
        let own = format!("directory = \"{}\"\n", lab.host_directory(Host::A).display());
        fs::write(&file, fs::read_to_string(&file)?.replace(&own, ""))?;
        // The user may not look into every directory where a build ends up.
        fs::copy(binary("baton")?, program(&lab))?;
        for name in setting("RuntimeDirectory")?.split(' ') {
            let directory = Path::new("/run").join(name);
            fs::create_dir(&directory)?;
            let mode = u32::from_str_radix(setting("RuntimeDirectoryMode")?, 8)?;
            fs::set_permissions(&directory, fs::Permissions::from_mode(mode))?;
            chown(&directory, Some(NOBODY), Some(NOBODY))?;
        }
        let prepare = setting("ExecStartPre")?.strip_prefix('+').context("it runs as root")?;
        output(
            Command::new("sh")
                .args(["-c", &prepare.replace("chown baton:", &format!("chown {NOBODY}:{NOBODY}"))]),
        )?;

        test(&lab)?;
        output(&mut lab.baton(Host::A, "detach")?)?;
        assert_eq!(names_in("/run/baton")?, ["pins"]);
        assert_eq!(names_in("/run/baton/pins")?, ["maps.debug", "progs.debug"]);
        Ok(())
    })
}

/// A `baton` command as the user of the drop-in.
fn agent(lab: &Lab, verb: &str) -> Result<Command> {
    let listed = |key| -> Result<String> {
        let names = setting(key)?.split(' ').map(|name| name.to_lowercase().replace("cap_", "+"));
        Ok(["-all".to_owned()].into_iter().chain(names).collect::<Vec<_>>().join(","))
    };
    let ambient = listed("AmbientCapabilities")?;
    let mut command = lab.command(Host::A, "setpriv");
    command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()]);
    command.args([format!("--inh-caps={ambient}"), format!("--ambient-caps={ambient}")]);
    command
        .args([format!("--bounding-set={}", listed("CapabilityBoundingSet")?), "--no-new-privs".to_owned()]);
    command.arg(program(lab)).arg(verb).arg("--config").arg(lab.host_directory(Host::A).join("baton.toml"));
    Ok(command)
}

/// Starts the agent and waits until it is Active.
fn start(lab: &Lab) -> Result<Process> {
    let log = lab.baton_log(Host::A);
    let mut started = Process::start(&mut agent(lab, "run")?, &log)?;
    wait_until("a lone agent to become Active", SOON, || {
        ensure!(started.is_running(), "the agent ended: {}", fs::read_to_string(&log)?);
        Ok(lab.baton_status(Host::A).is_ok_and(|status| status.routers[0].role == "Active"))
    })?;
    Ok(started)
}

fn program(lab: &Lab) -> std::path::PathBuf {
    lab.directory().join("baton")
}

/// The value of `key` in the README's drop-in.
fn setting(key: &str) -> Result<&'static str> {
    let (_, drop_in) = README.split_once("baton.service.d/rights.conf").context("the README's drop-in")?;
    let value = drop_in.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.with_context(|| format!("no {key} in the README's drop-in"))
}

fn names_in(directory: &str) -> Result<Vec<String>> {
    let entries = fs::read_dir(directory)?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    Ok(names)
}
