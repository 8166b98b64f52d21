//! Every cell of the state table, as rows of data.

use baton_tests::lan::text;

use super::Given::{
    self, DatapathLost, Handover, Hears, LinkDown, OutOfService, OutOfServiceButOther, Resume, ResumeLapsed,
    Shutdown, Startup, Timer, TimerDue, TransmitFailed, Transmitted, Unreachable, UnreachableButOther,
};
use super::{HIGHER, LOWER, feed, ms, router};

/// Where a row of the state table begins: what led there, and the time of the cell's input in ms.
type Situation = (&'static str, &'static [(Given, f64)], f64);

/// The columns: every input, and those whose outcome depends on what they carry in every flavour.
const INPUTS: [(&str, Given); 20] = [
    ("startup", Startup),
    ("resume", Resume),
    ("resume, lapsed", ResumeLapsed),
    ("shutdown", Shutdown),
    ("handover", Handover),
    ("link down", LinkDown),
    ("hears 0", Hears(0, HIGHER)),
    ("hears 50", Hears(50, HIGHER)),
    ("hears 100 from lower", Hears(100, LOWER)),
    ("hears 100 from higher", Hears(100, HIGHER)),
    ("hears 200", Hears(200, LOWER)),
    ("timer early", Timer),
    ("timer due", TimerDue),
    ("unreachable", Unreachable),
    ("unreachable, not next", UnreachableButOther),
    ("out of service", OutOfService),
    ("out of service, not next", OutOfServiceButOther),
    ("transmitted", Transmitted),
    ("transmit failed", TransmitFailed),
    ("datapath lost", DatapathLost),
];

/// The rows: a router of priority 100 and interval 100 cs in every state and sub-state.
const SITUATIONS: [Situation; 10] = [
    ("Initialize", &[], 1000.0),
    ("Backup", &[(Startup, 0.0)], 1000.0),
    ("Backup to a known router", &[(Startup, 0.0), (Hears(200, HIGHER), 500.0)], 1000.0),
    ("Backup after priority 0", &[(Startup, 0.0), (Hears(0, HIGHER), 1000.0)], 1200.0),
    ("Backup about to preempt", &[(Startup, 0.0), (Hears(50, HIGHER), 1000.0)], 1200.0),
    (
        "Backup yielded",
        &[(Startup, 0.0), (Timer, 4000.0), (Handover, 4500.0), (Hears(50, HIGHER), 4600.0)],
        5000.0,
    ),
    ("Active", &[(Startup, 0.0), (Timer, 4000.0)], 4500.0),
    ("Active with a lapsed lease", &[(Startup, 0.0), (Timer, 4000.0)], 7000.0),
    ("Leaving for shutdown", &[(Startup, 0.0), (Timer, 4000.0), (Shutdown, 4500.0)], 5000.0),
    ("Leaving for handover", &[(Startup, 0.0), (Timer, 4000.0), (Handover, 4500.0)], 5000.0),
];

#[test]
fn every_cell_of_the_state_table_acts_as_written() {
    for ((name, before, at), (row, expected)) in SITUATIONS.into_iter().zip(TABLE) {
        assert_eq!(name, row);
        for ((label, given), (column, outcome)) in INPUTS.into_iter().zip(expected) {
            assert_eq!(label, column);
            assert_eq!(cell(before, given, at), outcome, "{name}, {label}");
        }
    }
}

/// Leads a router into a situation, feeds it the cell's input, and tells what it does and where it ends up.
fn cell(before: &[(Given, f64)], given: Given, at: f64) -> String {
    let mut router = router(100);
    for (input, at) in before {
        feed(&mut router, *input, ms(*at));
    }
    let at = match (given, router.deadline()) {
        (TimerDue, Some(deadline)) => deadline.max(ms(at)),
        _ => ms(at),
    };
    let actions = feed(&mut router, given, at);
    let flags = match (router.leaving(), router.yielded()) {
        (true, _) => " leaving",
        (_, true) => " yielded",
        (false, false) => "",
    };
    let deadline = router.deadline().map_or_else(|| "never".to_owned(), text::time);
    format!("{actions} => {}{flags}, {deadline}", router.role())
}

/// What every cell of a row does: actions, the role that follows, and its deadline in ms.
type Row = (&'static str, [(&'static str, &'static str); 20]);

/// The state table.
const TABLE: [Row; 10] = [
    (
        "Initialize",
        [
            ("startup", "Initialize -> Backup (startup) => Backup, 4609.375"),
            ("resume", "own until 1500; send 100; announce; Initialize -> Active (resumed) => Active, 1500"),
            ("resume, lapsed", "Initialize -> Backup (startup) => Backup, 4609.375"),
            ("shutdown", "nothing => Initialize, never"),
            ("handover", "nothing => Initialize, never"),
            ("link down", "nothing => Initialize, never"),
            ("hears 0", "nothing => Initialize, never"),
            ("hears 50", "nothing => Initialize, never"),
            ("hears 100 from lower", "nothing => Initialize, never"),
            ("hears 100 from higher", "nothing => Initialize, never"),
            ("hears 200", "nothing => Initialize, never"),
            ("timer early", "nothing => Initialize, never"),
            ("timer due", "nothing => Initialize, never"),
            ("unreachable", "nothing => Initialize, never"),
            ("unreachable, not next", "nothing => Initialize, never"),
            ("out of service", "nothing => Initialize, never"),
            ("out of service, not next", "nothing => Initialize, never"),
            ("transmitted", "nothing => Initialize, never"),
            ("transmit failed", "nothing => Initialize, never"),
            ("datapath lost", "nothing => Initialize, never"),
        ],
    ),
    (
        "Backup",
        [
            ("startup", "nothing => Backup, 3609.375"),
            ("resume", "nothing => Backup, 3609.375"),
            ("resume, lapsed", "nothing => Backup, 3609.375"),
            ("shutdown", "Backup -> Initialize (shutdown) => Initialize, never"),
            ("handover", "nothing => Backup, 3609.375"),
            ("link down", "Backup -> Initialize (link-down) => Initialize, never"),
            ("hears 0", "nothing => Backup, 1609.375"),
            ("hears 50", "nothing => Backup, 3609.375"),
            ("hears 100 from lower", "nothing => Backup, 2804.6875"),
            ("hears 100 from higher", "nothing => Backup, 2804.6875"),
            ("hears 200", "nothing => Backup, 2804.6875"),
            ("timer early", "nothing => Backup, 3609.375"),
            (
                "timer due",
                "own until 6609.375; send 100; announce; Backup -> Active (active-down) => Active, 4609.375",
            ),
            ("unreachable", "nothing => Backup, 3609.375"),
            ("unreachable, not next", "nothing => Backup, 3609.375"),
            ("out of service", "nothing => Backup, 3609.375"),
            ("out of service, not next", "nothing => Backup, 3609.375"),
            ("transmitted", "nothing => Backup, 3609.375"),
            ("transmit failed", "nothing => Backup, 3609.375"),
            ("datapath lost", "Backup -> Initialize (datapath-lost) => Initialize, never"),
        ],
    ),
    (
        "Backup to a known router",
        [
            ("startup", "nothing => Backup, 2304.6875"),
            ("resume", "nothing => Backup, 2304.6875"),
            ("resume, lapsed", "nothing => Backup, 2304.6875"),
            ("shutdown", "Backup -> Initialize (shutdown) => Initialize, never"),
            ("handover", "nothing => Backup, 2304.6875"),
            ("link down", "Backup -> Initialize (link-down) => Initialize, never"),
            ("hears 0", "nothing => Backup, 1304.6875"),
            ("hears 50", "nothing => Backup, 2304.6875"),
            ("hears 100 from lower", "nothing => Backup, 2804.6875"),
            ("hears 100 from higher", "nothing => Backup, 2804.6875"),
            ("hears 200", "nothing => Backup, 2804.6875"),
            ("timer early", "nothing => Backup, 2304.6875"),
            (
                "timer due",
                "own until 5304.6875; send 100; announce; Backup -> Active (active-down) => Active, 3304.6875",
            ),
            (
                "unreachable",
                "own until 4000; send 100; announce; Backup -> Active (active-unreachable) => Active, 2000",
            ),
            ("unreachable, not next", "nothing => Backup, 1304.6875"),
            (
                "out of service",
                "own until 4000; send 100; announce; Backup -> Active (active-out-of-service) => Active, 2000",
            ),
            ("out of service, not next", "nothing => Backup, 1304.6875"),
            ("transmitted", "nothing => Backup, 2304.6875"),
            ("transmit failed", "nothing => Backup, 2304.6875"),
            ("datapath lost", "Backup -> Initialize (datapath-lost) => Initialize, never"),
        ],
    ),
    (
        "Backup after priority 0",
        [
            ("startup", "nothing => Backup, 1609.375"),
            ("resume", "nothing => Backup, 1609.375"),
            ("resume, lapsed", "nothing => Backup, 1609.375"),
            ("shutdown", "Backup -> Initialize (shutdown) => Initialize, never"),
            ("handover", "nothing => Backup, 1609.375"),
            ("link down", "Backup -> Initialize (link-down) => Initialize, never"),
            ("hears 0", "nothing => Backup, 1809.375"),
            ("hears 50", "nothing => Backup, 1609.375"),
            ("hears 100 from lower", "nothing => Backup, 3004.6875"),
            ("hears 100 from higher", "nothing => Backup, 3004.6875"),
            ("hears 200", "nothing => Backup, 3004.6875"),
            ("timer early", "nothing => Backup, 1609.375"),
            (
                "timer due",
                "own until 4609.375; send 100; announce; Backup -> Active (active-left) => Active, 2609.375",
            ),
            ("unreachable", "nothing => Backup, 1609.375"),
            ("unreachable, not next", "nothing => Backup, 1609.375"),
            ("out of service", "nothing => Backup, 1609.375"),
            ("out of service, not next", "nothing => Backup, 1609.375"),
            ("transmitted", "nothing => Backup, 1609.375"),
            ("transmit failed", "nothing => Backup, 1609.375"),
            ("datapath lost", "Backup -> Initialize (datapath-lost) => Initialize, never"),
        ],
    ),
    (
        "Backup about to preempt",
        [
            ("startup", "nothing => Backup, 3609.375"),
            ("resume", "nothing => Backup, 3609.375"),
            ("resume, lapsed", "nothing => Backup, 3609.375"),
            ("shutdown", "Backup -> Initialize (shutdown) => Initialize, never"),
            ("handover", "nothing => Backup, 3609.375"),
            ("link down", "Backup -> Initialize (link-down) => Initialize, never"),
            ("hears 0", "nothing => Backup, 1809.375"),
            ("hears 50", "nothing => Backup, 3609.375"),
            ("hears 100 from lower", "nothing => Backup, 3004.6875"),
            ("hears 100 from higher", "nothing => Backup, 3004.6875"),
            ("hears 200", "nothing => Backup, 3004.6875"),
            ("timer early", "nothing => Backup, 3609.375"),
            (
                "timer due",
                "own until 6609.375; send 100; announce; Backup -> Active (preempted) => Active, 4609.375",
            ),
            ("unreachable", "nothing => Backup, 3609.375"),
            ("unreachable, not next", "nothing => Backup, 3609.375"),
            ("out of service", "nothing => Backup, 3609.375"),
            ("out of service, not next", "nothing => Backup, 3609.375"),
            ("transmitted", "nothing => Backup, 3609.375"),
            ("transmit failed", "nothing => Backup, 3609.375"),
            ("datapath lost", "Backup -> Initialize (datapath-lost) => Initialize, never"),
        ],
    ),
    (
        "Backup yielded",
        [
            ("startup", "nothing => Backup yielded, 6404.6875"),
            ("resume", "nothing => Backup yielded, 6404.6875"),
            ("resume, lapsed", "nothing => Backup yielded, 6404.6875"),
            ("shutdown", "Backup -> Initialize (shutdown) => Initialize, never"),
            ("handover", "nothing => Backup yielded, 6404.6875"),
            ("link down", "Backup -> Initialize (link-down) => Initialize, never"),
            ("hears 0", "nothing => Backup yielded, 5304.6875"),
            ("hears 50", "nothing => Backup yielded, 6804.6875"),
            ("hears 100 from lower", "nothing => Backup yielded, 6804.6875"),
            ("hears 100 from higher", "nothing => Backup yielded, 6804.6875"),
            ("hears 200", "nothing => Backup yielded, 6804.6875"),
            ("timer early", "nothing => Backup yielded, 6404.6875"),
            (
                "timer due",
                "own until 9404.6875; send 100; announce; Backup -> Active (active-down) => Active, 7404.6875",
            ),
            (
                "unreachable",
                "own until 8000; send 100; announce; Backup -> Active (active-unreachable) => Active, 6000",
            ),
            ("unreachable, not next", "nothing => Backup yielded, 5304.6875"),
            (
                "out of service",
                "own until 8000; send 100; announce; Backup -> Active (active-out-of-service) => Active, 6000",
            ),
            ("out of service, not next", "nothing => Backup yielded, 5304.6875"),
            ("transmitted", "nothing => Backup yielded, 6404.6875"),
            ("transmit failed", "nothing => Backup yielded, 6404.6875"),
            ("datapath lost", "Backup -> Initialize (datapath-lost) => Initialize, never"),
        ],
    ),
    (
        "Active",
        [
            ("startup", "nothing => Active, 5000"),
            ("resume", "nothing => Active, 5000"),
            ("resume, lapsed", "nothing => Active, 5000"),
            ("shutdown", "linger until 5504; send 0; Active -> Active (shutdown) => Active leaving, 5502"),
            ("handover", "linger until 5504; send 0; Active -> Active (handover) => Active leaving, 5502"),
            ("link down", "disown; Active -> Initialize (link-down) => Initialize, never"),
            ("hears 0", "send 100 => Active, 5500"),
            ("hears 50", "send 100; announce => Active, 5000"),
            ("hears 100 from lower", "send 100; announce => Active, 5000"),
            (
                "hears 100 from higher",
                "disown; concede; Active -> Backup (higher-priority) => Backup, 6304.6875",
            ),
            ("hears 200", "disown; concede; Active -> Backup (higher-priority) => Backup, 6304.6875"),
            ("timer early", "nothing => Active, 5000"),
            ("timer due", "send 100 => Active, 6000"),
            ("unreachable", "nothing => Active, 5000"),
            ("unreachable, not next", "nothing => Active, 5000"),
            ("out of service", "nothing => Active, 5000"),
            ("out of service, not next", "nothing => Active, 5000"),
            ("transmitted", "own until 7500 => Active, 5000"),
            ("transmit failed", "nothing => Active, 5000"),
            ("datapath lost", "send 0; disown; Active -> Initialize (datapath-lost) => Initialize, never"),
        ],
    ),
    (
        "Active with a lapsed lease",
        [
            ("startup", "disown; Active -> Backup (lease-lapsed) => Backup, 10609.375"),
            ("resume", "disown; Active -> Backup (lease-lapsed) => Backup, 10609.375"),
            ("resume, lapsed", "disown; Active -> Backup (lease-lapsed) => Backup, 10609.375"),
            (
                "shutdown",
                "disown; Active -> Backup (lease-lapsed); Backup -> Initialize (shutdown) => Initialize, never",
            ),
            ("handover", "disown; Active -> Backup (lease-lapsed) => Backup, 10609.375"),
            (
                "link down",
                "disown; Active -> Backup (lease-lapsed); Backup -> Initialize (link-down) => Initialize, never",
            ),
            ("hears 0", "disown; Active -> Backup (lease-lapsed) => Backup, 7609.375"),
            ("hears 50", "disown; Active -> Backup (lease-lapsed) => Backup, 10609.375"),
            ("hears 100 from lower", "disown; Active -> Backup (lease-lapsed) => Backup, 8804.6875"),
            ("hears 100 from higher", "disown; Active -> Backup (lease-lapsed) => Backup, 8804.6875"),
            ("hears 200", "disown; Active -> Backup (lease-lapsed) => Backup, 8804.6875"),
            ("timer early", "disown; Active -> Backup (lease-lapsed) => Backup, 10609.375"),
            ("timer due", "disown; Active -> Backup (lease-lapsed) => Backup, 10609.375"),
            ("unreachable", "disown; Active -> Backup (lease-lapsed) => Backup, 10609.375"),
            ("unreachable, not next", "disown; Active -> Backup (lease-lapsed) => Backup, 10609.375"),
            ("out of service", "disown; Active -> Backup (lease-lapsed) => Backup, 10609.375"),
            ("out of service, not next", "disown; Active -> Backup (lease-lapsed) => Backup, 10609.375"),
            ("transmitted", "disown; Active -> Backup (lease-lapsed) => Backup, 10609.375"),
            ("transmit failed", "disown; Active -> Backup (lease-lapsed) => Backup, 10609.375"),
            (
                "datapath lost",
                "disown; Active -> Backup (lease-lapsed); Backup -> Initialize (datapath-lost) => Initialize, never",
            ),
        ],
    ),
    (
        "Leaving for shutdown",
        [
            ("startup", "nothing => Active leaving, 5502"),
            ("resume", "nothing => Active leaving, 5502"),
            ("resume, lapsed", "nothing => Active leaving, 5502"),
            ("shutdown", "nothing => Active leaving, 5502"),
            ("handover", "nothing => Active leaving, 5502"),
            ("link down", "disown; Active -> Initialize (link-down) => Initialize, never"),
            ("hears 0", "nothing => Active leaving, 5502"),
            ("hears 50", "linger until 5002; Active -> Initialize (succeeded) => Initialize, never"),
            (
                "hears 100 from lower",
                "linger until 5002; Active -> Initialize (succeeded) => Initialize, never",
            ),
            (
                "hears 100 from higher",
                "linger until 5002; Active -> Initialize (succeeded) => Initialize, never",
            ),
            ("hears 200", "linger until 5002; Active -> Initialize (succeeded) => Initialize, never"),
            ("timer early", "nothing => Active leaving, 5502"),
            ("timer due", "disown; Active -> Initialize (shutdown) => Initialize, never"),
            ("unreachable", "nothing => Active leaving, 5502"),
            ("unreachable, not next", "nothing => Active leaving, 5502"),
            ("out of service", "nothing => Active leaving, 5502"),
            ("out of service, not next", "nothing => Active leaving, 5502"),
            ("transmitted", "nothing => Active leaving, 5502"),
            ("transmit failed", "nothing => Active leaving, 5502"),
            ("datapath lost", "disown; Active -> Initialize (datapath-lost) => Initialize, never"),
        ],
    ),
    (
        "Leaving for handover",
        [
            ("startup", "nothing => Active leaving, 5502"),
            ("resume", "nothing => Active leaving, 5502"),
            ("resume, lapsed", "nothing => Active leaving, 5502"),
            ("shutdown", "Active -> Active (shutdown) => Active leaving, 5502"),
            ("handover", "nothing => Active leaving, 5502"),
            ("link down", "disown; Active -> Initialize (link-down) => Initialize, never"),
            ("hears 0", "nothing => Active leaving, 5502"),
            ("hears 50", "linger until 5002; Active -> Backup (succeeded) => Backup yielded, 6804.6875"),
            (
                "hears 100 from lower",
                "linger until 5002; Active -> Backup (succeeded) => Backup yielded, 6804.6875",
            ),
            (
                "hears 100 from higher",
                "linger until 5002; Active -> Backup (succeeded) => Backup yielded, 6804.6875",
            ),
            ("hears 200", "linger until 5002; Active -> Backup (succeeded) => Backup yielded, 6804.6875"),
            ("timer early", "nothing => Active leaving, 5502"),
            (
                "timer due",
                "own until 8502; send 100; announce; Active -> Active (handover-refused) => Active, 6502",
            ),
            ("unreachable", "nothing => Active leaving, 5502"),
            ("unreachable, not next", "nothing => Active leaving, 5502"),
            ("out of service", "nothing => Active leaving, 5502"),
            ("out of service, not next", "nothing => Active leaving, 5502"),
            ("transmitted", "nothing => Active leaving, 5502"),
            ("transmit failed", "nothing => Active leaving, 5502"),
            ("datapath lost", "disown; Active -> Initialize (datapath-lost) => Initialize, never"),
        ],
    ),
];
