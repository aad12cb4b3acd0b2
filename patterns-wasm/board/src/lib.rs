//! Leaderboards that are spread over shards and read as one sorted set.
//!
//! ```text
//!   ZADD top 7 ann ---> part = hash(ann) ---> {top#2/4}:sg:board   a sorted set on a shard of its own
//!   ZREVRANGE top 0 9 -> the first ten of each part ---> merged, the first ten of all
//! ```
//! A member is always in the same part (`parts`), so no read shows it twice. `write` changes, `read` asks for scores and counts,
//! `range` for ranges, `rank` for places, `keys` is what concerns the board as a key, `top` BOARD.TOP with its roll-ups;
//! `scripts` are the steps that must be whole.

pub mod ask;
pub mod config;
pub mod ends;
pub mod keys;
pub mod parts;
pub mod range;
pub mod rank;
pub mod read;
pub mod scripts;
#[cfg(test)]
mod tests;
pub mod top;
pub mod write;

sluicegate_plugin::plugin! {
    name: "board",
    version: "1.0.0",
    config: config::Config,
    about: "parts 8: over how many keys a board is spread; window hour, day, week or month: a board for each; utc_offset 0: minutes that the windows' clock is ahead of UTC; keep 7: windows that are kept behind the present one; roll_up 10s: how old the sum of several windows may be",
    hooks: [
        "ZADD" => write::add,
        "ZINCRBY" => write::increment,
        "ZREM" => write::remove,
        "ZREMRANGEBYSCORE" => write::remove_scores,
        "ZSCORE" => read::score,
        "ZMSCORE" => read::scores,
        "ZCARD" => read::card,
        "ZCOUNT" => read::count,
        "ZRANGE" => range::range,
        "ZREVRANGE" => range::range,
        "ZRANGEBYSCORE" => range::range,
        "ZREVRANGEBYSCORE" => range::range,
        "ZRANK" => rank::rank,
        "ZREVRANK" => rank::rank,
        "DEL" => keys::delete,
        "UNLINK" => keys::delete,
        "EXISTS" => keys::count,
        "TOUCH" => keys::count,
        "TYPE" => keys::type_of,
        "EXPIRE" => ends::expire,
        "PEXPIRE" => ends::expire,
        "EXPIREAT" => ends::expire,
        "PEXPIREAT" => ends::expire,
        "PERSIST" => ends::persist,
        "TTL" => ends::left,
        "PTTL" => ends::left,
        "EXPIRETIME" => ends::left,
        "PEXPIRETIME" => ends::left,
        "ZPOPMIN" => keys::refuse,
        "ZPOPMAX" => keys::refuse,
        "ZRANDMEMBER" => keys::refuse,
        "ZSCAN" => keys::refuse,
        "ZLEXCOUNT" => keys::refuse,
        "ZRANGEBYLEX" => keys::refuse,
        "ZREVRANGEBYLEX" => keys::refuse,
        "ZREMRANGEBYLEX" => keys::refuse,
        "ZREMRANGEBYRANK" => keys::refuse,
        "BZPOPMIN" => keys::refuse,
        "BZPOPMAX" => keys::refuse,
        "ZMPOP" => keys::refuse,
        "BZMPOP" => keys::refuse,
        "ZUNION" => keys::refuse,
        "ZUNIONSTORE" => keys::refuse,
        "ZINTER" => keys::refuse,
        "ZINTERSTORE" => keys::refuse,
        "ZINTERCARD" => keys::refuse,
        "ZDIFF" => keys::refuse,
        "ZDIFFSTORE" => keys::refuse,
        "ZRANGESTORE" => keys::refuse,
        "GEOADD" => keys::refuse,
        "SORT" => keys::refuse,
        "SORT_RO" => keys::refuse,
        "RENAME" => keys::refuse,
        "RENAMENX" => keys::refuse,
        "COPY" => keys::refuse,
        "DUMP" => keys::refuse,
        "RESTORE" => keys::refuse,
        "SET" => keys::other_type,
        "SETEX" => keys::other_type,
        "PSETEX" => keys::other_type,
        "SETNX" => keys::other_type,
        "GETSET" => keys::other_type,
        "APPEND" => keys::other_type,
        "SETRANGE" => keys::other_type,
        "SETBIT" => keys::other_type,
        "INCR" => keys::other_type,
        "INCRBY" => keys::other_type,
        "INCRBYFLOAT" => keys::other_type,
        "DECR" => keys::other_type,
        "DECRBY" => keys::other_type,
        "MSET" => keys::other_type,
        "MSETNX" => keys::other_type,
        "LPUSH" => keys::other_type,
        "RPUSH" => keys::other_type,
        "SADD" => keys::other_type,
        "HSET" => keys::other_type,
        "HMSET" => keys::other_type,
        "HSETNX" => keys::other_type,
        "HINCRBY" => keys::other_type,
        "HINCRBYFLOAT" => keys::other_type,
        "PFADD" => keys::other_type,
        "XADD" => keys::other_type,
    ],
    commands: [
        "BOARD.TOP" => top::top { arity: -3, keys: (1, 1, 1), flags: ["readonly"] },
        "BOARD.AROUND" => rank::around { arity: 4, keys: (1, 1, 1), flags: ["readonly"] },
    ],
    capabilities: { commands: [
        "EVAL", "EVAL_RO", "ZREM", "ZREMRANGEBYSCORE", "ZSCORE", "ZMSCORE", "ZCARD", "ZCOUNT", "ZRANGE", "DEL", "EXISTS",
        "TOUCH", "PTTL", "PEXPIRETIME", "PERSIST",
    ] },
}
