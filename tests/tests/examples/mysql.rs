//! `agent/examples/mysql`: MariaDB replicates, the VIP is where it takes writes, and what a client was told is committed is there
//! after a move.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton_tests::lab::{Host, Lab, Process, VIP, output, wait_until};
use nix::sys::signal::Signal;
use nix::unistd::User;

use super::files::Differing;
use super::nodes::{SOON, hand_over, start_agent, wait_active, wait_failing, wait_fit, with_example};
use super::writer::write_during;

const ON_B: [Differing; 1] = [("server_id = 1 ", "server_id = 2 ")];
/// What the lab changes in MariaDB beside: small files, and no names in a network without DNS.
const LAB: &str = "user = mysql\nskip_name_resolve = ON\ninnodb_log_file_size = 4M\ninnodb_buffer_pool_size = 16M\n\
                   innodb_use_native_aio = OFF\n";
const SCHEMA: &str = "CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY, text MEDIUMTEXT); \
                      CREATE USER app@'10.77.0.%' IDENTIFIED BY 'app'; GRANT ALL ON shop.* TO app@'10.77.0.%'";

#[test]
fn a_handover_loses_no_committed_row_and_leaves_one_writer_and_one_replica() -> Result<()> {
    with_mariadb(|lab, _| {
        let mut last = 0;
        for from in Host::NODES {
            last = write_during(last + 1, |id| insert(lab, id), || hand_over(lab, from))?;
            ensure!(rows(lab, from.other())? == last, "{} rows of {last}", rows(lab, from.other())?);
            wait_rows(lab, from, last)?;
            ensure!(sql(lab, from, "SELECT @@read_only")? == "1", "two writers");
            wait_fit(lab, from)?;
        }
        // A second writer, whatever has made it one, is made a replica again.
        sql(lab, Host::B, "SET GLOBAL read_only = 0")?;
        wait_until("node b to take no writes", SOON, || Ok(sql(lab, Host::B, "SELECT @@read_only")? == "1"))?;
        wait_fit(lab, Host::B)
    })
}

#[test]
fn a_new_writer_waits_until_it_has_all_that_the_old_one_has_committed() -> Result<()> {
    with_mariadb(|lab, servers| {
        // More than fits into the buffers on the way to a replica that reads nothing.
        let rows = "INSERT INTO shop.orders SELECT seq, REPEAT('x', 100000) FROM shop.seq_1_to_200";
        servers[1].signal_tree(Signal::SIGSTOP)?;
        output(&mut application(lab, rows))?;
        hand_over(lab, Host::A)?;
        servers[1].signal_tree(Signal::SIGCONT)?;
        wait_until("a writer at the VIP", SOON, || Ok(insert(lab, 201)))?;
        wait_rows(lab, Host::B, 201)?;
        wait_rows(lab, Host::A, 201)
    })
}

#[test]
fn a_vip_that_comes_back_while_the_other_node_is_being_promoted_has_a_writer() -> Result<()> {
    with_mariadb(|lab, servers| {
        servers[1].signal_tree(Signal::SIGSTOP)?;
        hand_over(lab, Host::A)?;
        hand_over(lab, Host::B)?;
        servers[1].signal_tree(Signal::SIGCONT)?;
        // Whoever of the two hooks is the last: node a takes writes, node b is its replica.
        wait_until("node a to take writes alone", SOON, || {
            let read_only = |host| sql(lab, host, "SELECT @@read_only");
            Ok(read_only(Host::A)? == "0" && read_only(Host::B)? == "1" && insert(lab, 1))
        })?;
        wait_rows(lab, Host::B, 1)?;
        wait_fit(lab, Host::B)
    })
}

#[test]
fn a_killed_writer_is_replaced_with_all_that_it_has_sent_and_comes_back_as_a_replica() -> Result<()> {
    with_mariadb(|lab, servers| {
        // What it has sent is there, but not done yet.
        sql(lab, Host::B, "STOP SLAVE; CHANGE MASTER TO MASTER_DELAY = 2; START SLAVE")?;
        let last = write_during(1, |id| insert(lab, id), || Ok(()))?;
        let sent = sql(lab, Host::A, "SELECT @@gtid_binlog_pos")?;
        wait_until("node b to be sent all", SOON, || {
            Ok(sql(lab, Host::B, "SHOW SLAVE STATUS\\G")?.lines().any(|value| value == sent))
        })?;
        servers[0].kill_tree()?;
        wait_active(lab, Host::B)?;
        let last = write_during(last + 1, |id| insert(lab, id), || Ok(()))?;
        ensure!(rows(lab, Host::B)? == last, "{} rows of {last}", rows(lab, Host::B)?);

        servers[0] = start_server(lab, Host::A)?;
        ensure!(sql(lab, Host::A, "SELECT @@read_only")? == "1", "it takes writes and has not been told to");
        wait_fit(lab, Host::A)?;
        wait_rows(lab, Host::A, last)?;
        ensure!(sql(lab, Host::B, "SELECT @@read_only")? == "0", "nobody takes writes");
        Ok(())
    })
}

/// What asynchronous replication cannot prevent, and what must come of it.
#[test]
fn a_row_that_was_not_replicated_is_lost_and_who_has_it_is_kept_from_serving() -> Result<()> {
    with_mariadb(|lab, servers| {
        let replicated = write_during(1, |id| insert(lab, id), || Ok(()))?;
        wait_rows(lab, Host::B, replicated)?;
        // Replication that does not get through.
        sql(lab, Host::B, "STOP SLAVE; CHANGE MASTER TO MASTER_PORT = 1; START SLAVE")?;
        ensure!(insert(lab, replicated + 1), "node a takes writes");
        servers[0].kill_tree()?;
        wait_active(lab, Host::B)?;
        wait_until("node b to take writes", SOON, || Ok(insert(lab, replicated + 2)))?;
        ensure!(rows(lab, Host::B)? == replicated + 1, "{} rows", rows(lab, Host::B)?);

        servers[0] = start_server(lab, Host::A)?;
        wait_until("node a to find that it has diverged", SOON, || {
            Ok(sql(lab, Host::A, "SHOW SLAVE STATUS\\G")?.contains("\n1236\n"))
        })?;
        wait_failing(lab, Host::A, "mariadb-role")
    })
}

/// Runs `test` with node a taking writes and node b as its replica, set up as the example's README says.
fn with_mariadb(test: impl FnOnce(&Lab, &mut [Process]) -> Result<()>) -> Result<()> {
    with_example("mysql", &ON_B, |lab| {
        make_data(lab)?;
        let (mut servers, mut agents) = (Vec::new(), Vec::new());
        for host in Host::NODES {
            servers.push(start_server(lab, host)?);
            let accounts = File::open(root(lab, host).join("etc/baton/mysql/accounts.sql"))?;
            let status = client(lab, host).stdin(accounts).status()?;
            ensure!(status.success(), "no accounts: {status}");
            agents.push(start_agent(lab, host)?);
            wait_fit(lab, host)?;
            wait_active(lab, Host::A)?;
            if host == Host::A {
                sql(lab, host, SCHEMA)?;
            }
        }
        test(lab, &mut servers)
    })
}

/// Makes an empty database for both nodes, and what they are to run with.
fn make_data(lab: &Lab) -> Result<()> {
    let user =
        User::from_name("mysql")?.context("no user `mysql`: is the package mariadb-server installed?")?;
    for host in Host::NODES {
        let root = root(lab, host);
        for directory in ["run/mysqld", "var/lib/mysql"] {
            fs::create_dir_all(root.join(directory))?;
            chown(root.join(directory), Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        let path = root.display();
        let text = format!(
            "[mariadbd]\n{LAB}datadir = {path}/var/lib/mysql\nsocket = {path}/run/mysqld/mysqld.sock\n\
             pid_file = {path}/run/mysqld/mysqld.pid\n!include {path}/etc/baton/mysql/mariadb.cnf\n"
        );
        fs::write(root.join("my.cnf"), text)?;
    }
    let [a, b] = Host::NODES.map(|host| root(lab, host));
    let mut install = lab.command(Host::A, "mariadb-install-db");
    install
        .arg(format!("--defaults-file={}", a.join("my.cnf").display()))
        .args(["--user=mysql", "--skip-test-db"]);
    output(&mut install)?;
    // It takes seconds; what it has made is the same everywhere.
    output(Command::new("cp").arg("--archive").arg(a.join("var/lib/mysql")).arg(b.join("var/lib")))?;
    Ok(())
}

fn start_server(lab: &Lab, host: Host) -> Result<Process> {
    let root = root(lab, host);
    let mut command = lab.command(host, "mariadbd");
    command.arg(format!("--defaults-file={}", root.join("my.cnf").display()));
    let mut server = Process::start(&mut command, &root.join("var/log/mariadb.log"))?;
    wait_until(&format!("MariaDB on node {}", host.name()), SOON, || {
        ensure!(server.is_running(), "MariaDB on node {} has ended", host.name());
        Ok(sql(lab, host, "DO 1").is_ok())
    })?;
    Ok(server)
}

/// Has the server on `host` do `statements`, as its administrator.
fn sql(lab: &Lab, host: Host, statements: &str) -> Result<String> {
    let answer = output(client(lab, host).args(["--batch", "--skip-column-names", "--execute", statements]))?;
    Ok(answer.trim().to_owned())
}

fn client(lab: &Lab, host: Host) -> Command {
    let mut command = lab.command(host, "mariadb");
    command.arg("--no-defaults").arg("--socket").arg(root(lab, host).join("run/mysqld/mysqld.sock"));
    command
}

/// Writes a row through the VIP; whether the client was told that it is committed.
fn insert(lab: &Lab, id: u32) -> bool {
    output(&mut application(lab, &format!("INSERT IGNORE INTO shop.orders VALUES ({id}, 'x')"))).is_ok()
}

/// A client that does `statement` through the VIP.
fn application(lab: &Lab, statement: &str) -> Command {
    let mut command = lab.command(Host::Client, "timeout");
    command.args(["2", "mariadb", "--no-defaults", "--user=app", "--password=app", "--connect-timeout=1"]);
    command.args([format!("--host={VIP}"), format!("--execute={statement}")]);
    command
}

fn rows(lab: &Lab, host: Host) -> Result<u32> {
    Ok(sql(lab, host, "SELECT COUNT(*) FROM shop.orders")?.parse()?)
}

fn wait_rows(lab: &Lab, host: Host, wanted: u32) -> Result<()> {
    let what = format!("node {} to have {wanted} rows", host.name());
    wait_until(&what, SOON, || {
        std::thread::sleep(Duration::from_millis(50));
        Ok(rows(lab, host)? == wanted)
    })
}

fn root(lab: &Lab, host: Host) -> PathBuf {
    lab.host_directory(host)
}
