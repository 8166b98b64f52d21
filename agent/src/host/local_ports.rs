//! The ports that the kernel gives to this host's own connections.

use std::fs;
use std::ops::RangeInclusive;

/// As the kernel has them unless told otherwise.
const USUAL: RangeInclusive<u16> = 32_768..=60_999;

/// Those of this network namespace, for both families.
pub fn local_ports() -> RangeInclusive<u16> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    parse(&text).unwrap_or(USUAL)
}

fn parse(text: &str) -> Option<RangeInclusive<u16>> {
    let mut words = text.split_whitespace().map(str::parse);
    Some(words.next()?.ok()?..=words.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_read_as_the_kernel_writes_it() {
        assert_eq!(parse("1024\t2047\n"), Some(1024..=2047));
        assert_eq!([parse(""), parse("1024"), parse("1024 70000")], [None, None, None]);
    }
}
