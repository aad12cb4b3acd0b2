//! Reading typed settings out of the tree, with a finding for each that is not what it should be.
//!
//! A `Section` is a mapping whose keys are known; opening it reports unknown and repeated keys. Each typed reader
//! takes an `Item` (a node and its place) and gives the value, or reports `found ..., allowed: ...` and gives `None`,
//! so that the caller goes on with the next setting and all faults of a file are seen at once.
//!
//! Knows YAML and units, not what a setting means.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::fault::{Findings, Place, nearest};
use super::tree::{Node, Tree, Value};
use super::units;

/// A value that was read, and where.
#[derive(Clone, Debug)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// A setting of a file: absent, or read. (A faulty one is reported and absent.)
pub(super) type Setting<T> = Option<Found<T>>;

/// A node and its place.
#[derive(Clone, Debug)]
pub(super) struct Item<'t> {
    pub(super) tree: &'t Tree<'t>,
    pub(super) node: &'t Node,
    pub(super) place: Place,
}

/// A mapping whose keys have been checked.
#[derive(Debug)]
pub(super) struct Section<'t> {
    pub(super) place: Place,
    items: Vec<(&'t str, Item<'t>)>,
}

impl<'t> Item<'t> {
    /// The whole document.
    pub(super) fn root(tree: &'t Tree<'t>) -> Self {
        let place = Place { path: String::new(), node: tree.root.number };
        Self { tree, node: &tree.root, place }
    }

    /// A mapping's entries with their places, repeated keys reported and left out; an empty value has none.
    pub(super) fn entries(&self, findings: &mut Findings) -> Option<Vec<(&'t str, Item<'t>)>> {
        let entries = match &self.node.value {
            Value::Map(entries) => entries,
            Value::Empty => return Some(Vec::new()),
            _ => {
                self.refuse(findings, "a mapping (key: value)");
                return None;
            }
        };
        let mut items: Vec<(&str, Item<'_>)> = Vec::new();
        for entry in entries {
            let item = Item {
                tree: self.tree,
                node: &entry.value,
                place: self.place.key(&entry.key, entry.key_number),
            };
            if items.iter().any(|(key, _)| *key == entry.key) {
                findings.fault(&item.place, "this key is given twice");
            } else {
                items.push((&entry.key, item));
            }
        }
        Some(items)
    }

    /// A list's elements with their places; an empty value has none.
    pub(super) fn elements(&self, findings: &mut Findings) -> Option<Vec<Item<'t>>> {
        let nodes = match &self.node.value {
            Value::List(nodes) => nodes,
            Value::Empty => return Some(Vec::new()),
            _ => {
                self.refuse(findings, "a list (lines that start with -)");
                return None;
            }
        };
        let item = |(index, node): (usize, &'t Node)| Item {
            tree: self.tree,
            node,
            place: self.place.element(index, node.number),
        };
        Some(nodes.iter().enumerate().map(item).collect())
    }

    /// A scalar as it is written: so a password of digits needs no quotes.
    pub(super) fn scalar(&self) -> Option<String> {
        match &self.node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Flag(_) | Value::Whole(_) | Value::Fraction(_) => {
                self.tree.written(self.node.number)
            }
            Value::Empty | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Reports that this value is not what is allowed.
    pub(super) fn refuse(&self, findings: &mut Findings, allowed: &str) {
        let found = match &self.node.value {
            Value::Empty => "nothing".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
            Value::Text(text) => format!("{text:?}"),
            Value::Flag(_) | Value::Whole(_) | Value::Fraction(_) => {
                self.scalar().unwrap_or_default()
            }
        };
        findings.fault(&self.place, format!("found {found}, allowed: {allowed}"));
    }
}

impl<'t> Section<'t> {
    /// Opens a mapping; keys outside `known` are reported.
    pub(super) fn open(
        item: &Item<'t>,
        known: &[&'static str],
        findings: &mut Findings,
    ) -> Option<Self> {
        let mut items = item.entries(findings)?;
        items.retain(|(key, item)| {
            if known.contains(key) {
                return true;
            }
            let problem = match nearest(key, known) {
                Some(meant) => format!("unknown key; did you mean {meant}?"),
                None => format!("unknown key, allowed: {}", known.join(", ")),
            };
            findings.fault(&item.place, problem);
            false
        });
        Some(Self { place: item.place.clone(), items })
    }

    /// The value of `key`, if given.
    pub(super) fn get(&self, key: &str) -> Option<&Item<'t>> {
        self.items.iter().find(|(known, _)| *known == key).map(|(_, item)| item)
    }

    /// The value of `key` through a typed reader.
    pub(super) fn read<T>(
        &self,
        key: &str,
        findings: &mut Findings,
        reader: impl FnOnce(&Item<'t>, &mut Findings) -> Option<T>,
    ) -> Setting<T> {
        let item = self.get(key)?;
        let value = reader(item, findings)?;
        let place = item.place.clone();
        Some(Found { value, place })
    }
}

/// A text that is not empty.
pub(super) fn text(item: &Item<'_>, findings: &mut Findings) -> Option<String> {
    let text = item.scalar().filter(|text| !text.is_empty());
    if text.is_none() {
        item.refuse(findings, "a text");
    }
    text
}

/// A text that `parse` understands.
pub(super) fn parsed<T>(
    item: &Item<'_>,
    findings: &mut Findings,
    parse: impl FnOnce(&str) -> Option<T>,
    allowed: &str,
) -> Option<T> {
    let value = item.scalar().and_then(|text| parse(&text));
    if value.is_none() {
        item.refuse(findings, allowed);
    }
    value
}

/// `true` or `false`.
pub(super) fn flag(item: &Item<'_>, findings: &mut Findings) -> Option<bool> {
    let Value::Flag(flag) = item.node.value else {
        item.refuse(findings, "true or false");
        return None;
    };
    Some(flag)
}

/// A whole number within `range`.
pub(super) fn whole<T: TryFrom<u64>>(
    item: &Item<'_>,
    findings: &mut Findings,
    range: RangeInclusive<u64>,
) -> Option<T> {
    let number = match item.node.value {
        Value::Whole(number) => u64::try_from(number).ok(),
        _ => None,
    };
    let inside = number.filter(|number| range.contains(number));
    let value = inside.and_then(|number| T::try_from(number).ok());
    if value.is_none() {
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        item.refuse(findings, &allowed);
    }
    value
}

/// A time within `range`.
pub(super) fn duration(
    item: &Item<'_>,
    findings: &mut Findings,
    range: RangeInclusive<Duration>,
) -> Option<Duration> {
    let duration = item.scalar().and_then(|text| units::duration(&text));
    let inside = duration.filter(|duration| range.contains(duration));
    if inside.is_none() {
        item.refuse(findings, &allowed_duration(&range));
    }
    inside
}

/// A time within `range`, or 0 for none.
pub(super) fn duration_or_off(
    item: &Item<'_>,
    findings: &mut Findings,
    range: RangeInclusive<Duration>,
) -> Option<Option<Duration>> {
    if matches!(item.node.value, Value::Whole(0)) {
        return Some(None);
    }
    let duration = item.scalar().and_then(|text| units::duration(&text));
    let inside = duration.filter(|duration| range.contains(duration));
    if inside.is_none() {
        let allowed = format!("{}, or 0 for none", allowed_duration(&range));
        item.refuse(findings, &allowed);
    }
    inside.map(Some)
}

fn allowed_duration(range: &RangeInclusive<Duration>) -> String {
    format!(
        "a time with its unit (us, ms, s, m, h) from {} to {}",
        units::show_duration(*range.start()),
        units::show_duration(*range.end())
    )
}

/// A size in bytes within `range`.
pub(super) fn size(
    item: &Item<'_>,
    findings: &mut Findings,
    range: RangeInclusive<usize>,
) -> Option<usize> {
    let bytes = item.scalar().and_then(|text| units::size(&text));
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    let inside = bytes.filter(|bytes| range.contains(bytes));
    if inside.is_none() {
        let allowed = format!(
            "a size (bytes, or with KiB, MiB, GiB) from {} to {}",
            units::show_size(*range.start() as u64),
            units::show_size(*range.end() as u64)
        );
        item.refuse(findings, &allowed);
    }
    inside
}

/// One of the words of `choices`.
pub(super) fn choice<T: Copy>(
    item: &Item<'_>,
    findings: &mut Findings,
    choices: &[(&str, T)],
) -> Option<T> {
    let text = item.scalar().unwrap_or_default();
    let value = choices.iter().find(|(name, _)| *name == text);
    if value.is_none() {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let meant = nearest(&text, &names)
            .map_or(String::new(), |meant| format!(" (did you mean {meant}?)"));
        item.refuse(findings, &format!("{}{meant}", names.join(", ")));
    }
    value.map(|(_, value)| *value)
}

/// A list of texts; `None` if one of them is none.
pub(super) fn texts(item: &Item<'_>, findings: &mut Findings) -> Option<Vec<String>> {
    let elements = item.elements(findings)?;
    let texts: Vec<_> = elements.iter().map(|element| text(element, findings)).collect();
    texts.into_iter().collect()
}
