//! The text of `baton.toml`: what it means, and every mistake that can be in it.

mod engine;
mod include;

use std::env::VarError;
use std::path::{Path, PathBuf};
use std::time::Duration;

use baton_common::vrid::Family;

use super::{Bind, Check, Config, Delivery, HookConfig, HttpAnswer, HttpTarget, MacMode, Problem, file};
use crate::vrrp::{Checksum, ChecksumMode, Role, Version, Versions};

pub(super) const MINIMAL: &str = "[[router]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"192.0.2.100\"]\n";

pub(super) fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    let environment = |name: &str| match name {
        "PRIORITY" => Ok("200".to_owned()),
        "VIP" => Ok("192.0.2.7".to_owned()),
        "NO" => Ok("false".to_owned()),
        _ => Err(VarError::NotPresent),
    };
    file::parse(Path::new("baton.toml"), text.to_owned(), &environment).config
}

#[test]
fn the_minimal_file_gets_the_defaults_of_the_rfc() {
    let config = parse(MINIMAL).expect("valid");
    let router = &config.routers[0];
    assert_eq!(router.priority.get(), 100);
    assert_eq!(router.interval.centiseconds(), 100);
    assert_eq!(router.down_adverts.get(), 3);
    assert!(router.preempt);
    assert_eq!(router.preempt_delay, Duration::ZERO);
    assert_eq!(router.startup_hold, Duration::from_secs(35));
    assert_eq!(router.mac, MacMode::Virtual);
    assert_eq!((router.delivery, router.accepts(), router.bind), (Delivery::Host, true, Bind::Always));
    assert_eq!(router.checksum, ChecksumMode::Auto(Checksum::Pseudo));
    assert_eq!(config.runtime.directory, PathBuf::from("/run/baton"));
    assert_eq!((config.runtime.realtime_priority, config.runtime.metrics), (50, None));
}

/// (text, line and column of the mistake, words in what, words in the remedy)
#[test]
fn every_mistake_is_named_with_its_place_and_remedy() {
    let replaced = |from: &str, to: &str| MINIMAL.replace(from, to);
    let added = |line: &str| format!("{MINIMAL}{line}\n");
    let runtime = |line: &str| format!("[runtime]\n{line}\n{MINIMAL}");
    let hook = |lines: &str| format!("{MINIMAL}[[hook]]\n{lines}\n");
    let track = |lines: &str| format!("{MINIMAL}[[track]]\n{lines}\n");
    let rows: Vec<(String, (usize, usize), &str, &str)> = vec![
        (String::new(), (1, 1), "`router` is missing", "[[router]]"),
        ("router = 1".to_owned(), (1, 10), "router is of type integer", "[[router]], with two brackets"),
        (
            replaced("[[router]]", "[router]"),
            (1, 1),
            "router is of type table",
            "[[router]], with two brackets",
        ),
        (format!("runtime = 1\n{MINIMAL}"), (1, 11), "runtime is of type integer", "[runtime]"),
        (format!("routers = 1\n{MINIMAL}"), (1, 1), "the file has no key `routers`", "write `router`"),
        ("router = [1]".to_owned(), (1, 11), "a router is of type integer", "[[router]]"),
        ("router = []".to_owned(), (1, 10), "router is empty", "[[router]]"),
        ("[[router]\n".to_owned(), (1, 10), "", "TOML"),
        (added("vrid = 52"), (5, 1), "duplicate key", "TOML"),
        (replaced("vrid = 51", "vrid = 0"), (3, 8), "vrid 0 is out of range", "1 to 255"),
        (replaced("vrid = 51", "vrid = 256"), (3, 8), "vrid 256", "1 to 255"),
        (
            replaced("vrid = 51", "vrid = \"51\""),
            (3, 8),
            "vrid is of type string, not an integer",
            "1 to 255",
        ),
        (replaced("vrid = 51\n", ""), (1, 1), "`vrid` is missing", "1 to 255"),
        (replaced("interface = \"eth0\"\n", ""), (1, 1), "`interface` is missing", "eth0"),
        (replaced("vips = [\"192.0.2.100\"]\n", ""), (1, 1), "`vips` is missing", "192.0.2.100"),
        (replaced("eth0", "eth0/1"), (2, 13), "\"eth0/1\" is not an interface name", "ip link"),
        (replaced("eth0", ""), (2, 13), "not an interface", "ip link"),
        (replaced("192.0.2.100", "192.0.2.300"), (4, 9), "192.0.2.300", "192.0.2.100"),
        (replaced("192.0.2.100", "224.0.0.18"), (4, 9), "224.0.0.18", "192.0.2.100"),
        (replaced("192.0.2.100", "192.0.2.100/32"), (4, 9), "192.0.2.100/32", "without a prefix"),
        (replaced("\"192.0.2.100\"", "5"), (4, 9), "vip is of type integer", "192.0.2.100"),
        (replaced("[\"192.0.2.100\"]", "[]"), (4, 8), "vips is empty", "1 to 4000"),
        (added("priority = 0"), (5, 12), "priority 0", "2 to 254"),
        (added("priority = 1"), (5, 12), "priority 1 is out of range", "1 is what a failing router says"),
        (added("priority = 99999999999999999999"), (5, 12), "priority 99999999999999999999", "2 to 254"),
        (added("interval_ms = 5"), (5, 15), "interval_ms 5", "multiple of 10"),
        (added("interval_ms = 15"), (5, 15), "interval_ms 15 is no multiple", "multiple of 10"),
        (added("interval_ms = 50000"), (5, 15), "interval_ms 50000", "40950"),
        (added("preempt = \"no\""), (5, 11), "preempt is of type string", "true or false"),
        (added("version = 4"), (5, 11), "version 4 is out of range", "write 3, or 2"),
        (added("version = \"2+4\""), (5, 11), "version is of type string", "\"2+3\""),
        (added("version = \"2+3\"\ninterval_ms = 1500"), (6, 15), "is no number of seconds", "VRRPv2 counts"),
        (added("password = \"secret\""), (5, 12), "password without version = 2", "with version = 2"),
        (added("multicast = \"192.0.2.1\""), (5, 13), "not an IPv4 multicast group", "224.0.0.118"),
        (added("multicast = \"ff05::12\""), (5, 13), "nor an IPv6 one of link-local scope", "ff02::118"),
        (added("multicast = \"ff02::118\""), (5, 13), "of another family than the vips", "of the family"),
        (
            added("peers = [\"192.0.2.1\"]\nmulticast = \"224.0.0.118\""),
            (6, 13),
            "multicast beside peers",
            "no peers",
        ),
        (added("source = \"192.0.2.300\""), (5, 10), "source \"192.0.2.300\"", "`ip address show`"),
        (added("source = [\"192.0.2.1\"]"), (5, 10), "source is of type array", "`ip address show`"),
        (added("source = \"fe80::1\""), (5, 10), "source fe80::1 is of another family", "of the vips"),
        (added("source = \"192.0.2.100\""), (5, 10), "source 192.0.2.100 is a vip", "of its own"),
        (
            added("source = \"192.0.2.7\"") + &replaced("51", "52").replace("100", "7"),
            (5, 10),
            "source 192.0.2.7 is a vip",
            "of its own",
        ),
        (added("least_hops = 64"), (5, 14), "least_hops without peers", "with `peers` only"),
        (added("peers = [\"192.0.2.1\", \"192.0.2.1\"]"), (5, 23), "192.0.2.1 is named twice", "remove one"),
        (added("peers = [\"192.0.2.100\"]"), (5, 10), "peer 192.0.2.100 is a vip", "of its own"),
        (
            added("peers = [\"fe80::2\"]"),
            (5, 10),
            "fe80::2 is of another family",
            "of the family of the vips",
        ),
        (added("version = 2\npassword = \"too long to be one\""), (6, 12), "has 18 octets", "1 to 8 octets"),
        (
            added("version = 2\ninterval_ms = 1500"),
            (6, 15),
            "is no number of seconds",
            "VRRPv2 counts seconds",
        ),
        (added("down_timer_adverts = 2"), (5, 22), "down_timer_adverts 2", "3 to 100"),
        (added("down_timer_adverts = 101"), (5, 22), "down_timer_adverts 101", "3 to 100"),
        (added("preempt_delay_ms = 3600001"), (5, 20), "preempt_delay_ms 3600001", "0 to 3600000"),
        (
            added("preempt_delay_ms = 5\npreempt = false"),
            (5, 20),
            "without preempt",
            "a router that preempts",
        ),
        (added("startup_hold_ms = 600001"), (5, 19), "startup_hold_ms 600001", "0 to 600000"),
        (added("priority = 255\npreempt_delay_ms = 5"), (6, 20), "priority 255", "not the owner"),
        (added("checksum = \"none\""), (5, 12), "checksum \"none\" is unknown", "pseudo"),
        (added("mac = \"Virtual\""), (5, 7), "mac \"Virtual\" is unknown", "\"virtual\""),
        (added("delivery = \"kernel\""), (5, 12), "delivery \"kernel\" is unknown", "\"gateway\""),
        (added("bind = \"never\""), (5, 8), "bind \"never\" is unknown", "\"while-active\""),
        (added("accept = 0"), (5, 10), "accept is of type integer", "true, or false"),
        (added("priority = \"${NONE}\""), (5, 12), "no variable NONE", "Environment="),
        (replaced("192.0.2.100", "${NONE}"), (4, 9), "no variable NONE", "${NONE:-default}"),
        (added("priority = \"${VIP}\""), (5, 12), "priority \"192.0.2.7\" is no integer", "2 to 254"),
        (added("interval_ms = \"${PRIORITY}5\""), (5, 15), "interval_ms 2005 is no multiple", "multiple"),
        (added("preempt = \"${PRIORITY}\""), (5, 11), "preempt \"200\" is no boolean", "true or false"),
        (replaced("192.0.2.100", "${VIP}/32"), (4, 9), "\"192.0.2.7/32\" is not", "without a prefix"),
        (format!("include = 1\n{MINIMAL}"), (1, 11), "include is of type integer", "conf.d/*.toml"),
        (
            format!("include = [\"/no/such\"]\n{MINIMAL}"),
            (1, 12),
            "cannot read /no/such: No such",
            "readable file",
        ),
        (format!("include = [\"**x\"]\n{MINIMAL}"), (1, 12), "cannot read **x: Pattern", "conf.d/*.toml"),
        (added("prio = 1"), (5, 1), "[[router]] has no key `prio`", "write `priority`"),
        (added("weight = 1"), (5, 1), "no key `weight`", "the keys are interface, vrid, version"),
        (
            track("name = \"a\""),
            (5, 1),
            "nothing to look at",
            "process, carrier, ping, tcp, udp, http, file or exec",
        ),
        (track("file = \"/a\""), (5, 1), "`name` is missing", "nginx"),
        (track("name = \"a b\"\nfile = \"/a\""), (6, 8), "name \"a b\" is not a name", "nginx"),
        (track("name = \"a\"\nfile = \"a\""), (7, 8), "file \"a\" is no absolute path", "/run"),
        (
            track("name = \"a\"\ncarrier = \"a/b\""),
            (7, 11),
            "carrier \"a/b\" is not an interface name",
            "ip link",
        ),
        (track("name = \"a\"\ntcp = \"localhost:1\""), (7, 7), "localhost:1", "127.0.0.1:3306"),
        (track("name = \"a\"\nhttp = \"127.0.0.1:80\""), (7, 8), "is not an http:// or", "http://127.0.0.1"),
        (track("name = \"a\"\nhttp = \"ftp://127.0.0.1/\""), (7, 8), "is not an http:// or", "http://"),
        (
            track("name = \"a\"\nhttp = \"https://www.example.org/\""),
            (7, 8),
            "www.example.org",
            "not looked up",
        ),
        (track("name = \"a\"\nhttp = \"http://127.0.0.1:80800/\""), (7, 8), "80800", "http://127.0.0.1"),
        (track("name = \"a\"\nhttp = \"http://me@127.0.0.1/\""), (7, 8), "me@", "http://127.0.0.1"),
        (track("name = \"a\"\nfile = \"/a\"\nuser = \"b\""), (8, 8), "user without exec", "no shell"),
        (track("name = \"a\"\nhttp = \"http://localhost/\""), (7, 8), "localhost", "http://127.0.0.1"),
        (track("name = \"a\"\nfile = \"/a\"\nweight = 0"), (8, 10), "weight 0", "1 to 254"),
        (track("name = \"a\"\nfile = \"/a\"\nrise = 0"), (8, 8), "rise 0", "1 to 255"),
        (track("name = \"a\"\nfile = \"/a\"\ntimeout_ms = 1"), (8, 14), "timeout_ms 1", "10 to"),
        (track("name = \"a\"\nfile = \"/a\"\ninterval = 20"), (8, 1), "no key `interval`", "interval_ms"),
        (track("name = \"a\"\nexec = [\"true\"]"), (7, 9), "exec \"true\" is no absolute path", "no shell"),
        (track("name = \"a\"\nexec = []"), (7, 8), "exec is empty", "no shell"),
        (track("name = \"a\"\nexec = [1]"), (7, 9), "a word of exec is of type integer", "no shell"),
        (hook("on = [\"active\"]"), (5, 1), "`exec` is missing", "no shell"),
        (hook("exec = [\"/a\"]\non = [\"master\"]"), (7, 7), "a role of on \"master\" is unknown", "active"),
        (hook("exec = [\"/a\"]\nuser = \"\""), (7, 8), "user \"\" is not a name", "nobody"),
        (hook("exec = \"/a\""), (6, 8), "exec is of type string", "[\"/usr/local"),
        (format!("hook = 1\n{MINIMAL}"), (1, 8), "hook is of type integer", "[[hook]]"),
        (format!("track = 1\n{MINIMAL}"), (1, 9), "track is of type integer", "[[track]]"),
        (added("track = \"a\""), (5, 9), "track is of type string", "[\"nginx\"]"),
        (added("track = [\"a\"]"), (5, 10), "there is no tracker \"a\"", "[[track]]"),
        (
            format!("{}[[track]]\nname = \"a\"\nfile = \"/a\"\n", added("track = [\"a\", \"a\"]")),
            (5, 15),
            "tracker a is named twice",
            "remove one",
        ),
        (
            track("name = \"a\"\nfile = \"/a\"\n[[track]]\nname = \"a\"\nfile = \"/b\""),
            (8, 1),
            "tracker a stands on line 5, too",
            "its own name",
        ),
        (runtime("realtime_priority = 100"), (2, 21), "realtime_priority 100", "1 to 99"),
        (runtime("directory = \"\""), (2, 13), "directory \"\" is no absolute path", "/run/baton"),
        (runtime("directory = \"run\""), (2, 13), "directory \"run\"", "/run/baton"),
        (runtime("pins = \"bpf/baton\""), (2, 8), "pins \"bpf/baton\"", "/sys/fs/bpf/baton"),
        (runtime("xdp = \"skb\""), (2, 7), "xdp \"skb\"", "generic"),
        (runtime("datapath_log = true"), (2, 16), "datapath_log is of type boolean", "debug"),
        (runtime("metrics = \"0.0.0.0:9112\""), (2, 11), "\"0.0.0.0:9112\" is no loopback", "127.0.0.1:9112"),
        (runtime("metrics = \"[2001:db8::1]:9112\""), (2, 11), "is no loopback address", "127.0.0.1:9112"),
        (runtime("metrics = \"127.0.0.1:0\""), (2, 11), "has no port", "127.0.0.1:9112"),
        (runtime("metrics = \"localhost:9112\""), (2, 11), "localhost:9112", "127.0.0.1:9112"),
        (runtime("metrics = 9112"), (2, 11), "metrics is of type integer", "127.0.0.1:9112"),
        (runtime("pin = \"/\""), (2, 1), "[runtime] has no key `pin`", "write `pins`"),
    ];
    for (text, place, what, remedy) in rows {
        let problems = parse(&text).expect_err(&text);
        let problem = &problems[0];
        assert_eq!((problem.place.line, problem.place.column), place, "{text}\n{problem}");
        assert!(problem.what.contains(what), "{text}\n{problem}");
        assert!(problem.remedy.contains(remedy), "{text}\n{problem}");
    }
}

#[test]
fn a_variable_may_stand_for_a_text_a_number_and_a_boolean() {
    let keys = "priority = \"${PRIORITY}\"\npreempt = \"${NO}\"\ninterval_ms = \"${NONE:-50}\"\n";
    let given = parse(&(MINIMAL.replace("192.0.2.100", "${VIP}") + keys)).expect("valid");
    let router = &given.routers[0];
    assert_eq!((router.priority.get(), router.preempt, router.interval.centiseconds()), (200, false, 5));
    let written = "priority = 200\npreempt = false\ninterval_ms = 50\n";
    let written = parse(&(MINIMAL.replace("192.0.2.100", "192.0.2.7") + written)).expect("valid");
    assert_eq!(given.differences(&written), []);
}

#[test]
fn a_tracker_is_read_with_its_defaults_and_found_by_its_name() {
    let text = "[[track]]\nname = \"web\"\nhttp = \"http://[::1]:8080/ok?a=b\"\nprocess = \"/run/nginx.pid\"\n[[track]]\nname = \"uplink\"\n\
                carrier = \"eth1\"\ntcp = \"192.0.2.1:179\"\nweight = 20\nrise = 3\nfall = 1\ninterval_ms = 50\ntimeout_ms = 40\n";
    let config = parse(&format!("{MINIMAL}track = [\"uplink\", \"web\"]\n{text}")).expect("valid");
    assert_eq!(config.routers[0].trackers, [1, 0]);
    let [web, uplink] = &config.trackers[..] else { panic!("two") };
    let target = HttpTarget {
        is_tls: false,
        address: "[::1]:8080".parse().expect("an address"),
        authority: "[::1]:8080".to_owned(),
        path: "/ok?a=b".to_owned(),
        answer: HttpAnswer::default(),
    };
    let checks = [Check::Process("/run/nginx.pid".into()), Check::Http(target)];
    assert_eq!((&web.checks[..], web.weight), (&checks[..], None));
    assert_eq!((web.interval.as_millis(), web.patience.as_millis()), (200, 500));
    assert_eq!((web.rise.get(), web.fall.get()), (2, 2));
    let tcp = Check::Tcp("192.0.2.1:179".parse().expect("an address"));
    assert_eq!(uplink.checks, [Check::Carrier("eth1".to_owned()), tcp]);
    assert_eq!((uplink.interval.as_millis(), uplink.patience.as_millis()), (50, 40));
    assert_eq!((uplink.rise.get(), uplink.fall.get(), uplink.weight), (3, 1, Some(20)));
}

#[test]
fn a_tracker_may_ask_hosts_and_say_what_a_web_server_is_to_answer() {
    let keys = "ping = \"192.0.2.254\"\nudp = \"192.0.2.1:53\"\nhttp = \"http://127.0.0.1/\"\nstatus = [\"200-299\", 401]\n";
    let with = |keys: &str| parse(&format!("{MINIMAL}[[track]]\nname = \"a\"\n{keys}"));
    let checks = with(keys).expect("valid").trackers[0].checks.clone();
    let [Check::Ping(host), Check::Udp(port), Check::Http(target)] = &checks[..] else {
        panic!("{checks:?}")
    };
    assert_eq!((host.to_string(), port.to_string()), ("192.0.2.254".to_owned(), "192.0.2.1:53".to_owned()));
    assert_eq!(target.answer, HttpAnswer { statuses: vec![200..=299, 401..=401], body: None });
    for (from, to, place, what) in [
        ("401", "600", (10, 22), "a status 600 is out of range"),
        ("200-299", "299-200", (10, 11), "\"299-200\" is no range from 100 to 599"),
        ("200-299", "200-600", (10, 11), "\"200-600\" is no range from 100 to 599"),
        ("\"200-299\", 401", "", (10, 10), "status is empty"),
        ("http = \"http://127.0.0.1/\"", "", (10, 10), "status or body without a request"),
        ("status = [\"200-299\", 401]", "body = \"\"", (10, 8), "body is empty"),
    ] {
        let problems = with(&keys.replace(from, to)).expect_err(to);
        let Problem { place: at, what: said, .. } = &problems[0];
        assert_eq!((at.line, at.column, problems.len()), (place.0, place.1, 1), "{to}: {said}");
        assert!(said.contains(what), "{to}: {said}");
    }
}

#[test]
fn a_router_is_of_one_family_and_ipv6_begins_with_a_link_local_address() {
    let with = |vips: &str, more: &str| {
        parse(&MINIMAL.replace("[\"192.0.2.100\"]", vips).replace("vrid = 51", &format!("vrid = 51\n{more}")))
    };
    let config = with("[\"fe80::51\", \"2001:db8::100\"]", "").expect("valid");
    assert_eq!((config.routers[0].family(), config.routers[0].vips.len()), (Family::Ipv6, 2));
    let unicast = with("[\"2001:db8::100\"]", "peers = [\"fe80::2\"]").expect("valid among unicast peers");
    assert_eq!((unicast.routers[0].peers.len(), unicast.routers[0].least_hops), (1, 255));
    let routed = "source = \"2001:db8::1\"\npeers = [\"2001:db8::1\", \"2001:db8:1::2\"]\nleast_hops = 250";
    let routed = with("[\"2001:db8::100\"]", routed).expect("valid from a global address");
    assert_eq!(routed.routers[0].source, Some("2001:db8::1".parse().expect("an address")));
    let both = format!("{MINIMAL}{}", MINIMAL.replace("\"192.0.2.100\"", "\"fe80::51\""));
    assert_eq!(parse(&both).expect("one VRID for each family").routers.len(), 2);
    for (vips, more, what) in [
        ("[\"2001:db8::100\"]", "", "the first vip, 2001:db8::100, is not link-local"),
        ("[\"fe80::51\", \"192.0.2.100\"]", "", "vip 192.0.2.100 is of another family than fe80::51"),
        ("[\"192.0.2.100\", \"fe80::51\"]", "", "vip fe80::51 is of another family than 192.0.2.100"),
        ("[\"::ffff:192.0.2.100\"]", "", "\"::ffff:192.0.2.100\" is not a unicast IPv4 or IPv6 address"),
        ("[\"fe80::51\"]", "version = 2", "version 2 has no IPv6"),
        ("[\"fe80::51\"]", "version = \"2+3\"", "version 2 has no IPv6"),
        ("[\"2001:db8::100\"]", "peers = [\"2001:db8::2\"]", "peer 2001:db8::2 is not link-local"),
        ("[\"fe80::51\"]", "source = \"2001:db8::1\"", "source 2001:db8::1 is not link-local"),
        (
            "[\"fe80::51\"]",
            "source = \"fe80::1\"\npeers = [\"2001:db8::2\"]",
            "peer 2001:db8::2 is not link-local",
        ),
    ] {
        let problems = with(vips, more).expect_err(vips);
        assert!(problems[0].what.contains(what), "{problems:?}");
    }
}

#[test]
fn a_router_speaks_version_3_or_2_or_both() {
    let of = |line: &str| parse(&format!("{MINIMAL}{line}\n")).expect(line).routers[0].versions;
    let secret = Some(*b"secret\0\0");
    for (line, expected) in [
        ("", Versions::Only(Version::V3)),
        ("version = 3", Versions::Only(Version::V3)),
        ("version = 2", Versions::Only(Version::V2 { password: None })),
        ("version = 2\npassword = \"secret\"", Versions::Only(Version::V2 { password: secret })),
        ("version = \"2+3\"", Versions::Both { password: None }),
        ("version = \"2+3\"\npassword = \"secret\"", Versions::Both { password: secret }),
        ("version = \"${VERSION:-2+3}\"", Versions::Both { password: None }),
        ("version = \"${VERSION:-2}\"", Versions::Only(Version::V2 { password: None })),
    ] {
        assert_eq!(of(line), expected, "{line}");
    }
}

#[test]
fn adverts_go_to_the_group_of_vrrp_or_another() {
    let ipv6 = MINIMAL.replace("192.0.2.100", "fe80::51");
    for (text, expected) in [
        (MINIMAL.to_owned(), "224.0.0.18"),
        (format!("{MINIMAL}multicast = \"239.1.2.3\"\n"), "239.1.2.3"),
        (ipv6.clone(), "ff02::12"),
        (format!("{ipv6}multicast = \"ff12::118\"\n"), "ff12::118"),
    ] {
        assert_eq!(parse(&text).expect(expected).routers[0].multicast.to_string(), expected);
    }
}

#[test]
fn a_url_without_a_port_has_that_of_its_scheme() {
    for (url, is_tls, address, path) in [
        ("http://192.0.2.1", false, "192.0.2.1:80", "/"),
        ("https://192.0.2.1/a", true, "192.0.2.1:443", "/a"),
        ("https://[::1]?b", true, "[::1]:443", "/?b"),
        ("https://[::1]:80/", true, "[::1]:80", "/"),
    ] {
        let config = parse(&format!("{MINIMAL}[[track]]\nname = \"a\"\nhttp = \"{url}\"\n")).expect(url);
        let [Check::Http(target)] = &config.trackers[0].checks[..] else { panic!("{url}") };
        let expected = (is_tls, address.parse().expect("an address"), path);
        assert_eq!((target.is_tls, target.address, target.path.as_str()), expected, "{url}");
    }
}

#[test]
fn a_hook_is_read_with_its_defaults() {
    let text = "[[hook]]\nexec = [\"/bin/a\", \"b\"]\n[[hook]]\nexec = [\"/c\"]\non = [\"active\", \"backup\"]\n\
                user = \"nobody\"\ntimeout_ms = 50\n";
    let config = parse(&format!("{MINIMAL}{text}")).expect("valid");
    let plain = HookConfig {
        exec: vec!["/bin/a".to_owned(), "b".to_owned()],
        on: vec![],
        user: None,
        patience: Duration::from_secs(10),
    };
    let full = HookConfig {
        exec: vec!["/c".to_owned()],
        on: vec![Role::Active, Role::Backup],
        user: Some("nobody".to_owned()),
        patience: Duration::from_millis(50),
    };
    assert_eq!(config.hooks, [plain, full]);
}

/// RFC 9568 6.4.3: the owner of the addresses accepts whatever Accept_Mode is.
#[test]
fn a_gateway_may_accept_nothing_for_itself_unless_it_owns_the_addresses() {
    for (priority, accepts) in [(254, false), (255, true)] {
        let lines = format!("delivery = \"gateway\"\naccept = false\npriority = {priority}\n");
        let config = parse(&format!("{MINIMAL}{lines}")).expect("valid");
        let said: Vec<_> =
            config.gateways().map(|router| (router.accepts(), router.is_bound(Bind::Always))).collect();
        assert_eq!(said, [(accepts, accepts)]);
    }
    assert_eq!(parse(MINIMAL).expect("valid").gateways().count(), 0);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let text = "[runtime]\ndirectory = \"\"\n[[router]]\ninterface = \"eth0\"\nvrid = 0\nmac = \"Virtual\"\n\
                vips = [\n\"nonsense\",\n\"192.0.2.1\",\n\"192.0.2.1\",\n]\n[[router]]\ninterface = \"eth0\"\n\
                vips = [\"192.0.2.1\"]\nprio = 1\n";
    let problems = parse(text).expect_err("many mistakes");
    let said: Vec<(usize, &str)> = problems.iter().map(|p| (p.place.line, p.what.as_str())).collect();
    let expected = [
        (2, "directory \"\" is no absolute path"),
        (5, "vrid 0 is out of range"),
        (6, "mac \"Virtual\" is unknown"),
        (8, "vip \"nonsense\" is not a unicast IPv4 or IPv6 address"),
        (10, "vip 192.0.2.1 stands on line 9, too"),
        (12, "`vrid` is missing"),
        (14, "vip 192.0.2.1 stands on line 10, too"),
        (15, "[[router]] has no key `prio`"),
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_group_has_all_that_its_members_track() {
    let member = |interface: &str, vrid: u8, track: &str| {
        MINIMAL
            .replace("eth0", interface)
            .replace("51", &vrid.to_string())
            .replace("192.0.2.100", &format!("192.0.2.{vrid}"))
            + &format!("group = \"edge\"\ntrack = [{track}]\n")
    };
    let tracker = "[[track]]\nname = \"web\"\ntcp = \"127.0.0.1:80\"\n";
    let alone = MINIMAL.replace("51", "7").replace("192.0.2.100", "192.0.2.7");
    let text = member("eth0", 51, "\"web\"") + &member("eth1", 52, "") + &alone + tracker;
    let config = parse(&text).expect("valid");
    let names: Vec<&str> = config.trackers.iter().map(|tracker| tracker.name.as_str()).collect();
    assert_eq!(names, ["web"]);
    let tracked: Vec<_> = config.routers.iter().map(|router| router.trackers.clone()).collect();
    assert_eq!(tracked, [vec![0], vec![0], vec![]]);

    let other = member("eth1", 52, "") + "priority = 7\npreempt = false\n";
    let problems = parse(&(member("eth0", 51, "") + &other)).expect_err("two priorities");
    let said: Vec<_> = problems.iter().map(|problem| problem.what.as_str()).collect();
    assert_eq!(
        said,
        [
            "another priority than the router of group \"edge\" on line 5",
            "another preempt than the router of group \"edge\" on line 5"
        ]
    );
}

#[test]
fn a_link_has_every_vrid_once() {
    let second = |interface: &str| MINIMAL.replace("eth0", interface).replace("192.0.2.100", "192.0.2.101");
    let problems = parse(&format!("{MINIMAL}{}", second("eth0"))).expect_err("twice on a link");
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = "baton.toml, line 7, column 8: vrid 51 stands on line 3 for eth0, too; give every virtual router of a family \
                    on a link its own vrid";
    assert_eq!(said, [expected]);
    assert_eq!(parse(&format!("{MINIMAL}{}", second("eth1"))).expect("two links").routers.len(), 2);
}

#[test]
fn more_vips_than_an_interface_holds_are_refused() {
    let router = |index: usize| {
        let vips: Vec<String> = (1..=255).map(|host| format!("\"10.0.{index}.{host}\"")).collect();
        format!("[[router]]\ninterface = \"eth0\"\nvrid = {}\nvips = [{}]\n", index + 1, vips.join(", "))
    };
    let text = |routers: usize| (0..routers).map(router).collect::<String>();
    assert_eq!(parse(&text(32)).expect("8160 vips").routers.len(), 32);
    let problems = parse(&text(34)).expect_err("8670 vips");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].what.contains("more than 8192"), "{}", problems[0]);
}

#[test]
fn a_vip_belongs_to_one_router_on_any_interface() {
    let second = MINIMAL.replace("51", "52").replace("eth0", "eth1");
    let problems = parse(&format!("{MINIMAL}{second}")).expect_err("twice the same vip");
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].place.line, problems[0].place.column), (8, 9));
    assert_eq!(problems[0].what, "vip 192.0.2.100 stands on line 4, too");
}

/// (text before, text after, what is said to differ)
#[test]
fn two_configurations_differ_in_objects_and_their_keys() {
    let second = MINIMAL.replace("51", "52").replace(".100", ".101");
    let [track, hook] = ["[[track]]\nname = \"web\"\nfile = \"/a\"\n", "[[hook]]\nexec = [\"/a\", \"b\"]\n"];
    let with = |more: &str| format!("{MINIMAL}{more}");
    let rows: Vec<(String, String, &[&str])> = vec![
        (with(""), format!("# A remark.\n\n{MINIMAL}"), &[]),
        (with(""), with("priority = 100\npreempt = true\ninterval_ms = 0x3e8\n"), &[]),
        (with(&second), format!("{second}{MINIMAL}"), &[]),
        (with(""), with("priority = 200\n"), &["router eth0 vrid 51: priority 100 -> 200"]),
        (
            with("priority = 7\n"),
            with("mac = \"interface\"\n"),
            &["router eth0 vrid 51: mac virtual -> interface, priority 7 -> 100"],
        ),
        (with(""), with(&second), &["router eth0 vrid 52: added"]),
        (with(""), second.clone(), &["router eth0 vrid 52: added", "router eth0 vrid 51: removed"]),
        (
            MINIMAL.replace("[\"192", "[\"10.0.0.1\", \"192"),
            MINIMAL.replace(".100\"", ".100\", \"10.0.0.2\""),
            &["router eth0 vrid 51: vips +10.0.0.2 -10.0.0.1"],
        ),
        (
            MINIMAL.replace("[\"192", "[\"10.0.0.1\", \"192"),
            MINIMAL.replace(".100\"", ".100\", \"10.0.0.1\""),
            &["router eth0 vrid 51: vips in another order"],
        ),
        (
            with(""),
            with(&format!("track = [\"web\"]\n{track}")),
            &["router eth0 vrid 51: track +web", "track web: added"],
        ),
        (with(track), with(&format!("{track}weight = 5\n")), &["track web: weight none -> 5"]),
        (
            with(track),
            with(&track.replace("file", "process")),
            &["track web: file /a -> none, process none -> /a"],
        ),
        (with(hook), with(""), &["hook /a b: removed"]),
        (
            with(&format!("{hook}{hook}")),
            with(&format!("{hook}on = [\"active\"]\n{hook}timeout_ms = 20\n{hook}")),
            &["hook /a b: on +active", "hook /a b: timeout_ms 10000 -> 20", "hook /a b: added"],
        ),
        (with(""), format!("[runtime]\nsbfd = \"off\"\n{MINIMAL}"), &["runtime: sbfd auto -> off"]),
    ];
    for (before, after, differences) in rows {
        let [old, new] = [&before, &after].map(|text| parse(text).expect(text));
        let said: Vec<String> = old.differences(&new).iter().map(ToString::to_string).collect();
        assert_eq!(said, differences, "{before}\nbecomes\n{after}");
    }
}

#[test]
fn an_object_that_is_added_is_told_with_all_of_its_keys() {
    let [old, new] =
        [MINIMAL.replace("51", "7"), MINIMAL.to_owned()].map(|text| parse(&text).expect("valid"));
    let told = serde_json::to_value(&old.differences(&new)[0]).expect("JSON");
    let keys = told["keys"].as_array().expect("an array");
    assert_eq!(
        (&told["kind"], &told["name"], &told["change"]),
        (&"router".into(), &"eth0 vrid 51".into(), &"added".into())
    );
    assert_eq!(keys.len(), 18);
    assert!(keys.contains(&serde_json::json!({"key": "priority", "old": null, "new": 100})), "{keys:?}");
    assert!(
        keys.contains(&serde_json::json!({"key": "vips", "old": null, "new": ["192.0.2.100"]})),
        "{keys:?}"
    );
}
