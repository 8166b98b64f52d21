//! What the measuring programs share: real-time scheduling, ARP probing, rounds of faults, statistics and reports.

pub mod arp;
pub mod cost;
pub mod realtime;
pub mod report;
pub mod rounds;
pub mod row;
pub mod stats;
pub mod svg;

use baton_tests::lab::{Host, Lab, VIP};

/// How people call the lab tool.
pub const LAB: &str = "cargo xtask lab";

/// What can be typed to play with a lab that stays up.
pub fn hints(lab: &Lab) -> String {
    let line = |what: &str, call: &str| format!("  {what:<16} {LAB} {call}\n");
    let hosts = Host::ALL.map(|host| {
        let what = format!("{:<2} {}", host.name(), host.address());
        line(&what, &format!("exec {} ip address", host.name()))
    });
    let vip = line(&format!("VIP {VIP}"), &format!("exec cl curl http://{VIP}/"));
    let switch = line("switch", "exec sw bridge fdb show br br0");
    let end = line("the end of it", "down");
    format!("{}{vip}{switch}{end}  files in {}\n", hosts.concat(), lab.directory().display())
}
