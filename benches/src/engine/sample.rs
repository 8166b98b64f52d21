//! One look at a system that forwards frames: how many, what they cost the node, and how long they took.

use anyhow::Result;
use baton_tests::program::{MapKind, NumberMap, Program};

use super::programs::{self, STEP_NS, STEPS, Traffic};
use super::site::Site;
use super::system::{Running, System};

/// The least frames that are sent before anything is measured.
const WARM: u32 = 50_000;
/// How often all flows get a frame at most until XDP forwards nearly all of them: while the worker is busy some are lost. What
/// Baton's threads spend at most for a frame then.
const PASSES: u32 = 20;
const IDLE_NS: f64 = 40.0;
/// How often it is looked whether a frame is due while times are measured.
const LOOKS: u32 = 1 << 20;

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// Frames per second that were sent to the node.
    pub(super) offered: f64,
    /// Those that came back.
    pub(super) forwarded: f64,
    /// CPU time of the kernel's thread that takes frames on the node, in ns for each frame that came back.
    pub(super) receive_ns: f64,
    /// The same of the system's own threads.
    pub(super) work_ns: f64,
}

impl Sample {
    /// What a frame cost the node.
    pub(super) fn cost_ns(&self) -> f64 {
        self.receive_ns + self.work_ns
    }
}

/// Makes the system know the flows of `traffic`, and says how many frames can be made in a second.
pub(super) fn warm(site: &Site, system: System, running: &Running, traffic: Traffic) -> Result<f64> {
    let passes = if system == System::FlowCache { PASSES } else { 1 };
    let mut rate = 0.0;
    for _ in 0..passes {
        // A generator has made one of each before it has made four times as many frames as there are flows.
        let frames = if system.has_flows() { (4 * traffic.flows).max(WARM) } else { WARM };
        let sample = take(site, running, traffic, frames)?;
        rate = sample.offered;
        if sample.work_ns < IDLE_NS {
            break;
        }
    }
    Ok(rate)
}

/// Sends so many frames of `traffic` to the system.
pub(super) fn take(site: &Site, running: &Running, traffic: Traffic, frames: u32) -> Result<Sample> {
    let generator = site.generator(traffic)?;
    let workers = running.workers()?;
    let work = || workers.iter().map(|thread| thread.cpu_ns()).sum::<Result<u64>>();
    let before = (site.returned()?, site.receiver.cpu_ns()?, work()?);
    let (sent, taken) = site.send(&generator, frames)?;
    let after = (site.returned()?, site.receiver.cpu_ns()?, work()?);
    let frames = (after.0 - before.0).max(1) as f64;
    Ok(Sample {
        offered: sent as f64 / taken.as_secs_f64(),
        forwarded: frames / taken.as_secs_f64(),
        receive_ns: (after.1 - before.1) as f64 / frames,
        work_ns: (after.2 - before.2) as f64 / frames,
    })
}

/// How long frames were on their way, how many of them so long, and how many went in a second.
pub(super) fn times(site: &Site, traffic: Traffic) -> Result<(Vec<(u64, u64)>, f64)> {
    let times = NumberMap::create(MapKind::Array, STEPS * size_of::<u64>(), 1)?;
    site.attach_to_wire(&programs::clock(&times)?, "clock")?;
    let sent = site.send(&site.generator(traffic)?, LOOKS);
    site.attach_to_wire(&Program::dropping()?, "sink")?;
    let (sent, taken) = sent?;
    let mut counts = vec![0; STEPS];
    times.read(&mut counts)?;
    let counts = (1..).map(|step| step * STEP_NS).zip(counts).filter(|(_, count)| *count > 0);
    Ok((counts.collect(), sent as f64 / taken.as_secs_f64()))
}
