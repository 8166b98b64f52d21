//! What the tests with real nodes need.

use std::time::Duration;

use anyhow::{Context as _, Result};
use baton::control::protocol::FlowList;
use baton_tests::lab::{Balanced, Host, leftovers};

/// Longer than a busy machine needs for anything that is waited for.
pub(super) const SOON: Duration = Duration::from_secs(10);

/// What `baton engine flows` with these arguments says on node a.
pub(super) fn flows(setup: &Balanced, arguments: &str) -> Result<FlowList> {
    let text = setup.ask(Host::A, &format!("flows --json{arguments}"))?;
    serde_json::from_str::<Vec<FlowList>>(&text)?.pop().context("an engine")
}

/// Ends the agents and removes all; nothing is left then.
pub(super) fn end(mut setup: Balanced) -> Result<()> {
    setup.stop()?;
    let id = setup.lab.id().to_owned();
    drop(setup);
    assert_eq!(leftovers(&id), Vec::<String>::new());
    Ok(())
}
