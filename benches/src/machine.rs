//! What the machine did meanwhile.

use std::fs;

use anyhow::{Context as _, Result};

/// The kernel's unit in /proc/stat: USER_HZ is 100 everywhere.
const TICK_US: u64 = 10_000;

/// The time that the hypervisor has kept all CPUs from running though they had work, since boot. It grows in steps of 10 ms.
pub fn steal_us() -> Result<u64> {
    parse(&fs::read_to_string("/proc/stat").context("read /proc/stat")?)
        .context("/proc/stat tells of steal time")
}

fn parse(stat: &str) -> Option<u64> {
    // user nice system idle iowait irq softirq steal, proc_stat(5).
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    Some(line.split_ascii_whitespace().nth(7)?.parse::<u64>().ok()? * TICK_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_the_eighth_time_of_all_cpus() {
        assert_eq!(parse("cpu  1 2 3 4 5 6 7 21 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n"), Some(210_000));
        assert_eq!(parse("cpu0 1 2 3 4 5 6 7 8 9 10\n"), None);
    }
}
