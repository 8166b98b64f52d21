//! What the election thread spends per frame and per decision: wire format and election core, without any IO.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use baton::vrrp::{
    Advertisement, Checksum, ChecksumMode, DownAdverts, Input, Instant, Interval, Parameters, Priority, Role,
    Standing, Version, Versions, VirtualRouter,
};
use baton::wire::{
    Expected, GratuitousArp, MAX_ADVERTISEMENT_FRAME, MAX_ARP_FRAME, Operation, Outgoing, parse_frame,
};
use baton_common::maps::VlanId;
use baton_common::vrid::Vrid;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));
/// VRRP's own.
const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));
const UNTAGGED: VlanId = 0;
const START: Instant = Instant::from_nanos(1_000_000_000);

fn wire(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire");
    group.throughput(Throughput::Elements(1));
    for count in [1, 255] {
        let addresses: Vec<IpAddr> =
            (0..count).map(|n| IpAddr::V4(Ipv4Addr::from(0x0a4d_8000 + n))).collect();
        let outgoing = outgoing(&addresses);
        let mut frame = [0; MAX_ADVERTISEMENT_FRAME];
        group.bench_function(format!("build-advert/{count}"), |bencher| {
            bencher.iter(|| black_box(&outgoing).build(GROUP, black_box(&mut frame)));
        });
        let length = outgoing.build(GROUP, &mut frame).expect("the frame has room for 255 addresses");
        let checksum = ChecksumMode::Auto(Checksum::Pseudo);
        let expected = Expected::multicast(OURS, Versions::Only(Version::V3), interval(), checksum);
        group.bench_function(format!("parse-advert/{count}"), |bencher| {
            bencher.iter(|| parse_frame(black_box(&frame[..length]), |_, _, _| Some(expected)).is_ok());
        });
        assert!(
            parse_frame(&frame[..length], |_, _, _| Some(expected)).is_ok(),
            "the advert that is parsed is valid"
        );
    }
    let arp = GratuitousArp {
        operation: Operation::Request,
        mac: [0, 0, 0x5e, 0, 1, 51],
        vlan: UNTAGGED,
        address: Ipv4Addr::new(10, 77, 0, 100),
    };
    let mut frame = [0; MAX_ARP_FRAME];
    group.bench_function("build-gratuitous-arp", |bencher| {
        bencher.iter(|| black_box(&arp).build(black_box(&mut frame)));
    });
    group.finish();
}

fn election(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("election");
    let heard = advertisement(Standing::Active(priority(254)));
    group.bench_function("backup-hears-advert", |bencher| {
        let (mut router, mut now) = (backup(), START);
        bencher.iter(|| {
            now = now + Duration::from_millis(10);
            router.handle(black_box(Input::Advertisement(heard)), now)
        });
        assert_eq!(router.role(), Role::Backup);
    });
    group.bench_function("active-renews", |bencher| {
        let (mut router, mut now) = active();
        bencher.iter(|| {
            now = now + Duration::from_millis(10);
            let actions = router.handle(black_box(Input::Timer), now);
            (actions, router.handle(Input::Transmitted(now), now))
        });
        assert_eq!(router.role(), Role::Active);
    });
    group.bench_function("takeover", |bencher| {
        let router = backup();
        let at = router.deadline().expect("a Backup waits for its Active_Down_Timer");
        bencher.iter_batched(
            || router.clone(),
            |mut router| (router.handle(black_box(Input::Timer), at), router),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn outgoing(addresses: &[IpAddr]) -> Outgoing<'_> {
    Outgoing {
        mac: [0, 0, 0x5e, 0, 1, 51],
        vlan: UNTAGGED,
        source: PEER,
        version: Version::V3,
        vrid: vrid(),
        standing: Standing::Active(priority(254)),
        interval: interval(),
        checksum: Checksum::Pseudo,
        addresses,
    }
}

fn advertisement(standing: Standing) -> Advertisement<IpAddr> {
    let (version, checksum) = (Version::V3, Checksum::Pseudo);
    Advertisement { source: PEER, standing, interval: interval(), version, checksum }
}

fn backup() -> VirtualRouter<IpAddr> {
    let parameters = Parameters {
        vrid: vrid(),
        priority: priority(253),
        interval: interval(),
        preempt: false,
        down_adverts: DownAdverts::RFC,
        preempt_delay: Duration::ZERO,
        startup_hold: Duration::ZERO,
        primary: OURS,
        checksum: ChecksumMode::Auto(Checksum::Pseudo),
        versions: Versions::Only(Version::V3),
    };
    let mut router = VirtualRouter::new(parameters, None);
    router.handle(Input::Startup, START);
    assert_eq!(router.role(), Role::Backup);
    router
}

fn active() -> (VirtualRouter<IpAddr>, Instant) {
    let mut router = backup();
    let at = router.deadline().expect("a Backup waits for its Active_Down_Timer");
    router.handle(Input::Timer, at);
    router.handle(Input::Transmitted(at), at);
    assert_eq!(router.role(), Role::Active);
    (router, at)
}

fn vrid() -> Vrid {
    Vrid::new(51).expect("51 is a VRID")
}

fn priority(octet: u8) -> Priority {
    Priority::new(octet).expect("not zero")
}

fn interval() -> Interval {
    Interval::from_centiseconds(1).expect("10 ms is an interval")
}

criterion_group!(benches, wire, election);
criterion_main!(benches);
