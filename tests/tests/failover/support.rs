//! What several files of the suite need: labs with agents on them, what is waited for, what is asserted.

use std::fs;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton::clock;
use baton::config::MacMode;
use baton::control::protocol::{RouterStatus, Status};
use baton_tests::lab::{
    Echo, Host, Lab, Outcome, Pair, Prober, Process, Recording, Router, Settings, VIP, VIPS6, VRID, analyse,
    differences, leftovers, output, pause, wait_until,
};
use baton_tests::random::Random;
use baton_tests::repetitions::repeat;

/// Three advert intervals: what a lease is worth. An owner that is held up serves no longer than that, on a planned move
/// too, whose linger begins when the old owner gets to it.
pub(super) const LEASE_US: u64 = 30_000;
/// Longer than a busy machine needs for anything that is waited for.
pub(super) const SOON: Duration = Duration::from_secs(10);
/// How long a client is watched after an event.
pub(super) const WATCH: Duration = Duration::from_millis(400);

/// Long beside what a busy machine adds.
pub(super) const EVERY_100_MS: Settings = Settings { interval_ms: 100, ..Settings::USUAL };
/// Then an interval and 2 ms: how long both may serve when the old owner knows that it is succeeded.
pub(super) const LINGER_US: u64 = 102_000;
/// And three intervals and a Skew_Time: how long a Backup waits for an advert, and half an interval for a busy machine.
pub(super) const NOBODY_US: u64 = 350_000;
/// The default interval: without S-BFD it takes three of them to notice anything.
pub(super) const EVERY_SECOND: Settings = Settings { interval_ms: 1000, ..Settings::USUAL };

/// Runs `test` on a lab with Baton on both nodes, node a owning the VIP, and checks that nothing is left.
pub(super) fn with_pair(mac: MacMode, test: impl FnOnce(&Lab, &mut Pair<'_>) -> Result<()>) -> Result<()> {
    with_settings(mac, Settings::USUAL, test)
}

/// Like [`with_pair`], with other settings than the usual ones.
pub(super) fn with_settings(
    mac: MacMode,
    settings: Settings,
    test: impl FnOnce(&Lab, &mut Pair<'_>) -> Result<()>,
) -> Result<()> {
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    let echoes = [Echo::start(&lab, Host::A, VIP)?, Echo::start(&lab, Host::B, VIP)?];
    let mut pair = Pair::start_with(&lab, mac.into(), settings, 1)?;
    assert_eq!(pair.settle()?, Host::A);
    test(&lab, &mut pair)?;
    pair.stop()?;
    drop(echoes);
    drop(lab);
    assert_eq!(leftovers(&id), Vec::<String>::new());
    Ok(())
}

/// Runs `test` on a lab whose node a is Active, node b next in line, and a third agent, on the client, Backup, too.
pub(super) fn with_three(
    settings: Settings,
    test: impl FnOnce(&Lab, &mut Pair<'_>) -> Result<()>,
) -> Result<()> {
    with_settings(MacMode::Virtual, settings, |lab, pair| {
        let third = Router { vrid: VRID, priority: 100, vips: &[VIP] };
        lab.configure_routers(Host::Client, MacMode::Virtual, &settings, &[third])?;
        let mut agent = lab.start_baton(Host::Client)?;
        wait_for_next_in_line(lab, Host::B)?;
        wait_for_session(lab, Host::Client)?;
        test(lab, pair)?;
        agent.stop(SOON)?;
        output(&mut lab.baton(Host::Client, "detach")?)?;
        pair.settle().map(drop)
    })
}

/// Rounds of a kind of failure in a usual run.
const USUAL_ROUNDS: u64 = 2;

/// Repeats `round` for whoever owns, at some moment between two adverts.
pub(super) fn in_rounds<F>(what: &str, mut round: F) -> Result<()>
where
    F: FnMut(&Lab, &mut Pair<'_>, Host) -> Result<()>,
{
    with_settings(MacMode::Virtual, EVERY_100_MS, |lab, pair| {
        repeat(what, USUAL_ROUNDS, |number| {
            pause(Duration::from_micros(Random::new(number).between(0, 100_000)))?;
            let owner = pair.settle()?;
            round(lab, pair, owner)
        })
    })
}

/// Starts an agent on node a alone and waits until it is Active.
pub(super) fn start_alone(lab: &Lab) -> Result<Process> {
    let mut agent = lab.start_baton(Host::A)?;
    let log = lab.baton_log(Host::A);
    wait_until("a lone agent to become Active", SOON, || {
        ensure!(agent.is_running(), "the agent ended: {}", fs::read_to_string(&log)?);
        Ok(lab.baton_status(Host::A).is_ok_and(|status| status.routers[0].role == "Active"))
    })?;
    Ok(agent)
}

/// The usual configuration of node a with one line changed.
pub(super) fn reconfigure(lab: &Lab, from: &str, to: &str) -> Result<PathBuf> {
    let file = lab.configure_baton(Host::A, MacMode::Virtual, 10, &[VIP])?;
    let text = fs::read_to_string(&file)?;
    ensure!(text.contains(from), "the configuration has no `{from}`");
    fs::write(&file, text.replace(from, to))?;
    Ok(file)
}

/// The table of the IPv6 router of `host`, with `more` lines.
pub(super) fn router6_table(host: Host, more: &str) -> String {
    let priority = if host == Host::A { 254 } else { 253 };
    let [link_local, vip] = VIPS6;
    format!(
        "\n[[router]]\ninterface = \"eth0\"\nvrid = {VRID}\npriority = {priority}\ninterval_ms = 10\npreempt = false\n\
         {more}vips = [\"{link_local}\", \"{vip}\"]\n"
    )
}

/// The first virtual router of `host`.
pub(super) fn router(lab: &Lab, host: Host) -> Result<RouterStatus> {
    lab.baton_status(host)?.routers.into_iter().next().context("an agent has a router")
}

/// How often each node has taken over.
pub(super) fn epochs(lab: &Lab) -> Result<[u32; 2]> {
    Ok([router(lab, Host::A)?.epoch, router(lab, Host::B)?.epoch])
}

/// Whether the session of `host` is up, and whether it is next in line.
pub(super) fn session(lab: &Lab, host: Host) -> Result<(bool, bool)> {
    let watch = router(lab, host)?.watch.context("no session")?;
    Ok((watch.up, watch.next_in_line))
}

/// Waits until `host` is to take over.
pub(super) fn wait_for_next_in_line(lab: &Lab, host: Host) -> Result<()> {
    let what = format!("node {} to be next in line", host.name());
    wait_until(&what, SOON, || Ok(session(lab, host).is_ok_and(|(up, next_in_line)| up && next_in_line)))
}

/// Waits until `host` has an answer of the Active Router.
pub(super) fn wait_for_session(lab: &Lab, host: Host) -> Result<()> {
    let what = format!("node {} to watch the Active Router", host.name());
    wait_until(&what, SOON, || Ok(session(lab, host).is_ok_and(|(up, _)| up)))
}

/// Waits until `host` is Active.
pub(super) fn wait_for_active(lab: &Lab, host: Host) -> Result<()> {
    let what = format!("node {} to take over", host.name());
    wait_until(&what, SOON, || Ok(router(lab, host)?.role == "Active"))
}

/// The agent on `host` once its guardian can act for it.
pub(super) fn wait_for_guardian(lab: &Lab, host: Host) -> Result<Status> {
    wait_until("a guardian that is ready", SOON, || Ok(lab.baton_status(host)?.guardian.is_some()))?;
    lab.baton_status(host)
}

/// Waits until the agent on `host` hears through AF_XDP.
pub(super) fn wait_for_rings(lab: &Lab, host: Host) -> Result<()> {
    wait_until("AF_XDP", SOON, || Ok(lab.baton_status(host)?.interfaces[0].receive_path == "af-xdp"))
}

/// What a client sees while `event` happens and for a while after.
pub(super) fn watch(lab: &Lab, event: impl FnOnce() -> Result<()>) -> Result<(Outcome, Recording)> {
    watch_vip(lab, VIP, event)
}

/// Like [`watch`], for a client of `vip`.
pub(super) fn watch_vip(
    lab: &Lab,
    vip: Ipv4Addr,
    event: impl FnOnce() -> Result<()>,
) -> Result<(Outcome, Recording)> {
    let prober = Prober::start(lab, vip, Duration::from_secs(20))?;
    let event_ns = clock::now().as_nanos();
    event()?;
    pause(WATCH)?;
    let recording = prober.finish()?;
    Ok((analyse(&recording, event_ns), recording))
}

/// Asserts that the VIP went to `successor`, and that both answered for no longer than `overlap_us`.
pub(super) fn assert_moved(outcome: &Outcome, successor: Host, overlap_us: u64) {
    assert_eq!((outcome.before, outcome.after), (Some(successor.other()), Some(successor)), "{outcome:?}");
    assert!(outcome.overlap_us <= overlap_us, "two nodes answered: {outcome:?}");
}

/// Asserts that `old` answered its last ARP request and its last probe before `new` announced itself or answered.
/// Needs distinct MACs.
pub(super) fn assert_silent_before(recording: &Recording, old: Host, new: Host) -> Result<()> {
    let (old_mac, new_mac) = (old.mac(), new.mac());
    let last_arp = recording
        .arps
        .iter()
        .filter(|arp| arp.answers > 0 && arp.last.source == old_mac)
        .map(|arp| arp.sent_ns);
    let last_served =
        recording.probes.iter().filter(|probe| probe.node == Some(old)).map(|probe| probe.server_ns);
    let last = last_arp.chain(last_served).max().context("the old owner answered before its fault")?;
    let spoken =
        recording.announcements.iter().filter(|heard| heard.source == new_mac).map(|heard| heard.seen_ns);
    let served = recording.probes.iter().filter(|probe| probe.node == Some(new)).map(|probe| probe.server_ns);
    let first = spoken.chain(served).min().context("the new owner announced itself or answered")?;
    ensure!(
        last < first,
        "node {} answered {} us after node {} spoke",
        old.name(),
        (last - first) / 1000,
        new.name()
    );
    Ok(())
}

/// Waits until `owner` alone owns the VIP.
pub(super) fn assert_sole_owner(pair: &Pair<'_>, owner: Host) -> Result<()> {
    wait_until(&format!("node {} to be the only owner", owner.name()), SOON, || {
        Ok(pair.owners()? == [owner])
    })?;
    assert_eq!(pair.settle()?, owner);
    Ok(())
}

/// Asserts that no agent starts on node a, for the reasons that `phrases` are from, and that nothing is changed.
pub(super) fn refused_and_unchanged(lab: &Lab, phrases: &[&str]) -> Result<()> {
    let before = lab.snapshot(Host::A)?;
    refused(lab.baton(Host::A, "run")?, phrases)?;
    assert_eq!(differences(&before, &lab.snapshot(Host::A)?), Vec::<String>::new());
    Ok(())
}

/// Runs `command` and asserts that it fails soon, saying all of `phrases`.
pub(super) fn refused(mut command: Command, phrases: &[&str]) -> Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut agent = Process::spawn(command.stderr(Stdio::piped()))?;
    let status = agent.wait(SOON)?;
    let mut said = String::new();
    if let Some(mut stderr) = agent.child().stderr.take() {
        stderr.read_to_string(&mut said)?;
    }
    ensure!(!status.success(), "it succeeded: {said}");
    ensure!(status.code().is_some(), "it was killed: {status}: {said}");
    for phrase in phrases {
        ensure!(said.contains(phrase), "nothing about `{phrase}` in: {said}");
    }
    ensure!(!said.contains("panicked"), "it panicked: {said}");
    ensure!(said.matches("os error").count() <= 1, "it says the cause twice: {said}");
    Ok(())
}
