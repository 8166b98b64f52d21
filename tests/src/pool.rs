//! Pools of the engine for tests without a configuration file.

use std::num::NonZeroU8;
use std::time::Duration;

use baton::config::{AllFailed, BackendConfig, Forwarding, PoolConfig, Schedule};

/// The pool "web" with these backends and no checks, and all else as it is by default.
pub fn pool(backends: Vec<BackendConfig>) -> PoolConfig {
    PoolConfig {
        name: "web".to_owned(),
        backends,
        forwarding: Forwarding::Direct,
        interface: None,
        checks: Vec::new(),
        schedule: Schedule::Maglev,
        quorum: 1,
        all_failed: AllFailed::Drop,
        interval: Duration::ZERO,
        patience: Duration::ZERO,
        rise: NonZeroU8::MIN,
        fall: NonZeroU8::MIN,
    }
}
