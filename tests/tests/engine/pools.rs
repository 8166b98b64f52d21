//! Which backends nodes use, as checks, quorum, backups and schedules of their pool have it.

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;

use anyhow::{Context as _, Result};
use baton_tests::lab::{Backend, Balanced, Connection, Host, VIP, wait_until};

use super::support::{SOON, end};

const WEB: &str = Balanced::WEB;

/// The conditions of the backends of a pool, as `host` sees them.
fn conditions(setup: &Balanced, host: Host, pool: &str) -> Result<Vec<String>> {
    let engine = setup.engine(host)?;
    let pool = engine.pools.iter().find(|it| it.name == pool).context("the pool")?;
    Ok(pool.backends.iter().map(|backend| backend.condition.clone()).collect())
}

/// Waits until both nodes see the backends so.
fn wait_for(setup: &Balanced, pool: &str, expected: [&str; 3]) -> Result<()> {
    Host::NODES.into_iter().try_for_each(|host| {
        wait_until(&format!("pool {pool} to be {expected:?} for node {}", host.name()), SOON, || {
            Ok(conditions(setup, host, pool)? == expected)
        })
    })
}

/// Who answers so many requests.
fn answers(setup: &Balanced, count: u32) -> Result<BTreeSet<String>> {
    (0..count).map(|_| setup.lab.fetch(VIP)).collect()
}

fn says(setup: &Balanced, backends: &[usize]) -> BTreeSet<String> {
    backends.iter().map(|backend| setup.backends[*backend].says()).collect()
}

/// The path of a file that programs look for.
fn marker(setup: &Balanced, name: &str) -> String {
    setup.lab.directory().join(name).display().to_string()
}

#[test]
fn a_backend_that_fails_any_kind_of_check_is_left_out_until_it_is_in_order() -> Result<()> {
    let mut setup = Balanced::prepare()?;
    let bind = |backend: &Backend| backend.namespace().within(|| Ok(UdpSocket::bind(("0.0.0.0", 5353))?));
    let mut servers = setup.backends.iter().map(|it| bind(it).map(Some)).collect::<Result<Vec<_>>>()?;
    let broken = marker(&setup, "broken");
    let tables = format!(
        "check = \"ping\"\nexec = [\"/bin/sh\", \"-c\", \"! test -e {broken}-$0\"]\ninterval_ms = 100\n{WEB}\
         {}check = \"udp:5353\"\ntimeout_ms = 400\n\
         [[service]]\nvip = \"{VIP}\"\nprotocol = \"udp\"\nport = 5353\npool = \"dns\"\n",
        Balanced::pool("dns", Backend::address_of),
    );
    for host in Host::NODES {
        setup.configure(host, &tables)?;
        setup.start(host)?;
    }
    setup.wait_for_active(Host::A)?;
    assert_eq!(answers(&setup, 40)?, says(&setup, &[0, 1, 2]));

    setup.backends[0].namespace().set("net/ipv4/icmp_echo_ignore_all", "1")?;
    let broken = format!("{broken}-{}", Backend::address_of(2));
    fs::write(&broken, "")?;
    servers[2] = None;
    wait_for(&setup, "web", ["failing", "failing", "up"])?;
    wait_for(&setup, "dns", ["up", "up", "failing"])?;
    assert_eq!(answers(&setup, 20)?, says(&setup, &[2]));
    let why = setup.engine(Host::A)?.pools.into_iter().flat_map(|pool| pool.backends).filter_map(|it| it.why);
    let [echo, program, datagram] = &why.collect::<Vec<_>>()[..] else { panic!("three fail") };
    assert!(echo.contains("no answer in 1s"), "{echo}");
    assert!(program.contains("exit status: 1"), "{program}");
    assert!(datagram.contains("Connection refused"), "{datagram}");

    setup.backends[0].namespace().set("net/ipv4/icmp_echo_ignore_all", "0")?;
    fs::remove_file(&broken)?;
    servers[2] = Some(bind(&setup.backends[2])?);
    wait_for(&setup, "web", ["up"; 3])?;
    wait_for(&setup, "dns", ["up"; 3])?;
    assert_eq!(answers(&setup, 40)?, says(&setup, &[0, 1, 2]));
    end(setup)
}

#[test]
fn the_vip_moves_when_a_node_has_not_its_quorum_of_backends() -> Result<()> {
    let setup = Balanced::with(&format!("check = \"http:80/\"\ninterval_ms = 100\nquorum = 2\n{WEB}"))?;
    let cut = |number| {
        let route = format!("{}/32", Backend::address_of(number));
        setup.lab.run(Host::A, "ip", &["route", "add", "unreachable", &route])
    };
    cut(1)?;
    wait_until("node a to miss one", SOON, || {
        Ok(conditions(&setup, Host::A, "web")? == ["failing", "up", "up"])
    })?;
    setup.wait_for_active(Host::A)?;
    cut(2)?;
    setup.wait_for_active(Host::B)?;
    let status = setup.lab.baton_status(Host::A)?;
    let tracker = &status.routers[0].trackers[0];
    assert_eq!((tracker.name.as_str(), tracker.state.as_str()), ("engine eth0", "failing"));
    assert_eq!(answers(&setup, 40)?, says(&setup, &[0, 1, 2]));
    end(setup)
}

#[test]
fn backups_serve_while_no_other_backend_is_in_order() -> Result<()> {
    let mut setup = Balanced::prepare()?;
    let [first, second, backup] = [1, 2, 3].map(Backend::address_of);
    let tables = format!(
        "[[pool]]\nname = \"pair\"\ncheck = \"http:80/\"\ninterval_ms = 100\n\
         backend = [{{ address = \"{first}\" }}, {{ address = \"{second}\" }}, {{ address = \"{backup}\", backup = true }}]\n\
         {}",
        WEB.replace("web", "pair"),
    );
    for host in Host::NODES {
        setup.configure(host, &tables)?;
        setup.start(host)?;
    }
    setup.wait_for_active(Host::A)?;
    assert_eq!(answers(&setup, 30)?, says(&setup, &[0, 1]));
    setup.backends[0].stop_nginx();
    setup.backends[1].stop_nginx();
    wait_for(&setup, "pair", ["failing", "failing", "up"])?;
    assert_eq!(answers(&setup, 10)?, says(&setup, &[2]));
    setup.wait_for_active(Host::A)?;
    setup.backends[1].start_nginx(&setup.lab)?;
    wait_for(&setup, "pair", ["failing", "up", "up"])?;
    assert_eq!(answers(&setup, 10)?, says(&setup, &[1]));
    end(setup)
}

#[test]
fn all_backends_are_used_when_all_checks_fail_if_that_is_wanted() -> Result<()> {
    for (policy, goes_on) in [("use-all", true), ("drop", false)] {
        let mut setup = Balanced::prepare()?;
        let broken = marker(&setup, "broken");
        let tables = format!(
            "exec = [\"/bin/sh\", \"-c\", \"! test -e {broken}\"]\ninterval_ms = 100\nall_failed = \"{policy}\"\n{WEB}"
        );
        for host in Host::NODES {
            setup.configure(host, &tables)?;
            setup.start(host)?;
        }
        setup.wait_for_active(Host::A)?;
        let mut connection = Connection::open(&setup.lab)?;
        let before = connection.ask()?;
        fs::write(&broken, "")?;
        wait_for(&setup, "web", ["failing"; 3])?;
        if goes_on {
            assert_eq!(connection.ask()?, before);
            assert_eq!(answers(&setup, 40)?, says(&setup, &[0, 1, 2]));
        } else {
            assert!(setup.lab.fetch(VIP).is_err(), "nobody is to answer");
        }
        end(setup)?;
    }
    Ok(())
}

#[test]
fn backends_take_turns_where_that_is_wanted() -> Result<()> {
    let setup = Balanced::with(&format!("schedule = \"round-robin\"\n{WEB}"))?;
    let turns = (0..6).map(|_| setup.lab.fetch(VIP)).collect::<Result<Vec<_>>>()?;
    assert_eq!(turns[..3].iter().cloned().collect::<BTreeSet<_>>(), says(&setup, &[0, 1, 2]));
    assert_eq!(turns[..3], turns[3..]);
    end(setup)
}
