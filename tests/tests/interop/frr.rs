//! Debian's FRR on node b: zebra, vrrpd and a macvlan, whose addresses the kernel answers for while it is up. T-096.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use baton::config::MacMode;
use baton_tests::lab::{Frr, Host, Lab, Process, Settings, VIP, VIPS6, VRID, leftovers, pause, wait_until};

use super::{A_WHILE, INTERVAL_MS, LONG, SOON, baton_active, baton_backup, role, with_lab};

const SETTINGS: Settings = Settings { interval_ms: INTERVAL_MS, ..Settings::USUAL };

#[test]
fn frr_stays_backup_beside_baton_and_takes_over_when_it_stops() -> Result<()> {
    with_lab(MacMode::Virtual, |lab| {
        let mut baton = baton_active(lab)?;
        let _frr = frr_backup(lab)?;
        baton.stop(SOON)?;
        lab.wait_served_by(VIP, Host::B, SOON)
    })
}

#[test]
fn frr_takes_over_when_baton_is_killed_with_its_guardian() -> Result<()> {
    with_lab(MacMode::Virtual, |lab| {
        let baton = baton_active(lab)?;
        let _frr = frr_backup(lab)?;
        baton.kill_tree()?;
        lab.wait_served_by(VIP, Host::B, SOON)
    })
}

#[test]
fn baton_stays_backup_beside_frr_and_takes_over_when_it_stops() -> Result<()> {
    with_lab(MacMode::Virtual, |lab| {
        let [_zebra, mut vrrpd] = frr(lab)?;
        lab.wait_served_by(VIP, Host::B, LONG)?;
        let _baton = baton_backup(lab)?;
        vrrpd.stop(SOON)?;
        wait_until("baton to be Active", SOON, || Ok(role(lab) == "Active"))?;
        // The macvlan of a vrrpd that has ended is up still, and the kernel answers for it.
        Frr::clean(lab, Host::B)?;
        lab.forget_neighbours()?;
        lab.wait_served_by(VIP, Host::A, SOON)
    })
}

/// T-097.
#[test]
fn a_better_baton_takes_over_from_frr_once() -> Result<()> {
    with_lab(MacMode::Virtual, |lab| {
        let file = lab.host_directory(Host::A).join("baton.toml");
        fs::write(&file, fs::read_to_string(&file)?.replace("preempt = false\n", ""))?;
        let _frr = frr(lab)?;
        lab.wait_served_by(VIP, Host::B, LONG)?;
        let _baton = lab.start_baton(Host::A)?;
        lab.wait_served_by(VIP, Host::A, LONG)?;
        pause(A_WHILE)?;
        let epoch = lab.baton_status(Host::A)?.routers[0].epoch;
        assert_eq!((epoch, Frr::owns(lab, Host::B)?, lab.ask(VIP)?), (1, false, Some(Host::A)));
        Ok(())
    })
}

/// T-044, T-072. FRR has priority 253 and the higher address.
#[test]
fn after_a_partition_one_of_baton_and_frr_gives_way() -> Result<()> {
    for (priority, winner) in [(254, Host::A), (253, Host::B), (100, Host::B)] {
        with_lab(MacMode::Virtual, |lab| {
            let file = lab.host_directory(Host::A).join("baton.toml");
            let text = fs::read_to_string(&file)?;
            fs::write(&file, text.replace("priority = 254", &format!("priority = {priority}")))?;
            let _baton = baton_active(lab)?;
            let _frr = frr_backup(lab)?;
            lab.cut(Host::A)?;
            wait_until("both to be Active", SOON, || Ok(role(lab) == "Active" && Frr::owns(lab, Host::B)?))?;
            lab.heal(Host::A)?;
            wait_until("one to give way", SOON, || {
                let owners = [(Host::A, role(lab) == "Active"), (Host::B, Frr::owns(lab, Host::B)?)];
                Ok(owners.iter().all(|(host, owns)| *owns == (*host == winner)))
            })?;
            lab.wait_served_by(VIP, winner, SOON)?;
            pause(A_WHILE)?;
            assert_eq!(lab.ask(VIP)?, Some(winner), "it stays so, with priority {priority}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn the_role_goes_to_frr_and_back_over_ipv6_however_each_of_them_ends() -> Result<()> {
    there_and_back(3, INTERVAL_MS, &VIPS6.map(IpAddr::from))
}

#[test]
fn the_role_goes_to_frr_and_back_in_version_2_however_each_of_them_ends() -> Result<()> {
    there_and_back(2, 1000, &[VIP.into()])
}

/// Stops and kills whoever is Active, and starts it again beside the other, which it must leave Active.
fn there_and_back(version: u8, interval_ms: u16, vips: &[IpAddr]) -> Result<()> {
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    lab.enable_ipv6()?;
    let settings = Settings { interval_ms, ..Settings::USUAL };
    let file = lab.configure_routers(Host::A, MacMode::Virtual, &settings, &[])?;
    let list = vips.iter().map(|vip| format!("\"{vip}\"")).collect::<Vec<_>>().join(", ");
    let router = format!(
        "[[router]]\ninterface = \"eth0\"\nvrid = {VRID}\npriority = 254\npreempt = false\nstartup_hold_ms = 0\n\
         version = {version}\ninterval_ms = {interval_ms}\nvips = [{list}]\n"
    );
    fs::write(&file, fs::read_to_string(&file)? + &router)?;
    let start_frr = || Frr::start(&lab, Host::B, version, &settings, vips);
    let a_while = 5 * Duration::from_millis(interval_ms.into());
    let zebra = Frr::prepare(&lab, Host::B, vips)?;

    let mut baton = lab.start_baton(Host::A)?;
    wait_until("baton to be Active", LONG, || Ok(role(&lab) == "Active"))?;
    let mut vrrpd = start_frr()?;
    for end in [End::Stopped, End::Killed] {
        pause(a_while)?;
        assert_eq!(
            (role(&lab).as_str(), Frr::owns(&lab, Host::B)?),
            ("Active", false),
            "before Baton is {end:?}"
        );
        end.of(&mut baton)?;
        wait_until("FRR to be Active", LONG, || Frr::owns(&lab, Host::B))?;
        baton = lab.start_baton(Host::A)?;
        wait_until("baton to be Backup", LONG, || Ok(role(&lab) == "Backup"))?;
        pause(a_while)?;
        let router = lab.baton_status(Host::A)?.routers.remove(0);
        let peers: Vec<_> = router.peers.iter().map(|peer| (peer.priority, peer.same_vips)).collect();
        assert_eq!(
            (router.role.as_str(), &peers[..]),
            ("Backup", &[(253, true)][..]),
            "before FRR is {end:?}"
        );
        end.of(&mut vrrpd)?;
        wait_until("baton to be Active", LONG, || Ok(role(&lab) == "Active"))?;
        vrrpd = start_frr()?;
    }
    drop((baton, vrrpd, zebra));
    drop(lab);
    assert_eq!(leftovers(&id), Vec::<String>::new());
    Ok(())
}

/// How a daemon ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Stopped,
    Killed,
}

impl End {
    fn of(self, daemon: &mut Process) -> Result<()> {
        match self {
            Self::Stopped => daemon.stop(LONG).map(drop),
            Self::Killed => daemon.kill_tree(),
        }
    }
}

/// Starts FRR beside an Active Baton and asserts that it is content with that.
fn frr_backup(lab: &Lab) -> Result<[Process; 2]> {
    let frr = frr(lab)?;
    pause(A_WHILE)?;
    assert_eq!((Frr::owns(lab, Host::B)?, lab.ask(VIP)?), (false, Some(Host::A)), "Baton keeps the VIP");
    Ok(frr)
}

/// Starts zebra and vrrpd.
fn frr(lab: &Lab) -> Result<[Process; 2]> {
    let zebra = Frr::prepare(lab, Host::B, &[VIP.into()])?;
    let vrrpd = Frr::start(lab, Host::B, 3, &SETTINGS, &[VIP.into()])?;
    Ok([zebra, vrrpd])
}
