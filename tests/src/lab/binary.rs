//! Where the programs under test are.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

/// The program `name` of this workspace: in `BATON_BIN_DIR` if that is set, else beside the running program (a test
/// runs from `deps`, one directory further down).
pub fn binary(name: &str) -> Result<PathBuf> {
    let directory = match env::var_os("BATON_BIN_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => {
            let program = env::current_exe().context("find the running program")?;
            let directory = program.parent().context("a program lies in a directory")?;
            let directory =
                if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory };
            directory.to_owned()
        }
    };
    let path = directory.join(name);
    ensure!(
        path.is_file(),
        "no `{name}` in {}: build it in the same profile (`cargo build -p baton -p baton-benches`) or point \
         BATON_BIN_DIR at it",
        directory.display()
    );
    Ok(path)
}
