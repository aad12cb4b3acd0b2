//! Command knowledge: what the gateway knows of each command of Redis and Valkey.
//!
//! In: a request's arguments. Out: a `&'static CommandSpec` (arity, flags, key specifications, rule), the places of
//! its keys, or the error in Redis's own words. `table.rs` is generated from live servers, `newer.rs`,
//! `own.rs` and `overrides.rs` are written by hand; together they become one registry, built once on first use and never
//! changed. Invariants: every spec, subcommands included, has its own dense `index` below `count()`; looking up a
//! name allocates nothing; a command without a rule is refused. No routing and no I/O here.

pub mod differs;
pub mod docs;
pub mod flags;
pub mod keys;
mod newer;
mod overrides;
mod own;
pub mod page;
pub mod resolve;
pub mod row;
pub mod rule;
mod table;
pub mod waiting;

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
    writes: bool,
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
    /// Whether it may change data. Servers do not say it of scripts, which may do anything unless they are read-only.
    #[inline]
    pub fn is_write(&self) -> bool {
        self.writes
    }

    /// Whether it only reads.
    pub fn is_readonly(&self) -> bool {
        self.has(flags::READONLY)
    }

    /// Whether it may change data, or do something that a server tells its replicas.
    pub fn may_replicate(&self) -> bool {
        self.is_write() || self.has(flags::MAY_REPLICATE)
    }

    /// Whether it reads or changes data.
    pub fn is_about_data(&self) -> bool {
        self.is_readonly() || self.may_replicate()
    }

    /// Whether a server does not show it to MONITOR. Scripts a server shows by hand.
    pub fn is_hidden_from_monitors(&self) -> bool {
        self.has(flags::ADMIN) || (self.has(flags::SKIP_MONITOR) && self.rule != Rule::Script)
    }

    /// Whether servers refuse it between MULTI and EXEC.
    pub fn is_denied_in_multi(&self) -> bool {
        self.has(flags::NO_MULTI)
    }

    /// Whether it is allowed before authentication.
    pub fn is_allowed_unauthenticated(&self) -> bool {
        self.has(flags::NO_AUTH)
    }

    /// Whether `count` arguments, the name included, suit the arity.
    pub fn accepts(&self, count: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { count >= wanted } else { count == wanted }
    }

    /// The subcommand called `name`, in any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&CommandSpec> {
        self.subcommands.iter().find(|spec| spec.row.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Whether it is a command of the gateway's own, which no server has.
    pub fn is_own(&self) -> bool {
        self.name.split('|').next() == Some("sluicegate")
    }

    /// Whether a flag of `flags` is set.
    pub fn has(&self, flag: u32) -> bool {
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
    /// The folded name of each of `specs`: comparing these touches less memory than comparing the specs' own.
    names: Vec<Folded>,
    /// Open addressing: an index into `specs`, or `PLACE_EMPTY`.
    places: Vec<u16>,
    count: usize,
}

impl Registry {
    fn build() -> Registry {
        let mut registry = Registry {
            specs: Vec::new(),
            names: Vec::new(),
            places: vec![PLACE_EMPTY; PLACES],
            count: 0,
        };
        for row in table::ROWS.iter().chain(newer::ROWS).chain(own::ROWS) {
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
        let subcommands: Vec<CommandSpec> =
            row.subcommands.iter().map(|inner| self.spec(inner, Some(row.name))).collect();
        let rule = rule_of(&name, row);
        let has = |flag| row.flags & flag != 0;
        CommandSpec {
            index,
            arity: row.arity,
            rule,
            writes: has(flags::WRITE) || (rule == Rule::Script && !has(flags::READONLY)),
            single_key: single_key(row),
            parser: keys::parser_of(&name),
            subcommands,
            row,
            name,
        }
    }

    fn add(&mut self, spec: CommandSpec) {
        let position = u16::try_from(self.specs.len()).unwrap_or(PLACE_EMPTY);
        let folded = fold(spec.name.as_bytes());
        let mut place = hash(&folded);
        while let Some(slot) = self.places.get_mut(place) {
            if *slot == PLACE_EMPTY {
                *slot = position;
                break;
            }
            place = (place + 1) % PLACES;
        }
        self.names.push(folded);
        self.specs.push(spec);
    }

    fn find(&self, name: &[u8]) -> Option<&CommandSpec> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let folded = fold(name);
        let mut place = hash(&folded);
        loop {
            let position = usize::from(*self.places.get(place)?);
            if *self.names.get(position)? == folded {
                // A name with zero bytes at its end folds like the name without them.
                return self.specs.get(position).filter(|spec| spec.name.len() == name.len());
            }
            place = (place + 1) % PLACES;
        }
    }
}

/// A name in lower case, padded with zero bytes, as words: look-up is on every request, and words are quick to fold,
/// mix and compare.
type Folded = [u64; NAME_BYTES_MAX / 8];

/// `name` in lower case. Longer names lose their tail: callers refuse them first.
fn fold(name: &[u8]) -> Folded {
    let mut folded = [0; NAME_BYTES_MAX / 8];
    for (to, bytes) in folded.iter_mut().zip(name.chunks(8)) {
        *to = lower(word(bytes));
    }
    folded
}

/// Up to eight bytes as a number, the first one lowest. By overlapping reads: through a padded buffer a short name
/// would wait for its own bytes to reach memory, and byte by byte takes longer than all the rest of a look-up.
fn word(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << (8 * (len.min(8) - 4));
    }
    match *bytes {
        [a] => u64::from_le_bytes([a, 0, 0, 0, 0, 0, 0, 0]),
        [a, b] => u64::from_le_bytes([a, b, 0, 0, 0, 0, 0, 0]),
        [a, b, c] => u64::from_le_bytes([a, b, c, 0, 0, 0, 0, 0]),
        _ => 0,
    }
}

/// Eight bytes in lower case at once: the high bit of each byte says whether it is an ASCII capital.
fn lower(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low_bits = word & (ONES * 0x7f);
    let above_z = low_bits + ONES * u64::from(0x7f - b'Z');
    let from_a = low_bits + ONES * u64::from(0x80 - b'A');
    let capitals = (from_a ^ above_z) & !word & (ONES * 0x80);
    word | (capitals >> 2)
}

/// A place for a folded name: the high bits of the sum of its words, each times an odd number of its own.
fn hash(folded: &Folded) -> usize {
    const FACTORS: Folded = [
        0x9e37_79b9_7f4a_7c15,
        0xbf58_476d_1ce4_e5b9,
        0x94d0_49bb_1331_11eb,
        0xd6e8_feb8_6659_fd93,
    ];
    let mixed = folded
        .iter()
        .zip(FACTORS)
        .fold(0u64, |mixed, (word, factor)| mixed.wrapping_add(word.wrapping_mul(factor)));
    usize::try_from(mixed >> (u64::BITS - PLACES.trailing_zeros())).unwrap_or(0)
}

/// The rule of a row: by hand where there is one, by key where there is exactly one key.
fn rule_of(name: &str, row: &Row) -> Rule {
    if let Ok(position) = overrides::RULES.binary_search_by_key(&name, |(known, _)| known) {
        return overrides::RULES.get(position).map_or(NO_RULE, |(_, rule)| *rule);
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
                begin: Begin::Index(first), find: Find::Range { last: 0, .. }, flags, ..
            },
        ] if flags & flags::key::NOT_KEY == 0 => Some(*first),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
