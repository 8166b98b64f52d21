//! What is wrong with a configuration, noted while it is read. Reading goes on: the operator hears of all mistakes at once.

use std::path::Path;
use std::sync::Arc;

use super::problem::{Place, Problem};

/// An octet of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    /// The file, counted in the order of reading.
    pub(super) file: usize,
    pub(super) at: usize,
}

/// The files that were read, and the mistakes in them.
#[derive(Default)]
pub(super) struct Findings {
    files: Vec<Source>,
    problems: Vec<(Spot, Problem)>,
}

struct Source {
    path: Arc<Path>,
    text: Arc<str>,
    /// The octets that lines begin with.
    lines: Vec<usize>,
}

impl Findings {
    /// Takes in the text of one more file, whose number is given back with it.
    pub(super) fn open(&mut self, path: &Path, text: String) -> (usize, Arc<str>) {
        let after_breaks =
            text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(after_breaks).collect();
        let text: Arc<str> = text.into();
        self.files.push(Source { path: path.into(), text: Arc::clone(&text), lines });
        (self.files.len() - 1, text)
    }

    /// Notes a mistake.
    pub(super) fn add(&mut self, spot: Spot, what: impl Into<String>, remedy: impl Into<String>) {
        let problem = Problem { place: self.place(spot), what: what.into(), remedy: remedy.into() };
        self.problems.push((spot, problem));
    }

    /// How many mistakes there are.
    pub(super) fn len(&self) -> usize {
        self.problems.len()
    }

    /// All mistakes, in the order of the text.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|(spot, _)| *spot);
        self.problems.into_iter().map(|(_, problem)| problem).collect()
    }

    /// Where `spot` is.
    pub(super) fn place(&self, Spot { file, at }: Spot) -> Place {
        let Source { path, text, lines } = &self.files[file];
        let line = lines.partition_point(|start| *start <= at);
        let before = text.get(lines[line - 1]..at).unwrap_or_default();
        Place { file: Arc::clone(path), line, column: before.chars().count() + 1 }
    }

    /// The words for the line of `other`, said of something at `spot`.
    pub(super) fn line_of(&self, other: Spot, spot: Spot) -> String {
        let Place { file, line, .. } = self.place(other);
        if other.file == spot.file {
            format!("on line {line}")
        } else {
            format!("on line {line} of {}", file.display())
        }
    }
}
