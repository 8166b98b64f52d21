//! What an agent has to be like to take over from another.

use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, bail};
use baton_common::maps::LAYOUT_VERSION;

use crate::config::Config;
use crate::guardian::Predecessor;

/// What helps where the fence of the running agent cannot be taken over.
const REMEDY: &str =
    "`baton handover`, stop baton, `baton detach` with its configuration, start it with the new one";

/// Fails when the addresses, as `predecessor` serves them, cannot be served with `config`.
pub(super) fn check(config: &Config, predecessor: &Predecessor) -> anyhow::Result<()> {
    let (layout, pins, directory) = (predecessor.layout, &config.runtime.pins, &config.runtime.directory);
    if layout != LAYOUT_VERSION {
        bail!(
            "the maps of the running agent have layout {layout}, those of this program {LAYOUT_VERSION}: they cannot be \
             taken over; {REMEDY}"
        );
    }
    if *pins != predecessor.pins {
        bail!("a restart cannot change `pins` in [runtime]; {REMEDY}");
    }
    let locked = predecessor.directory_lock.metadata().context("looking at the running agent's directory")?;
    let is_locked = |found: fs::Metadata| (found.dev(), found.ino()) == (locked.dev(), locked.ino());
    if !fs::metadata(directory).is_ok_and(is_locked) {
        bail!("a restart cannot change `directory` in [runtime]; {REMEDY}");
    }
    Ok(())
}
