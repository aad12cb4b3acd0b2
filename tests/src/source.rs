//! The repository as text: its files, and the lists in ARCHITECTURE.md, for the tidy test.
//!
//! Comes in: nothing but the checkout. Goes out: `Source` per text file, with its code lines apart from comments and
//! from the tests at its end, and `Architecture` with the allowed imports, the outer modules and the code map.
//! No rule is here: rules and their samples are in tests/it/tidy.rs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::tools::repository;

/// A file of the repository: its path from the top, with `/`, and its text.
#[derive(Debug)]
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    /// A file that is not on disk.
    pub fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    /// Lines with their numbers up to the tests at the end, comments cut off.
    pub fn code(&self) -> Vec<(usize, &str)> {
        let mut lines = Vec::new();
        let mut before = "";
        for (index, line) in self.text.lines().enumerate() {
            if before.trim() == "#[cfg(test)]" && line.trim_start().starts_with("mod ") {
                lines.pop();
                break;
            }
            before = line;
            let cut =
                line.find("//").filter(|at| !line[..*at].ends_with(':')).unwrap_or(line.len());
            lines.push((index + 1, &line[..cut]));
        }
        lines
    }

    /// The path below proxy/src without the ending: `resp/args`; `resp` for `resp/mod.rs`.
    pub fn module(&self) -> Option<&str> {
        let below = self.path.strip_prefix("proxy/src/")?.strip_suffix(".rs")?;
        Some(below.strip_suffix("/mod").unwrap_or(below))
    }

    /// Whether the whole file is there for the tests of its module.
    pub fn is_tests(&self) -> bool {
        let ends = ["/tests.rs", "_tests.rs", "/test_support.rs"];
        ends.iter().any(|end| self.path.ends_with(end))
    }

    /// One line of a report.
    pub fn finding(&self, line: usize, text: &str) -> String {
        format!("{}:{line}: {text}", self.path)
    }
}

/// What ARCHITECTURE.md says that this test reads.
#[derive(Debug)]
pub struct Architecture {
    pub imports: BTreeMap<String, BTreeSet<String>>,
    pub outer: BTreeSet<String>,
    pub map: BTreeMap<String, String>,
}

impl Architecture {
    /// Reads the fenced lists and the rows of the map.
    pub fn read(page: &str) -> Architecture {
        let words =
            |text: &str| text.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
        let mut imports = BTreeMap::new();
        let mut outer = BTreeSet::new();
        let mut fence = "";
        for line in page.lines() {
            if let Some(name) = line.strip_prefix("```") {
                fence = name;
            } else if let ("imports", Some((name, list))) = (fence, line.split_once(':')) {
                imports.insert(name.to_owned(), words(list));
            } else if fence == "outer" {
                outer.extend(words(line));
            }
        }
        let rows = page.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("| `")?.split_once("` |")?;
            Some((name.to_owned(), rest.to_owned()))
        });
        Architecture { imports, outer, map: rows.collect() }
    }
}

/// Every text file below `folder`, without what is built, fetched or git's own.
fn read_tree(folder: &Path, found: &mut Vec<Source>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries.map(|entry| entry.expect("folder entry").path()) {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if ["target", ".git", ".venv", "node_modules", "__pycache__"].contains(&name.as_str()) {
            continue;
        }
        if entry.is_dir() {
            read_tree(&entry, found);
        } else if let Ok(text) = std::fs::read_to_string(&entry) {
            let below = entry.strip_prefix(repository()).expect("below the top");
            found.push(Source { path: below.to_string_lossy().replace('\\', "/"), text });
        }
    }
}

/// Every text file of the checkout.
pub fn tree() -> Vec<Source> {
    let mut found = Vec::new();
    read_tree(&repository(), &mut found);
    assert!(
        found.iter().any(|source| source.path == "proxy/src/lib.rs"),
        "the scan found no source"
    );
    found
}

/// The page as it is.
pub fn architecture() -> Architecture {
    let page =
        std::fs::read_to_string(repository().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let architecture = Architecture::read(&page);
    assert!(
        architecture.imports.len() > 10 && !architecture.outer.is_empty(),
        "the page has its lists"
    );
    architecture
}
