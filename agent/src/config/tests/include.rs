//! A configuration of several files.

use std::fs;
use std::path::PathBuf;

use super::MINIMAL;
use crate::config::{Config, ConfigError};

/// A directory with files, which goes with the value.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("baton-include-{name}-{}", std::process::id()));
        for (file, text) in files {
            let file = path.join(file);
            fs::create_dir_all(file.parent().expect("a directory")).expect("made");
            fs::write(file, text).expect("written");
        }
        Self(path)
    }

    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.0.join("baton.toml"))
    }

    /// All mistakes, without the directory in them.
    fn mistakes(&self) -> Vec<String> {
        let error = self.load().expect_err("mistakes").to_string();
        let directory = format!("{}/", self.0.display());
        error.replace(&directory, "").lines().map(str::to_owned).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn router(vrid: u8) -> String {
    MINIMAL.replace("51", &vrid.to_string()).replace(".100", &format!(".{vrid}"))
}

#[test]
fn files_are_put_together_as_if_they_were_one() {
    let tracked = format!("{}track = [\"a\"]\n", router(3));
    let files = [
        ("baton.toml", "include = [\"conf.d/*.toml\", \"more/last.toml\"]\n[runtime]\nsbfd = \"off\"\n"),
        ("conf.d/20.toml", &router(2)),
        ("conf.d/10.toml", &router(1)),
        ("conf.d/no.tml", "nonsense"),
        ("more/last.toml", &format!("include = [\"../conf.d/none*.toml\", \"deep/a.toml\"]\n{tracked}")),
        ("more/deep/a.toml", "[[track]]\nname = \"a\"\nfile = \"/a\"\n"),
    ];
    let directory = Directory::new("together", &files);
    let config = directory.load().expect("valid");
    let vrids: Vec<u8> = config.routers.iter().map(|router| router.vrid.get()).collect();
    assert_eq!(vrids, [1, 2, 3]);
    assert_eq!((config.routers[2].trackers.len(), config.trackers.len()), (1, 1));
}

#[test]
fn mistakes_are_named_with_the_file_that_they_are_in() {
    let twice = format!("{}\n{}", router(1), router(9).replace(".9", ".8"));
    let files = [
        ("baton.toml", "include = [\"a.toml\", \"b.toml\"]\n[runtime]\nsbfd = \"of\"\n"),
        ("a.toml", &router(1)),
        ("b.toml", &format!("[runtime]\nxdp = \"auto\"\n{twice}prio = 1\n")),
    ];
    let expected = [
        "baton.toml, line 3, column 8: sbfd \"of\" is unknown; write \"auto\", \"fastest\", \"fast\", \"steady\", \"relaxed\" or \"off\"",
        "b.toml, line 1, column 2: runtime stands on line 2 of baton.toml, too; write it in one of the files",
        "b.toml, line 5, column 8: vrid 1 stands on line 3 of a.toml for eth0, too; give every virtual router of a family on a link its own \
         vrid",
        "b.toml, line 6, column 9: vip 192.0.2.1 stands on line 4 of a.toml, too; an address belongs to one virtual router; remove \
         the other",
        "b.toml, line 12, column 1: [[router]] has no key `prio`; write `priority`, or remove it",
    ];
    assert_eq!(Directory::new("places", &files).mistakes(), expected);
}

#[test]
fn files_that_include_each_other_or_are_missing_are_refused_at_their_place() {
    let files = [
        ("baton.toml", "include = [\"a.toml\", \"none.toml\", \".\"]\n"),
        ("a.toml", "include = [\"b.toml\"]\n"),
        ("b.toml", "include = [\n  \"./a.toml\",\n  \"*.toml\",\n]\n[[router\n"),
    ];
    let mistakes = Directory::new("refused", &files).mistakes();
    let starts = [
        "baton.toml, line 1, column 22: cannot read none.toml: No such file or directory",
        "baton.toml, line 1, column 35: cannot read .: Is a directory",
        "b.toml, line 5, column 9: ",
    ];
    assert_eq!(mistakes.len(), starts.len(), "{mistakes:#?}");
    for (mistake, start) in mistakes.iter().zip(starts) {
        assert!(mistake.starts_with(start), "{mistake} instead of {start}");
    }
    let files = [
        ("baton.toml", "include = [\"a.toml\"]\n"),
        ("a.toml", "include = [\"./a.toml\", \"baton.toml\", \"*.toml\"]\n"),
    ];
    let mistakes = Directory::new("cycle", &files).mistakes();
    let remedy = "is part of the configuration already; include a file once, and none that includes this one";
    let expected = [
        "baton.toml, line 1, column 1: `router` is missing; write [[router]], with two brackets, above its keys".to_owned(),
        format!("a.toml, line 1, column 12: ./a.toml {remedy}"),
        format!("a.toml, line 1, column 24: baton.toml {remedy}"),
        format!("a.toml, line 1, column 38: a.toml {remedy}"),
        format!("a.toml, line 1, column 38: baton.toml {remedy}"),
    ];
    assert_eq!(mistakes, expected);
}
