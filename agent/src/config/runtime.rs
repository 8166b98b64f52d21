//! The `[runtime]` table.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::document::Map;
use super::findings::{Findings, Spot};
use super::key::{Key, Table};
use super::section::Section;
use super::shape::{Boolean, Maybe, Number, Tabular, Text, Word};
use super::{DatapathLog, Runtime, SbfdChoice, XdpChoice, text};

pub(super) static RUNTIME: Key<Tabular> = Key {
    name: "runtime",
    meaning: "How the agent runs.",
    remedy: "write [runtime] above its keys",
    default: Some("{}"),
    shape: Tabular(&TABLE),
};

static TABLE: Table = Table {
    name: "[runtime]",
    kind: "runtime",
    identity: &[],
    keys: &[&DIRECTORY, &PINS, &REALTIME_PRIORITY, &SBFD, &XDP, &DATAPATH_LOG, &METRICS, &FLOWS, &FLOW_CACHE],
};

static DIRECTORY: Key<Text<PathBuf>> = Key {
    name: "directory",
    meaning: "Control socket, and the record of what was changed on the host.",
    remedy: "write an absolute path, such as \"/run/baton\"",
    default: Some("\"/run/baton\""),
    shape: text::PATH,
};
static PINS: Key<Text<PathBuf>> = Key {
    name: "pins",
    meaning: "Pinned programs and maps, on a BPF file system.",
    remedy: "write an absolute path, such as \"/sys/fs/bpf/baton\"",
    default: Some("\"/sys/fs/bpf/baton\""),
    shape: text::PATH,
};
static REALTIME_PRIORITY: Key<Number<u8>> = Key {
    name: "realtime_priority",
    meaning: "SCHED_FIFO priority of the election thread and of the guardian; 0 for ordinary threads.",
    remedy: "write a SCHED_FIFO priority of 1 to 99, or 0 for an ordinary thread",
    default: Some("50"),
    shape: Number { least: 0, most: 99, step: 1, meaning: |priority| u8::try_from(priority).ok() },
};
static SBFD: Key<Word<SbfdChoice>> = Key {
    name: "sbfd",
    meaning: "How a Backup watches an Active Router that is Baton, too, beside its adverts.",
    remedy: "write \"auto\", \"fastest\", \"fast\", \"steady\", \"relaxed\" or \"off\"",
    default: Some("\"auto\""),
    shape: Word(&[
        ("auto", SbfdChoice::Auto),
        ("fastest", SbfdChoice::Fastest),
        ("fast", SbfdChoice::Fast),
        ("steady", SbfdChoice::Steady),
        ("relaxed", SbfdChoice::Relaxed),
        ("off", SbfdChoice::Off),
    ]),
};
static XDP: Key<Word<XdpChoice>> = Key {
    name: "xdp",
    meaning: "Which XDP modes are tried: auto takes native, and generic where native does not work.",
    remedy: "write \"auto\", \"native\" or \"generic\"",
    default: Some("\"auto\""),
    shape: Word(&[("auto", XdpChoice::Auto), ("native", XdpChoice::Native), ("generic", XdpChoice::Generic)]),
};
static DATAPATH_LOG: Key<Word<DatapathLog>> = Key {
    name: "datapath_log",
    meaning: "Which frames the data plane logs.",
    remedy: "write \"off\" or \"debug\"",
    default: Some("\"off\""),
    shape: Word(&[("off", DatapathLog::Off), ("debug", DatapathLog::Debug)]),
};

static METRICS: Key<Maybe<Text<SocketAddr>>> = Key {
    name: "metrics",
    meaning: "Where /metrics is served.",
    remedy: "write a loopback address and a port, such as \"127.0.0.1:9112\"; for other hosts put a proxy before it that asks who they are",
    default: None,
    shape: Maybe(text::LOOPBACK),
};

static FLOWS: Key<Number<u32>> = Key {
    name: "flows",
    meaning: "Flows that are remembered on an interface with services, on each receive queue, and in the flow cache.",
    remedy: "write 1024 to 4194304",
    default: Some("131072"),
    shape: Number { least: 1024, most: 4_194_304, step: 1, meaning: Some },
};
static FLOW_CACHE: Key<Boolean> = Key {
    name: "flow_cache",
    meaning: "Whether XDP itself forwards the frames of established flows.",
    remedy: "write true, or false for an engine that sees every frame",
    default: Some("true"),
    shape: Boolean,
};

/// What the table spells; what is wrong with it was noted if that is nothing.
pub(super) fn runtime(table: (Spot, Map), findings: &mut Findings) -> Option<Runtime> {
    let mut section = Section::open(&TABLE, table, findings);
    let directory = section.read(&DIRECTORY);
    let pins = section.read(&PINS);
    let realtime_priority = section.read(&REALTIME_PRIORITY);
    let sbfd = section.read(&SBFD);
    let xdp = section.read(&XDP);
    let datapath_log = section.read(&DATAPATH_LOG);
    let metrics = section.read(&METRICS);
    let flows = section.read(&FLOWS);
    let flow_cache = section.read(&FLOW_CACHE);
    Some(Runtime {
        directory: directory?,
        pins: pins?,
        realtime_priority: realtime_priority?,
        sbfd: sbfd?,
        xdp: xdp?,
        datapath_log: datapath_log?,
        metrics: metrics?,
        flows: flows?,
        flow_cache: flow_cache?,
    })
}
