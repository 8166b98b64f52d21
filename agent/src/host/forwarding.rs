//! Whether the kernel routes what arrives. That is the operator's decision, which a gateway depends on.

use std::fs;
use std::path::Path;

use baton_common::vrid::Family;

/// The sysctl to set to 1 for the kernel to route packets of `family` that come in on `interface`; `None` if it does already, or
/// does not say.
pub fn missing(interface: &str, family: Family) -> Option<&'static str> {
    missing_below(Path::new("/proc/sys/net"), interface, family)
}

fn missing_below(directory: &Path, interface: &str, family: Family) -> Option<&'static str> {
    let is_off = |key: &str| Some(fs::read_to_string(directory.join(key)).ok()?.trim() == "0");
    match family {
        // That of the interface counts; net.ipv4.ip_forward sets all of them.
        Family::Ipv4 => {
            is_off(&format!("ipv4/conf/{interface}/forwarding"))?.then_some("net.ipv4.ip_forward")
        }
        // An interface's own decides about Router Advertisements only, but for one that Linux has had since 6.17.
        Family::Ipv6 => {
            let is_forced = is_off(&format!("ipv6/conf/{interface}/force_forwarding")) == Some(false);
            let is_off = is_off("ipv6/conf/all/forwarding")? && !is_forced;
            is_off.then_some("net.ipv6.conf.all.forwarding")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_and_what_cannot_be_read_is_not() {
        let directory = std::env::temp_dir().join(format!("baton-forwarding-{}", std::process::id()));
        let set = |key: &str, value: &str| {
            let path = directory.join(key);
            fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            fs::write(path, value).expect("written");
        };
        let said = || [Family::Ipv4, Family::Ipv6].map(|family| missing_below(&directory, "eth0", family));
        assert_eq!(said(), [None, None]);
        set("ipv4/conf/eth0/forwarding", "0\n");
        set("ipv4/conf/all/forwarding", "1\n");
        set("ipv6/conf/all/forwarding", "0\n");
        assert_eq!(said(), [Some("net.ipv4.ip_forward"), Some("net.ipv6.conf.all.forwarding")]);
        set("ipv4/conf/eth0/forwarding", "1\n");
        set("ipv6/conf/eth0/force_forwarding", "1\n");
        assert_eq!(said(), [None, None]);
        set("ipv6/conf/eth0/force_forwarding", "0\n");
        set("ipv6/conf/all/forwarding", "1\n");
        assert_eq!(said(), [None, None]);
        fs::remove_dir_all(directory).expect("it is there");
    }
}
