//! Command knowledge: what the gateway knows of each command of Redis and Valkey.
//!
//! In: a request's arguments. Out: a `&'static CommandSpec` (arity, flags, key specifications, rule), the places of its
//! keys, or the error in Redis's own words. `table.rs` is generated from live servers, `newer.rs` and `overrides.rs` are
//! written by hand; together they become one registry, built once on first use and never changed.
//! Invariants: every spec, subcommands included, has its own dense `index` below `count()`; looking up a name
//! allocates nothing; a command without a rule is refused. No routing and no I/O here.

pub mod flags;
pub mod keys;
mod newer;
mod overrides;
pub mod resolve;
pub mod row;
pub mod rule;
mod table;

use std::sync::LazyLock;

use row::{Begin, Find, KeySpec, Row};
use rule::Rule;

/// Longest name that is looked up; longer ones are unknown.
const NAME_BYTES_MAX: usize = 32;
/// Places of the look-up table, a power of two: few enough to stay in cache, many enough for short probes.
const PLACES: usize = 2048;
const PLACE_EMPTY: u16 = u16::MAX;
const NO_RULE: Rule = Rule::Refuse("the gateway does not know where its keys are");

/// All that is known of one command or subcommand.
#[derive(Debug)]
pub struct CommandSpec {
    /// Dense number over all commands and subcommands, for tables by command.
    pub index: u16,
    /// Lower case; a subcommand's is "container|name".
    pub name: String,
    /// Number of arguments with the name; negative: at least that many.
    pub arity: i16,
    /// What is done with it.
    pub rule: Rule,
    /// The argument that is its only key, if it has exactly one at a fixed place.
    pub single_key: Option<u8>,
    /// Empty unless this is a container such as CLIENT.
    pub subcommands: Vec<CommandSpec>,
    /// What servers say of it.
    pub row: &'static Row,
    /// Finds its keys where the row cannot say.
    parser: Option<keys::Parser>,
}

impl CommandSpec {
    /// Whether it may change data.
    pub fn is_write(&self) -> bool {
        self.has(flags::WRITE)
    }

    /// Whether it only reads.
    pub fn is_readonly(&self) -> bool {
        self.has(flags::READONLY)
    }

    /// Whether it may block its connection.
    pub fn is_blocking(&self) -> bool {
        self.has(flags::BLOCKING)
    }

    /// Whether it is allowed before authentication.
    pub fn is_allowed_unauthenticated(&self) -> bool {
        self.has(flags::NO_AUTH)
    }

    /// Whether `count` arguments, the name included, suit the arity.
    pub fn accepts(&self, count: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 {
            count >= wanted
        } else {
            count == wanted
        }
    }

    /// The subcommand called `name`, in any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&CommandSpec> {
        self.subcommands
            .iter()
            .find(|spec| spec.row.name.as_bytes().eq_ignore_ascii_case(name))
    }

    fn has(&self, flag: u32) -> bool {
        self.row.flags & flag != 0
    }
}

/// The command called `name`, in any case. Allocates nothing.
pub fn find(name: &[u8]) -> Option<&'static CommandSpec> {
    REGISTRY.find(name)
}

/// All commands in the order of their indices, without the subcommands.
pub fn all() -> &'static [CommandSpec] {
    &REGISTRY.specs
}

/// Number of commands and subcommands: every `CommandSpec::index` is below it.
pub fn count() -> usize {
    REGISTRY.count
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::build);

/// The specs, and where to find one by name.
struct Registry {
    specs: Vec<CommandSpec>,
    /// Open addressing: an index into `specs`, or `PLACE_EMPTY`.
    places: Vec<u16>,
    count: usize,
}

impl Registry {
    fn build() -> Registry {
        let mut registry = Registry {
            specs: Vec::new(),
            places: vec![PLACE_EMPTY; PLACES],
            count: 0,
        };
        for row in table::ROWS.iter().chain(newer::ROWS) {
            let spec = registry.spec(row, None);
            registry.add(spec);
        }
        registry
    }

    fn spec(&mut self, row: &'static Row, container: Option<&str>) -> CommandSpec {
        let name = match container {
            Some(container) => format!("{container}|{}", row.name),
            None => row.name.to_owned(),
        };
        let index = u16::try_from(self.count).unwrap_or(u16::MAX);
        self.count += 1;
        let subcommands: Vec<CommandSpec> = row
            .subcommands
            .iter()
            .map(|inner| self.spec(inner, Some(row.name)))
            .collect();
        CommandSpec {
            index,
            arity: row.arity,
            rule: rule_of(&name, row),
            single_key: single_key(row),
            parser: keys::parser_of(&name),
            subcommands,
            row,
            name,
        }
    }

    fn add(&mut self, spec: CommandSpec) {
        let position = u16::try_from(self.specs.len()).unwrap_or(PLACE_EMPTY);
        let mut place = hash(&fold(spec.name.as_bytes()));
        while let Some(slot) = self.places.get_mut(place) {
            if *slot == PLACE_EMPTY {
                *slot = position;
                break;
            }
            place = (place + 1) % PLACES;
        }
        self.specs.push(spec);
    }

    fn find(&self, name: &[u8]) -> Option<&CommandSpec> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let folded = fold(name);
        let mut place = hash(&folded);
        loop {
            let position = *self.places.get(place)?;
            let spec = self.specs.get(usize::from(position))?;
            if folded.get(..name.len()) == Some(spec.name.as_bytes()) {
                return Some(spec);
            }
            place = (place + 1) % PLACES;
        }
    }
}

/// `name` in lower case, padded with zero bytes. Longer names lose their tail: callers refuse them first.
fn fold(name: &[u8]) -> [u8; NAME_BYTES_MAX] {
    let mut folded = [0; NAME_BYTES_MAX];
    for (to, from) in folded.iter_mut().zip(name) {
        *to = from.to_ascii_lowercase();
    }
    folded
}

/// A place for a folded name: every eight bytes are mixed in by one multiplication.
fn hash(folded: &[u8; NAME_BYTES_MAX]) -> usize {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut mixed: u64 = 0;
    for chunk in folded.as_chunks::<8>().0 {
        mixed = (mixed ^ u64::from_le_bytes(*chunk)).wrapping_mul(FACTOR);
        mixed ^= mixed >> 32;
    }
    usize::try_from(mixed % PLACES as u64).unwrap_or(0)
}

/// The rule of a row: by hand where there is one, by key where there is exactly one key.
fn rule_of(name: &str, row: &Row) -> Rule {
    if let Ok(position) = overrides::RULES.binary_search_by_key(&name, |(known, _)| known) {
        return overrides::RULES
            .get(position)
            .map_or(NO_RULE, |(_, rule)| *rule);
    }
    // A container that needs a second word is never carried out itself.
    if !row.subcommands.is_empty() && row.arity <= -2 {
        return Rule::Container;
    }
    match single_key(row) {
        Some(_) => Rule::Key,
        None => NO_RULE,
    }
}

/// The place of the only key, for rows that have exactly one at a fixed place.
fn single_key(row: &Row) -> Option<u8> {
    match row.keys {
        [
            KeySpec {
                begin: Begin::Index(first),
                find: Find::Range { last: 0, .. },
                flags,
            },
        ] if flags & flags::key::NOT_KEY == 0 => Some(*first),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_spec() -> Vec<&'static CommandSpec> {
        all()
            .iter()
            .flat_map(|spec| std::iter::once(spec).chain(&spec.subcommands))
            .collect()
    }

    #[test]
    fn every_row_without_keys_or_with_several_has_a_rule() {
        let missing: Vec<&str> = every_spec()
            .into_iter()
            .filter(|spec| spec.rule == NO_RULE)
            .map(|spec| spec.name.as_str())
            .collect();
        assert_eq!(missing, Vec::<&str>::new());
    }

    #[test]
    fn only_rows_with_one_fixed_key_go_by_the_default() {
        for spec in every_spec() {
            let by_hand = overrides::RULES.iter().any(|(name, _)| *name == spec.name);
            match spec.rule {
                Rule::Key => assert!(spec.single_key.is_some() && !by_hand, "{}", spec.name),
                Rule::Container => assert!(!spec.subcommands.is_empty(), "{}", spec.name),
                _ => assert!(by_hand, "{}", spec.name),
            }
        }
    }

    #[test]
    fn rules_are_in_order_and_each_names_a_row() {
        let names: Vec<&str> = overrides::RULES.iter().map(|(name, _)| *name).collect();
        assert!(names.is_sorted_by(|a, b| a < b));
        let known: Vec<&str> = every_spec().iter().map(|s| s.name.as_str()).collect();
        for name in names {
            assert!(known.contains(&name), "{name} is no row");
        }
    }

    #[test]
    fn hand_rows_are_in_order_and_the_generated_table_lacks_them() {
        assert!(newer::ROWS.is_sorted_by(|a, b| a.name < b.name));
        for row in newer::ROWS {
            let generated = table::ROWS.iter().any(|known| known.name == row.name);
            assert!(!generated, "{} can go: the table has it", row.name);
        }
    }

    #[test]
    fn every_name_is_found_in_any_case() {
        for spec in all() {
            assert!(spec.name.len() <= NAME_BYTES_MAX);
            for name in [spec.name.to_lowercase(), spec.name.to_uppercase()] {
                assert_eq!(find(name.as_bytes()).map(|s| s.index), Some(spec.index));
            }
        }
    }

    #[test]
    fn names_that_are_no_command_are_not_found() {
        let long = [b'a'; NAME_BYTES_MAX + 1];
        for name in [
            b"".as_slice(),
            b"ge",
            b"gett",
            b"get ",
            b"get\0",
            b"\xff\xfe",
            b"client|id",
            &long,
        ] {
            assert!(find(name).is_none(), "{name:?}");
        }
    }

    #[test]
    fn indices_are_dense() {
        let mut indices: Vec<usize> = every_spec().iter().map(|s| usize::from(s.index)).collect();
        indices.sort_unstable();
        assert_eq!(indices, (0..count()).collect::<Vec<usize>>());
    }

    #[test]
    fn no_command_reads_and_writes_at_once() {
        for spec in every_spec() {
            assert!(!(spec.is_write() && spec.is_readonly()), "{}", spec.name);
        }
    }

    #[test]
    fn no_name_needs_a_long_probe() {
        for spec in all() {
            let mut place = hash(&fold(spec.name.as_bytes()));
            let mut probes = 1;
            while REGISTRY.specs[usize::from(REGISTRY.places[place])].index != spec.index {
                place = (place + 1) % PLACES;
                probes += 1;
            }
            assert!(probes <= 4, "{} takes {probes} probes", spec.name);
        }
    }
}
