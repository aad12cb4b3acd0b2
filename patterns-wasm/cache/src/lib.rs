//! One recompute per expiry: while one client refreshes a value, the others get the old one at once, and where there is
//! no old one they wait for the new one instead of computing it too.
//!
//! Values are stored with their TTL plus `grace`; after the soft TTL one reader per lease gets nil and recomputes with its
//! ordinary SET or SETEX. Clients need no change: `read`, `many` and `write` hold the hooks, `compete` who computes and who waits,
//! `lease` how that is kept on the shard, `ttl` the soft and hard times, `early` refreshes before the end, `dirty` what must
//! reach a database, `tokens` the
//! commands for leaders that are known by a token. The guarantee and its limits are on the pattern's page. Nothing about a call is kept outside its handler.

pub mod compete;
pub mod config;
pub mod dirty;
pub mod early;
pub mod lease;
pub mod many;
pub mod notice;
pub mod read;
pub mod stats;
#[cfg(test)]
mod tests;
pub mod tokens;
pub mod ttl;
pub mod write;

use sluicegate_plugin::args::Args;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::Result;
use sluicegate_plugin::reply::Reply;

async fn cache_stats(cx: Cx, _args: Args) -> Result<Reply> {
    let config = cx.config::<config::Config>()?;
    Ok(stats::reply(&cx, &config))
}

sluicegate_plugin::plugin! {
    name: "cache",
    version: "1.1.0",
    config: config::Config,
    about: "grace 20s: how long a value is kept after its TTL; lease 2s: how long a leader may take; wait 1s: how long a reader waits for a missing value; wait_behind 20ms: the same when its connection has other commands behind it; poll 50ms; on_wait_timeout miss or error; lease_mode key, conn or token: by what a leader is known; early_refresh 0: how far ahead of its end a value may be computed again, in recomputes; negative {values, ttl}: values that say that there is nothing, and how long they are fresh; dirty false: note every write that is no fill for CACHE.DIRTY, beside the key backup",
    hooks: [
        "GET" => read::get,
        "MGET" => many::mget,
        "MSET" => many::mset,
        "GETEX" => read::getex,
        "TTL" => read::ttl,
        "PTTL" => read::ttl,
        "EXPIRETIME" => read::expiretime,
        "PEXPIRETIME" => read::expiretime,
        "SET" => write::set,
        "SETEX" => write::setex,
        "PSETEX" => write::setex,
        "SETNX" => dirty::refuse,
        "GETSET" => dirty::refuse,
        "GETDEL" => dirty::refuse,
        "APPEND" => dirty::refuse,
        "SETRANGE" => dirty::refuse,
        "SETBIT" => dirty::refuse,
        "BITFIELD" => dirty::refuse,
        "INCR" => dirty::refuse,
        "INCRBY" => dirty::refuse,
        "INCRBYFLOAT" => dirty::refuse,
        "DECR" => dirty::refuse,
        "DECRBY" => dirty::refuse,
        "MSETNX" => dirty::refuse,
        "EXPIRE" => write::expire,
        "PEXPIRE" => write::expire,
        "EXPIREAT" => write::expire,
        "PEXPIREAT" => write::expire,
        "PERSIST" => write::persist,
        "DEL" => many::del,
        "UNLINK" => many::del,
    ],
    commands: [
        "CACHE.STATS" => cache_stats { arity: 1, keys: (0, 0, 0), flags: ["readonly"] },
        "CACHE.DIRTY" => dirty::dirty { arity: -1, keys: (0, 0, 0), flags: ["readonly"] },
        "CACHE.ACK" => dirty::ack { arity: 3, keys: (1, 1, 1), flags: ["write", "fast"] },
        "CACHE.GET" => tokens::get { arity: 2, keys: (1, 1, 1), flags: ["write", "fast"] },
        "CACHE.FILL" => tokens::fill { arity: 5, keys: (1, 1, 1), flags: ["write", "fast"] },
        "CACHE.RELEASE" => tokens::release { arity: 3, keys: (1, 1, 1), flags: ["write", "fast"] },
    ],
    tasks: ["release" => write::release],
    capabilities: {
        commands: [
            "GET", "PTTL", "PEXPIRETIME", "GETEX", "SET", "PSETEX", "DEL", "UNLINK", "EVAL",
            "EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT", "ZRANGE", "HMGET",
        ],
        wait: true, background: true, shared_bytes: 262_144,
    },
    metrics: [
        "hits": "counter", "stale": "counter", "leaders": "counter", "waits": "counter",
        "wait_timeouts": "counter", "fills": "counter", "handed_on": "counter",
        "early": "counter", "refused": "counter",
    ],
}
