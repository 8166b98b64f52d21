//! The benchmark of the engine works: it is no place to judge figures.

use std::process::Command;
use std::{env, fs, process};

use anyhow::{Context as _, Result, ensure};
use baton_tests::lab::{binary, output};
use serde_json::Value;

/// Of all systems with one flow, and of Baton's with 10 000 directly, through a tunnel and translated, beside nftables.
const FRAMES: [(&str, u64, u64, &str); 21] = [
    ("xdp-reflector", 1514, 1, "direct"),
    ("xdp-reflector", 64, 1, "direct"),
    ("af-xdp-forwarder", 1514, 1, "direct"),
    ("af-xdp-forwarder", 64, 1, "direct"),
    ("baton-ring", 1514, 1, "direct"),
    ("baton-ring", 64, 1, "direct"),
    ("baton-flow-cache", 1514, 1, "direct"),
    ("baton-flow-cache", 64, 1, "direct"),
    ("kernel-forwarding", 1514, 1, "direct"),
    ("kernel-forwarding", 64, 1, "direct"),
    ("nftables-dnat", 1514, 1, "direct"),
    ("nftables-dnat", 64, 1, "direct"),
    ("baton-ring", 64, 10_000, "direct"),
    ("baton-flow-cache", 64, 10_000, "direct"),
    ("baton-ring", 64, 10_000, "tunnel"),
    ("baton-flow-cache", 64, 10_000, "tunnel"),
    ("baton-ring", 64, 10_000, "nat"),
    ("baton-flow-cache", 64, 10_000, "nat"),
    ("nftables-dnat", 64, 10_000, "nat"),
    ("baton-ring", 64, 10_000, "full-nat"),
    ("baton-flow-cache", 64, 10_000, "full-nat"),
];

#[test]
fn the_benchmark_measures_every_row_once_with_its_least_amount_of_work() -> Result<()> {
    let file = env::temp_dir().join(format!("baton-engine-{}.json", process::id()));
    let least = "--rounds 1 --span 10 --flows 1 --services 1 --backends 1 --connections 0 --json";
    output(Command::new(binary("engine")?).args(least.split(' ')).arg(&file))?;
    let report: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    fs::remove_file(file)?;
    ensure!(list(&report, "failures")?.is_empty(), "{report:#}");
    let told = list(&report, "rows")?.iter().map(frame_row).collect::<Result<Vec<_>>>()?;
    assert_eq!(told, FRAMES);
    let systems: Vec<&str> = FRAMES[..12].iter().step_by(2).map(|(system, ..)| *system).collect();
    let timed = list(&report, "latency")?.iter().map(timed_system).collect::<Result<Vec<_>>>()?;
    assert_eq!(timed, systems);
    // With one service: two of the ring, those of nftables and the reflector, and what 10 000 flows cost either of Baton's paths.
    assert_eq!(list(&report, "targets")?.len(), 6);
    Ok(())
}

fn list<'a>(report: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    report[key].as_array().with_context(|| format!("no list of {key}"))
}

/// What a row is about. Everything that it tells was counted.
fn frame_row(row: &Value) -> Result<(&str, u64, u64, &str)> {
    for figure in ["frames_per_second", "offered_per_second", "cpu_ns", "receive_ns"] {
        ensure!(row[figure]["median"].as_f64().is_some_and(|value| value > 0.0), "no {figure}: {row}");
    }
    ensure!((&row["rounds"], &row["services"], &row["backends"]) == (&1.into(), &1.into(), &1.into()));
    let number = |key: &str| row[key].as_u64().with_context(|| format!("no {key}"));
    Ok((text(row, "system")?, number("frame")?, number("flows")?, text(row, "forward")?))
}

fn timed_system(row: &Value) -> Result<&str> {
    ensure!(row["count"].as_u64().is_some_and(|count| count > 0), "nothing was timed: {row}");
    text(row, "system")
}

fn text<'a>(row: &'a Value, key: &str) -> Result<&'a str> {
    row[key].as_str().with_context(|| format!("no {key}"))
}
