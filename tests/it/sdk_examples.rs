//! Every public item of the SDK has an example that runs.
//!
//! Reads the SDK's sources: each public function, struct, enum, trait and macro outside an `impl` has a code block in its
//! documentation (which `cargo test --doc` runs), or names with `See [`Item`]` the item whose example shows it. Methods are
//! shown by their type's example. Hidden items are not for users. It sees texts, not types.

use std::collections::BTreeSet;

use sluicegate_tests::source::{Source, tree};

struct Item {
    place: String,
    name: String,
    has_example: bool,
    /// The item whose example shows this one.
    see: Option<String>,
}

/// The name of the public item that begins on this line.
fn item_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("macro_rules! ").or_else(|| {
        let rest = line.strip_prefix("pub ")?;
        let rest = rest.strip_prefix("const ").unwrap_or(rest);
        let rest = rest.strip_prefix("async ").unwrap_or(rest);
        ["fn ", "struct ", "enum ", "trait "].iter().find_map(|kind| rest.strip_prefix(kind))
    })?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    rest.get(..end)
}

fn linked(doc: &[&str]) -> Option<String> {
    let text =
        doc.iter().map(|line| line.trim_start_matches('/').trim()).collect::<Vec<_>>().join(" ");
    let (_, rest) = text.split_once("ee [`")?;
    let (name, _) = rest.split_once('`')?;
    Some(name.rsplit("::").next().unwrap_or(name).to_owned())
}

fn items(source: &Source) -> Vec<Item> {
    let mut items = Vec::new();
    let mut doc: Vec<&str> = Vec::new();
    let mut hidden = false;
    let end = source.code().last().map_or(0, |(number, _)| *number);
    for (index, line) in source.text.lines().take(end).enumerate() {
        if line.starts_with("///") {
            doc.push(line);
        } else if line.starts_with("#[") {
            hidden |= line == "#[doc(hidden)]";
        } else {
            if let Some(name) = item_name(line).filter(|_| !hidden) {
                items.push(Item {
                    place: format!("{}:{}", source.path, index + 1),
                    name: name.to_owned(),
                    has_example: doc.iter().any(|line| line.trim() == "/// ```"),
                    see: linked(&doc),
                });
            }
            doc.clear();
            hidden = false;
        }
    }
    items
}

fn without_example(items: &[Item], methods: &BTreeSet<String>) -> Vec<String> {
    let shown: BTreeSet<&str> =
        items.iter().filter(|item| item.has_example).map(|item| item.name.as_str()).collect();
    let is_shown = |item: &&Item| {
        let see = item.see.as_deref();
        item.has_example || see.is_some_and(|see| shown.contains(see) || methods.contains(see))
    };
    items
        .iter()
        .filter(|item| !is_shown(item))
        .map(|item| format!("{}: `{}` has no example: write one that runs", item.place, item.name))
        .collect()
}

/// Methods with an example of their own, which an item may point to.
fn methods(source: &Source) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut has_example = false;
    for line in source.text.lines() {
        let line = line.trim_start();
        if line.starts_with("///") {
            has_example |= line.trim() == "/// ```";
        } else if !line.starts_with("#[") {
            if let Some(name) = item_name(line).filter(|_| has_example) {
                found.insert(name.to_owned());
            }
            has_example = false;
        }
    }
    found
}

fn is_of_sdk(source: &&Source) -> bool {
    source.path.starts_with("patterns-wasm/sdk/src/") && !source.path.ends_with("/exports.rs")
}

#[test]
fn every_public_item_of_the_sdk_has_an_example() {
    let tree = tree();
    let sources: Vec<&Source> = tree.iter().filter(is_of_sdk).collect();
    let items: Vec<Item> = sources.iter().flat_map(|source| items(source)).collect();
    let methods = sources.iter().flat_map(|source| methods(source)).collect();
    assert!(items.len() > 80, "found only {} items", items.len());
    let missing = without_example(&items, &methods);
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn item_without_an_example_is_found_and_one_that_points_to_another_is_not() {
    let text = "/// Bare.\npub fn bare() {}\n/// One.\n///\n/// ```\n/// ```\n#[derive(Debug)]\npub struct Shown;\n\
                /// Two. See [`Shown`].\npub enum Other {}\n/// See [`Nothing`].\npub trait Lost {}\n\
                #[doc(hidden)]\npub fn hidden() {}\n";
    let source = Source::new("patterns-wasm/sdk/src/x.rs", text);
    let found = without_example(&items(&source), &BTreeSet::new());
    let names: Vec<&str> = found.iter().filter_map(|text| text.split('`').nth(1)).collect();
    assert_eq!(names, ["bare", "Lost"]);
}
