//! What the measuring programs share: real-time scheduling, ARP probing, floods, rounds of faults, statistics and reports.

pub mod arp;
pub mod cli;
pub mod cost;
pub mod engine;
pub mod flood;
pub mod machine;
pub mod measure;
pub mod pace;
pub mod plan;
pub mod realtime;
pub mod report;
pub mod rounds;
pub mod row;
pub mod scale;
pub mod series;
pub mod stats;
pub mod systems;
pub mod watch;

use baton_tests::lab::{Host, Lab, VIP};

/// How people call the lab tool.
pub const LAB: &str = "cargo xtask lab";

/// What can be typed to play with a lab that stays up.
pub fn hints(lab: &Lab) -> String {
    let which = if Lab::kept().len() > 1 { format!("--id {} ", lab.id()) } else { String::new() };
    let line = |what: &str, verb: &str, rest: &str| {
        let call = format!("{LAB} {verb} {which}{rest}");
        format!("  {what:<16} {}\n", call.trim_end())
    };
    let hosts = Host::ALL.map(|host| {
        let what = format!("{:<2} {}", host.name(), host.address());
        line(&what, "exec", &format!("{} ip address", host.name()))
    });
    let vip = line(&format!("VIP {VIP}"), "exec", &format!("cl curl http://{VIP}/"));
    let switch = line("switch", "exec", "sw bridge fdb show br br0");
    let agents = agents(lab).map(|(what, call)| line(what, "exec", &call)).collect::<String>();
    let end = line("the end of it", "down", "");
    format!("{}{vip}{agents}{switch}{end}  files in {}\n", hosts.concat(), lab.directory().display())
}

/// What can be asked of Baton on the nodes, where it runs.
fn agents(lab: &Lab) -> impl Iterator<Item = (&'static str, String)> {
    let configuration = |host| lab.host_directory(host).join("baton.toml");
    let calls = [
        (Host::A, "status of a", "status"),
        (Host::B, "status of b", "status"),
        (Host::A, "planned move", "handover"),
    ];
    calls.into_iter().filter(move |(host, ..)| configuration(*host).exists()).map(
        move |(host, what, verb)| {
            let file = configuration(host);
            (what, format!("{} baton {verb} --config {}", host.name(), file.display()))
        },
    )
}
