//! What is asked of the workers: each alone sees its flow table, and looks between batches of frames whether somebody wants to know
//! something of it. It answers in small parts, so that no frame waits for long.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use baton_common::flow::Flow;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::flow;
use super::flows::{Flows, Remembered};
use super::plan::Plan;
use crate::address;
use crate::vrrp::Instant;

/// Sets of a flow table that are looked through at once: some microseconds.
const SETS_AT_ONCE: usize = 64;
/// Inquiries that may wait for a worker: as many as there are questions at once.
const WAITING: usize = 16;
/// How long a worker may take: it looks each 100 ms at the latest, and a busy one has frames between the parts.
const PATIENCE: Duration = Duration::from_secs(3);

/// Which flows are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those to this virtual address.
    pub vip: Option<IpAddr>,
    /// Only those to this port.
    pub port: Option<u16>,
    /// Only those of the backend with this address.
    pub backend: Option<IpAddr>,
}

impl Filter {
    fn lets_through(&self, plan: &Plan, Remembered { flow, target, .. }: &Remembered) -> bool {
        let is_of = |address: IpAddr| plan.backends[usize::from(target.backend)].address == address;
        self.vip.is_none_or(|vip| address::to_map(vip) == flow.destination)
            && self.port.is_none_or(|port| port == flow.destination_port)
            && self.backend.is_none_or(is_of)
    }
}

/// The workers did not answer in time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the workers of the engine do not answer; do they run? see `baton status`")]
pub struct NoAnswer;

/// What a worker knows of the flows that it was asked for.
#[derive(Clone, Debug)]
pub struct Known {
    /// How many there are.
    pub total: u64,
    /// Some of them, as many as were wanted.
    pub flows: Vec<Remembered>,
    /// How many there are of each backend.
    pub per_backend: Vec<u64>,
    /// The same of each service.
    pub per_service: Vec<u64>,
}

impl Known {
    /// Nothing yet, with room for `flows` flows.
    fn nothing(plan: &Plan, flows: usize) -> Self {
        Self {
            total: 0,
            flows: Vec::with_capacity(flows),
            per_backend: vec![0; plan.backends.len()],
            per_service: vec![0; plan.services.len()],
        }
    }

    fn add(&mut self, other: Self) {
        self.total += other.total;
        self.flows.extend(other.flows);
        for (counts, others) in
            [(&mut self.per_backend, other.per_backend), (&mut self.per_service, other.per_service)]
        {
            counts.iter_mut().zip(others).for_each(|(count, other)| *count += other);
        }
    }
}

/// What is wanted of a worker.
#[derive(Clone, Debug)]
enum Question {
    /// Flows that the filter lets through, so many at most.
    Several { filter: Filter, limit: usize },
    /// This flow.
    One(Flow),
}

/// A question to a worker, and as much of the answer as there is.
pub(super) struct Inquiry {
    question: Question,
    /// The set that is next.
    next: usize,
    known: Known,
    reply: oneshot::Sender<Known>,
}

impl Inquiry {
    /// Looks at the next part of `flows`. Whether that was the last one.
    fn go_on(&mut self, plan: &Plan, flows: &Flows, now: Instant) -> bool {
        let Self { question, next, known, .. } = self;
        match question {
            Question::One(flow) => {
                known.flows.extend(flows.peek(flow, flow::hash(flow), now));
                known.total = known.flows.len() as u64;
                true
            }
            Question::Several { filter, limit } => {
                let part = *next..flows.sets().min(*next + SETS_AT_ONCE);
                *next = part.end;
                for remembered in flows.of_sets(part, now).filter(|it| filter.lets_through(plan, it)) {
                    known.total += 1;
                    known.per_backend[usize::from(remembered.target.backend)] += 1;
                    known.per_service[usize::from(remembered.target.service)] += 1;
                    if known.flows.len() < *limit {
                        known.flows.push(remembered);
                    }
                }
                *next == flows.sets()
            }
        }
    }
}

/// Where a worker finds what it is asked.
pub(super) struct Desk {
    mailbox: Receiver<Inquiry>,
    open: Option<Inquiry>,
}

impl Desk {
    /// One, and the way to it.
    pub(super) fn new() -> (SyncSender<Inquiry>, Self) {
        let (sender, mailbox) = sync_channel(WAITING);
        (sender, Self { mailbox, open: None })
    }

    /// Answers a part of what is asked. Whether there is more to do.
    pub(super) fn attend(&mut self, plan: &Plan, flows: &Flows, now: Instant) -> bool {
        let Some(mut inquiry) = self.open.take().or_else(|| self.mailbox.try_recv().ok()) else {
            return false;
        };
        if inquiry.go_on(plan, flows, now) {
            // Whoever has asked may have gone.
            let _ = inquiry.reply.send(inquiry.known);
        } else {
            self.open = Some(inquiry);
        }
        true
    }
}

/// The ways to all workers of an engine.
pub(super) struct Desks(pub(super) Arc<[SyncSender<Inquiry>]>);

impl Desks {
    /// Some of the flows that `filter` lets through, `limit` at most, and how many there are. A flow that two workers remember, of
    /// which its frames came to one after the other, counts twice.
    pub(super) async fn flows(&self, plan: &Plan, filter: Filter, limit: usize) -> Result<Known, NoAnswer> {
        let mut known = self.ask(plan, &Question::Several { filter, limit }, limit).await?;
        known.flows.truncate(limit);
        Ok(known)
    }

    /// What the workers remember of `flow`.
    pub(super) async fn find(&self, plan: &Plan, flow: Flow) -> Result<Option<Remembered>, NoAnswer> {
        let known = self.ask(plan, &Question::One(flow), 1).await?;
        Ok(known.flows.into_iter().max_by_key(|remembered| remembered.seen))
    }

    /// What all of them know. Memory for `room` flows is taken here: a worker takes none.
    async fn ask(&self, plan: &Plan, question: &Question, room: usize) -> Result<Known, NoAnswer> {
        let mut answers = Vec::new();
        for desk in &*self.0 {
            let (reply, answer) = oneshot::channel();
            let (question, known) = (question.clone(), Known::nothing(plan, room));
            let inquiry = Inquiry { question, next: 0, known, reply };
            desk.try_send(inquiry).map_err(|_| NoAnswer)?;
            answers.push(answer);
        }
        let mut all = Known::nothing(plan, 0);
        for answer in answers {
            let known = timeout(PATIENCE, answer).await.map_err(|_| NoAnswer)?.map_err(|_| NoAnswer)?;
            all.add(known);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AllFailed, Ports, Protocol, ServiceConfig};
    use crate::engine::flows::Target;
    use crate::engine::packet::Signal;
    use crate::engine::pools::tests::plan as pool_of;

    const VIP: [u8; 4] = [192, 0, 2, 100];

    /// Two services with the same two backends.
    fn plan() -> Plan {
        let pool = pool_of(&[1, 1], 2, AllFailed::Drop).pools.remove(0);
        let service = |port| {
            let (vip, ports) = (VIP.into(), Ports::These(port..=port));
            ServiceConfig { vip, protocol: Protocol::Tcp, ports, pool: 0 }
        };
        Plan::new(&[pool], vec![service(80), service(443)])
    }

    /// So many flows from ports 0 and up; those from even ones are for the first service, and from those that three divides for the
    /// first backend.
    fn flows(count: u16) -> Flows {
        let mut flows = Flows::new(usize::from(count) * 16);
        for port in 0..count {
            let (backend, service) = (u16::from(!port.is_multiple_of(3)), port % 2);
            let flow = flow(port, [80, 443][usize::from(service)]);
            let target = Target { backend, service, port: 0 };
            flows.put(flow, flow::hash(&flow), Signal::Begin, target, Instant::default(), |_, _| None);
        }
        flows
    }

    fn flow(source_port: u16, destination_port: u16) -> Flow {
        let destination = address::to_map(VIP.into());
        Flow { source_port, destination, destination_port, protocol: 6, ..Flow::default() }
    }

    /// What comes of a question, and how many looks it took.
    fn answer(question: Question, flows: &Flows) -> (Known, usize) {
        let (plan, now) = (plan(), Instant::default());
        let (way, mut desk) = Desk::new();
        let (reply, mut answer) = oneshot::channel();
        assert!(!desk.attend(&plan, flows, now), "nobody asks");
        way.try_send(Inquiry { question, next: 0, known: Known::nothing(&plan, 5), reply }).expect("room");
        let looks = (1..).find(|_| desk.attend(&plan, flows, now) && desk.open.is_none()).expect("an end");
        (answer.try_recv().expect("an answer"), looks)
    }

    #[test]
    fn flows_are_counted_in_small_parts_and_some_of_them_are_told() {
        let flows = flows(600);
        for (filter, total, per_backend, per_service) in [
            (Filter::default(), 600, [200, 400], [300, 300]),
            (Filter { port: Some(443), ..Filter::default() }, 300, [100, 200], [0, 300]),
            (Filter { backend: Some([192, 0, 2, 1].into()), ..Filter::default() }, 200, [200, 0], [100, 100]),
            (Filter { vip: Some([192, 0, 2, 101].into()), ..Filter::default() }, 0, [0, 0], [0, 0]),
        ] {
            let (known, looks) = answer(Question::Several { filter: filter.clone(), limit: 5 }, &flows);
            assert_eq!(looks, flows.sets() / SETS_AT_ONCE);
            assert_eq!(
                (known.total, known.per_backend, known.per_service),
                (total, per_backend.to_vec(), per_service.to_vec()),
                "{filter:?}"
            );
            assert_eq!(known.flows.len() as u64, total.min(5));
        }
    }

    #[test]
    fn one_flow_is_found_at_once() {
        let flows = flows(600);
        let (known, looks) = answer(Question::One(flow(7, 443)), &flows);
        assert_eq!(
            (known.flows[0].target, known.flows.len(), looks),
            (Target { backend: 1, service: 1, port: 0 }, 1, 1)
        );
        assert_eq!(answer(Question::One(flow(7, 80)), &flows).0.flows, []);
    }
}
