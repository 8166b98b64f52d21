//! The files of a configuration: `baton.toml` and what it includes, put together as if it were one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glob::{GlobError, Pattern, glob};

use super::document::{self, Map, Member, Node, Value};
use super::environment::{Environment, substitute};
use super::findings::{Findings, Spot};
use super::key::Key;
use super::shape::{List, Text};
use super::text;

pub(super) static INCLUDE: Key<List<Text<String>>> = Key {
    name: "include",
    meaning: "Files that are read as if they stood in this one, as paths or patterns relative to it.",
    remedy: "write paths of files or patterns, such as include = [\"conf.d/*.toml\"], above all tables",
    default: Some("[]"),
    shape: List { least: 0, most: usize::MAX, item: "a path of include", remedy: None, shape: text::ANY },
};

const UNREADABLE: &str = "write the path of a readable file, relative to the one that it stands in, or a pattern such as \
                          \"conf.d/*.toml\"";

/// Reads files.
struct Reader<'a> {
    environment: Environment<'a>,
    findings: &'a mut Findings,
    /// The files that were begun, without links on the way to them.
    files: Vec<PathBuf>,
    /// Whether nothing was left out.
    is_whole: bool,
}

/// The tables and keys of the file at `path`, which holds `content`, and of all that it includes. There are none if one of them
/// cannot be read: what is missing elsewhere may stand in it.
pub(super) fn read(
    path: &Path,
    content: String,
    environment: Environment<'_>,
    findings: &mut Findings,
) -> Option<Map> {
    let mut reader = Reader { environment, findings, files: vec![without_links(path)], is_whole: true };
    let mut whole = Map::new();
    reader.read(path, content, &mut whole);
    reader.is_whole.then_some(whole)
}

impl Reader<'_> {
    /// Adds a file to the `whole`, and then those that it includes.
    fn read(&mut self, path: &Path, content: String, whole: &mut Map) {
        let Some((start, mut members)) = document::read(path, content, self.findings) else {
            self.is_whole = false;
            return;
        };
        substitute(&mut members, self.environment, self.findings);
        let include = members.remove(INCLUDE.name);
        self.merge(members, whole);
        let node = include.as_ref().map(|member| &member.node);
        for (spot, pattern) in INCLUDE.read(node, start, self.findings).into_iter().flatten() {
            let directory = path.parent().unwrap_or(Path::new(""));
            match expand(directory, &pattern) {
                Ok(files) => files.iter().for_each(|file| self.include(file, spot, whole)),
                Err(error) => self.leave_out(spot, &pattern, &error),
            }
        }
    }

    fn include(&mut self, path: &Path, spot: Spot, whole: &mut Map) {
        let file = without_links(path);
        if self.files.contains(&file) {
            let what = format!("{} is part of the configuration already", path.display());
            self.findings.add(spot, what, "include a file once, and none that includes this one");
            return;
        }
        self.files.push(file);
        match fs::read_to_string(path) {
            Ok(content) => self.read(path, content, whole),
            Err(error) => self.leave_out(spot, &path.display().to_string(), &error),
        }
    }

    fn leave_out(&mut self, spot: Spot, path: &str, error: &io::Error) {
        self.findings.add(spot, format!("cannot read {path}: {error}"), UNREADABLE);
        self.is_whole = false;
    }

    /// Adds what a file has: tables of arrays to those of other files. What cannot be there twice in one file cannot be in
    /// two.
    fn merge(&mut self, members: Map, whole: &mut Map) {
        for (name, Member { key, node }) in members {
            match (whole.get_mut(&name).map(|member| (member.key, &mut member.node.value)), node.value) {
                (None, value) => {
                    let node = Node { value, ..node };
                    whole.insert(name, Member { key, node });
                }
                (Some((_, Value::List(before))), Value::List(more)) => before.extend(more),
                (Some((before, _)), _) => {
                    let what = format!("{name} stands {}, too", self.findings.line_of(before, key));
                    self.findings.add(key, what, "write it in one of the files");
                }
            }
        }
    }
}

/// The files that `pattern` means in a `directory`, in alphabetical order. A path without `*`, `?` and `[` means one file, be it
/// there or not.
fn expand(directory: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    if !pattern.contains(['*', '?', '[']) {
        return Ok(vec![directory.join(pattern)]);
    }
    let around = Pattern::escape(&directory.to_string_lossy());
    let pattern = Path::new(&around).join(pattern);
    let found = glob(&pattern.to_string_lossy()).map_err(io::Error::other)?;
    found.collect::<Result<_, GlobError>>().map_err(Into::into)
}

/// By which a file is recognised, whatever it is called. One that is not there is found missing when it is read.
fn without_links(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
