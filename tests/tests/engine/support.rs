//! What the tests with real nodes need.

use std::time::Duration;

use anyhow::Result;
use baton_tests::lab::{Balanced, leftovers};

/// Longer than a busy machine needs for anything that is waited for.
pub(super) const SOON: Duration = Duration::from_secs(10);

/// Ends the agents and removes all; nothing is left then.
pub(super) fn end(mut setup: Balanced) -> Result<()> {
    setup.stop()?;
    let id = setup.lab.id().to_owned();
    drop(setup);
    assert_eq!(leftovers(&id), Vec::<String>::new());
    Ok(())
}
