//! Debian's keepalived beside Baton in every dialect: who is Active, who waits, and that neither finds fault with the other's
//! adverts. Nobody preempts.

use std::fs;

use anyhow::{Result, ensure};
use baton_tests::lab::{Host, pause, wait_until};

use super::dialect::{A_WHILE, BATON_BETTER, MixedPair, SOON, with_mixed_pair};
use super::{assert_no_protest, keepalived_log};

#[test]
fn keepalived_waits_beside_baton_and_takes_over_when_it_stops() -> Result<()> {
    with_peers(|pair| {
        let mut baton = pair.start_baton()?;
        pair.wait_owned_by(Host::A, 0)?;
        let _keepalived = pair.start_keepalived()?;
        pause(A_WHILE)?;
        let log = keepalived_log(pair.lab, Host::B)?;
        assert_eq!(log.matches("BACKUP STATE").count(), pair.dialects().len(), "{log}");
        ensure!(!log.contains("MASTER STATE"), "{log}");
        for (own, other) in [(2, 3), (3, 2)] {
            let line = format!("(both-beside-v{own}) wrong version. Received {other} and expect {own}");
            ensure!(log.contains(&line), "{log}");
        }
        baton.stop(SOON)?;
        pair.wait_owned_by(Host::B, 0)?;
        assert_no_protest(pair.lab, Host::B)
    })
}

#[test]
fn baton_waits_beside_keepalived_and_takes_over_when_it_stops() -> Result<()> {
    with_peers(|pair| {
        let mut keepalived = pair.start_keepalived()?;
        pair.wait_owned_by(Host::B, 0)?;
        let _baton = pair.start_baton()?;
        wait_until("baton to take part", SOON, || Ok(!pair.routers().is_empty()))?;
        pause(A_WHILE)?;
        for router in pair.routers() {
            let peers: Vec<_> = router.peers.iter().map(|peer| (peer.priority, peer.same_vips)).collect();
            assert_eq!((router.role.as_str(), &peers[..]), ("Backup", &[(253, true)][..]), "{}", router.vrid);
        }
        keepalived.stop(SOON)?;
        pair.wait_owned_by(Host::A, 0)?;
        assert_no_protest(pair.lab, Host::B)
    })
}

/// T-076: a wrong password is a router that is not there.
#[test]
fn another_password_is_another_election() -> Result<()> {
    with_peers(|pair| {
        let file = pair.lab.host_directory(Host::A).join("baton.toml");
        fs::write(&file, fs::read_to_string(&file)?.replace("s3cret12", "another"))?;
        let _baton = pair.start_baton()?;
        pair.wait_owned_by(Host::A, 0)?;
        let _keepalived = pair.start_keepalived()?;
        wait_until("keepalived to be Active too", SOON, || Ok(pair.owned(Host::B)? == ["v2-password"]))?;
        let counts = pair.lab.baton_status(Host::A)?.interfaces.remove(0).verdicts;
        ensure!(counts["vrrp-authentication"] > 0 && counts["vrrp-received"] == 0, "{counts:?}");
        pair.wait_owned_by(Host::A, 1)
    })
}

fn with_peers(test: impl FnOnce(&MixedPair<'_>) -> Result<()>) -> Result<()> {
    with_mixed_pair(Host::A, BATON_BETTER, false, test)
}
