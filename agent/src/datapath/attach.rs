//! Putting the programs on an interface: by BPF links that are pinned, so that they outlive the agent, and replaced
//! atomically when the next agent comes.

use std::path::PathBuf;
use std::time::Duration;

use aya::Ebpf;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::SchedClassifierLink;
use aya::programs::xdp::{self, XdpLink};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType, Xdp, loaded_programs};
use baton_common::maps::XDP_PROGRAM;
use nix::net::if_::if_indextoname;

use super::hook::Hook;
use super::pins::remove_link;
use super::{DatapathError, Pins, bpf};
use crate::config::XdpChoice;
use crate::host::netlink::{Interface, Netlink, XdpMode};
use crate::host::redirects;

/// How often, and how far apart, a busy interface is looked at again: the links of a process that was just killed
/// stay for some tens of milliseconds.
const BUSY_TRIES: u32 = 10;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// Fails when something on the interface or among the pins is not ours to replace, or runs otherwise than the
/// configuration allows. Changes nothing and opens no map. Returns whether an earlier run's programs are on the interface.
pub(super) fn check(
    netlink: &Netlink,
    interface: &str,
    pins: &Pins,
    choice: XdpChoice,
) -> Result<bool, DatapathError> {
    let index = netlink.interface(interface).map_err(Box::new)?.index;
    let mut adopted = false;
    for hook in Hook::ALL {
        match pinned(netlink, pins, hook)? {
            Pinned::Nothing | Pinned::Dead => {}
            Pinned::Here(found) if found == index => adopted = true,
            Pinned::Here(_) | Pinned::Elsewhere => return Err(foreign_pins(interface, pins)),
        }
    }
    refuse_other_version(netlink, interface, pins)?;
    refuse_foreign_program(netlink, interface, pins)?;
    refuse_other_mode(netlink, interface, choice)?;
    Ok(adopted)
}

/// Fails when the pins of `interface`, of whatever version, hold a program in another network namespace: they are another
/// agent's.
///
/// # Errors
///
/// They do, or the kernel does not say.
pub fn refuse_foreign_pins(netlink: &Netlink, interface: &str, pins: &Pins) -> Result<(), DatapathError> {
    for pins in [pins.clone()].iter().chain(&pins.of_other_versions()?) {
        for hook in Hook::ALL {
            if pinned(netlink, pins, hook)? == Pinned::Elsewhere {
                return Err(foreign_pins(interface, pins));
            }
        }
    }
    Ok(())
}

/// Fails when programs of another version are on an interface: they and ours would both judge its frames, each by its own
/// leases.
fn refuse_other_version(netlink: &Netlink, interface: &str, pins: &Pins) -> Result<(), DatapathError> {
    for pins in pins.of_other_versions()? {
        for hook in Hook::ALL {
            match pinned(netlink, &pins, hook)? {
                Pinned::Nothing | Pinned::Dead => {}
                Pinned::Here(_) => {
                    let (interface, pins) = (interface.to_owned(), pins.directory().to_owned());
                    return Err(DatapathError::OtherVersion { interface, pins });
                }
                Pinned::Elsewhere => return Err(foreign_pins(interface, &pins)),
            }
        }
    }
    Ok(())
}

fn foreign_pins(interface: &str, pins: &Pins) -> DatapathError {
    DatapathError::ForeignPins { interface: interface.to_owned(), pins: pins.directory().to_owned() }
}

/// Fails when a program is on the interface that is not the one behind our pin.
fn refuse_foreign_program(netlink: &Netlink, interface: &str, pins: &Pins) -> Result<(), DatapathError> {
    let mut found = None;
    for _ in 0..BUSY_TRIES {
        let now = netlink.interface(interface).map_err(Box::new)?;
        found = now.xdp.map(|(id, _)| id);
        if found.is_none() || pinned(netlink, pins, Hook::Xdp)? == Pinned::Here(now.index) {
            return Ok(());
        }
        std::thread::sleep(BUSY_PAUSE);
    }
    let id = found.unwrap_or_default();
    // Only CAP_SYS_ADMIN may look at programs that are not its own.
    let name = loaded_programs()
        .flatten()
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(|name| format!(" \"{name}\"")))
        .unwrap_or_default();
    Err(DatapathError::ForeignProgram {
        interface: interface.to_owned(),
        program: format!("{id}{name}"),
        pins: pins.directory().to_owned(),
    })
}

/// Fails when our program of an earlier run is in a mode that the configuration does not allow.
fn refuse_other_mode(netlink: &Netlink, interface: &str, choice: XdpChoice) -> Result<(), DatapathError> {
    match netlink.interface(interface).map_err(Box::new)?.xdp {
        Some((_, mode)) if !ladder(choice).contains(&mode) => {
            Err(DatapathError::OtherMode { interface: interface.to_owned(), mode })
        }
        Some(_) | None => Ok(()),
    }
}

/// The links of an interface in the hands of a run that starts.
#[derive(Default)]
pub(super) struct Links {
    /// Those of an earlier run, which keep its programs until [`take_over`].
    adopted: Vec<(Hook, FdLink)>,
    /// The pins of those that this run has made.
    fresh: Vec<PathBuf>,
}

impl Links {
    /// Takes off the interface what this run has put there.
    pub(super) fn remove_fresh(&self) -> Result<(), DatapathError> {
        self.fresh.iter().try_for_each(|path| remove_link(path))
    }
}

/// Loads all programs, and attaches those in whose place an earlier run has left none. The tcx programs come first: with
/// them alone no frame changes its way, while XDP without the ingress program would lose VIP traffic.
pub(super) fn attach(
    netlink: &Netlink,
    bpf: &mut Ebpf,
    interface: &str,
    pins: &Pins,
    choice: XdpChoice,
    links: &mut Links,
) -> Result<XdpMode, DatapathError> {
    let found = netlink.interface(interface).map_err(Box::new)?;
    for (hook, side) in [(Hook::Ingress, TcAttachType::Ingress), (Hook::Egress, TcAttachType::Egress)] {
        let program = classifier(bpf, hook)?;
        program.load()?;
        match adopt(netlink, &found, pins, hook)? {
            Some(link) => links.adopted.push((hook, link)),
            None => {
                let id = program.attach(interface, side)?;
                pin(program.take_link(id)?.try_into(), interface, pins.link(hook.program()), links)?;
            }
        }
    }
    let program = xdp(bpf)?;
    program.load()?;
    if let Some(link) = adopt(netlink, &found, pins, Hook::Xdp)?
        && let Some((_, mode)) = found.xdp
    {
        links.adopted.push((Hook::Xdp, link));
        warn_of_lost_answers(&found, mode);
        return Ok(mode);
    }
    let mode = attach_xdp(program, &found, pins, choice, links)?;
    warn_of_lost_answers(&found, mode);
    Ok(mode)
}

/// Puts our programs in the place of an earlier run's, each atomically.
pub(super) fn take_over(bpf: &mut Ebpf, links: &mut Links) -> Result<(), DatapathError> {
    for (hook, link) in links.adopted.drain(..) {
        match hook {
            Hook::Xdp => {
                xdp(bpf)?.attach_to_link(XdpLink::try_from(link)?)?;
            }
            Hook::Ingress | Hook::Egress => {
                classifier(bpf, hook)?.attach_to_link(SchedClassifierLink::try_from(link)?)?;
            }
        }
    }
    Ok(())
}

fn xdp(bpf: &mut Ebpf) -> Result<&mut Xdp, DatapathError> {
    Ok(bpf.program_mut(XDP_PROGRAM).ok_or(DatapathError::NoProgram(XDP_PROGRAM))?.try_into()?)
}

fn classifier(bpf: &mut Ebpf, hook: Hook) -> Result<&mut SchedClassifier, DatapathError> {
    let name = hook.program();
    Ok(bpf.program_mut(name).ok_or(DatapathError::NoProgram(name))?.try_into()?)
}

fn attach_xdp(
    program: &mut Xdp,
    interface: &Interface,
    pins: &Pins,
    choice: XdpChoice,
    links: &mut Links,
) -> Result<XdpMode, DatapathError> {
    let mut attempts = Vec::new();
    let name = &interface.name;
    for &mode in ladder(choice) {
        if choice == XdpChoice::Auto && mode == XdpMode::Native && loses_answers(interface) {
            attempts.push(format!(
                "{mode}: the other end of this veth takes nothing that XDP sends back, for it has no XDP program and no \
                 GRO; xdp = \"native\" forces it"
            ));
            continue;
        }
        let flag = match mode {
            XdpMode::Native => xdp::XdpMode::Driver,
            XdpMode::Generic => xdp::XdpMode::Skb,
        };
        match program.attach(name, flag) {
            Ok(id) => {
                pin(program.take_link(id)?.try_into(), name, pins.link(XDP_PROGRAM), links)?;
                if !attempts.is_empty() {
                    tracing::warn!(
                        interface = name,
                        refused = attempts.join(", "),
                        "XDP runs in generic mode"
                    );
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
    let (interface, attempts) = (name.to_owned(), attempts.join(", "));
    Err(DatapathError::NoXdp { interface, attempts, remedy: remedy.to_owned() })
}

/// The modes that the configuration allows, the better one first.
fn ladder(choice: XdpChoice) -> &'static [XdpMode] {
    match choice {
        XdpChoice::Auto => &[XdpMode::Native, XdpMode::Generic],
        XdpChoice::Native => &[XdpMode::Native],
        XdpChoice::Generic => &[XdpMode::Generic],
    }
}

/// Whether ARP answers of native XDP would go nowhere. Where the kernel does not say they are taken for lost: generic mode
/// is slower, and works.
fn loses_answers(interface: &Interface) -> bool {
    interface.veth && !redirects::are_taken(interface.index).is_ok_and(|taken| taken)
}

fn warn_of_lost_answers(interface: &Interface, mode: XdpMode) {
    if mode == XdpMode::Native && loses_answers(interface) {
        tracing::warn!(
            interface = interface.name,
            "the other end of this veth takes nothing that native XDP sends back: ARP requests for the VIPs stay \
             unanswered until it has an XDP program or GRO (`ethtool -K OTHER-END gro on`); xdp = \"auto\" takes generic \
             mode there, after `baton detach`"
        );
    }
}

/// Pins a fresh link; where the kernel gave none, its legacy attachment ends with the program and is refused.
fn pin<E>(
    link: Result<FdLink, E>,
    interface: &str,
    path: PathBuf,
    links: &mut Links,
) -> Result<(), DatapathError> {
    let link = link.map_err(|_| DatapathError::NoLink { interface: interface.to_owned() })?;
    link.pin(&path)?;
    links.fresh.push(path);
    Ok(())
}

/// The pinned link of `hook` if it is on this interface. A pin whose interface is gone, or was replaced by another of the
/// same name, holds nothing and makes way for a fresh one.
fn adopt(
    netlink: &Netlink,
    interface: &Interface,
    pins: &Pins,
    hook: Hook,
) -> Result<Option<FdLink>, DatapathError> {
    let path = pins.link(hook.program());
    match pinned(netlink, pins, hook)? {
        Pinned::Here(index) if index == interface.index => Ok(Some(PinnedLink::from_pin(path)?.into())),
        Pinned::Here(_) | Pinned::Elsewhere => Err(foreign_pins(&interface.name, pins)),
        Pinned::Dead => {
            tracing::info!(pin = %path.display(), "the pinned link is on no interface any more; attaching afresh");
            let removed = std::fs::remove_file(&path);
            removed.map(|()| None).map_err(DatapathError::pins(&path, "removing a pin"))
        }
        Pinned::Nothing => Ok(None),
    }
}

/// What a pin holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pinned {
    /// There is no pin.
    Nothing,
    /// A link whose interface is gone, or that was detached.
    Dead,
    /// A link on the interface with this index.
    Here(u32),
    /// A link on an interface of another network namespace.
    Elsewhere,
}

/// What the pin of `hook` holds.
fn pinned(netlink: &Netlink, pins: &Pins, hook: Hook) -> Result<Pinned, DatapathError> {
    let path = pins.link(hook.program());
    let link = match bpf::pinned_link(&path).map_err(DatapathError::pins(&path, "opening a pin"))? {
        None => return Ok(Pinned::Nothing),
        Some(link) if link.interface == 0 => return Ok(Pinned::Dead),
        Some(link) => link,
    };
    // Each network namespace counts its interfaces by itself: the index alone tells nothing, the program does.
    let running = match if_indextoname(link.interface) {
        Ok(name) => hook.running(&netlink.interface(&name.to_string_lossy()).map_err(Box::new)?)?,
        Err(_) => Vec::new(),
    };
    Ok(if running.contains(&link.program) { Pinned::Here(link.interface) } else { Pinned::Elsewhere })
}

/// The innermost message, which is the system's.
fn root_cause(error: &ProgramError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
