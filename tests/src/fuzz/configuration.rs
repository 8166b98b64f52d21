//! The text of `baton.toml`.

use std::fs;

use baton::config::{Config, ConfigError};

/// A configuration: one that is valid does not differ from itself, and each mistake of any other has a place and a remedy.
pub fn configuration(octets: &[u8]) -> bool {
    // Other files are read as this one is, and the machine has some that never end.
    if octets.windows(7).any(|word| word == b"include") {
        return false;
    }
    let path = std::env::temp_dir().join(format!("baton-fuzz-{}.toml", std::process::id()));
    fs::write(&path, octets).expect("a directory for temporary files");
    let loaded = Config::load(&path);
    match &loaded {
        Ok(config) => assert!(config.differences(config).is_empty()),
        Err(ConfigError::Invalid(problems)) => {
            assert!(!problems.is_empty());
            assert!(problems.iter().all(|problem| problem.to_string().contains(':')), "{problems:?}");
        }
        Err(error @ ConfigError::Unreadable { .. }) => {
            assert!(std::str::from_utf8(octets).is_err(), "{error}");
        }
    }
    fs::remove_file(&path).expect("it is there");
    loaded.is_ok()
}
