//! Inputs and actions as text: for transcripts, and to show what led to a violated invariant.

use std::fmt::Debug;

use baton::vrrp::{Action, Actions, Checksum, Failure, Input, Instant, Ownership, Parameters, Standing};

use super::Disturbance;

/// `at` in milliseconds.
pub fn time(at: Instant) -> String {
    let nanos = at.as_nanos();
    let text = format!("{}.{:06}", nanos / 1_000_000, nanos % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The letter of a host.
pub fn name(host: usize) -> char {
    char::from(b'a' + u8::try_from(host).unwrap_or(25))
}

/// One disturbance, and of another configuration what may differ.
pub fn disturbance(disturbance: &Disturbance) -> String {
    let Disturbance::Restart(who, parameters) = disturbance else { return format!("{disturbance:?}") };
    let Parameters { priority, preempt, preempt_delay, startup_hold, .. } = parameters;
    format!(
        "Restart({who}) with priority {}, preempt {preempt}, delay {preempt_delay:?}, hold {startup_hold:?}",
        priority.get()
    )
}

/// One input in a few words.
pub fn input<A: Debug>(input: &Input<A>) -> String {
    match input {
        Input::Startup => "startup".into(),
        Input::StartupWithLease(until) => format!("startup with lease until {}", time(*until)),
        Input::Shutdown => "shutdown".into(),
        Input::Handover { to: None } => "handover".into(),
        Input::Handover { to: Some(to) } => format!("handover to {to:?}"),
        Input::Drain => "drain".into(),
        Input::Undrain => "undrain".into(),
        Input::LinkDown => "link down".into(),
        Input::Advertisement(advertisement) => {
            format!("hears {} from {:?}", advertisement.standing.octet(), advertisement.source)
        }
        Input::FrameHeard => "hears a frame".into(),
        Input::Timer => "timer".into(),
        Input::ActiveFailed { failure, next_in_line } => {
            let what = match failure {
                Failure::Unreachable => "active unreachable",
                Failure::OutOfService => "active out of service",
            };
            format!("{what}{}", if *next_in_line { ", next in line" } else { "" })
        }
        Input::Transmitted(begun) => format!("sent at {}", time(*begun)),
        Input::TransmitFailed => "transmit failed".into(),
        Input::GroupReady => "group ready".into(),
        Input::GroupMoved => "group moved".into(),
        Input::LeaseLapsed => "lease lapsed".into(),
        Input::Tracked { priority, fitness } => format!("tracked: {fitness:?}, priority {}", priority.get()),
        Input::DatapathLost => "datapath lost".into(),
    }
}

/// All actions of one input, in order.
pub fn actions(actions: Actions) -> String {
    let words: Vec<String> = actions.into_iter().map(action).collect();
    if words.is_empty() { "nothing".into() } else { words.join("; ") }
}

fn action(action: Action) -> String {
    match action {
        Action::SetOwnership(Ownership::Held(until)) => format!("own until {}", time(until)),
        Action::SetOwnership(Ownership::Lingering(until)) => format!("linger until {}", time(until)),
        Action::SetOwnership(Ownership::Offered(until)) => format!("offer until {}", time(until)),
        Action::SetOwnership(Ownership::Released) => "disown".into(),
        Action::Transmit { standing, checksum } => {
            let flavour = match checksum {
                Checksum::Rfc9568 => "",
                Checksum::Pseudo => " pseudo",
            };
            match standing {
                Standing::Leaving => format!("send 0{flavour}"),
                Standing::Active(priority) => format!("send {}{flavour}", priority.get()),
            }
        }
        Action::Concede { .. } => "concede".into(),
        Action::Announce => "announce".into(),
        Action::Report(transition) => {
            format!("{} -> {} ({})", transition.from, transition.to, transition.reason)
        }
    }
}
