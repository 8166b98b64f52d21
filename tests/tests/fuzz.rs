//! The corpus of `tests/fuzz`, and mutations of it that are the same in every run, through the targets of the fuzzer.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use baton_tests::fuzz::{TARGETS, Target, mutate};
use baton_tests::random::Random;

/// Mutations of each corpus, as many of each file.
const MUTATIONS: usize = 30_000;

#[test]
fn no_octets_of_the_corpus_and_none_that_are_like_them_make_a_target_panic() {
    for target @ (name, _) in TARGETS {
        let corpus = corpus(name);
        for (index, (file, original)) in corpus.iter().enumerate() {
            attempt(target, file, original);
            let mut random = Random::new(index as u64);
            for number in 0..MUTATIONS / corpus.len() {
                let (_, other) = &corpus[random.below(corpus.len())];
                let octets = mutate(original, other, &mut random);
                attempt(target, &format!("{file}, mutation {number}"), &octets);
            }
        }
    }
}

/// A corpus that is refused at the door tries nothing.
#[test]
fn every_corpus_has_what_is_understood_and_what_is_not() {
    for (name, run) in TARGETS {
        let understood: Vec<bool> = corpus(name).iter().map(|(_, octets)| run(octets)).collect();
        assert!(understood.contains(&true) && understood.contains(&false), "{name}: {understood:?}");
    }
}

/// Whoever adds a target gives it a corpus and a program for cargo-fuzz, under its name.
#[test]
fn every_target_has_a_corpus_and_a_program_for_the_fuzzer() {
    let manifest = fs::read_to_string(directory().join("Cargo.toml")).expect("the fuzzer's manifest");
    for (name, _) in TARGETS {
        assert!(corpus(name).len() > 3, "the corpus of {name} is small");
        let program = directory().join("fuzz_targets").join(format!("{name}.rs"));
        let text =
            fs::read_to_string(&program).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        assert!(text.contains(&format!("fuzz::{name}(octets)")), "{text}");
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name} is not in the manifest");
    }
    let count =
        |directory: &str| fs::read_dir(self::directory().join(directory)).expect("it is there").count();
    assert_eq!([count("corpus"), count("fuzz_targets")], [TARGETS.len(); 2]);
}

fn attempt((name, run): Target, what: &str, octets: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| run(octets))).is_err() {
        panic!("{name} panics on {what}: {}", octets.escape_ascii());
    }
}

/// The files of the corpus called `name`, in the order of their names.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let directory = directory().join("corpus").join(name);
    let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let octets = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.display().to_string(), octets)
    };
    paths.into_iter().map(read).collect()
}

fn directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}
