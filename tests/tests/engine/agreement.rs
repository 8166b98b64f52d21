//! Nodes that compare their tables.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use baton::control::protocol::PoolStatus;
use baton::engine::{Datagram, PORT, PoolDigest, hash_of_name};
use baton_common::vrid::{Family, Vrid};
use baton_tests::lab::{Backend, Balanced, Host, Settings, VIPS6, VRID, output, pause, wait_until};
use socket2::{Domain, Socket, Type};

use super::support::{SOON, end};

const WEB: &str = Balanced::WEB;
/// Longer than a difference has to last.
const LONG: Duration = Duration::from_secs(20);

fn pool(setup: &Balanced, host: Host, name: &str) -> Result<PoolStatus> {
    setup.engine(host)?.pools.into_iter().find(|pool| pool.name == name).context("the pool")
}

/// Waits until `host` says this of the table of its only peer, which has `address`.
fn wait_for(
    setup: &Balanced,
    host: Host,
    name: &str,
    address: impl Into<IpAddr>,
    accord: &str,
) -> Result<()> {
    let address = address.into();
    let what = format!("the table of {name} on {address} to be known to node {}: {accord}", host.name());
    wait_until(&what, LONG, || {
        let peers = pool(setup, host, name)?.peers;
        ensure!(peers.iter().all(|peer| peer.address == address), "strangers: {peers:?}");
        Ok(peers.first().is_some_and(|peer| peer.accord == accord))
    })
}

fn wait_for_both(setup: &Balanced, accord: &str) -> Result<()> {
    Host::NODES.into_iter().try_for_each(|host| wait_for(setup, host, "web", host.other().address(), accord))
}

/// How often the log of `host` has said this of pool "web" on the other node.
fn times(setup: &Balanced, host: Host, what: &str) -> Result<usize> {
    let log = fs::read_to_string(setup.lab.baton_log(host))?;
    let words = [what, "web", &format!("peer={}", host.other().address())];
    Ok(log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count())
}

const SAME: &str = "has the same table";
const ANOTHER: &str = "has another table";

#[test]
fn nodes_with_other_backends_both_say_so_until_they_have_the_same_ones() -> Result<()> {
    let setup = Balanced::with(WEB)?;
    wait_for_both(&setup, "agrees")?;
    let epoch = || Ok::<_, anyhow::Error>(setup.lab.baton_status(Host::A)?.routers[0].epoch);
    let before = epoch()?;
    let said = Host::NODES.map(|host| times(&setup, host, ANOTHER).map_err(|error| error.to_string()));
    assert_eq!(said, [Ok(0), Ok(0)]);

    // One node is reloaded, the other is not yet.
    let file = setup.lab.host_directory(Host::B).join("baton.toml");
    let whole = fs::read_to_string(&file)?;
    let last = format!(", {{ address = \"{}\" }}", Backend::address_of(Balanced::BACKENDS));
    fs::write(&file, whole.replace(&last, ""))?;
    output(&mut setup.lab.baton(Host::B, "reload")?)?;
    wait_for_both(&setup, "differs")?;
    for host in Host::NODES {
        wait_until("a warning", SOON, || Ok(times(&setup, host, ANOTHER)? == 1))?;
        let (here, there) = (pool(&setup, host, "web")?, pool(&setup, host.other(), "web")?);
        assert_eq!(here.peers[0].digest, Some(there.digest));
        let text = setup.ask(host, "backends")?;
        ensure!(text.contains(&format!("peer {}: table ", host.other().address())), "{text}");
        ensure!(text.contains(", differs\n"), "{text}");
    }
    let sames = times(&setup, Host::A, SAME)?;

    fs::write(&file, &whole)?;
    output(&mut setup.lab.baton(Host::B, "reload")?)?;
    wait_for_both(&setup, "agrees")?;
    wait_until("it to be said", SOON, || Ok(times(&setup, Host::A, SAME)? == sames + 1))?;
    output(&mut setup.lab.baton(Host::A, "restart")?)?;
    wait_for_both(&setup, "agrees")?;
    for host in Host::NODES {
        assert_eq!(times(&setup, host, ANOTHER)?, 1, "node {}", host.name());
    }
    assert_eq!(epoch()?, before, "nothing has moved");
    end(setup)
}

#[test]
fn a_weight_that_is_set_on_one_node_is_noticed_by_both() -> Result<()> {
    let setup = Balanced::with(WEB)?;
    wait_for_both(&setup, "agrees")?;
    setup.ask(Host::A, &format!("weight web {} 7", Backend::address_of(1)))?;
    wait_for_both(&setup, "differs")?;
    setup.ask(Host::B, &format!("weight web {} 7", Backend::address_of(1)))?;
    wait_for_both(&setup, "agrees")?;
    end(setup)
}

/// A pool that one node has not is told from one that has another table. Beside the one that both have, and translates: XDP looks at
/// all that comes to the node's own address then.
#[test]
fn unicast_peers_and_nodes_of_ipv6_compare_their_tables_as_well() -> Result<()> {
    let mut setup = Balanced::prepare()?;
    setup.lab.enable_ipv6()?;
    let [link_local, vip6] = VIPS6;
    for (host, name) in [(Host::A, "far"), (Host::B, "other")] {
        let tables = format!(
            "forward = \"full-nat\"\n{WEB}[[router]]\ninterface = \"eth0\"\nvrid = {VRID}\npriority = {}\ninterval_ms = 10\n\
             vips = [\"{link_local}\", \"{vip6}\"]\n{}[[service]]\nvip = \"{vip6}\"\nport = 80\npool = \"{name}\"\n\
             [[service]]\nvip = \"{vip6}\"\nport = 81\npool = \"both\"\n{}",
            if host == Host::A { 200 } else { 100 },
            Balanced::pool(name, Backend::address6_of),
            Balanced::pool("both", Backend::address6_of),
        );
        setup.configure(host, &tables)?;
        setup.set_runtime(host, "flows = 4096")?;
        let file = setup.lab.host_directory(host).join("baton.toml");
        let peers = "peers = [\"10.77.0.1\", \"10.77.0.2\"]\n";
        let more = Settings::USUAL.more;
        fs::write(&file, fs::read_to_string(&file)?.replacen(more, &format!("{more}{peers}"), 1))?;
        setup.launch(host)?;
    }
    let link_local = |host: Host| -> Result<IpAddr> {
        let text =
            setup.lab.run(host, "ip", &["-6", "-o", "address", "show", "dev", "eth0", "scope", "link"])?;
        let word = text.split_whitespace().find_map(|word| word.strip_suffix("/64")).context("an address")?;
        Ok(word.parse()?)
    };
    for host in Host::NODES {
        wait_until("an agent", SOON, || Ok(setup.engine(host).is_ok()))?;
    }
    wait_for_both(&setup, "agrees")?;
    for (host, own) in [(Host::A, "far"), (Host::B, "other")] {
        let peer = link_local(host.other())?;
        // Nobody is at these addresses, on which the nodes agree.
        wait_for(&setup, host, "both", peer, "agrees")?;
        wait_for(&setup, host, own, peer, "differs")?;
        assert_eq!(pool(&setup, host, own)?.peers[0].digest, None);
        let text = setup.ask(host, "backends")?;
        ensure!(text.contains(&format!("peer {peer}: no such pool, differs")), "{text}");
    }
    end(setup)
}

/// What is said of pool "web" of the virtual router `vrid`.
fn says(vrid: u8, family: Family) -> Vec<u8> {
    let pools = vec![PoolDigest { name: hash_of_name("web"), digest: 0xbad }];
    Datagram { vrid: Vrid::new(vrid).expect("not 0"), family, pools }.build()
}

/// Has the client send these, each with its TTL, to the group.
fn forge(setup: &Balanced, datagrams: &[(u32, Vec<u8>)]) -> Result<()> {
    setup.lab.namespace(Host::Client).within(|| {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.set_multicast_if_v4(&Host::Client.address())?;
        let socket = UdpSocket::from(socket);
        for (hops, octets) in datagrams {
            socket.set_multicast_ttl_v4(*hops)?;
            socket.send_to(octets, SocketAddr::from((Ipv4Addr::new(224, 0, 0, 18), PORT)))?;
        }
        Ok(())
    })
}

#[test]
fn what_is_no_datagram_of_a_node_is_ignored_and_one_that_could_be_only_shown() -> Result<()> {
    let setup = Balanced::with(WEB)?;
    wait_for_both(&setup, "agrees")?;
    let before = setup.lab.baton_status(Host::A)?.routers[0].epoch;
    let good = says(VRID, Family::Ipv4);
    let bad = [
        (254, good.clone()),
        (1, good.clone()),
        (255, good[..good.len() - 1].to_vec()),
        (255, [&good[..], &[0; 16]].concat()),
        (255, vec![0xff; 1400]),
        (255, Vec::new()),
        (255, says(VRID + 1, Family::Ipv4)),
        (255, says(VRID, Family::Ipv6)),
    ];
    for _ in 0..10 {
        forge(&setup, &bad)?;
        pause(Duration::from_millis(100))?;
        for host in Host::NODES {
            let peers = pool(&setup, host, "web")?.peers;
            ensure!(peers.iter().all(|it| it.address == host.other().address()), "{peers:?}");
        }
    }
    let digest = pool(&setup, Host::A, "web")?.digest;
    let client = IpAddr::from(Host::Client.address());
    let is_shown =
        |host| Ok::<_, anyhow::Error>(pool(&setup, host, "web")?.peers.iter().any(|it| it.address == client));
    let since = Instant::now();
    for host in Host::NODES {
        wait_until("what could be a node's to be shown", LONG, || {
            forge(&setup, &[(255, good.clone())])?;
            is_shown(host)
        })?;
    }
    wait_until("it to be forgotten", LONG, || Ok(!is_shown(Host::A)? && !is_shown(Host::B)?))?;
    ensure!(since.elapsed() > Duration::from_secs(2), "it was remembered");
    assert_eq!(pool(&setup, Host::A, "web")?.digest, digest);
    let routers = setup.lab.baton_status(Host::A)?.routers;
    assert_eq!((routers[0].role.as_str(), routers[0].epoch), ("Active", before));
    end(setup)
}
