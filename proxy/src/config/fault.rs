//! What is wrong with a file, and where.
//!
//! A `Fault` is one finding: the path of the setting (`pools.main.shards[2].weight`), the line where it stands, and
//! the problem in words. `Findings` gathers them while a file is read, so that all are reported at once; a reader
//! that meets one goes on with the next setting.
//!
//! Nothing here decides what is right; `nearest` only guesses which known word a misspelt one meant.

use super::tree::Tree;
use crate::limits::CONFIG_FAULTS_MAX;

/// One finding about a file: a fault, or, in `Loaded::warnings`, a warning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", prefix(self.line, &self.path))]
pub struct Fault {
    /// The setting, from the top of the file; empty where the file as a whole is meant.
    pub path: String,
    /// The line where it stands, counted from 1, where the parser knows it.
    pub line: Option<usize>,
    /// What was found and what is allowed.
    pub problem: String,
}

impl Fault {
    /// A fault whose text names its setting, and that was found where lines are not known.
    pub fn from_text(text: String) -> Self {
        Self { path: String::new(), line: None, problem: text }
    }
}

/// `line 3: pools.main: ` as far as known.
fn prefix(line: Option<usize>, path: &str) -> String {
    let line = line.map_or(String::new(), |line| format!("line {line}: "));
    if path.is_empty() {
        return line;
    }
    format!("{line}{path}: ")
}

/// Where a setting stands in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: String,
    /// Number of the node in the tree that shows the line.
    pub(super) node: usize,
}

impl Place {
    /// The place of `key` inside this one.
    pub(super) fn key(&self, key: &str, node: usize) -> Self {
        let path =
            if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { path, node }
    }

    /// The place of list element `index` inside this one.
    pub(super) fn element(&self, index: usize, node: usize) -> Self {
        Self { path: format!("{}[{index}]", self.path), node }
    }
}

/// The findings of one reading.
#[derive(Debug, Default)]
pub(super) struct Findings {
    faults: Vec<(Place, String)>,
    warnings: Vec<(Place, String)>,
}

impl Findings {
    pub(super) fn fault(&mut self, place: &Place, problem: impl Into<String>) {
        self.faults.push((place.clone(), problem.into()));
    }

    pub(super) fn warn(&mut self, place: &Place, problem: impl Into<String>) {
        self.warnings.push((place.clone(), problem.into()));
    }

    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Faults with their lines, in the order of the file; at most `CONFIG_FAULTS_MAX` and a count of the rest.
    pub(super) fn into_faults(self, tree: &Tree<'_>) -> Vec<Fault> {
        located(self.faults, tree)
    }

    /// Warnings with their lines, in the order of the file, bounded like faults.
    pub(super) fn into_warnings(self, tree: &Tree<'_>) -> Vec<Fault> {
        located(self.warnings, tree)
    }
}

fn located(mut found: Vec<(Place, String)>, tree: &Tree<'_>) -> Vec<Fault> {
    found.sort_by_key(|(place, _)| place.node);
    let left_out = found.len().saturating_sub(CONFIG_FAULTS_MAX);
    found.truncate(CONFIG_FAULTS_MAX);
    let mut faults: Vec<_> = found
        .into_iter()
        .map(|(place, problem)| Fault { line: tree.line(place.node), path: place.path, problem })
        .collect();
    if left_out > 0 {
        faults.push(Fault {
            path: String::new(),
            line: None,
            problem: format!("{left_out} more are not shown"),
        });
    }
    faults
}

/// The word of `known` that `word` was probably meant to be.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let limit = (word.chars().count() / 3).clamp(1, 3);
    known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete or replace to turn `from` into `to`; a hyphen counts as an underscore, case not at all.
fn distance(from: &str, to: &str) -> usize {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let (from, to) = (plain(from), plain(to));
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut next = vec![line + 1];
        let mut last = line + 1;
        for ((above_left, above), other) in row.iter().zip(row.iter().skip(1)).zip(to.chars()) {
            let replaced = above_left + usize::from(letter != other);
            last = replaced.min(above + 1).min(last + 1);
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_word_is_matched_with_the_nearest_known_one() {
        let known = ["listen", "shards", "hash", "hash_tag", "distribution", "timeout"];
        let cases = [
            ("lisen", Some("listen")),
            ("shard", Some("shards")),
            ("hash-tag", Some("hash_tag")),
            ("Timeout", Some("timeout")),
            ("distributon", Some("distribution")),
            ("has", Some("hash")),
            ("redis", None),
            ("xy", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
    }

    #[test]
    fn fault_shows_line_path_and_problem_as_far_as_known() {
        let mut fault =
            Fault { path: "pools.main".to_owned(), line: Some(3), problem: "no shards".to_owned() };
        assert_eq!(fault.to_string(), "line 3: pools.main: no shards");
        fault.line = None;
        assert_eq!(fault.to_string(), "pools.main: no shards");
        fault.path.clear();
        assert_eq!(fault.to_string(), "no shards");
    }
}
