//! What servers say of their commands to people: summaries, arguments, history, and the lines of HELP.
//!
//! `docs.txt` is generated from live servers; it is read once, on first use. In: a full name ("client|id"). Out: the
//! entry's values as a RESP3 reply has them, one after the other, for `local` to write in the client's protocol.
//! The gateway's own stand in `own`; other commands that the generated table lacks have no entry. Nothing is written here.

use std::sync::LazyLock;

use super::own;

const TEXT: &str = include_str!("docs.txt");

/// One command or subcommand.
#[derive(Debug)]
pub struct Doc {
    /// Full: a subcommand's is "container|name".
    pub name: &'static str,
    /// Pairs of the map, subcommands not counted.
    pub pairs: usize,
    /// The lines of those pairs.
    pairs_text: &'static str,
    /// The lines of a container's HELP.
    help_text: &'static str,
}

/// A value, or the head of one that holds the values behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    Map(usize),
    Array(usize),
    Set(usize),
    Integer(i64),
    Simple(&'static str),
    Bulk(&'static str),
}

impl Doc {
    /// The pairs of the map, each a key and a value.
    pub fn values(&self) -> impl Iterator<Item = Value> + use<> {
        self.pairs_text.lines().map(value)
    }

    /// The HELP of a container, without its first line, in pieces of the lines about one subcommand.
    pub fn help(&self) -> Vec<Vec<&'static str>> {
        let mut pieces: Vec<Vec<&'static str>> = Vec::new();
        for line in self.help_text.lines().filter_map(|line| line.strip_prefix('?')) {
            match pieces.last_mut() {
                Some(piece) if line.starts_with(' ') => piece.push(line),
                _ => pieces.push(vec![line]),
            }
        }
        pieces
    }
}

/// The entry of the command with this full name.
pub fn find(name: &str) -> Option<&'static Doc> {
    let position = DOCS.binary_search_by_key(&name, |doc| doc.name).ok()?;
    DOCS.get(position)
}

static DOCS: LazyLock<Vec<Doc>> = LazyLock::new(|| {
    let entries = |text: &'static str| text.split("\n= ").skip(1).filter_map(entry);
    let mut docs: Vec<Doc> = entries(TEXT).chain(entries(own::TEXT)).collect();
    docs.sort_unstable_by_key(|doc| doc.name);
    docs
});

fn entry(text: &'static str) -> Option<Doc> {
    let (name, text) = text.split_once('\n')?;
    let (head, text) = text.split_once('\n').unwrap_or((text, ""));
    let Value::Map(pairs) = value(head) else {
        return None;
    };
    let help_at = if text.starts_with('?') { Some(0) } else { text.find("\n?").map(|at| at + 1) };
    let (pairs_text, help_text) = text.split_at_checked(help_at.unwrap_or(text.len()))?;
    Some(Doc { name, pairs, pairs_text, help_text })
}

fn value(line: &'static str) -> Value {
    let rest = line.get(1..).unwrap_or_default();
    let count = || rest.parse().unwrap_or(0);
    match line.as_bytes().first() {
        Some(b'%') => Value::Map(count()),
        Some(b'*') => Value::Array(count()),
        Some(b'~') => Value::Set(count()),
        Some(b':') => Value::Integer(rest.parse().unwrap_or(0)),
        Some(b'+') => Value::Simple(rest),
        // What the tool writes is one of these kinds.
        _ => Value::Bulk(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::all;

    #[test]
    fn every_command_of_the_generated_table_has_an_entry_and_nothing_else_has() {
        assert!(DOCS.is_sorted_by(|a, b| a.name < b.name));
        let specs = all().iter().flat_map(|spec| std::iter::once(spec).chain(&spec.subcommands));
        let mut known: Vec<&str> = specs
            .filter(|spec| spec.row.redis || spec.row.valkey || spec.is_own())
            .map(|spec| spec.name.as_str())
            .collect();
        known.sort_unstable();
        let documented: Vec<&str> = DOCS.iter().map(|doc| doc.name).collect();
        assert_eq!(known, documented);
    }

    /// Values below the next one: those of the map or list that it opens.
    fn skip(values: &mut impl Iterator<Item = Value>) {
        let inner = match values.next().expect("a value") {
            Value::Map(pairs) => pairs * 2,
            Value::Array(count) | Value::Set(count) => count,
            Value::Integer(_) | Value::Simple(_) | Value::Bulk(_) => 0,
        };
        (0..inner).for_each(|_| skip(values));
    }

    #[test]
    fn entries_are_whole_and_have_a_summary() {
        for doc in DOCS.iter() {
            let mut values = doc.values();
            for pair in 0..doc.pairs {
                let key = values.next();
                assert!(pair > 0 || key == Some(Value::Bulk("summary")), "{}: {key:?}", doc.name);
                skip(&mut values);
            }
            assert_eq!(values.next(), None, "{}", doc.name);
        }
    }

    #[test]
    fn help_has_a_piece_for_each_subcommand_and_ends_with_help() {
        let client = find("client").unwrap().help();
        assert_eq!(client[0][0], "CACHING (YES|NO)");
        assert_eq!(client.last().unwrap()[..], ["HELP", "    Prints this help."]);
        assert!(find("get").unwrap().help().is_empty());
        assert!(find("nope").is_none());
    }
}
