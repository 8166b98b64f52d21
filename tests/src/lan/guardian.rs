//! The guardian of a simulated host: when its agent has died it does what [`Linger`] says, in the order of the agent's
//! `guardian::gasp` and `guardian::ward`.

use std::time::Duration;

use baton::guardian::Linger;
use baton::vrrp::{Checksum, ChecksumMode, Instant, Parameters, Standing, Version, linger};
use baton_common::ownership::Mailbox;

use super::host::{Agent, Host};
use super::step::Event;
use super::{Lan, Sabotage, Violation};

/// How often it is looked whether a successor has spoken, as in `guardian::gasp`.
const POLL: Duration = Duration::from_micros(100);
/// Where that would be many looks, because there are many in an interval otherwise: so many.
const LOOKS: u32 = 100;

impl Lan {
    /// The agent of a host dies. Its guardian notices soon.
    pub(super) fn kill_agent(&mut self, who: usize) {
        if self.hosts[who].agent == Agent::Dead {
            return;
        }
        let stands_by = self.hosts[who].guardian.stands_by;
        if stands_by {
            self.expect_successor(who);
            let latency = Duration::from_nanos(self.network.conditions.latency);
            self.judge.leave(who, self.now + latency + linger(self.hosts[who].router.parameters().interval));
        }
        self.hosts[who].die();
        self.hosts[who].guardian.stands_by = stands_by;
        if stands_by {
            let late = self.lateness();
            let life = self.hosts[who].life;
            self.push(self.now + late, Event::Notice { who, life });
        }
    }

    /// The guardian of a host dies.
    pub(super) fn lose_guardian(&mut self, who: usize) {
        self.hosts[who].lose_guardian();
        self.judge.forget_dead_lease(who);
    }

    /// The last gasp, if the agent has died and its guardian has not acted yet: the lease, then the word for those who do not
    /// probe.
    pub(super) fn gasp(&mut self, who: usize) -> Result<(), Violation> {
        let host = &mut self.hosts[who];
        if !std::mem::take(&mut host.guardian.stands_by) || self.sabotage == Some(Sabotage::IdleGuardian) {
            return Ok(());
        }
        let Parameters { interval, down_adverts, .. } = *host.router.parameters();
        let Some((lease, mut linger)) = Linger::of(host.ownership(), interval, down_adverts, self.now) else {
            return Ok(());
        };
        self.judge.notice(who, self.now);
        let until = if self.sabotage == Some(Sabotage::HastyGuardian) { self.now } else { linger.until };
        self.shorten(who, lease, until)?;
        if linger.has_to_say(self.now) {
            let checksum = self.hosts[who].farewell();
            self.transmit(who, Standing::Leaving, checksum);
        }
        self.look_later(who, linger);
        Ok(())
    }

    /// Ends what has a successor.
    pub(super) fn watch_successor(&mut self, who: usize, linger: Linger) -> Result<(), Violation> {
        let heard = linger.after(&self.hosts[who].mailbox_cell());
        let unchanged = heard == linger && self.sabotage != Some(Sabotage::BlindGuardian);
        let ours = unchanged || self.shorten(who, linger.until, heard.until)?;
        if ours && self.now < heard.until {
            self.look_later(who, heard);
        }
        Ok(())
    }

    fn look_later(&mut self, who: usize, linger: Linger) {
        let pause = pause(self.hosts[who].router.parameters().interval.duration());
        let late = self.lateness();
        let killed = self.hosts[who].guardian.killed;
        self.push(self.now + pause + late, Event::Watch { who, killed, linger });
    }

    /// Makes the lease in the cell of a host end sooner, if it ends at `from`, as `datapath::Leases` does.
    fn shorten(&mut self, who: usize, from: Instant, until: Instant) -> Result<bool, Violation> {
        if self.hosts[who].lease_until != from && self.sabotage != Some(Sabotage::BlindGuardian) {
            return Ok(false);
        }
        self.judge.judge_gasp(&self.hosts[who], self.now)?;
        let host = &mut self.hosts[who];
        (host.lease_until, host.lingers, host.offered) = (from.min(until), true, None);
        self.write_down(|| {
            format!("{}' leaves at {}", super::text::name(who), super::text::time(from.min(until)))
        });
        Ok(true)
    }
}

impl Host {
    /// The checksum flavour of its guardian's last word.
    fn farewell(&self) -> Checksum {
        match self.router.parameters().checksum {
            ChecksumMode::Only(flavour) => flavour,
            ChecksumMode::Auto(usual) => {
                let heard = self.mailbox.filter(|(_, heard)| heard.version == Version::V3);
                heard.map_or(usual, |(_, heard)| heard.checksum)
            }
        }
    }

    fn mailbox_cell(&self) -> Mailbox {
        self.mailbox.map_or_else(Mailbox::default, |(arrived, heard)| Mailbox {
            arrived_ns: arrived.as_nanos(),
            priority: heard.standing.octet(),
            ..Mailbox::default()
        })
    }
}

/// How long a guardian sleeps between two looks.
pub(super) fn pause(interval: Duration) -> Duration {
    POLL.max(interval / LOOKS)
}
