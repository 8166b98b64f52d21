//! Debian's keepalived on node b, over IPv6 and in VRRPv2: who is Active, who waits, and that neither finds fault with the
//! other's adverts.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Host, Keepalived, Lab, Process, VIP, VIPS6, VRID, leftovers, pause, wait_until};

use super::{LONG, role};

/// What both sides speak.
struct Dialect {
    name: &'static str,
    /// Keys of Baton's `[[router]]` beside the usual ones.
    baton: String,
    /// `vrrp_version` of keepalived, its interval in seconds, and lines beside the usual ones.
    keepalived: (u8, &'static str, String),
    /// Many advertisements.
    a_while: Duration,
}

fn dialects() -> [Dialect; 3] {
    let v2 = |name, password: &str, authentication: &str| Dialect {
        name,
        baton: format!("version = 2\n{password}interval_ms = 1000\nvips = [\"{VIP}\"]\n"),
        keepalived: (
            2,
            "1",
            format!("{authentication}  virtual_ipaddress {{\n    {VIP}/32 dev eth0\n  }}\n"),
        ),
        a_while: Duration::from_secs(5),
    };
    let [link_local, vip] = VIPS6;
    [
        Dialect {
            name: "VRRPv3 over IPv6",
            baton: format!("interval_ms = 100\nvips = [\"{link_local}\", \"{vip}\"]\n"),
            keepalived: (
                3,
                "0.1",
                format!(
                    "  virtual_ipaddress {{\n    {link_local}/64 dev eth0\n    {vip}/128 dev eth0\n  }}\n"
                ),
            ),
            a_while: Duration::from_millis(1500),
        },
        v2("VRRPv2", "", ""),
        v2(
            "VRRPv2 with a password",
            "password = \"s3cret12\"\n",
            "  authentication {\n    auth_type PASS\n    auth_pass s3cret12\n  }\n",
        ),
    ]
}

#[test]
fn keepalived_waits_beside_baton_and_takes_over_when_it_stops() -> Result<()> {
    in_every_dialect(|lab, dialect| {
        let mut baton = lab.start_baton(Host::A)?;
        wait_until("baton to be Active", LONG, || Ok(role(lab) == "Active"))?;
        let _keepalived = keepalived(lab, dialect)?;
        pause(dialect.a_while)?;
        let log = log(lab)?;
        ensure!(log.contains("BACKUP STATE") && !log.contains("MASTER STATE"), "{log}");
        baton.stop(LONG)?;
        wait_until("keepalived to be Active", LONG, || Ok(self::log(lab)?.contains("MASTER STATE")))?;
        assert_no_protest(lab)
    })
}

#[test]
fn baton_waits_beside_keepalived_and_takes_over_when_it_stops() -> Result<()> {
    in_every_dialect(|lab, dialect| {
        let mut keepalived = keepalived(lab, dialect)?;
        wait_until("keepalived to be Active", LONG, || Ok(log(lab)?.contains("MASTER STATE")))?;
        let _baton = lab.start_baton(Host::A)?;
        wait_until("baton to be Backup", LONG, || Ok(role(lab) == "Backup"))?;
        pause(dialect.a_while)?;
        let router = lab.baton_status(Host::A)?.routers.remove(0);
        assert_eq!(router.role, "Backup");
        assert_eq!(
            router.peers.iter().map(|peer| (peer.priority, peer.same_vips)).collect::<Vec<_>>(),
            [(253, true)]
        );
        keepalived.stop(LONG)?;
        wait_until("baton to be Active", LONG, || Ok(role(lab) == "Active"))?;
        assert_no_protest(lab)
    })
}

/// T-076: a wrong password is a router that is not there.
#[test]
fn another_password_is_another_election() -> Result<()> {
    let [.., dialect] = dialects();
    in_dialect(&dialect, |lab| {
        let file = lab.host_directory(Host::A).join("baton.toml");
        fs::write(&file, fs::read_to_string(&file)?.replace("s3cret12", "another"))?;
        let _baton = lab.start_baton(Host::A)?;
        wait_until("baton to be Active", LONG, || Ok(role(lab) == "Active"))?;
        let _keepalived = keepalived(lab, &dialect)?;
        wait_until("keepalived to be Active too", LONG, || Ok(log(lab)?.contains("MASTER STATE")))?;
        let counts = lab.baton_status(Host::A)?.interfaces.remove(0).verdicts;
        ensure!(counts["vrrp-authentication"] > 0 && counts["vrrp-received"] == 0, "{counts:?}");
        assert_eq!(role(lab), "Active");
        Ok(())
    })
}

fn in_every_dialect(test: impl Fn(&Lab, &Dialect) -> Result<()>) -> Result<()> {
    for dialect in dialects() {
        in_dialect(&dialect, |lab| test(lab, &dialect))?;
    }
    Ok(())
}

fn in_dialect(dialect: &Dialect, test: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    lab.enable_ipv6()?;
    lab.namespace(Host::B).set("net/ipv4/conf/all/arp_ignore", "1")?;
    let file = lab.configure_baton(Host::A, MacMode::Virtual, 100, &[VIP])?;
    let usual = fs::read_to_string(&file)?;
    let (runtime, _) = usual.split_once("[[router]]").expect("a router");
    let router =
        format!("interface = \"eth0\"\nvrid = {VRID}\npriority = 254\npreempt = false\n{}", dialect.baton);
    fs::write(&file, format!("{runtime}[[router]]\n{router}"))?;
    test(&lab).map_err(|error| error.context(dialect.name))?;
    drop(lab);
    assert_eq!(leftovers(&id), Vec::<String>::new());
    Ok(())
}

fn keepalived(lab: &Lab, dialect: &Dialect) -> Result<Process> {
    let (version, interval, lines) = &dialect.keepalived;
    let configuration = format!(
        "global_defs {{\n  router_id b\n  vrrp_version {version}\n}}\nvrrp_instance baton {{\n  state BACKUP\n  nopreempt\n  \
         advert_int {interval}\n  interface eth0\n  virtual_router_id {VRID}\n  priority 253\n{lines}}}\n"
    );
    fs::create_dir_all(lab.host_directory(Host::B))?;
    Keepalived::start_with(lab, Host::B, &configuration, true)
}

fn log(lab: &Lab) -> Result<String> {
    Ok(fs::read_to_string(Keepalived::log_file(lab, Host::B))?)
}

/// Asserts that keepalived found nothing wrong with what Baton sent.
fn assert_no_protest(lab: &Lab) -> Result<()> {
    let log = log(lab)?;
    for word in ["nvalid", "mismatch", "expected", "hecksum", "bogus", "dropped", "received an"] {
        ensure!(!log.contains(word), "keepalived says `{word}`:\n{log}");
    }
    Ok(())
}
