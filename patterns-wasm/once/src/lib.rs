//! At most one success per key and window over all gateways, and rate limits with redis-cell's command and reply.
//!
//! `ONCE key seconds` gives a token to the first caller and nil to all others until the window ends or the token is given
//! back (`window`). `CL.THROTTLE key max_burst count period [quantity]` limits by GCRA (`throttle`, its arithmetic in
//! `rate`). Each decision is one command on the key's own shard, so it holds over all gateways; nothing is kept here.

pub mod rate;
#[cfg(test)]
mod tests;
pub mod throttle;
pub mod window;

sluicegate_plugin::plugin! {
    name: "once",
    version: "1.0.0",
    about: "no config",
    commands: [
        "ONCE" => window::once { arity: 3, keys: (1, 1, 1), flags: ["write", "fast"] },
        "ONCE.RELEASE" => window::release { arity: 3, keys: (1, 1, 1), flags: ["write", "fast"] },
        "CL.THROTTLE" => throttle::throttle { arity: -5, keys: (1, 1, 1), flags: ["write", "fast"] },
    ],
    capabilities: { commands: ["SET", "EVAL"] },
    metrics: [
        "granted": "counter", "refused": "counter", "released": "counter",
        "allowed": "counter", "limited": "counter",
    ],
}

/// Things that are counted; the number is the place in the manifest's metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// ONCE gave a token.
    Granted = 0,
    /// ONCE gave nil.
    Refused = 1,
    /// A token was given back.
    Released = 2,
    /// CL.THROTTLE let an action through.
    Allowed = 3,
    /// CL.THROTTLE limited one.
    Limited = 4,
}
