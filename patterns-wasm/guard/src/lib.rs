//! Rules for what clients send: commands that are refused, sizes, prefixes, and an end for every key that is written.
//!
//! ```text
//!   KEYS *        -> refused, with what to use instead          (deny)
//!   SET k v       -> SET k v PX default_ttl                     (rules, then default_ttl)
//!   INCR k        -> one script: INCR, and an end if there is none
//! ```
//! `rules` judges and never changes anything, `expire` gives ends, `unlink` deletes by pattern in steps. A guard stands behind the
//! other patterns of its pool, which know best what their own keys need.

pub mod config;
pub mod expire;
pub mod rules;
#[cfg(test)]
mod tests;
pub mod unlink;

sluicegate_plugin::plugin! {
    name: "guard",
    version: "1.0.0",
    config: config::Config,
    about: "deny [keys, flushall, flushdb]: commands that are refused; default_ttl 0s: an end for keys that are written without one; max_key, max_value 0B: bytes of a key and of one argument; max_members 0: values of one command; prefixes []: what written keys must begin with; mode enforce or report",
    hooks: [
        "KEYS" => rules::deny,
        "FLUSHALL" => rules::deny,
        "FLUSHDB" => rules::deny,
        "RANDOMKEY" => rules::deny,
        "SMEMBERS" => rules::deny,
        "HGETALL" => rules::deny,
        "HKEYS" => rules::deny,
        "HVALS" => rules::deny,
        "SORT" => rules::deny,
        "SORT_RO" => rules::deny,
        "SUNION" => rules::deny,
        "SINTER" => rules::deny,
        "SDIFF" => rules::deny,
        "SET" => expire::set,
        "MSET" => expire::mset,
        "SETEX" => expire::with_end,
        "PSETEX" => expire::with_end,
        "SETNX" => expire::write,
        "GETSET" => expire::write,
        "APPEND" => expire::write,
        "SETRANGE" => expire::write,
        "SETBIT" => expire::write,
        "BITFIELD" => expire::write,
        "INCR" => expire::write,
        "INCRBY" => expire::write,
        "INCRBYFLOAT" => expire::write,
        "DECR" => expire::write,
        "DECRBY" => expire::write,
        "HSET" => expire::write,
        "HMSET" => expire::write,
        "HSETNX" => expire::write,
        "HINCRBY" => expire::write,
        "HINCRBYFLOAT" => expire::write,
        "LPUSH" => expire::write,
        "RPUSH" => expire::write,
        "SADD" => expire::write,
        "ZADD" => expire::write,
        "ZINCRBY" => expire::write,
        "GEOADD" => expire::write,
        "PFADD" => expire::write,
        "XADD" => expire::write,
    ],
    commands: [
        "GUARD.UNLINK" => unlink::unlink { arity: -2, keys: (0, 0, 0), flags: ["write"] },
    ],
    capabilities: { commands: ["EVAL", "SET", "SCAN", "UNLINK"], wait: true, shared_bytes: 1_024 },
    metrics: ["denied": "counter", "too_large": "counter", "outside": "counter", "expiring": "counter"],
}

/// Things that are counted; the number is the place in the manifest's metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// A command of `deny`.
    Denied = 0,
    /// A key, a value or a number of values beyond its bound.
    TooLarge = 1,
    /// A written key with none of the prefixes.
    Outside = 2,
    /// A write that was given an end.
    Expiring = 3,
}
