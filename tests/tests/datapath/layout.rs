//! The object against the contract: names, sizes, capacities, flags, licence.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};

use aya::EbpfLoader;
use aya::maps::{Map, MapData};
use baton::datapath::PINNED_MAPS;
use baton::datapath::object::OBJECT;
use baton_common::maps;
use baton_tests::datapath::Datapath;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Numbers of `enum bpf_map_type`, and the flag BPF_F_MMAPABLE.
const HASH: u32 = 1;
const ARRAY: u32 = 2;
const PROGRAM_ARRAY: u32 = 3;
const PERCPU_ARRAY: u32 = 6;
const XSKMAP: u32 = 17;
const MMAPABLE: u32 = 0x400;

fn data(map: &Map) -> &MapData {
    if let Map::Array(data)
    | Map::HashMap(data)
    | Map::PerCpuArray(data)
    | Map::ProgramArray(data)
    | Map::XskMap(data) = map
    {
        return data;
    }
    panic!("a map of an unexpected type: {map:?}")
}

/// Type, key size, value size, capacity and flags, as the kernel tells them of a descriptor.
fn shape(map: &Map) -> [u32; 5] {
    let descriptor = data(map).fd().as_fd().as_raw_fd();
    let told = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).expect("an open descriptor");
    let told: BTreeMap<&str, &str> = told.lines().filter_map(|line| line.split_once(":\t")).collect();
    ["map_type", "key_size", "value_size", "max_entries", "map_flags"].map(|name| {
        let digits = told[name];
        match digits.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).expect("hexadecimal"),
            None => digits.parse().expect("decimal"),
        }
    })
}

#[test]
fn the_maps_are_what_the_contract_says() {
    let datapath = Datapath::load();
    for (name, expected) in [
        (maps::DEVICE, [ARRAY, 4, 8, 1, 0]),
        (maps::ROUTERS, [HASH, 8, 56, 512, 0]),
        (maps::VIPS, [HASH, 20, 4, 9216, 0]),
        (maps::DISCRIMINATORS, [HASH, 12, 4, 512, 0]),
        (maps::PEERS, [HASH, 20, 4, 4096, 0]),
        (maps::OWNERSHIP, [ARRAY, 4, 40, 512, MMAPABLE]),
        (maps::MAILBOXES, [ARRAY, 4, 64, 512, MMAPABLE]),
        (maps::ANSWERS, [ARRAY, 4, 32, 512, MMAPABLE]),
        (maps::STANDBYS, [ARRAY, 4, 32, 512, MMAPABLE]),
        (maps::SERVICES, [ARRAY, 4, 16, 512, MMAPABLE]),
        (maps::XSKS, [XSKMAP, 4, 4, 64, 0]),
        (maps::FRONTENDS, [HASH, 24, 4, 16_384, 0]),
        (maps::ENGINE_XSKS, [XSKMAP, 4, 4, 512, 0]),
        (maps::ARMS, [ARRAY, 4, 12, 8, 0]),
        (maps::ENGINE_PROGRAM, [PROGRAM_ARRAY, 4, 4, 1, 0]),
        (maps::FLOW_CACHE, [ARRAY, 4, 32, 1024, MMAPABLE]),
        (maps::CACHED_FLOWS, [ARRAY, 4, 40, 1024, MMAPABLE]),
        (maps::FLOW_BACKENDS, [ARRAY, 4, 64, 16_384, 0]),
        (maps::BACKENDS, [ARRAY, 4, 8, 16_384, 0]),
        (maps::TUNNELS, [ARRAY, 4, 40, 16_384, 0]),
        (maps::NATS, [ARRAY, 4, 40, 16_384, 0]),
        (maps::TRANSLATIONS, [ARRAY, 4, 96, 1024, MMAPABLE]),
        (maps::CARRIED, [PERCPU_ARRAY, 4, 32, 16_384, 0]),
        (maps::SERVED, [PERCPU_ARRAY, 4, 32, 8192, 0]),
        (maps::DECAP_NODES, [HASH, 16, 1, 64, 0]),
        (maps::DECAP_VIPS, [HASH, 16, 1, 8192, 0]),
        (maps::UNWRAPPED, [PERCPU_ARRAY, 4, 8, 1, 0]),
        (maps::COUNTERS, [PERCPU_ARRAY, 4, 8, 41, 0]),
    ] {
        let map = datapath.bpf().map(name).unwrap_or_else(|| panic!("no map {name}"));
        assert_eq!(shape(map), expected, "{name}");
    }
}

#[test]
fn the_programs_are_what_the_contract_says() {
    let datapath = Datapath::load();
    let mut names: Vec<&str> = datapath.bpf().programs().map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            maps::ANSWER_PROGRAM,
            maps::DECAP_PROGRAM,
            maps::TCX_EGRESS_PROGRAM,
            maps::TCX_INGRESS_PROGRAM,
            maps::XDP_PROGRAM
        ]
    );
    for name in names {
        let info = datapath.bpf().program(name).expect("listed").info().expect("loaded");
        assert_eq!(info.gpl_compatible(), Some(true), "{name}");
        // A third of what the kernel is willing to verify leaves room for other kernels' verifiers.
        let verified = info.verified_instruction_count().expect("kernel 5.16 or newer");
        assert!(verified < 333_333, "{name}: {verified} instructions verified");
    }
}

/// In a mount namespace of its own: no pin outlives the test, and no other test sees it.
#[test]
fn pinned_maps_are_found_again() {
    unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private mounts");
    let pins = env::temp_dir();
    mount(Some("bpf"), &pins, Some("bpf"), MsFlags::empty(), none).expect("a BPF file system");

    let load = || {
        let mut loader = EbpfLoader::new();
        for name in PINNED_MAPS {
            loader.map_pin_path(name, pins.join(name));
        }
        loader.load(OBJECT).expect("the object loads")
    };
    let ids =
        |bpf: &aya::Ebpf, name: &str| data(bpf.map(name).expect(name)).info().expect("information").id();
    let (first, second) = (load(), load());
    for name in PINNED_MAPS {
        assert_eq!(ids(&first, name), ids(&second, name), "{name}");
    }
    assert_ne!(ids(&first, maps::XSKS), ids(&second, maps::XSKS), "sockets belong to one agent");
}
