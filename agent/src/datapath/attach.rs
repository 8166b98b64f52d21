//! Putting the programs on an interface: by BPF links that are pinned, so that they outlive the agent, and replaced
//! atomically when the next agent comes.

use std::path::Path;
use std::time::Duration;

use aya::Ebpf;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::SchedClassifierLink;
use aya::programs::xdp::{self, XdpLink};
use aya::programs::{ProgramError, ProgramInfo, SchedClassifier, TcAttachType, Xdp, loaded_programs};
use baton_common::maps::{TCX_EGRESS_PROGRAM, TCX_INGRESS_PROGRAM, XDP_PROGRAM};

use super::{DatapathError, Pins};
use crate::config::XdpChoice;
use crate::host::netlink::{Netlink, XdpMode};

/// How often, and how far apart, a busy interface is looked at again: the links of a process that was just killed
/// stay for some tens of milliseconds.
const BUSY_TRIES: u32 = 10;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// Fails when a program is on the interface that is not the one behind our pin.
pub(super) fn refuse_foreign_program(
    netlink: &Netlink,
    interface: &str,
    pins: &Pins,
) -> Result<(), DatapathError> {
    let ours = PinnedLink::from_pin(pins.link(XDP_PROGRAM))
        .ok()
        .and_then(|link| FdLink::from(link).info().ok())
        .map(|info| info.program_id());
    let mut found = None;
    for _ in 0..BUSY_TRIES {
        found = running_program(netlink, interface)?.map(|(id, _)| id);
        if found.is_none() || found == ours {
            return Ok(());
        }
        std::thread::sleep(BUSY_PAUSE);
    }
    let id = found.unwrap_or_default();
    let name = loaded_programs()
        .flatten()
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned))
        .unwrap_or_default();
    Err(DatapathError::ForeignProgram {
        interface: interface.to_owned(),
        program: format!("{id} \"{name}\""),
        pins: pins.directory().to_owned(),
    })
}

/// Attaches all programs. The tcx programs come first: with them alone no frame changes its way, while XDP without
/// the ingress program would lose VIP traffic.
pub(super) fn attach(
    netlink: &Netlink,
    bpf: &mut Ebpf,
    interface: &str,
    pins: &Pins,
    choice: XdpChoice,
) -> Result<XdpMode, DatapathError> {
    attach_tcx(bpf, interface, pins, TCX_INGRESS_PROGRAM, TcAttachType::Ingress)?;
    attach_tcx(bpf, interface, pins, TCX_EGRESS_PROGRAM, TcAttachType::Egress)?;
    attach_xdp(netlink, bpf, interface, pins, choice)
}

fn attach_tcx(
    bpf: &mut Ebpf,
    interface: &str,
    pins: &Pins,
    name: &'static str,
    side: TcAttachType,
) -> Result<(), DatapathError> {
    let program: &mut SchedClassifier =
        bpf.program_mut(name).ok_or(DatapathError::NoProgram(name))?.try_into()?;
    program.load()?;
    let path = pins.link(name);
    let (_, running) = SchedClassifier::query_tcx(interface, side)?;
    let running: Vec<u32> = running.iter().map(ProgramInfo::id).collect();
    if let Some(link) = pinned_link(&path, &running) {
        program.attach_to_link(SchedClassifierLink::try_from(link)?)?;
        return Ok(());
    }
    let id = program.attach(interface, side)?;
    pin(program.take_link(id)?.try_into(), interface, &path)
}

fn attach_xdp(
    netlink: &Netlink,
    bpf: &mut Ebpf,
    interface: &str,
    pins: &Pins,
    choice: XdpChoice,
) -> Result<XdpMode, DatapathError> {
    let program: &mut Xdp =
        bpf.program_mut(XDP_PROGRAM).ok_or(DatapathError::NoProgram(XDP_PROGRAM))?.try_into()?;
    program.load()?;
    let ladder: &[XdpMode] = match choice {
        XdpChoice::Auto => &[XdpMode::Native, XdpMode::Generic],
        XdpChoice::Native => &[XdpMode::Native],
        XdpChoice::Generic => &[XdpMode::Generic],
    };
    let path = pins.link(XDP_PROGRAM);
    if let Some((running, mode)) = running_program(netlink, interface)?
        && let Some(link) = pinned_link(&path, &[running])
    {
        if !ladder.contains(&mode) {
            return Err(DatapathError::OtherMode { interface: interface.to_owned(), mode });
        }
        program.attach_to_link(XdpLink::try_from(link)?)?;
        return Ok(mode);
    }
    let mut attempts = Vec::new();
    for &mode in ladder {
        let flag = match mode {
            XdpMode::Native => xdp::XdpMode::Driver,
            XdpMode::Generic => xdp::XdpMode::Skb,
        };
        match program.attach(interface, flag) {
            Ok(id) => {
                pin(program.take_link(id)?.try_into(), interface, &path)?;
                if !attempts.is_empty() {
                    tracing::warn!(interface, refused = attempts.join(", "), "XDP runs in generic mode");
                }
                return Ok(mode);
            }
            Err(error) => attempts.push(format!("{mode}: {}", root_cause(&error))),
        }
    }
    let remedy = match choice {
        XdpChoice::Native => "write xdp = \"auto\" to allow generic mode, or use another interface",
        XdpChoice::Auto | XdpChoice::Generic => "use an Ethernet interface whose driver supports XDP",
    };
    let (interface, attempts) = (interface.to_owned(), attempts.join(", "));
    Err(DatapathError::NoXdp { interface, attempts, remedy: remedy.to_owned() })
}

/// The XDP program that runs on the interface: its id and mode.
fn running_program(netlink: &Netlink, interface: &str) -> Result<Option<(u32, XdpMode)>, DatapathError> {
    Ok(netlink.interface(interface).map_err(Box::new)?.xdp)
}

/// Pins a fresh link; where the kernel gave none, its legacy attachment ends with the program and is refused.
fn pin<E>(link: Result<FdLink, E>, interface: &str, path: &Path) -> Result<(), DatapathError> {
    let link = link.map_err(|_| DatapathError::NoLink { interface: interface.to_owned() })?;
    link.pin(path)?;
    Ok(())
}

/// The link pinned at `path` if its program is among those that run on the interface. A pin whose interface is gone,
/// or was replaced by another of the same name, holds nothing and is removed.
fn pinned_link(path: &Path, running: &[u32]) -> Option<FdLink> {
    let link = FdLink::from(PinnedLink::from_pin(path).ok()?);
    if link.info().is_ok_and(|info| running.contains(&info.program_id())) {
        return Some(link);
    }
    tracing::info!(pin = %path.display(), "the pinned link is on this interface no more; attaching afresh");
    let _ = std::fs::remove_file(path);
    None
}

/// The innermost message, which is the system's.
fn root_cause(error: &ProgramError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
