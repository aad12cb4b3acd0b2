//! The settings that CONFIG GET answers with the gateway's own values.
//!
//! In: names or patterns, and the gateway's facts. Out: names and values. Only settings whose value is true of the
//! gateway, or of any gateway, are here: a shard's value would mislead a client. All others are asked of a shard, which
//! is `gather`'s. No password is here.

use super::Facts;
use super::glob;
use crate::limits::BULK_BYTES_MAX;
use crate::resp::args::Args;

/// Where a setting's value comes from.
enum Value {
    Fixed(&'static str),
    ClientsMax,
    Databases,
    IdleTimeout,
    Port,
    BulkBytesMax,
}

/// What is true of the gateway or of a session's connection to it, whatever the shards are set to.
const SETTINGS: &[(&str, Value)] = &[
    ("databases", Value::Databases),
    ("maxclients", Value::ClientsMax),
    ("port", Value::Port),
    ("proto-max-bulk-len", Value::BulkBytesMax),
    ("replica-read-only", Value::Fixed("yes")),
    ("slave-read-only", Value::Fixed("yes")),
    ("timeout", Value::IdleTimeout),
];

/// Whether the gateway has a value of its own for this setting.
pub fn is_own(name: &[u8]) -> bool {
    SETTINGS.iter().any(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
}

/// What CONFIG GET pattern [pattern ...] finds here: names and values, and whether no pattern can find more elsewhere.
pub fn find(args: &Args<'_>, facts: &Facts<'_>) -> (Vec<(Vec<u8>, String)>, bool) {
    // A name without wildcards is answered as the client wrote it, in its own case.
    let mut found: Vec<(Vec<u8>, String)> = Vec::new();
    let mut is_all = true;
    for pattern in args.from(2) {
        let wild = pattern.iter().any(|byte| b"*?[".contains(byte));
        is_all &= is_own(pattern);
        for (name, value) in SETTINGS {
            let name = name.as_bytes();
            if glob::matches(pattern, name, true)
                && !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
            {
                let shown = if wild { name } else { pattern };
                found.push((shown.to_vec(), text(value, facts)));
            }
        }
    }
    (found, is_all)
}

fn text(value: &Value, facts: &Facts<'_>) -> String {
    match value {
        Value::Fixed(text) => (*text).to_owned(),
        Value::ClientsMax => facts.clients_max.to_string(),
        Value::Databases => facts.databases.to_string(),
        Value::IdleTimeout => facts.idle_timeout_s.to_string(),
        Value::Port => facts.listen_port.to_string(),
        Value::BulkBytesMax => BULK_BYTES_MAX.to_string(),
    }
}
