//! What the command lines of the benchmarks have in common.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// Fails for a name that is none.
pub fn check_names(names: &[String], is_known: impl Fn(&str) -> bool) -> Result<()> {
    let unknown = names.iter().find(|name| !is_known(name));
    ensure!(unknown.is_none(), "`{}` is not known: see --help", unknown.map_or("", String::as_str));
    Ok(())
}

/// Whether `name` is in a list of names, of which an empty one means all.
pub fn is_wanted(name: &str, list: &[String]) -> bool {
    list.is_empty() || list.iter().any(|item| item == name)
}

/// Writes `text` to `file`, if there is one.
pub fn write(file: Option<&Path>, text: &str) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

/// What becomes of a benchmark that has said what it has to say: it fails if it was interrupted, or if a part of it failed.
pub fn conclude(result: Result<()>, failures: &[String]) -> Result<()> {
    result?;
    ensure!(failures.is_empty(), "{} thing(s) went wrong", failures.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_names_is_of_known_ones_and_an_empty_one_of_all() {
        let list = ["one", "two"].map(str::to_owned);
        assert!(check_names(&list, |name| name.len() == 3).is_ok());
        let error = check_names(&list, |name| name == "one").expect_err("two is not known");
        assert_eq!(error.to_string(), "`two` is not known: see --help");
        let wanted = |name| [is_wanted(name, &list), is_wanted(name, &[])];
        assert_eq!([wanted("one"), wanted("three")], [[true, true], [false, true]]);
    }

    #[test]
    fn a_benchmark_fails_with_any_of_its_parts() {
        assert!(conclude(Ok(()), &[]).is_ok());
        let error = conclude(Ok(()), &["start".to_owned()]).expect_err("a part failed");
        assert_eq!(error.to_string(), "1 thing(s) went wrong");
    }
}
