//! Programs of the operator's that are run when a role changes.

use std::fs;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Fault, Host, VIP, output, wait_until};

use super::support::{SOON, watch, with_pair};

#[test]
fn hooks_are_told_of_role_changes_in_their_order_and_a_slow_one_holds_nothing_up() -> Result<()> {
    with_pair(MacMode::Virtual, |lab, pair| {
        let story = lab.host_directory(Host::A).join("story");
        let telling =
            format!("echo \"$BATON_FROM $BATON_TO $BATON_VRID $BATON_EPOCH\" >>{}", story.display());
        let file = lab.host_directory(Host::A).join("baton.toml");
        let hooks = format!(
            "\n[[hook]]\nexec = [\"/bin/sh\", \"-c\", '{telling}']\n\
             \n[[hook]]\nexec = [\"/bin/sleep\", \"60\"]\non = [\"backup\"]\ntimeout_ms = 3000\n"
        );
        fs::write(&file, fs::read_to_string(&file)? + &hooks)?;
        output(&mut lab.baton(Host::A, "restart")?)?;
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
