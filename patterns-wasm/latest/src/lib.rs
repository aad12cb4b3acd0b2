//! Lists that never show more than their newest N items, and one call that puts an item into many of them.
//!
//! ```text
//!   head  newest ... N-th | up to `slack` more, never shown, until the next trim   tail
//! ```
//! Clients push and read with their ordinary commands. `write` pushes and trims, `read` clamps, `feed` is LATEST.PUSH. A list
//! is trimmed only when it is `slack` longer than `keep`; what would touch hidden items trims first, in the same transaction.

pub mod config;
pub mod feed;
pub mod read;
#[cfg(test)]
mod tests;
pub mod write;

sluicegate_plugin::plugin! {
    name: "latest",
    version: "1.0.0",
    config: config::Config,
    about: "keep 100: how many items a list shows; slack a fifth of keep: how many more it may hold before it is trimmed; unique false: an item that is pushed again moves to the head",
    hooks: [
        "LPUSH" => write::lpush,
        "LPUSHX" => write::lpush,
        "RPUSH" => write::on_trimmed,
        "RPUSHX" => write::on_trimmed,
        "LINSERT" => write::on_trimmed,
        "LSET" => write::on_trimmed,
        "LREM" => write::on_trimmed,
        "LTRIM" => write::on_trimmed,
        "LPOP" => write::on_trimmed,
        "RPOP" => write::on_trimmed,
        "DUMP" => write::on_trimmed,
        "LRANGE" => read::lrange,
        "LLEN" => read::llen,
        "LINDEX" => read::lindex,
        "LPOS" => read::lpos,
    ],
    commands: ["LATEST.PUSH" => feed::push { arity: -4, keys: (3, -1, 1), flags: ["write"] }],
    capabilities: {
        commands: [
            "LPUSH", "LPUSHX", "RPUSH", "RPUSHX", "LINSERT", "LSET", "LREM", "LTRIM", "LPOP", "RPOP", "DUMP",
            "LRANGE", "LLEN", "LINDEX", "LPOS",
        ],
    },
    metrics: ["trims": "counter"],
}

/// Place of `trims` in the manifest's metrics.
pub const TRIMS: u32 = 0;
