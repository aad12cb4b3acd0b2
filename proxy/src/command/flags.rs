//! What a command may do, as bits, and the words that the `COMMAND` reply uses for them.
//!
//! `table.rs` and `newer.rs` hold rows made of these bits; `local` turns them back into words. The order of
//! `NAMES` and `CATEGORY_NAMES` is the order of the bits, so a bit's word is found by its position.
//! Pure data: no decision is taken here.

/// May change data.
pub const WRITE: u32 = 1 << 0;
/// Only reads.
pub const READONLY: u32 = 1 << 1;
/// Refused by a server that is out of memory.
pub const DENYOOM: u32 = 1 << 2;
/// Administration.
pub const ADMIN: u32 = 1 << 3;
/// Belongs to publish and subscribe.
pub const PUBSUB: u32 = 1 << 4;
/// Not allowed in scripts.
pub const NOSCRIPT: u32 = 1 << 5;
/// May block its connection.
pub const BLOCKING: u32 = 1 << 6;
/// Allowed while the server loads its data.
pub const LOADING: u32 = 1 << 7;
/// Allowed on a stale replica.
pub const STALE: u32 = 1 << 8;
/// Not shown to MONITOR.
pub const SKIP_MONITOR: u32 = 1 << 9;
/// Not kept in the slow log.
pub const SKIP_SLOWLOG: u32 = 1 << 10;
/// Allowed on a slot that is being imported.
pub const ASKING: u32 = 1 << 11;
/// Constant or logarithmic time.
pub const FAST: u32 = 1 << 12;
/// Needs no authentication.
pub const NO_AUTH: u32 = 1 << 13;
/// May be replicated although it is no write.
pub const MAY_REPLICATE: u32 = 1 << 14;
/// May come without any key.
pub const NO_MANDATORY_KEYS: u32 = 1 << 15;
/// Refused during asynchronous loading.
pub const NO_ASYNC_LOADING: u32 = 1 << 16;
/// Not allowed inside MULTI.
pub const NO_MULTI: u32 = 1 << 17;
/// Its keys cannot be found by first, last and step alone.
pub const MOVABLEKEYS: u32 = 1 << 18;
/// Allowed while a script blocks the server.
pub const ALLOW_BUSY: u32 = 1 << 19;

/// The words of the `COMMAND` reply, in the order of the bits above.
pub const NAMES: [&str; 20] = [
    "write",
    "readonly",
    "denyoom",
    "admin",
    "pubsub",
    "noscript",
    "blocking",
    "loading",
    "stale",
    "skip_monitor",
    "skip_slowlog",
    "asking",
    "fast",
    "no_auth",
    "may_replicate",
    "no_mandatory_keys",
    "no_async_loading",
    "no_multi",
    "movablekeys",
    "allow_busy",
];

pub const CATEGORY_KEYSPACE: u32 = 1 << 0;
pub const CATEGORY_READ: u32 = 1 << 1;
pub const CATEGORY_WRITE: u32 = 1 << 2;
pub const CATEGORY_SET: u32 = 1 << 3;
pub const CATEGORY_SORTEDSET: u32 = 1 << 4;
pub const CATEGORY_LIST: u32 = 1 << 5;
pub const CATEGORY_HASH: u32 = 1 << 6;
pub const CATEGORY_STRING: u32 = 1 << 7;
pub const CATEGORY_BITMAP: u32 = 1 << 8;
pub const CATEGORY_HYPERLOGLOG: u32 = 1 << 9;
pub const CATEGORY_GEO: u32 = 1 << 10;
pub const CATEGORY_STREAM: u32 = 1 << 11;
pub const CATEGORY_PUBSUB: u32 = 1 << 12;
pub const CATEGORY_ADMIN: u32 = 1 << 13;
pub const CATEGORY_FAST: u32 = 1 << 14;
pub const CATEGORY_SLOW: u32 = 1 << 15;
pub const CATEGORY_BLOCKING: u32 = 1 << 16;
pub const CATEGORY_DANGEROUS: u32 = 1 << 17;
pub const CATEGORY_CONNECTION: u32 = 1 << 18;
pub const CATEGORY_TRANSACTION: u32 = 1 << 19;
pub const CATEGORY_SCRIPTING: u32 = 1 << 20;

/// The ACL categories of the `COMMAND` reply, in the order of the bits above.
pub const CATEGORY_NAMES: [&str; 21] = [
    "@keyspace",
    "@read",
    "@write",
    "@set",
    "@sortedset",
    "@list",
    "@hash",
    "@string",
    "@bitmap",
    "@hyperloglog",
    "@geo",
    "@stream",
    "@pubsub",
    "@admin",
    "@fast",
    "@slow",
    "@blocking",
    "@dangerous",
    "@connection",
    "@transaction",
    "@scripting",
];

/// What a command does with the keys of one key specification.
pub mod key {
    /// Reads the value, changes nothing.
    pub const RO: u16 = 1 << 0;
    /// Changes part of the value.
    pub const RW: u16 = 1 << 1;
    /// Overwrites the value.
    pub const OW: u16 = 1 << 2;
    /// Removes the key.
    pub const RM: u16 = 1 << 3;
    /// Gives the user's data back.
    pub const ACCESS: u16 = 1 << 4;
    /// Changes the user's data.
    pub const UPDATE: u16 = 1 << 5;
    /// Adds user data.
    pub const INSERT: u16 = 1 << 6;
    /// Deletes user data.
    pub const DELETE: u16 = 1 << 7;
    /// Looks like a key but is a channel or a slot.
    pub const NOT_KEY: u16 = 1 << 8;
    /// The specification may miss keys.
    pub const INCOMPLETE: u16 = 1 << 9;
    /// The flags depend on the arguments.
    pub const VARIABLE: u16 = 1 << 10;

    /// The words of the `COMMAND` reply, in the order of the bits above.
    pub const NAMES: [&str; 11] = [
        "RO",
        "RW",
        "OW",
        "RM",
        "access",
        "update",
        "insert",
        "delete",
        "not_key",
        "incomplete",
        "variable_flags",
    ];
}

/// The words of `names` whose bits are set in `bits`.
pub fn words<'a>(bits: u32, names: &'a [&'static str]) -> impl Iterator<Item = &'static str> + 'a {
    names
        .iter()
        .enumerate()
        .filter(move |(position, _)| bits & (1 << position) != 0)
        .map(|(_, name)| *name)
}
