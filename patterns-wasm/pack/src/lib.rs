//! Many small keys as fields of few hashes: the same strings in less memory.
//!
//! ```text
//!   obj:123 -> hash -> bucket obj:#41/16384    {123: value, ...}     on the bucket's shard
//!   with a TTL      -> the key obj:123 itself                        on the bucket's shard
//! ```
//! A key is in one of the two places, never in both: what moves it is one script. `read` and `write` have the common commands,
//! `other` runs any other command on strings on the key made plain for that moment, `many` those of several keys, `adopt` brings
//! keys in that were there before.

pub mod adopt;
pub mod bucket;
pub mod config;
pub mod many;
pub mod other;
pub mod read;
pub mod scripts;
#[cfg(test)]
mod tests;
pub mod write;

sluicegate_plugin::plugin! {
    name: "pack",
    version: "1.0.0",
    config: config::Config,
    about: "prefix: what all keys of the binding begin with; buckets 16384: over how many hashes they are spread, some 100 keys to each; adopt false: bring keys in that were there before",
    hooks: [
        "GET" => read::get,
        "MGET" => many::mget,
        "STRLEN" => read::read,
        "EXISTS" => many::count,
        "TOUCH" => many::count,
        "TYPE" => read::read,
        "TTL" => read::read,
        "PTTL" => read::read,
        "EXPIRETIME" => read::read,
        "PEXPIRETIME" => read::read,
        "SET" => write::set,
        "MSET" => many::mset,
        "DEL" => many::delete,
        "UNLINK" => many::delete,
        "SETEX" => other::run,
        "PSETEX" => other::run,
        "SETNX" => other::run,
        "GETSET" => other::run,
        "GETDEL" => other::run,
        "GETEX" => other::run,
        "APPEND" => other::run,
        "SETRANGE" => other::run,
        "GETRANGE" => other::run,
        "SUBSTR" => other::run,
        "INCR" => other::run,
        "INCRBY" => other::run,
        "INCRBYFLOAT" => other::run,
        "DECR" => other::run,
        "DECRBY" => other::run,
        "SETBIT" => other::run,
        "GETBIT" => other::run,
        "BITCOUNT" => other::run,
        "BITPOS" => other::run,
        "BITFIELD" => other::run,
        "EXPIRE" => other::run,
        "PEXPIRE" => other::run,
        "EXPIREAT" => other::run,
        "PEXPIREAT" => other::run,
        "PERSIST" => other::run,
        "MSETNX" => other::refuse,
        "RENAME" => other::refuse,
        "RENAMENX" => other::refuse,
        "COPY" => other::refuse,
        "DUMP" => other::refuse,
        "RESTORE" => other::refuse,
        "SORT" => other::refuse,
        "LCS" => other::refuse,
        "BITOP" => other::refuse,
        "PFADD" => other::refuse,
        "LPUSH" => other::refuse,
        "RPUSH" => other::refuse,
        "SADD" => other::refuse,
        "ZADD" => other::refuse,
        "HSET" => other::refuse,
        "HMSET" => other::refuse,
        "HSETNX" => other::refuse,
        "HINCRBY" => other::refuse,
        "HINCRBYFLOAT" => other::refuse,
        "XADD" => other::refuse,
        "GEOADD" => other::refuse,
    ],
    capabilities: { commands: ["HGET", "HMGET", "EVAL", "EVAL_RO"], wait: true },
    metrics: ["adopted": "counter"],
}

/// Number of the metric of keys that were brought in.
pub const ADOPTED: u32 = 0;
