//! Groups: virtual routers that are on one host, all of them or none. Members alone, and two nodes that share several links.

use std::net::Ipv4Addr;
use std::time::Duration;

use baton::vrrp::{
    Action, Actions, Input, Instant, Parameters, Role, Standing, VirtualRouter, is_group_ready, shared_lease,
};
use baton_tests::random::Random;

use super::{
    GroupMoved, GroupReady, HIGHER, Handover, Hears, LOCAL, Startup, TimerDue, Unreachable, advertisement,
    centiseconds, feed, ms, parameters,
};

/// A member of a group, of `priority`, that is Backup since 0.
fn member(priority: u8) -> VirtualRouter<Ipv4Addr> {
    let mut member = VirtualRouter::new(parameters(priority, LOCAL), None).grouped();
    feed(&mut member, Startup, ms(0.0));
    member
}

/// A member of priority 100 that is Active since 4000 ms.
fn active() -> VirtualRouter<Ipv4Addr> {
    let mut member = member(100);
    feed(&mut member, TimerDue, ms(4000.0));
    feed(&mut member, GroupReady, ms(4000.0));
    member
}

#[test]
fn a_member_takes_the_role_when_its_wait_is_over_and_all_of_the_group_are_ready() {
    let mut member = member(100);
    assert_eq!(feed(&mut member, GroupReady, ms(1000.0)), "nothing");
    assert_eq!(feed(&mut member, TimerDue, ms(3609.375)), "nothing");
    assert_eq!((member.role(), member.ready(), member.deadline()), (Role::Backup, true, None));
    let takes = feed(&mut member, GroupReady, ms(5000.0));
    assert_eq!(takes, "own until 8000; send 100; announce; Backup -> Active (active-down)");
}

#[test]
fn a_member_is_not_ready_any_more_when_it_hears_whom_it_listens_to() {
    let mut member = member(100);
    feed(&mut member, TimerDue, ms(4000.0));
    feed(&mut member, Hears(50, HIGHER), ms(4500.0));
    assert!(member.ready(), "the weaker one is preempted");
    feed(&mut member, Hears(200, HIGHER), ms(5000.0));
    assert!(!member.ready());
    assert_eq!(feed(&mut member, GroupReady, ms(5100.0)), "nothing");
    assert_eq!(feed(&mut member, Unreachable, ms(5200.0)), "nothing");
    assert!(member.ready());
    let takes = feed(&mut member, GroupReady, ms(5200.0));
    assert!(takes.ends_with("Backup -> Active (active-unreachable)"), "{takes}");
}

#[test]
fn an_address_owner_waits_for_its_group_alone() {
    let mut owner = member(255);
    assert!(owner.ready());
    let takes = feed(&mut owner, GroupReady, ms(1.0));
    assert_eq!(takes, "own until 3001; send 255; announce; Backup -> Active (address-owner)");
}

#[test]
fn a_member_follows_its_group_whether_or_not_somebody_takes_over() {
    let mut router = active();
    let asks = feed(&mut router, GroupMoved, ms(4500.0));
    assert_eq!(asks, "linger until 5504; send 0; Active -> Active (group-moved)");
    let left = feed(&mut router, TimerDue, ms(5502.0));
    assert_eq!(left, "disown; Active -> Backup (group-moved)");

    let mut router = active();
    feed(&mut router, Handover, ms(4500.0));
    assert_eq!(feed(&mut router, GroupMoved, ms(4600.0)), "nothing");
    assert_eq!(feed(&mut router, TimerDue, ms(5502.0)), "disown; Active -> Backup (group-moved)");
    assert!(router.yielded(), "it was handed over");

    let mut router = active();
    feed(&mut router, GroupMoved, ms(4500.0));
    let succeeded = feed(&mut router, Hears(50, HIGHER), ms(4510.0));
    assert_eq!(succeeded, "linger until 4512; Active -> Backup (succeeded)");
    assert!(!router.yielded());
}

#[test]
fn a_group_is_ready_when_nobody_is_waited_for() {
    let (mut ready, waiting, serving) = (member(100), member(100), active());
    feed(&mut ready, TimerDue, ms(4000.0));
    let mut leaving = active();
    feed(&mut leaving, Handover, ms(4500.0));
    let down = VirtualRouter::new(parameters(100, LOCAL), None).grouped();
    for (members, is_ready) in [
        (vec![&ready], true),
        (vec![&ready, &ready], true),
        (vec![&ready, &serving], true),
        (vec![&ready, &down], true),
        (vec![&ready, &waiting], false),
        (vec![&ready, &leaving], false),
        (vec![&serving, &serving], false),
        (vec![&serving, &waiting], false),
        (vec![&down], false),
    ] {
        assert_eq!(is_group_ready(members.iter().copied()), is_ready, "{members:#?}");
    }
    assert_eq!(shared_lease([&serving, &leaving, &waiting].into_iter()), serving.lease_until());
}

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
            let parameters = Parameters { interval: centiseconds(1), ..parameters(priority, primary) };
            VirtualRouter::new(parameters, None).grouped()
        };
        Self { members: std::array::from_fn(member), leases: [None; LINKS], lost: false, runs: false }
    }

    fn owns(&self, link: usize, now: Instant) -> bool {
        self.leases[link].is_some_and(|until| now < until)
    }

    fn serves_any(&self, now: Instant) -> bool {
        (0..LINKS).any(|link| self.owns(link, now))
    }

    /// Whether some of the group serve and others leave the role to another.
    fn is_split(&self, now: Instant) -> bool {
        let is_backup = |member: &VirtualRouter<Ipv4Addr>| member.role() == Role::Backup;
        self.serves_any(now) && self.members.iter().any(is_backup)
    }
}

impl Pair {
    fn new() -> Self {
        Self { nodes: [Node::new(0), Node::new(1)], cut: [false; LINKS], now: ms(1000.0) }
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
                        baton::vrrp::Ownership::Released => None,
                        baton::vrrp::Ownership::Held(until)
                        | baton::vrrp::Ownership::Lingering(until)
                        | baton::vrrp::Ownership::Offered(until) => Some(until),
                    };
                }
                Action::Transmit { standing, .. } => self.transmit(who, link, standing),
                Action::Report(transition) => self.nodes[who].lost |= transition.is_loss(),
                Action::Concede { .. } | Action::Announce => {}
            }
        }
    }

    fn transmit(&mut self, who: usize, link: usize, standing: Standing) {
        let source = self.nodes[who].members[link].parameters().primary;
        let other = 1 - who;
        if self.nodes[other].runs && !self.cut[link] {
            let advertisement = baton::vrrp::Advertisement { standing, ..advertisement(1, source, 1) };
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

    fn start(&mut self, who: usize) {
        self.nodes[who] = Node { runs: true, ..Node::new(who) };
        self.feed_all(who, Input::Startup);
    }

    fn disturb(&mut self, random: &mut Random) {
        let (who, link) = (random.below(2), random.below(LINKS));
        match random.below(6) {
            0 => self.cut[link] = true,
            1 => self.cut[link] = false,
            2 => self.cut = [random.chance(500); LINKS],
            // The leases run on, and nobody renews them.
            3 => self.nodes[who].runs = false,
            4 if !self.nodes[who].runs => self.start(who),
            5 if self.nodes[who].runs => self.feed_all(who, Input::Handover { to: None }),
            _ => {}
        }
    }
}

#[test]
fn a_group_is_on_one_node_while_the_nodes_see_each_other_on_any_link() {
    for seed in 0..2000 {
        let (mut pair, mut random) = (Pair::new(), Random::new(seed));
        pair.start(0);
        pair.start(1);
        let (mut split, mut on_both, mut seen) = ([0; 2], 0, 0);
        for step in 0..3000 {
            let quiet = step >= 2700;
            if step == 2700 {
                pair.cut = [false; LINKS];
                (0..2)
                    .filter(|who| !pair.nodes[*who].runs)
                    .collect::<Vec<_>>()
                    .into_iter()
                    .for_each(|who| pair.start(who));
            } else if !quiet && random.chance(20) {
                pair.disturb(&mut random);
            }
            pair.step();
            let Pair { nodes, cut, now } = &pair;
            for (node, split) in nodes.iter().zip(&mut split) {
                *split = if node.runs && node.is_split(*now) { *split + 1 } else { 0 };
                assert!(*split <= MOVE, "seed {seed}, {now:?}: a part of the group stays behind");
            }
            let see_each_other = nodes.iter().all(|node| node.runs) && cut.contains(&false);
            seen = if see_each_other { seen + 1 } else { 0 };
            on_both = if nodes.iter().all(|node| node.serves_any(*now)) { on_both + 1 } else { 0 };
            assert!(seen < SETTLE || on_both <= MOVE, "seed {seed}, {now:?}: on both nodes");
        }
        let owned = |who: usize| (0..LINKS).filter(|link| pair.nodes[who].owns(*link, pair.now)).count();
        assert!(
            matches!((owned(0), owned(1)), (LINKS, 0) | (0, LINKS)),
            "seed {seed}: {} and {}",
            owned(0),
            owned(1)
        );
    }
}
