//! What is said over the control socket, in both directions.

use baton::control::protocol::{Request, Response};
use baton::control::{adjust, engine, explain, flows, render, top, trace};

/// A line of a client, which may be any process of the agent's group. One that is understood is said in one way.
pub fn request(octets: &[u8]) -> bool {
    let Ok(request) = serde_json::from_slice::<Request>(octets) else { return false };
    let said = serde_json::to_string(&request).expect("a request is JSON");
    let again: Request = serde_json::from_str(&said).expect("what is said is understood");
    assert_eq!(serde_json::to_string(&again).expect("a request is JSON"), said);
    true
}

/// The line of an agent, which may be of another version than the command that shows it.
pub fn answer(octets: &[u8]) -> bool {
    match serde_json::from_slice(octets) {
        Ok(Response::Status(status)) => {
            assert!(!render::status(&status).is_empty());
            // Of an agent without virtual routers there is nothing to explain.
            assert!(!explain::explain(&status).is_empty() || status.routers.is_empty());
        }
        Ok(Response::Engine(engines)) => assert!(!engine::backends(&engines).is_empty()),
        Ok(Response::Load(loads)) => {
            assert!(!top::table(&top::rates(&loads, &loads)).is_empty());
        }
        Ok(Response::Flows(lists)) => assert!(!flows::flows(&lists).is_empty()),
        Ok(Response::Trace(trace)) => assert!(!trace::trace(&trace).is_empty()),
        Ok(Response::Adjusted(adjusted)) => assert!(!adjust::adjusted(&adjusted).is_empty()),
        Ok(Response::Outcomes(outcomes)) => drop(render::outcomes(&outcomes)),
        Ok(Response::Restarted(restarted)) => drop(render::restarted(restarted)),
        Ok(Response::Reloaded(reloaded)) => drop(render::reloaded(&reloaded)),
        Ok(Response::Error(_)) => {}
        Err(_) => return false,
    }
    true
}
