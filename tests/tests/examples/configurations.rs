//! Every `baton.toml` among the examples is one that Baton takes.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use baton_tests::lab::{binary, output};

use super::files::examples;

#[test]
fn baton_finds_no_mistake_in_any_example() -> Result<()> {
    let mut checked = 0;
    for example in fs::read_dir(examples())?.flatten().filter(|entry| entry.path().is_dir()) {
        for node in ["a", "b"] {
            let file = example.path().join(format!("baton-{node}.toml"));
            output(Command::new(binary("baton")?).args(["check", "--config"]).arg(&file))?;
            checked += 1;
        }
    }
    ensure!(checked > 0, "there are no examples");
    Ok(())
}
