//! Programs of the operator's that are run when a role changes.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Fault, Host, Lab, VIP, has_ended, output, wait_until};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::support::{LEASE_US, SOON, assert_moved, wait_for_next_in_line, watch, with_pair};

#[test]
fn hooks_are_told_of_role_changes_in_their_order_and_a_slow_one_holds_nothing_up() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        let story = lab.host_directory(Host::A).join("story");
        let telling =
            format!("echo \"$BATON_FROM $BATON_TO $BATON_VRID $BATON_EPOCH\" >>{}", story.display());
        add_hooks(
            lab,
            &format!(
                "\n[[hook]]\nexec = [\"/bin/sh\", \"-c\", '{telling}']\n\
                 \n[[hook]]\nexec = [\"/bin/sleep\", \"60\"]\non = [\"backup\"]\ntimeout_ms = 3000\n"
            ),
        )?;
        let (outcome, _) = watch(lab, || pair.inject(Fault::Planned).map(drop))?;
        ensure!(outcome.after == Some(Host::B) && outcome.lost_probes == 0, "{outcome:?}");
        pair.restore()?;
        pair.inject(Fault::Planned)?;
        pair.restore()?;
        ensure!(lab.ask(VIP)? == Some(Host::A), "the VIP came back");
        let told = "Active Backup 51 1\nBackup Active 51 2\n";
        wait_until("both changes to be told", SOON, || {
            Ok(fs::read_to_string(&story).is_ok_and(|story| story.ends_with(told)))
        })
    })
}

/// The first signal lets a hook finish, the second does not; either way the VIP has gone first.
#[test]
fn a_second_signal_ends_an_agent_in_order_whose_hook_still_runs() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        let number = lab.host_directory(Host::A).join("hook");
        let script = format!("echo $$$$ >{}; exec sleep 60", number.display());
        let file = lab.host_directory(Host::A).join("baton.toml");
        let without_hooks = fs::read_to_string(&file)?;
        add_hooks(
            lab,
            &format!(
                "\n[[hook]]\nexec = [\"/bin/sh\", \"-c\", '{script}']\non = [\"initialize\"]\ntimeout_ms = 60000\n"
            ),
        )?;
        wait_for_next_in_line(lab, Host::B)?;
        let mut hook = None;
        let (outcome, _) = watch(lab, || {
            pair.agent(Host::A)?.signal(Signal::SIGTERM)?;
            wait_until("the hook to run", SOON, || {
                hook = fs::read_to_string(&number).ok().and_then(|text| text.trim().parse().ok());
                Ok(hook.is_some())
            })
        })?;
        assert_moved(&outcome, Host::B, LEASE_US);
        assert_eq!(outcome.lost_probes, 0, "{outcome:?}");
        let hook = Pid::from_raw(hook.context("its number")?);
        ensure!(!has_ended(hook), "the hook was not waited for");

        pair.agent(Host::A)?.signal(Signal::SIGTERM)?;
        let status = pair.end_of(Host::A)?.context("it ran")?;
        ensure!(status.success(), "not in order: {status}");
        wait_until("the hook to be killed", SOON, || Ok(has_ended(hook)))?;
        ensure!(!lab.host_directory(Host::A).join("control.sock").exists(), "its socket is left");
        fs::write(&file, without_hooks)?;
        pair.restart(Host::A)
    })
}

/// Adds them to node a by a restart of its agent.
fn add_hooks(lab: &Lab, hooks: &str) -> Result<()> {
    let file = lab.host_directory(Host::A).join("baton.toml");
    fs::write(&file, fs::read_to_string(&file)? + hooks)?;
    output(&mut lab.baton(Host::A, "restart")?).map(drop)
}
