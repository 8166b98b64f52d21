//! `HAZARDS.md` keeps its word: the tests that it names are there, and no statement of the checklist is forgotten.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The last statement.
const LAST: u32 = 150;
/// Where tests are, below the workspace.
const SOURCES: [&str; 6] = ["agent/src", "benches", "common/src", "tests/src", "tests/tests", "xtask/src"];

#[test]
fn every_test_that_is_named_is_there() {
    let tests = tests();
    assert!(tests.len() > 300, "only {} tests were found", tests.len());
    let document = document("HAZARDS.md");
    let named: Vec<&str> = document.split('`').skip(1).step_by(2).filter(|name| is_test_name(name)).collect();
    assert!(named.len() > 100, "only {} names were found", named.len());
    let missing: Vec<&&str> = named.iter().filter(|name| !tests.contains(**name)).collect();
    assert!(missing.is_empty(), "there is no such test: {missing:#?}");
}

#[test]
fn every_hazard_and_every_complaint_has_a_row() {
    let document = document("HAZARDS.md");
    let rows = |title: &str| -> Vec<u32> {
        let section =
            document.split("\n## ").find(|section| section.starts_with(title)).expect("the section");
        section.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok()).collect()
    };
    assert_eq!(rows("Hazards"), (1..=18).collect::<Vec<_>>());
    assert_eq!(rows("Complaints"), (1..=20).chain([23, 26, 34]).collect::<Vec<_>>());
}

#[test]
fn every_statement_of_the_checklist_is_named() {
    let mut named = BTreeSet::new();
    for source in SOURCES {
        each_source(&root().join(source), &mut |text| named.extend(numbers(text)));
    }
    for name in ["HAZARDS.md", "README.md"] {
        // The whole checklist is named there, as a whole.
        named.extend(numbers(&document(name).replace("T-001 to T-150", "")));
    }
    let missing: Vec<u32> = (1..=LAST).filter(|number| !named.contains(number)).collect();
    assert!(missing.is_empty(), "neither a test nor HAZARDS.md names T-{missing:?}");
}

/// The numbers of the checklist that `text` names, by themselves or as a range.
fn numbers(text: &str) -> Vec<u32> {
    let number = |text: &str| text.get(..3)?.parse::<u32>().ok();
    let mut numbers: Vec<u32> = Vec::new();
    let mut parts = text.split("T-");
    let mut before = parts.next().unwrap_or_default();
    for part in parts {
        let last = numbers.last().copied();
        if let Some(found) = number(part) {
            // "T-015 to T-023".
            let is_range = before.get(3..) == Some(" to ");
            let first = last.filter(|_| is_range).map_or(found, |last| last + 1);
            numbers.extend(first..=found);
        }
        before = part;
    }
    numbers
}

#[test]
fn numbers_are_found_alone_and_in_ranges() {
    assert_eq!(numbers("T-007, T-010 and T-015 to T-018; T-1."), [7, 10, 15, 16, 17, 18]);
}

/// Like every test here: a sentence.
fn is_test_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.bytes().all(plain) && text.matches('_').count() > 2
}

/// The names of all tests of the workspace.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in SOURCES {
        each_source(&root().join(source), &mut |text| {
            let after = text.split("#[test]").skip(1);
            let name = |rest: &str| Some(rest.split_once("fn ")?.1.split_once('(')?.0.to_owned());
            names.extend(after.filter_map(name));
        });
    }
    names
}

fn each_source(directory: &Path, tell: &mut impl FnMut(&str)) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        // Examples in this file are no tests and no statements.
        if path.ends_with("tests/checklist.rs") {
            continue;
        }
        if path.is_dir() {
            each_source(&path, tell);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            tell(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        }
    }
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join("tests").join(name)).expect("a document of this crate")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace")
}
