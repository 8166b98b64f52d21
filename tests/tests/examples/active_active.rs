//! `agent/examples/active-active`: both nodes work, either does the other's work too, and DNS names both addresses.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use baton_tests::lab::{Host, Lab, Nginx, Process, wait_until};

use super::files::install;
use super::nodes::{SOON, start_agent, wait_fit, with_example};

const NAME: &str = "www.example.com";
const VIPS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 0, 100), Ipv4Addr::new(10, 77, 0, 101)];

#[test]
fn both_addresses_of_a_name_are_served_by_a_node_each_by_one_when_the_other_is_dead_and_by_each_again()
-> Result<()> {
    with_example("active-active", &[], |lab| {
        let _dns = start_dns(lab)?;
        let mut agents = Vec::new();
        let mut servers = Vec::new();
        for host in Host::NODES {
            servers.push(Nginx::start(lab, host, Ipv4Addr::UNSPECIFIED)?);
            agents.push(start_agent(lab, host)?);
            wait_fit(lab, host)?;
        }
        wait_served(lab, ["node a", "node b"])?;
        clients_find(lab, &["node a", "node b"])?;

        // The guardian dies with its agent: that is a host without power, but for its kernel.
        drop(agents.pop());
        drop(servers.pop());
        wait_served(lab, ["node a", "node a"])?;
        clients_find(lab, &["node a"])?;

        servers.push(Nginx::start(lab, Host::B, Ipv4Addr::UNSPECIFIED)?);
        agents.push(start_agent(lab, Host::B)?);
        wait_served(lab, ["node a", "node b"])?;
        clients_find(lab, &["node a", "node b"])?;

        drop(agents.remove(0));
        wait_served(lab, ["node b", "node b"])?;
        clients_find(lab, &["node b"])
    })
}

/// Starts the name server beside the client.
fn start_dns(lab: &Lab) -> Result<Process> {
    install(lab, Host::Client, "active-active", &[])?;
    let file = lab.host_directory(Host::Client).join("etc/baton/active-active/dnsmasq.conf");
    let mut command = lab.command(Host::Client, "dnsmasq");
    command.args(["--keep-in-foreground", "--user=nobody", "--no-resolv", "--no-hosts", "--pid-file="]);
    command.arg(format!("--listen-address={}", Host::Client.address())).arg("--bind-interfaces");
    command.arg(format!("--conf-file={}", file.display()));
    let server = Process::start(&mut command, &lab.host_directory(Host::Client).join("dnsmasq.log"))?;
    wait_until("a name server", SOON, || Ok(resolve(lab).is_ok_and(|found| found.len() == VIPS.len())))?;
    Ok(server)
}

/// The addresses of the name, in the order of the answer.
fn resolve(lab: &Lab) -> Result<Vec<Ipv4Addr>> {
    let server = format!("@{}", Host::Client.address());
    let answer = lab.run(Host::Client, "dig", &["+short", "+time=1", "+tries=1", &server, NAME])?;
    Ok(answer.lines().map(str::parse).collect::<Result<_, _>>()?)
}

/// What a client gets that asks for the name and takes the first address.
fn visit(lab: &Lab) -> Result<String> {
    let vips = resolve(lab)?;
    ensure!(vips.iter().collect::<BTreeSet<_>>() == VIPS.iter().collect(), "{vips:?}");
    lab.fetch(vips[0])
}

/// Asserts that visitors get the pages of `pages`, of all of them, and no error.
fn clients_find(lab: &Lab, pages: &[&str]) -> Result<()> {
    let found = (0..10).map(|_| visit(lab)).collect::<Result<BTreeSet<_>>>()?;
    ensure!(found.iter().eq(pages), "{found:?} instead of {pages:?}");
    Ok(())
}

/// Waits until the addresses are served by those nodes.
fn wait_served(lab: &Lab, pages: [&str; 2]) -> Result<()> {
    wait_until(&format!("{pages:?}"), SOON, || {
        Ok(VIPS.iter().zip(pages).all(|(vip, page)| lab.fetch(*vip).is_ok_and(|found| found == page)))
    })
}
