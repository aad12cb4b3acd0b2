//! Counters that expire when they should, and are restored from a backup without losing or doubling an increment.
//!
//! ```text
//!   key: {n: what is shown, v: how often it has changed, b: the base, once it is known}
//!   no b: somebody has to load it - COUNTER.INCR and COUNTER.MGET give one caller a token, COUNTER.RESTORE adds the base once
//! ```
//! Clients count with INCR and its relatives and read with GET. Each change is one script on the counter's shard
//! (`scripts`): `count` INCR and its relatives, `read`, `store` SET and its relatives, `restore` counters that have a backup,
//! `backup` what it is to be told, `counters` which counter a key means, `windows` what only windows need, `feed` boards, `gather`
//! increments of hot counters.
//! A plain string that holds an integer is a counter whose base is known, and becomes a hash at its first change.

pub mod backup;
pub mod config;
pub mod count;
pub mod counters;
pub mod feed;
pub mod gather;
pub mod read;
pub mod restore;
pub mod scripts;
pub mod store;
#[cfg(test)]
mod tests;
pub mod windows;

sluicegate_plugin::plugin! {
    name: "counter",
    version: "1.1.0",
    config: config::Config,
    about: "ttl 0s: how long a counter lives, 0s for ever; expire fixed or sliding: from its first or its last increment; restore_lease 2s: how long the holder of a restore token may take; window hour, day, week or month: a counter for each; utc_offset 0: minutes that the windows' clock is ahead of UTC; keep 7: windows that are kept behind the present one; gather 0s: how long increments of a hot counter are gathered in a worker; feed {board, counters, mode}: a board that they feed; backup, a key: where each shard notes the counters that are to be backed up",
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
        "DEL" => windows::count,
        "UNLINK" => windows::count,
        "EXISTS" => windows::count,
        "TOUCH" => windows::count,
        "TTL" => windows::left,
        "PTTL" => windows::left,
        "EXPIRETIME" => windows::left,
        "PEXPIRETIME" => windows::left,
        "EXPIRE" => windows::end,
        "PEXPIRE" => windows::end,
        "EXPIREAT" => windows::end,
        "PEXPIREAT" => windows::end,
        "PERSIST" => windows::end,
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
        "COUNTER.WINDOWS" => windows::windows { arity: 3, keys: (1, 1, 1), flags: ["readonly"] },
        "COUNTER.RESTORE" => restore::restore { arity: 4, keys: (1, 1, 1), flags: ["write"] },
    ],
    tasks: ["flush" => gather::flush],
    capabilities: { commands: ["EVAL", "EVAL_RO", "HGET", "HMGET", "GET", "TYPE", "ZRANGE", "ZADD", "DEL", "UNLINK", "EXISTS", "TOUCH",
        "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"], wait: true, background: true, shared_bytes: 65_536 },
    metrics: ["restores": "counter", "tokens": "counter", "not_fed": "counter"],
}

/// Things that are counted; the number is the place in the manifest's metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// A base was added.
    Restore = 0,
    /// A caller was told to load a base.
    Token = 1,
    /// A board was not told of a change.
    NotFed = 2,
}
