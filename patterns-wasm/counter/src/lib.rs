//! Counters that expire when they should, and are restored from a backup without losing or doubling an increment.
//!
//! ```text
//!   key: {n: what is shown, v: how often it has changed, b: the base, once it is known}
//!   no b: somebody has to load it - COUNTER.INCR and COUNTER.MGET give one caller a token, COUNTER.RESTORE adds the base once
//! ```
//! Clients count with INCR and its relatives and read with GET. Each change is one script on the counter's shard
//! (`scripts`): `count` INCR and its relatives, `read`, `store` SET and its relatives, `restore` counters that have a backup,
//! `backup` what it is to be told.
//! A plain string that holds an integer is a counter whose base is known, and becomes a hash at its first change.

pub mod backup;
pub mod config;
pub mod count;
pub mod read;
pub mod restore;
pub mod scripts;
pub mod store;
#[cfg(test)]
mod tests;

sluicegate_plugin::plugin! {
    name: "counter",
    version: "1.0.0",
    config: config::Config,
    about: "ttl 0s: how long a counter lives, 0s for ever; expire fixed or sliding: from its first or its last increment; restore_lease 2s: how long the holder of a restore token may take; backup, a key: where each shard notes the counters that are to be backed up",
    hooks: [
        "INCR" => count::change,
        "INCRBY" => count::change,
        "DECR" => count::change,
        "DECRBY" => count::change,
        "GET" => read::get,
        "MGET" => read::mget,
        "TYPE" => read::type_of,
        "SET" => store::set,
        "SETEX" => store::setex,
        "PSETEX" => store::setex,
        "SETNX" => store::setnx,
        "GETSET" => store::getset,
        "GETDEL" => store::getdel,
        "APPEND" => store::refuse,
        "BITCOUNT" => store::refuse,
        "BITFIELD" => store::refuse,
        "BITFIELD_RO" => store::refuse,
        "BITPOS" => store::refuse,
        "GETBIT" => store::refuse,
        "GETEX" => store::refuse,
        "GETRANGE" => store::refuse,
        "INCRBYFLOAT" => store::refuse,
        "SETBIT" => store::refuse,
        "SETRANGE" => store::refuse,
        "STRLEN" => store::refuse,
        "SUBSTR" => store::refuse,
    ],
    commands: [
        "COUNTER.INCR" => restore::incr { arity: -2, keys: (1, 1, 1), flags: ["write", "fast"] },
        "COUNTER.MGET" => restore::mget { arity: -2, keys: (1, -1, 1), flags: ["write"] },
        "COUNTER.DIRTY" => backup::dirty { arity: -1, keys: (0, 0, 0), flags: ["readonly"] },
        "COUNTER.ACK" => backup::ack { arity: 3, keys: (1, 1, 1), flags: ["write", "fast"] },
        "COUNTER.RESTORE" => restore::restore { arity: 4, keys: (1, 1, 1), flags: ["write"] },
    ],
    capabilities: { commands: ["EVAL", "EVAL_RO", "HGET", "HMGET", "GET", "TYPE", "ZRANGE"] },
    metrics: ["restores": "counter", "tokens": "counter"],
}

/// Things that are counted; the number is the place in the manifest's metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// A base was added.
    Restore = 0,
    /// A caller was told to load a base.
    Token = 1,
}
