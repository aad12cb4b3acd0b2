//! A YAML document as a tree whose nodes can tell their line.
//!
//! In: text. Out: `Node`s with plain values, keys in the order of the file, repeated keys kept so that they can be
//! reported. The parser gives a position only with an error, so a line is found by reading the text once more with a
//! visitor that fails at the wanted node: exact for every style of YAML, and paid only when something is wrong. The
//! same way gives a scalar as it is written (`007`, `yes`), which the typed value has lost.
//!
//! Nodes are numbered in the order in which they are read, keys included. No file is opened here.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};

use super::fault::Fault;

/// A document.
#[derive(Debug)]
pub(super) struct Tree<'t> {
    text: &'t str,
    pub(super) root: Node,
}

/// One value and its number.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) number: usize,
    pub(super) value: Value,
}

/// What YAML makes of a node.
#[derive(Debug)]
pub(super) enum Value {
    Empty,
    Flag(bool),
    Whole(i128),
    Fraction(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One line of a mapping.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_number: usize,
    pub(super) value: Node,
}

impl<'t> Tree<'t> {
    /// Reads one document.
    pub(super) fn parse(text: &'t str) -> Result<Self, Fault> {
        let walk = Walk::default();
        let root = walk.run(text).map_err(|error| Fault {
            path: String::new(),
            line: error.location().map(|location| location.line()),
            problem: format!("not readable as YAML: {error}"),
        })?;
        Ok(Self { text, root })
    }

    /// The line of node `number`, counted from 1.
    pub(super) fn line(&self, number: usize) -> Option<usize> {
        let walk = Walk::stopping_at(number);
        let error = walk.run(self.text).err()?;
        error.location().map(|location| location.line())
    }

    /// The scalar of node `number` as it is written, without its quotes.
    pub(super) fn written(&self, number: usize) -> Option<String> {
        let walk = Walk::stopping_at(number);
        walk.run(self.text).err()?;
        walk.caught.into_inner()
    }
}

impl Node {
    /// The value of `key`, if this is a mapping that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        let entry = entries.iter().find(|entry| entry.key == key)?;
        Some(&entry.value)
    }
}

/// One reading of the text.
#[derive(Debug, Default)]
struct Walk {
    next: Cell<usize>,
    stop: Option<usize>,
    caught: RefCell<Option<String>>,
}

impl Walk {
    fn stopping_at(number: usize) -> Self {
        Self { stop: Some(number), ..Self::default() }
    }

    fn run(&self, text: &str) -> Result<Node, serde_yaml::Error> {
        NodeSeed(self).deserialize(serde_yaml::Deserializer::from_str(text))
    }

    /// The number of the node that comes now, and whether to fail there.
    fn step(&self) -> (usize, bool) {
        let number = self.next.get();
        self.next.set(number + 1);
        (number, self.stop == Some(number))
    }
}

/// Reads one node.
struct NodeSeed<'w>(&'w Walk);

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Node, D::Error> {
        let (number, stop) = self.0.step();
        if stop {
            return input.deserialize_str(Catch(self.0)).map(|never| match never {});
        }
        let value = input.deserialize_any(ValueVisitor(self.0))?;
        Ok(Node { number, value })
    }
}

/// Reads one key, as it is written.
struct KeySeed<'w>(&'w Walk);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = (usize, String);

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        let (number, stop) = self.0.step();
        if stop {
            return input.deserialize_str(Catch(self.0)).map(|never| match never {});
        }
        let key = input.deserialize_str(KeyVisitor)?;
        Ok((number, key))
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a plain key")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

/// Notes a scalar as it is written, then fails, so that the parser tells where it is.
struct Catch<'w>(&'w Walk);

impl Visitor<'_> for Catch<'_> {
    type Value = Infallible;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the node that is looked for")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Infallible, E> {
        self.0.caught.replace(Some(text.to_owned()));
        Err(E::custom("found"))
    }
}

/// Builds the value of one node.
struct ValueVisitor<'w>(&'w Walk);

impl<'de> Visitor<'de> for ValueVisitor<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Empty)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Empty)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Whole(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Whole(number.into()))
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<Value, E> {
        Ok(Value::Whole(number))
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<Value, E> {
        Ok(Value::Whole(i128::try_from(number).unwrap_or(i128::MAX)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Fraction(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(A::Error::custom("tags such as !name are not used here"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = input.next_element_seed(NodeSeed(self.0))? {
            list.push(node);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key_number, key)) = input.next_key_seed(KeySeed(self.0))? {
            let value = input.next_value_seed(NodeSeed(self.0))?;
            entries.push(Entry { key, key_number, value });
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# comment\na: 007\nb:\n  - x\n  - {c: yes, d: [1, 2]}\n\ne: &same\n  f: \"g\"\nh: *same\n";

    fn number_of(tree: &Tree<'_>, path: &[&str]) -> usize {
        path.iter().fold(&tree.root, |node, key| node.get(key).unwrap()).number
    }

    #[test]
    fn nodes_tell_their_lines_in_block_and_flow_style() {
        let tree = Tree::parse(TEXT).unwrap();
        assert_eq!(tree.line(number_of(&tree, &["a"])), Some(2));
        assert_eq!(tree.line(number_of(&tree, &["e", "f"])), Some(8));
        let Value::List(list) = &tree.root.get("b").unwrap().value else {
            panic!("a list");
        };
        assert_eq!(tree.line(list[0].number), Some(4));
        let d = list[1].get("d").unwrap();
        assert_eq!(tree.line(d.number), Some(5));
        assert_eq!(tree.line(10_000), None);
    }

    #[test]
    fn scalars_can_be_had_as_written() {
        let tree = Tree::parse(TEXT).unwrap();
        let written = |path: &[&str]| tree.written(number_of(&tree, path));
        assert_eq!(written(&["a"]).unwrap(), "007");
        assert_eq!(written(&["h", "f"]).unwrap(), "g");
        assert_eq!(written(&["b"]), None);
    }

    #[test]
    fn repeated_keys_are_kept_in_order() {
        let tree = Tree::parse("a: 1\na: 2\n").unwrap();
        let Value::Map(entries) = tree.root.value else {
            panic!("a mapping");
        };
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn broken_text_gives_one_fault_with_its_line() {
        for (text, line) in [
            ("a: [1\nb: 2\n", Some(2)),
            ("a: 1\nb: !tag 2\n", Some(2)),
            ("a: *nothing\n", Some(1)),
            ("? [a, b]\n: 1\n", Some(1)),
            ("a: 1\n---\nb: 2\n", None),
        ] {
            let fault = Tree::parse(text).unwrap_err();
            assert_eq!(fault.line, line, "{text}");
            assert!(fault.problem.starts_with("not readable as YAML: "), "{fault}");
        }
    }

    #[test]
    fn deep_or_multiplied_text_is_refused() {
        let deep = "[".repeat(100_000);
        assert!(Tree::parse(&deep).is_err());
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let previous = format!("*a{}, ", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
        }
        assert!(Tree::parse(&bomb).is_err());
    }
}
