//! The driver of a simulated host: rounds as the agent's driver makes them.

use std::net::Ipv4Addr;

use baton::vrrp::{Advertisement, Input, Instant, Standing};

use super::host::Agent;
use super::{Lan, Sabotage, Violation};

impl Lan {
    /// One round of a driver: frames, commands, probes, timers, completed transmissions. Nothing if the agent does not run.
    pub(super) fn round(&mut self, who: usize) -> Result<(), Violation> {
        self.receive(who)?;
        while self.runs(who)
            && let Some(command) = self.hosts[who].waiting.commands.pop_front()
        {
            self.feed(who, command, self.now)?;
        }
        if self.sabotage != Some(Sabotage::NoTimers) {
            self.watch_peers(who)?;
            self.fire_timers(who)?;
        }
        while self.runs(who)
            && let Some(begun) = self.hosts[who].waiting.sent.pop_front()
        {
            self.feed(who, Input::Transmitted(begun), self.now)?;
        }
        if self.runs(who) {
            self.set_alarm(who);
        }
        Ok(())
    }

    pub(super) fn runs(&self, who: usize) -> bool {
        self.hosts[who].agent == Agent::Running
    }

    /// Reads what the ring shows.
    fn receive(&mut self, who: usize) -> Result<(), Violation> {
        while self.runs(who)
            && let Some(advertisement) = self.next_in_ring(who)
        {
            self.hosts[who].note(&advertisement, self.now);
            if advertisement.standing != Standing::Leaving {
                self.hosts[who].peers.acquit(0, advertisement.source, self.now);
            }
            self.feed(who, Input::Advertisement(advertisement), self.now)?;
        }
        Ok(())
    }

    fn next_in_ring(&mut self, who: usize) -> Option<Advertisement<Ipv4Addr>> {
        let now = self.now;
        let shown = self.hosts[who].waiting.ring.pop_front_if(|(shown, _)| *shown <= now);
        shown.map(|(_, advertisement)| advertisement)
    }

    /// Every timer looks into the mailbox before it fires.
    fn fire_timers(&mut self, who: usize) -> Result<(), Violation> {
        if self.is_due(who)
            && let Some((arrived, advertisement)) = self.hosts[who].unread()
        {
            self.feed(who, Input::Advertisement(advertisement), arrived)?;
        }
        if self.is_due(who) { self.feed(who, Input::Timer, self.now) } else { Ok(()) }
    }

    fn is_due(&self, who: usize) -> bool {
        self.runs(who) && self.hosts[who].router.deadline().is_some_and(|deadline| deadline <= self.now)
    }

    /// Arranges for the agent to be woken at its deadline.
    fn set_alarm(&mut self, who: usize) {
        let host = &mut self.hosts[who];
        let deadlines = [host.router.deadline(), host.peers.deadline()];
        let deadline: Option<Instant> = deadlines.into_iter().flatten().min();
        if deadline == host.alarm {
            return;
        }
        host.alarm = deadline;
        host.wake += 1;
        let wake = host.wake;
        let late = self.lateness();
        if let Some(deadline) = deadline {
            self.push(deadline.max(self.now) + late, super::step::Event::Wake { who, wake });
        }
    }
}
