//! Two nodes with a group of routers, one on each of several links that are cut, unplugged and mended, while nodes die, return,
//! hand over, are drained and resumed. Frames take no time; what a driver does for a group is in `keep_together`.

use std::net::Ipv4Addr;
use std::time::Duration;

use baton::vrrp::{
    Action, Actions, Advertisement, Checksum, ChecksumMode, DownAdverts, Input, Instant, Interval, Ownership,
    Parameters, Priority, Role, Standing, Version, Versions, VirtualRouter, is_group_ready, shared_lease,
};
use baton_common::vrid::Vrid;
use baton_tests::random::Random;
use baton_tests::repetitions::{number, tell_progress};

use super::RUNS;

const LINKS: usize = 3;
/// What the simulation advances by.
const STEP: Duration = Duration::from_millis(1);
/// How long a planned move may leave a group on both nodes or on none: the linger at an interval of 10 ms, its margin, and a step before and after.
const MOVE: u32 = 16;
/// How long two nodes take to find each other after a partition.
const SETTLE: u32 = 100;

/// A node with a member on each link.
struct Node {
    members: [VirtualRouter<Ipv4Addr>; LINKS],
    leases: [Option<Instant>; LINKS],
    lost: bool,
    runs: bool,
    /// Which links it has no carrier on.
    unplugged: [bool; LINKS],
}

/// Two nodes and the links between them. Frames take no time.
struct Pair {
    nodes: [Node; 2],
    cut: [bool; LINKS],
    now: Instant,
}

impl Node {
    fn new(who: usize) -> Self {
        let member = |link: usize| {
            let octet = |number: usize| u8::try_from(number).expect("small");
            let primary = Ipv4Addr::new(10, octet(link), 0, octet(who) + 1);
            let priority = if who == 0 { 200 } else { 100 };
            VirtualRouter::new(parameters(priority, primary), None).grouped()
        };
        Self {
            members: std::array::from_fn(member),
            leases: [None; LINKS],
            lost: false,
            runs: false,
            unplugged: [false; LINKS],
        }
    }

    fn owns(&self, link: usize, now: Instant) -> bool {
        self.leases[link].is_some_and(|until| now < until)
    }

    fn serves_any(&self, now: Instant) -> bool {
        (0..LINKS).any(|link| self.owns(link, now))
    }

    /// Whether some of the group serve and others do not.
    fn is_split(&self, now: Instant) -> bool {
        let is_active = |member: &VirtualRouter<Ipv4Addr>| member.role() == Role::Active;
        self.serves_any(now) && !self.members.iter().all(is_active)
    }
}

impl Pair {
    fn new() -> Self {
        Self {
            nodes: [Node::new(0), Node::new(1)],
            cut: [false; LINKS],
            now: Instant::from_nanos(1_000_000_000),
        }
    }

    fn feed(&mut self, who: usize, link: usize, input: Input<Ipv4Addr>) {
        let actions = self.nodes[who].members[link].handle(input, self.now);
        self.carry_out(who, link, actions);
    }

    fn carry_out(&mut self, who: usize, link: usize, actions: Actions) {
        for action in actions {
            match action {
                Action::SetOwnership(ownership) => {
                    self.nodes[who].leases[link] = match ownership {
                        Ownership::Released => None,
                        Ownership::Held(until) | Ownership::Lingering(until) | Ownership::Offered(until) => {
                            Some(until)
                        }
                    };
                }
                Action::Transmit { standing, .. } => self.transmit(who, link, standing),
                Action::Report(transition) => {
                    let node = &mut self.nodes[who];
                    let is_drained = transition.from == Role::Active && node.members[link].drained();
                    node.lost |= transition.is_loss() || is_drained;
                }
                Action::Concede { .. } | Action::Announce => {}
            }
        }
    }

    fn transmit(&mut self, who: usize, link: usize, standing: Standing) {
        let source = self.nodes[who].members[link].parameters().primary;
        let other = 1 - who;
        if self.nodes[other].runs && self.carries(link) {
            let Parameters { interval, .. } = *self.nodes[who].members[link].parameters();
            let (version, checksum) = (Version::V3, Checksum::Rfc9568);
            let advertisement = Advertisement { source, standing, interval, version, checksum };
            self.feed(other, link, Input::Advertisement(advertisement));
        }
        if standing != Standing::Leaving {
            self.feed(who, link, Input::Transmitted(self.now));
        }
    }

    /// What a driver does for a group.
    fn keep_together(&mut self, who: usize) {
        if std::mem::take(&mut self.nodes[who].lost) {
            self.feed_all(who, Input::GroupMoved);
        }
        if is_group_ready(self.nodes[who].members.iter()) {
            self.feed_all(who, Input::GroupReady);
        }
        if let Some(until) = shared_lease(self.nodes[who].members.iter()) {
            let Node { members, leases, .. } = &mut self.nodes[who];
            let held = members.iter().zip(leases).filter(|(member, _)| member.serves());
            held.for_each(|(_, lease)| *lease = Some(until));
        }
    }

    fn feed_all(&mut self, who: usize, input: Input<Ipv4Addr>) {
        (0..LINKS).for_each(|link| self.feed(who, link, input));
    }

    fn step(&mut self) {
        self.now = self.now + STEP;
        for who in 0..2 {
            for link in 0..LINKS {
                let is_due =
                    |member: &VirtualRouter<Ipv4Addr>| member.deadline().is_some_and(|due| due <= self.now);
                if self.nodes[who].runs && is_due(&self.nodes[who].members[link]) {
                    self.feed(who, link, Input::Timer);
                }
            }
            if self.nodes[who].runs {
                self.keep_together(who);
            }
        }
    }

    fn carries(&self, link: usize) -> bool {
        !self.cut[link] && self.nodes.iter().all(|node| !node.unplugged[link])
    }

    fn start(&mut self, who: usize) {
        let unplugged = self.nodes[who].unplugged;
        self.nodes[who] = Node { runs: true, unplugged, ..Node::new(who) };
        (0..LINKS).for_each(|link| self.start_up(who, link));
    }

    fn start_up(&mut self, who: usize, link: usize) {
        if self.nodes[who].runs && !self.nodes[who].unplugged[link] {
            self.feed(who, link, Input::Startup);
        }
    }

    fn plug(&mut self, who: usize, link: usize, is_plugged: bool) {
        self.nodes[who].unplugged[link] = !is_plugged;
        if is_plugged {
            self.start_up(who, link);
        } else if self.nodes[who].runs {
            self.feed(who, link, Input::LinkDown);
        }
    }

    fn resume(&mut self, who: usize) {
        for link in 0..LINKS {
            if self.nodes[who].members[link].drained() {
                self.feed(who, link, Input::Undrain);
                self.start_up(who, link);
            }
        }
    }

    /// All links carry again, and both nodes run and take part.
    fn mend(&mut self) {
        self.cut = [false; LINKS];
        for who in 0..2 {
            (0..LINKS).for_each(|link| self.plug(who, link, true));
            if self.nodes[who].runs {
                self.resume(who);
            } else {
                self.start(who);
            }
        }
    }

    fn disturb(&mut self, random: &mut Random) {
        let (who, link) = (random.below(2), random.below(LINKS));
        match random.below(10) {
            0 => self.cut[link] = true,
            1 => self.cut[link] = false,
            2 => self.cut = [random.chance(500); LINKS],
            // The leases run on, and nobody renews them.
            3 => self.nodes[who].runs = false,
            4 if !self.nodes[who].runs => self.start(who),
            5 if self.nodes[who].runs => self.feed_all(who, Input::Handover { to: None }),
            6 => self.plug(who, link, false),
            7 => self.plug(who, link, true),
            8 if self.nodes[who].runs => self.feed_all(who, Input::Drain),
            9 if self.nodes[who].runs => self.resume(who),
            _ => {}
        }
    }
}

fn parameters(priority: u8, primary: Ipv4Addr) -> Parameters<Ipv4Addr> {
    Parameters {
        vrid: Vrid::new(51).expect("not 0"),
        priority: Priority::new(priority).expect("not 0"),
        interval: Interval::from_centiseconds(1).expect("not 0"),
        preempt: true,
        down_adverts: DownAdverts::RFC,
        preempt_delay: Duration::ZERO,
        startup_hold: Duration::ZERO,
        primary,
        checksum: ChecksumMode::Only(Checksum::Rfc9568),
        versions: Versions::Only(Version::V3),
    }
}

/// The steps of a run, and how many of them at its end are left to themselves with all nodes and links there.
const STEPS: u32 = 3000;
const QUIET: u32 = 300;

/// A run, from its seed. Wherever a member serves, no other of the node is Backup for longer than a move takes; nodes that see
/// each other on any link do not both serve for longer; and in the end one has it all.
fn run(seed: u64) -> Result<(), String> {
    let (mut pair, mut random) = (Pair::new(), Random::new(seed));
    pair.start(0);
    pair.start(1);
    let (mut split, mut on_both, mut seen) = ([0; 2], 0, 0);
    for step in 0..STEPS {
        if step == STEPS - QUIET {
            pair.mend();
        } else if step < STEPS - QUIET && random.chance(20) {
            pair.disturb(&mut random);
        }
        pair.step();
        let Pair { nodes, now, .. } = &pair;
        for (node, split) in nodes.iter().zip(&mut split) {
            *split = if node.runs && node.is_split(*now) { *split + 1 } else { 0 };
            if *split > MOVE {
                return Err(format!("{now:?}: a part of the group stays behind"));
            }
        }
        let see_each_other = nodes.iter().all(|node| node.runs) && (0..LINKS).any(|link| pair.carries(link));
        seen = if see_each_other { seen + 1 } else { 0 };
        on_both = if nodes.iter().all(|node| node.serves_any(*now)) { on_both + 1 } else { 0 };
        if seen >= SETTLE && on_both > MOVE {
            return Err(format!("{now:?}: on both nodes"));
        }
    }
    let owned = |who: usize| (0..LINKS).filter(|link| pair.nodes[who].owns(*link, pair.now)).count();
    match (owned(0), owned(1)) {
        (LINKS, 0) | (0, LINKS) => Ok(()),
        owned => Err(format!("{owned:?} of {LINKS} are owned in the end")),
    }
}

#[test]
fn a_group_is_on_one_node_while_the_nodes_see_each_other_on_any_link() {
    let first = number("BATON_SEED").unwrap_or(1);
    let asked = number("BATON_RUNS");
    let runs = asked.unwrap_or(RUNS);
    for seed in first..first + runs {
        if asked.is_some() {
            tell_progress("groups", seed - first + 1, runs);
        }
        if let Err(violation) = run(seed) {
            panic!(
                "{violation}\nreplay: BATON_SEED={seed} BATON_RUNS=1 \
                 cargo test --locked -p baton-tests --test simulation a_group_is_on_one_node"
            );
        }
    }
}
