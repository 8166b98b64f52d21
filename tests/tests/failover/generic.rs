//! Generic mode, for a driver without XDP of its own: the frames reach the program after the kernel has made its own
//! packet of them, and the service must not notice.

use anyhow::{Result, ensure};
use baton::config::{MacMode, XdpChoice};
use baton_tests::lab::{Fault, Host, Nginx, Settings, VIP};

use super::{
    PLANNED_OVERLAP_US, assert_moved, assert_silent_before, assert_sole_owner, watch, with_settings,
};

const GENERIC: Settings = Settings { xdp: XdpChoice::Generic, ..Settings::USUAL };

#[test]
fn a_vip_in_generic_mode_is_served_and_moves() -> Result<()> {
    for mac in [MacMode::Virtual, MacMode::Interface] {
        with_settings(mac, GENERIC, |lab, pair| {
            for host in Host::NODES {
                let status = lab.baton_status(host)?;
                ensure!(status.interfaces[0].xdp_mode == "generic", "{:?}", status.interfaces);
            }
            let _servers = [Nginx::start(lab, Host::A, VIP)?, Nginx::start(lab, Host::B, VIP)?];
            assert_eq!(lab.fetch(VIP)?, "node a");

            let (outcome, _) = watch(lab, || pair.inject(Fault::Planned).map(drop))?;
            assert_moved(&outcome, Host::B, PLANNED_OVERLAP_US);
            pair.restore()?;
            assert_sole_owner(pair, Host::B)?;
            assert_eq!(lab.fetch(VIP)?, "node b");

            let (outcome, recording) = watch(lab, || pair.inject(Fault::AgentDeath).map(drop))?;
            assert_moved(&outcome, Host::A, 0);
            if mac == MacMode::Interface {
                assert_silent_before(&recording, Host::B, Host::A)?;
            }
            pair.restore()?;
            assert_sole_owner(pair, Host::A)?;
            assert_eq!(lab.fetch(VIP)?, "node a");
            Ok(())
        })?;
    }
    Ok(())
}
