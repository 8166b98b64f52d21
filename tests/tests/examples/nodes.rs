//! Two nodes with the files of an example, and what is waited for on them.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use baton::control::protocol::RouterStatus;
use baton_tests::lab::{Host, Lab, Process, leftovers, output, wait_until};

use super::files::{Differing, configure, install};

/// Longer than a busy machine needs for anything that is waited for: servers that start, replicas that copy.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// Runs `test` on a lab whose nodes have the files of the example `name`, and checks that nothing is left.
pub(super) fn with_example(
    name: &str,
    differing: &[Differing],
    test: impl FnOnce(&Lab) -> Result<()>,
) -> Result<()> {
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    for host in Host::NODES {
        install(&lab, host, name, differing)?;
        configure(&lab, host, name)?;
    }
    test(&lab).with_context(|| logs(&lab))?;
    drop(lab);
    assert_eq!(leftovers(&id), Vec::<String>::new());
    Ok(())
}

/// Starts the agent of `host` and waits until it takes part.
pub(super) fn start_agent(lab: &Lab, host: Host) -> Result<Process> {
    let agent = lab.start_baton(host)?;
    let what = format!("an agent on node {} (see {})", host.name(), lab.baton_log(host).display());
    wait_until(&what, SOON, || Ok(lab.baton_status(host).is_ok()))?;
    Ok(agent)
}

/// The first virtual router of `host`.
pub(super) fn router(lab: &Lab, host: Host) -> Result<RouterStatus> {
    lab.baton_status(host)?.routers.into_iter().next().context("an agent has a router")
}

/// Waits until `host` serves the first virtual router.
pub(super) fn wait_active(lab: &Lab, host: Host) -> Result<()> {
    let what = format!("node {} to be Active", host.name());
    wait_until(&what, SOON, || {
        let router = router(lab, host)?;
        Ok(router.role == "Active" && router.lease_left_us > 0)
    })
}

/// Waits until `host` is content with all that it tracks.
pub(super) fn wait_fit(lab: &Lab, host: Host) -> Result<()> {
    let what = format!("node {} to be in order", host.name());
    wait_until(&what, SOON, || Ok(router(lab, host)?.trackers.iter().all(|tracker| tracker.state == "good")))
}

/// Waits until the tracker `name` of `host` fails.
pub(super) fn wait_failing(lab: &Lab, host: Host, name: &str) -> Result<()> {
    wait_until(&format!("tracker {name} of node {} to fail", host.name()), SOON, || {
        let trackers = router(lab, host)?.trackers;
        Ok(trackers.iter().any(|tracker| tracker.name == name && tracker.state == "failing"))
    })
}

/// Has `host` give the first virtual router away, and waits until the other node serves.
pub(super) fn hand_over(lab: &Lab, host: Host) -> Result<()> {
    output(&mut lab.baton(host, "handover")?)?;
    wait_active(lab, host.other())
}

/// The end of what agents, scripts and servers have said.
fn logs(lab: &Lab) -> String {
    let logs = |host| {
        let root = lab.host_directory(host);
        let others =
            fs::read_dir(root.join("var/log")).into_iter().flatten().flatten().map(|file| file.path());
        [lab.baton_log(host)]
            .into_iter()
            .chain(others)
            .map(|path| {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                format!("== {}\n{}\n", path.display(), lines[lines.len().saturating_sub(15)..].join("\n"))
            })
            .collect::<String>()
    };
    Host::NODES.map(logs).concat()
}
