//! The shape of one row of the command tables.
//!
//! A `Row` says what a server tells of a command: arity, flags, where its keys are. `table.rs` (generated) and
//! `newer.rs` (by hand) are lists of rows; `mod.rs` turns a row and its rule into a `CommandSpec`.
//! Types and the empty row only: nothing is looked up or decided here.

/// One command or subcommand as a server describes it.
#[derive(Debug)]
pub struct Row {
    /// Lower case; for a subcommand without its container's name.
    pub name: &'static str,
    /// Number of arguments with the name; negative: at least that many.
    pub arity: i16,
    /// Bits of `flags`.
    pub flags: u32,
    /// Where the keys are.
    pub keys: &'static [KeySpec],
    /// First key, last key, step, as the old form of the `COMMAND` reply gives them.
    pub range: (i16, i16, i16),
    /// Bits of `flags::CATEGORY_NAMES`.
    pub categories: u32,
    /// The reply's tips, as text.
    pub tips: &'static [&'static str],
    /// Whether the Redis server that the table was made from has the command.
    pub redis: bool,
    /// Whether the Valkey server that the table was made from has the command.
    pub valkey: bool,
    pub subcommands: &'static [Row],
}

/// What a row is when nothing else is said: rows are written as their difference from it.
pub const ROW: Row = Row {
    name: "",
    arity: 0,
    flags: 0,
    keys: &[],
    range: (0, 0, 0),
    categories: 0,
    tips: &[],
    redis: true,
    valkey: true,
    subcommands: &[],
};

/// Where a group of keys starts, how far it goes, and what the command does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    pub begin: Begin,
    pub find: Find,
    /// Bits of `flags::key`.
    pub flags: u16,
    /// What servers say to people about it; mostly nothing.
    pub notes: &'static str,
}

/// What a key specification is when nothing else is said.
pub const KEYS: KeySpec =
    KeySpec { begin: Begin::Unknown, find: Find::Unknown, flags: 0, notes: "" };

/// Where a group of keys starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument.
    Index(u8),
    /// Behind this word, searched from argument `from` on (negative: from the end backwards).
    Keyword { word: &'static str, from: i8 },
    /// The servers cannot say; `keys.rs` has a parser of its own.
    Unknown,
}

/// How far a group of keys goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Up to `last` (relative to the start; negative: from the end), every `step`th argument. `limit` above 1
    /// takes only the first part of what is left (XREAD).
    Range { last: i16, step: u8, limit: u8 },
    /// As many as the number `count_at` behind the start says, the first one `first` behind the start.
    Count { count_at: u8, first: u8, step: u8 },
    /// The servers cannot say; `keys.rs` has a parser of its own.
    Unknown,
}
