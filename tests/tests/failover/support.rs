//! What several files of the suite ask of an agent and wait for.

use anyhow::{Context as _, Result};
use baton::config::MacMode;
use baton::control::protocol::{RouterStatus, Status};
use baton_tests::lab::{Host, Lab, Pair, Router, Settings, VIP, VRID, output, wait_until};

use super::{SOON, with_settings};

/// The default interval: without S-BFD it takes three of them to notice anything.
pub(super) const SLOW: Settings = Settings { interval_ms: 1000, ..Settings::USUAL };

/// The first virtual router of `host`.
pub(super) fn router(lab: &Lab, host: Host) -> Result<RouterStatus> {
    lab.baton_status(host)?.routers.into_iter().next().context("an agent has a router")
}

/// How often each node has taken over.
pub(super) fn epochs(lab: &Lab) -> Result<[u32; 2]> {
    Ok([router(lab, Host::A)?.epoch, router(lab, Host::B)?.epoch])
}

/// Whether the session of `host` is up, and whether it is next in line.
pub(super) fn session(lab: &Lab, host: Host) -> Result<(bool, bool)> {
    let watch = router(lab, host)?.watch.context("no session")?;
    Ok((watch.up, watch.next_in_line))
}

/// Waits until `host` is to take over.
pub(super) fn stands_by(lab: &Lab, host: Host) -> Result<()> {
    let what = format!("node {} to be next in line", host.name());
    wait_until(&what, SOON, || Ok(session(lab, host).is_ok_and(|(up, next_in_line)| up && next_in_line)))
}

/// Waits until `host` has an answer of the Active Router.
pub(super) fn watches(lab: &Lab, host: Host) -> Result<()> {
    let what = format!("node {} to watch the Active Router", host.name());
    wait_until(&what, SOON, || Ok(session(lab, host).is_ok_and(|(up, _)| up)))
}

/// Waits until `host` is Active.
pub(super) fn takes_over(lab: &Lab, host: Host) -> Result<()> {
    let what = format!("node {} to take over", host.name());
    wait_until(&what, SOON, || Ok(router(lab, host)?.role == "Active"))
}

/// The agent on `host` once its guardian can act for it.
pub(super) fn watched_over(lab: &Lab, host: Host) -> Result<Status> {
    wait_until("a guardian that is ready", SOON, || Ok(lab.baton_status(host)?.guardian.is_some()))?;
    lab.baton_status(host)
}

/// Waits until the agent on `host` hears through AF_XDP.
pub(super) fn has_rings(lab: &Lab, host: Host) -> Result<()> {
    wait_until("AF_XDP", SOON, || Ok(lab.baton_status(host)?.interfaces[0].receive_path == "af-xdp"))
}

/// Runs `test` on a lab whose node a is Active, node b next in line, and a third agent, on the client, Backup, too.
pub(super) fn with_three(
    settings: Settings,
    test: impl FnOnce(&Lab, &mut Pair<'_>) -> Result<()>,
) -> Result<()> {
    with_settings(MacMode::Virtual, settings, |lab, pair| {
        let third = Router { vrid: VRID, priority: 100, vips: &[VIP] };
        lab.configure_routers(Host::Client, MacMode::Virtual, &settings, &[third])?;
        let mut agent = lab.start_baton(Host::Client)?;
        stands_by(lab, Host::B)?;
        watches(lab, Host::Client)?;
        test(lab, pair)?;
        agent.stop(SOON)?;
        output(&mut lab.baton(Host::Client, "detach")?)?;
        pair.settle().map(drop)
    })
}
