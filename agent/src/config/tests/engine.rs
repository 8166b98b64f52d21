//! Pools and services.

use super::*;
use crate::config::{AllFailed, Forwarding, PoolConfig, Schedule};

/// Two backends, and a service for them.
const BALANCED: &str = "[[pool]]\nname = \"web\"\nbackend = [{ address = \"192.0.2.11\" }, { address = \"192.0.2.12\", weight = 3 }]\n\
                        [[service]]\nvip = \"192.0.2.100\"\nport = 443\npool = \"web\"\n";

#[test]
fn a_pool_and_its_services_are_read_with_their_defaults() {
    let more = "[[service]]\nvip = \"192.0.2.100\"\nprotocol = \"udp\"\nport = \"8000-8099\"\npool = \"web\"\n\
                [[service]]\nvip = \"192.0.2.100\"\nport = \"any\"\npool = \"web\"\n";
    let config = parse(&format!("{MINIMAL}{BALANCED}{more}")).expect("valid");
    let [pool] = &config.pools[..] else { panic!("{:?}", config.pools) };
    let backends: Vec<(String, u16)> =
        pool.backends.iter().map(|backend| (backend.address.to_string(), backend.weight)).collect();
    assert_eq!(
        (pool.name.as_str(), backends),
        ("web", vec![("192.0.2.11".into(), 1), ("192.0.2.12".into(), 3)])
    );
    let spelled =
        config.services.iter().map(|it| format!("{} {} {} {}", it.vip, it.protocol, it.ports, it.pool));
    assert_eq!(
        spelled.collect::<Vec<_>>(),
        ["192.0.2.100 tcp 443 0", "192.0.2.100 udp 8000-8099 0", "192.0.2.100 tcp any 0"]
    );
    assert!(config.routers[0].balanced);
    assert_eq!(config.services_of(&config.routers[0]).count(), 3);
    assert!(!parse(MINIMAL).expect("valid").routers[0].balanced);
}

#[test]
fn backends_of_the_other_family_get_packets_through_tunnels_or_not_at_all() {
    let six = BALANCED.replace("192.0.2.11", "fd00::11").replace("192.0.2.12", "fd00::12");
    let config =
        parse(&format!("{MINIMAL}{}", six.replacen("[[service]]", "forward = \"tunnel\"\n[[service]]", 1)));
    assert_eq!(config.expect("valid").pools[0].forwarding, Forwarding::Tunnel);
    let problems = parse(&format!("{MINIMAL}{six}")).expect_err("no tunnel");
    assert!(problems[0].what.contains("of another family than 192.0.2.100"), "{problems:?}");
    assert!(problems[0].remedy.contains("forward = \"tunnel\""), "{problems:?}");
    assert_eq!(
        parse(&format!("{MINIMAL}{BALANCED}")).expect("valid").pools[0].forwarding,
        Forwarding::Direct
    );
}

#[test]
fn translated_backends_may_serve_at_another_port_and_are_of_the_family_of_the_vip() {
    for (word, forwarding) in [("nat", Forwarding::Nat), ("full-nat", Forwarding::FullNat)] {
        let forward = format!("forward = \"{word}\"\n[[service]]");
        let translated = BALANCED.replacen("[[service]]", &forward, 1);
        let config =
            parse(&format!("{MINIMAL}{}", translated.replace("weight = 3", "port = 8443"))).expect("valid");
        let PoolConfig { forwarding: read, backends, .. } = &config.pools[0];
        assert_eq!((*read, backends[0].port, backends[1].port), (forwarding, None, Some(8443)));
        let six = translated.replace("192.0.2.11", "fd00::11").replace("192.0.2.12", "fd00::12");
        let problems = parse(&format!("{MINIMAL}{six}")).expect_err("two families");
        assert!(problems[0].what.contains("of another family than 192.0.2.100"), "{problems:?}");
    }
}

#[test]
fn backends_may_be_behind_another_interface_that_no_other_services_need() {
    let behind = |interface: &str| {
        BALANCED.replacen("[[service]]", &format!("interface = \"{interface}\"\n[[service]]"), 1)
    };
    let config = parse(&format!("{MINIMAL}{}", behind("eth1"))).expect("valid");
    assert_eq!(config.pools[0].interface.as_deref(), Some("eth1"));
    assert_eq!((config.arms_of("eth0"), config.arms_of("eth1")), (vec!["eth1"], vec![]));
    assert_eq!((config.home_of("eth1"), config.home_of("eth0")), (Some("eth0"), None));
    assert_eq!(config.interfaces(), ["eth0", "eth1"]);
    let same = parse(&format!("{MINIMAL}{}", behind("eth0"))).expect("valid");
    assert_eq!((same.arms_of("eth0"), same.interfaces()), (vec![], vec!["eth0"]));

    let other = "[[router]]\ninterface = \"eth2\"\nvrid = 52\nvips = [\"198.51.100.100\"]\n\
                 [[service]]\nvip = \"198.51.100.100\"\nport = 443\npool = \"web\"\n";
    for (interface, what) in [
        ("eth1", "eth1 has backends of services on eth0, and cannot have those of eth2, too"),
        ("eth2", "eth2 has services of its own, and cannot have backends of those on eth0"),
    ] {
        let problems =
            parse(&format!("{MINIMAL}{}{other}", behind(interface))).expect_err("one queue, two engines");
        assert_eq!(problems[0].what, what);
    }
    let problems =
        parse(&format!("{MINIMAL}{}", behind("a name that is too long"))).expect_err("no interface");
    assert!(problems[0].remedy.contains("ip link"), "{problems:?}");
}

#[test]
fn an_engine_has_eight_interfaces_at_the_most() {
    let pools = |count: u8| {
        let pool = |number| {
            format!(
                "[[pool]]\nname = \"p{number}\"\ninterface = \"eth{number}\"\nbackend = [{{ address = \"10.0.0.{number}\" }}]\n\
                 [[service]]\nvip = \"192.0.2.100\"\nport = {number}\npool = \"p{number}\"\n"
            )
        };
        parse(&format!("{MINIMAL}{}", (1..=count).map(pool).collect::<String>()))
    };
    assert_eq!(pools(7).expect("valid").arms_of("eth0").len(), 7);
    let problems = pools(8).expect_err("too many");
    assert!(problems[0].what.contains("more than 7 other interfaces"), "{problems:?}");
}

/// (what is replaced in a file without mistakes, by what, line and column of the mistake, words in what, words in the remedy)
#[test]
fn every_mistake_about_the_engine_is_named_with_its_place_and_remedy() {
    let again = "[[service]]\nvip = \"192.0.2.100\"\nport = \"440-449\"\npool = \"web\"\n";
    for (from, to, place, what, remedy) in [
        ("\"192.0.2.12\"", "\"192.0.2.11\"", (7, 40), "192.0.2.11 stands on line 7, too", "more weight"),
        ("\"192.0.2.12\"", "\"192.0.2.100\"", (7, 40), "backend 192.0.2.100 is a vip", "of its own"),
        (
            "\"192.0.2.12\"",
            "\"fd00::1\"",
            (7, 40),
            "backend fd00::1 is of another family",
            "a [[pool]] of its own",
        ),
        ("weight = 3", "weight = 1001", (7, 75), "weight 1001 is out of range", "0 to 1000"),
        ("weight", "wait", (7, 66), "[[pool.backend]] has no key `wait`", "write `weight`"),
        ("backend = [", "backend = []#", (7, 11), "backend is empty", "1 to 655"),
        (
            "[[service]]",
            "check = \"http:80\"\n[[service]]",
            (8, 9),
            "\"http:80\" is no check",
            "http:80/health",
        ),
        ("[[service]]", "check = \"tcp:0\"\n[[service]]", (8, 9), "\"tcp:0\" is no check", "tcp:PORT"),
        ("[[service]]", "check = \"tcp:80/\"\n[[service]]", (8, 9), "\"tcp:80/\" is no check", "tcp:PORT"),
        (
            "[[service]]",
            "check = \"https:443/ a\"\n[[service]]",
            (8, 9),
            "\"https:443/ a\" is no",
            "https:PORT",
        ),
        ("[[service]]", "forward = \"route\"\n[[service]]", (8, 11), "\"route\" is unknown", "\"full-nat\""),
        (
            "weight = 3",
            "port = 8443",
            (7, 40),
            "packets to backend 192.0.2.12 keep their port",
            "forward = \"nat\"",
        ),
        ("weight = 3", "port = 65536", (7, 73), "port 65536 is out of range", "1 to 65535"),
        ("[[service]]", "check = \"ping:1\"\n[[service]]", (8, 9), "\"ping:1\" is no check", "ping"),
        ("[[service]]", "check = \"udp:53/\"\n[[service]]", (8, 9), "\"udp:53/\" is no check", "udp:PORT"),
        (
            "[[service]]",
            "check = \"tcp:80\"\nstatus = [200]\n[[service]]",
            (9, 10),
            "without a request",
            "http:PORT/PATH",
        ),
        ("[[service]]", "body = \"ok\"\n[[service]]", (8, 8), "without a request", "http:PORT/PATH"),
        ("[[service]]", "user = \"nobody\"\n[[service]]", (8, 8), "user without exec", "there is no shell"),
        ("[[service]]", "exec = [\"check\"]\n[[service]]", (8, 9), "no absolute path", "there is no shell"),
        (
            "[[service]]",
            "quorum = 3\n[[service]]",
            (8, 10),
            "quorum 3 of 2 backends with a weight",
            "at the least",
        ),
        (
            "weight = 3 }",
            "backup = true }]\nquorum = 2 #",
            (8, 10),
            "quorum 2 of 1 backends with a weight",
            "without backup",
        ),
        (
            "backend = [",
            "backend = [{ address = \"192.0.2.13\", backup = true }]#",
            (5, 1),
            "all backends have backup = true",
            "that are to work",
        ),
        ("[[service]]", "schedule = \"rr\"\n[[service]]", (8, 12), "\"rr\" is unknown", "\"round-robin\""),
        ("[[service]]", "all_failed = \"panic\"\n[[service]]", (8, 14), "\"panic\" is unknown", "use-all"),
        ("[[service]]", "fall = 0\n[[service]]", (8, 8), "fall 0 is out of range", "1 to 255"),
        ("name = \"web\"", "name = \"a b\"", (6, 8), "\"a b\" is not a name", "such as name = \"web\""),
        (
            "vip = \"192.0.2.100\"",
            "vip = \"192.0.2.101\"",
            (9, 7),
            "192.0.2.101 is no vip of a router",
            "one of the vips",
        ),
        ("port = 443", "port = 0", (10, 8), "port 0 is out of range", "1 to 65535"),
        ("port = 443", "port = \"9-9\"", (10, 8), "\"9-9\" is no range", "8000-8099"),
        ("port = 443", "port = \"1-1001\"", (10, 8), "\"1-1001\" is no range of 2 to 1000 ports", "any"),
        ("port = 443", "port = \"http\"", (10, 8), "port is of type string", "any"),
        ("port = 443", "port = 443\nprotocol = \"sctp\"", (11, 12), "\"sctp\" is unknown", "\"udp\""),
        ("pool = \"web\"", "pool = \"wib\"", (11, 8), "there is no pool \"wib\"", "[[pool]]"),
        (
            "[[service]]",
            &format!("{again}[[service]]"),
            (12, 1),
            "tcp 192.0.2.100 port 443 has a service on line 8",
            "one service",
        ),
        (
            "[[service]]",
            "[[pool]]\nname = \"web\"\nbackend = [{ address = \"10.0.0.1\" }]\n[[service]]",
            (8, 1),
            "pool web stands on line 5",
            "own name",
        ),
    ] {
        let text = format!("{MINIMAL}{}", BALANCED.replacen(from, to, 1));
        let problems = parse(&text).expect_err(to);
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 1, "{to}: {found:?}");
        let Problem { place: at, what: said, remedy: helps } = &problems[0];
        assert_eq!((at.line, at.column), place, "{to}: {found:?}");
        assert!(said.contains(what) && helps.contains(remedy), "{to}: {found:?}");
    }
}

#[test]
fn a_pool_says_when_it_is_in_order_and_what_becomes_of_flows_when_nobody_is() {
    let text = BALANCED.replace("weight = 3", "backup = true");
    let policy = |text: &str| {
        let config = parse(&format!("{MINIMAL}{text}")).expect("valid");
        let PoolConfig { quorum, all_failed, ref backends, .. } = config.pools[0];
        (quorum, all_failed, backends.iter().map(|backend| backend.is_backup).collect::<Vec<_>>())
    };
    assert_eq!(policy(&text), (1, AllFailed::Drop, vec![false, true]));
    let schedule = |text: &str| parse(&format!("{MINIMAL}{text}")).expect("valid").pools[0].schedule;
    assert_eq!(schedule(BALANCED), Schedule::Maglev);
    let keys = "schedule = \"least-connections\"\n[[service]]";
    assert_eq!(schedule(&BALANCED.replace("[[service]]", keys)), Schedule::LeastConnections);
    let keys = "quorum = 2\nall_failed = \"use-all\"\n[[service]]";
    assert_eq!(policy(&BALANCED.replace("[[service]]", keys)), (2, AllFailed::UseAll, vec![false, false]));
}

#[test]
fn every_backend_of_a_pool_is_asked_what_its_check_says() {
    for (check, expected) in [
        ("tcp:443", Some(Check::Tcp("192.0.2.12:443".parse().expect("an address")))),
        (
            "https:8443/up?now",
            Some(Check::Http(HttpTarget {
                is_tls: true,
                address: "192.0.2.12:8443".parse().expect("an address"),
                authority: "192.0.2.12:8443".to_owned(),
                path: "/up?now".to_owned(),
                answer: HttpAnswer::default(),
            })),
        ),
        ("ping", Some(Check::Ping("192.0.2.12".parse().expect("an address")))),
        ("udp:53", Some(Check::Udp("192.0.2.12:53".parse().expect("an address")))),
        ("", None),
    ] {
        let line = if check.is_empty() { String::new() } else { format!("check = \"{check}\"\n") };
        let text = BALANCED.replace("[[service]]", &format!("{line}[[service]]"));
        let config = parse(&format!("{MINIMAL}{text}")).expect(check);
        let pool = &config.pools[0];
        let tracker = pool.tracker(pool.backends[1].address);
        assert_eq!(tracker.map(|tracker| tracker.checks), expected.map(|check| vec![check]), "{check}");
    }
}

#[test]
fn a_pool_may_have_a_check_with_what_is_wanted_and_a_program_that_is_told_the_address() {
    let keys = "check = \"http:80/\"\nstatus = [200, \"300-399\"]\nbody = \"ok\"\n\
                exec = [\"/bin/check\", \"-H\"]\nuser = \"nobody\"\n";
    let text = BALANCED.replace("[[service]]", &format!("{keys}[[service]]"));
    let config = parse(&format!("{MINIMAL}{text}")).expect("valid");
    let pool = &config.pools[0];
    let tracker = pool.tracker(pool.backends[0].address).expect("checks");
    let [Check::Http(target), exec] = &tracker.checks[..] else { panic!("{:?}", tracker.checks) };
    let answer = HttpAnswer { statuses: vec![200..=200, 300..=399], body: Some("ok".to_owned()) };
    assert_eq!(target.answer, answer);
    let words = ["/bin/check", "-H", "192.0.2.11"].map(str::to_owned).to_vec();
    assert_eq!(*exec, Check::Exec { words, user: Some("nobody".to_owned()) });
}

#[test]
fn a_router_with_services_accepts_and_depends_on_the_engine() {
    let text = format!("{MINIMAL}accept = false\n{BALANCED}");
    let problems = parse(&text).expect_err("it would drop what is for the service");
    assert!(problems[0].what.contains("accepts nothing") && problems[0].place.line == 10, "{}", problems[0]);
    parse(&format!("{MINIMAL}accept = false\npriority = 255\n{BALANCED}")).expect("the owner accepts");

    let other = MINIMAL.replace("51", "52").replace(".100", ".101");
    let config = parse(&format!("{MINIMAL}{other}{BALANCED}")).expect("valid");
    assert_eq!(config.routers[0].trackers, [0]);
    assert!(config.routers[1].trackers.is_empty());
    assert_eq!(config.trackers[0].name, "engine eth0");
    assert_eq!(config.trackers[0].checks, [Check::Engine("eth0".to_owned())]);
}

#[test]
fn a_service_and_its_pool_are_of_one_family() {
    let pool = "[[pool]]\nname = \"six\"\nbackend = [{ address = \"fd00::1\" }]\n";
    let text = format!("{MINIMAL}{pool}{}", BALANCED.replace("pool = \"web\"", "pool = \"six\""));
    let problems = parse(&text).expect_err("two families");
    assert!(problems[0].what.contains("of another family than 192.0.2.100"), "{}", problems[0]);
}
