//! What Baton and keepalived can speak with each other, all of it at once: a virtual router for each dialect, on one segment,
//! under one Baton and one keepalived.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::Result;
use baton::config::MacMode;
use baton::control::protocol::RouterStatus;
use baton::wire::Mac;
use baton_tests::lab::{Host, Keepalived, Lab, Process, Settings, VIPS6, leftovers, wait_until};

/// Three intervals of the slowest dialect and its Skew_Time, ten seconds for a busy machine.
pub(super) const SOON: Duration = Duration::from_secs(14);
/// Many advertisements of each: long enough for a router that ignores them to take over.
pub(super) const A_WHILE: Duration = Duration::from_secs(5);

/// The priorities of a pair of which Baton is better, by one.
pub(super) const BATON_BETTER: Priorities = Priorities { baton: 254, keepalived: 253 };
/// Of which keepalived is better.
pub(super) const KEEPALIVED_BETTER: Priorities = Priorities { baton: 253, keepalived: 254 };

/// One way of speaking VRRP.
pub(super) struct Dialect {
    pub(super) name: &'static str,
    pub(super) vrid: u8,
    pub(super) vips: Vec<IpAddr>,
    /// What stands for the addresses at Baton.
    mac: MacMode,
    /// Keys of Baton's `[[router]]` beside the usual ones; NODES are the addresses of both.
    baton: &'static str,
    /// Lines of keepalived's instance beside the usual ones; PEER is Baton's address.
    keepalived: &'static str,
}

impl Dialect {
    /// The address that services have.
    pub(super) fn vip(&self) -> IpAddr {
        self.vips[self.vips.len() - 1]
    }

    /// The source of Baton's announcements on `host`.
    pub(super) fn mac(&self, host: Host) -> Mac {
        let family = if self.vip().is_ipv4() { 1 } else { 2 };
        match self.mac {
            MacMode::Virtual => [0, 0, 0x5e, 0, family, self.vrid],
            MacMode::Interface => host.mac(),
        }
    }

    fn router(&self, priority: u8, preempt: bool) -> String {
        let Self { vrid, baton, .. } = self;
        let nodes = Host::NODES.map(|host| format!("\"{}\"", self.address(host))).join(", ");
        let baton = baton.replace("NODES", &nodes);
        let vips = self.vips.iter().map(|vip| format!("\"{vip}\"")).collect::<Vec<_>>().join(", ");
        format!(
            "\n[[router]]\ninterface = \"eth0\"\nvrid = {vrid}\npriority = {priority}\npreempt = {preempt}\n\
             startup_hold_ms = 0\nvips = [{vips}]\n{baton}"
        )
    }

    /// What adverts of `host` come from; over IPv6 the link-local address, which is made of the MAC (RFC 4291 A).
    fn address(&self, host: Host) -> IpAddr {
        if self.vip().is_ipv4() {
            return host.address().into();
        }
        let [a, b, c, d, e, f] = host.mac();
        IpAddr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
    }

    fn instance(&self, priority: u8, preempt: bool, baton: Host) -> String {
        let vrid = self.vrid;
        let keepalived = self.keepalived.replace("PEER", &self.address(baton).to_string());
        let nopreempt = if preempt { "" } else { "  nopreempt\n" };
        let vips: String =
            self.vips.iter().map(|vip| format!("    {} dev eth0\n", with_length(*vip))).collect();
        // Baton announces again when it hears a weaker Active Router. One that is silent at once, as keepalived is by
        // itself, it never hears of.
        format!(
            "vrrp_instance {} {{\n  state BACKUP\n{nopreempt}  interface eth0\n  virtual_router_id {vrid}\n  \
             priority {priority}\n  higher_prio_send_advert true\n{keepalived}  virtual_ipaddress {{\n{vips}  }}\n}}\n",
            self.name
        )
    }
}

/// All dialects.
pub(super) fn dialects() -> [Dialect; 11] {
    let vip = |last| vec![IpAddr::from(Ipv4Addr::new(10, 77, 0, last))];
    [
        Dialect {
            name: "v3",
            vrid: 61,
            vips: vip(161),
            mac: MacMode::Virtual,
            baton: "interval_ms = 100\n",
            keepalived: "  version 3\n  advert_int 0.1\n",
        },
        Dialect {
            name: "v3-interface-mac",
            vrid: 62,
            vips: vip(162),
            mac: MacMode::Interface,
            baton: "interval_ms = 100\nmac = \"interface\"\n",
            keepalived: "  version 3\n  advert_int 0.1\n",
        },
        Dialect {
            name: "v3-ipv6",
            vrid: 61,
            vips: VIPS6.map(IpAddr::from).to_vec(),
            mac: MacMode::Virtual,
            baton: "interval_ms = 100\n",
            keepalived: "  version 3\n  advert_int 0.1\n",
        },
        Dialect {
            name: "v2",
            vrid: 63,
            vips: vip(163),
            mac: MacMode::Virtual,
            baton: "version = 2\n",
            keepalived: "  version 2\n  advert_int 1\n",
        },
        Dialect {
            name: "v2-password",
            vrid: 64,
            vips: vip(164),
            mac: MacMode::Virtual,
            baton: "version = 2\npassword = \"s3cret12\"\n",
            keepalived: "  version 2\n  advert_int 1\n  authentication {\n    auth_type PASS\n    auth_pass s3cret12\n  }\n",
        },
        Dialect {
            name: "v3-unicast",
            vrid: 65,
            vips: vip(165),
            mac: MacMode::Virtual,
            baton: "interval_ms = 100\npeers = [NODES]\n",
            keepalived: "  version 3\n  advert_int 0.1\n  unicast_peer {\n    PEER\n  }\n",
        },
        Dialect {
            name: "v3-unicast-ipv6",
            vrid: 65,
            vips: vec![IpAddr::from(Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, 0x165))],
            mac: MacMode::Virtual,
            baton: "interval_ms = 100\npeers = [NODES]\n",
            // By itself it takes the kernel's Hop Limit.
            keepalived: "  version 3\n  advert_int 0.1\n  unicast_ttl 255\n  unicast_peer {\n    PEER\n  }\n",
        },
        Dialect {
            name: "v3-another-group",
            vrid: 69,
            vips: vip(169),
            mac: MacMode::Virtual,
            baton: "interval_ms = 100\nmulticast = \"224.0.0.118\"\n",
            keepalived: "  version 3\n  advert_int 0.1\n  mcast_dst_ip 224.0.0.118\n",
        },
        Dialect {
            name: "v2-unicast",
            vrid: 66,
            vips: vip(166),
            mac: MacMode::Virtual,
            baton: "version = 2\npeers = [NODES]\n",
            keepalived: "  version 2\n  advert_int 1\n  unicast_peer {\n    PEER\n  }\n",
        },
        Dialect {
            name: "both-beside-v2",
            vrid: 67,
            vips: vip(167),
            mac: MacMode::Virtual,
            baton: "version = \"2+3\"\n",
            keepalived: "  version 2\n  advert_int 1\n",
        },
        Dialect {
            name: "both-beside-v3",
            vrid: 68,
            vips: vip(168),
            mac: MacMode::Virtual,
            baton: "version = \"2+3\"\n",
            keepalived: "  version 3\n  advert_int 1\n",
        },
    ]
}

/// Who is preferred.
#[derive(Clone, Copy, Debug)]
pub(super) struct Priorities {
    pub(super) baton: u8,
    pub(super) keepalived: u8,
}

/// Baton on one node and keepalived on the other, which agree in every dialect.
pub(super) struct MixedPair<'lab> {
    pub(super) lab: &'lab Lab,
    /// Where Baton runs.
    pub(super) baton: Host,
    dialects: [Dialect; 11],
}

/// Runs `test` on a lab with the configurations of a Baton on `baton` and of a keepalived on the other node in place.
pub(super) fn with_mixed_pair(
    baton: Host,
    priorities: Priorities,
    preempt: bool,
    test: impl FnOnce(&MixedPair<'_>) -> Result<()>,
) -> Result<()> {
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    lab.enable_ipv6()?;
    let pair = MixedPair { lab: &lab, baton, dialects: dialects() };
    pair.configure(priorities, preempt)?;
    test(&pair).map_err(|error| error.context(format!("{priorities:?}, Baton on node {}", baton.name())))?;
    drop(lab);
    assert_eq!(leftovers(&id), Vec::<String>::new());
    Ok(())
}

impl MixedPair<'_> {
    fn configure(&self, priorities: Priorities, preempt: bool) -> Result<()> {
        let Self { lab, baton, dialects } = self;
        let keepalived = self.keepalived();
        // keepalived has its addresses on eth0; no other interface may answer for them.
        lab.namespace(keepalived).set("net/ipv4/conf/all/arp_ignore", "1")?;
        let file = lab.configure_routers(*baton, MacMode::Virtual, &Settings::USUAL, &[])?;
        let routers: String =
            dialects.iter().map(|dialect| dialect.router(priorities.baton, preempt)).collect();
        fs::write(&file, fs::read_to_string(&file)? + &routers)?;
        let instances: String =
            dialects.iter().map(|dialect| dialect.instance(priorities.keepalived, preempt, *baton)).collect();
        let configuration = format!("global_defs {{\n  router_id {}\n}}\n{instances}", keepalived.name());
        fs::write(lab.host_directory(keepalived).join("wanted.conf"), configuration).map_err(Into::into)
    }

    /// Where keepalived runs.
    pub(super) fn keepalived(&self) -> Host {
        self.baton.other()
    }

    pub(super) fn dialects(&self) -> &[Dialect] {
        &self.dialects
    }

    pub(super) fn start_baton(&self) -> Result<Process> {
        self.lab.start_baton(self.baton)
    }

    pub(super) fn start_keepalived(&self) -> Result<Process> {
        let file = self.lab.host_directory(self.keepalived()).join("wanted.conf");
        Keepalived::start_with(self.lab, self.keepalived(), &fs::read_to_string(file)?, true)
    }

    /// What Baton says of its virtual routers, in the order of the dialects; nothing while it does not answer.
    pub(super) fn routers(&self) -> Vec<RouterStatus> {
        self.lab.baton_status(self.baton).map(|status| status.routers).unwrap_or_default()
    }

    /// The dialects whose address `host` has by its own account.
    pub(super) fn owned(&self, host: Host) -> Result<Vec<&'static str>> {
        let names = |owns: &dyn Fn(&Dialect) -> bool| {
            self.dialects.iter().filter(|dialect| owns(dialect)).map(|dialect| dialect.name).collect()
        };
        if host == self.baton {
            let routers = self.routers();
            let of = |dialect: &Dialect| routers.iter().find(|router| router.vips == dialect.vips);
            return Ok(names(&|dialect| {
                of(dialect).is_some_and(|router| router.role == "Active" && router.lease_left_us > 0)
            }));
        }
        let addresses = self.lab.run(host, "ip", &["-o", "address", "show", "dev", "eth0"])?;
        Ok(names(&|dialect| addresses.contains(&format!(" {} ", with_length(dialect.vip())))))
    }

    /// Waits until `host` has the addresses of all dialects, and the other node those of `others` of them.
    pub(super) fn wait_owned_by(&self, host: Host, others: usize) -> Result<()> {
        let all = self.dialects.len();
        let mut seen = [Vec::new(), Vec::new()];
        wait_until("the owners in every dialect", SOON, || {
            seen = [self.owned(host)?, self.owned(host.other())?];
            Ok((seen[0].len(), seen[1].len()) == (all, others))
        })
        .map_err(|error| {
            error.context(format!("node {} has {:?}, the other {:?}", host.name(), seen[0], seen[1]))
        })
    }
}

/// With the length of prefix that keepalived takes it by.
fn with_length(vip: IpAddr) -> String {
    match vip {
        IpAddr::V4(vip) => format!("{vip}/32"),
        IpAddr::V6(vip) if vip.is_unicast_link_local() => format!("{vip}/64"),
        IpAddr::V6(vip) => format!("{vip}/128"),
    }
}
