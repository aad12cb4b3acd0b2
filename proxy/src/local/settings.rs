//! CONFIG GET: the settings that clients ask for, with the gateway's own values.
//!
//! In: names or patterns, and the gateway's facts. Out: a map of name and value. Only settings whose value is true of
//! the gateway, or of any gateway, are here; an unknown name gives an empty map, as in Redis.
//! The settings of shards are asked of the shards. No password is ever shown.

use super::Facts;
use super::glob;
use crate::limits::BULK_BYTES_MAX;
use crate::resp::args::Args;
use crate::resp::write::{self, Protocol};

/// Where a setting's value comes from.
enum Value {
    Fixed(&'static str),
    ClientsMax,
    Databases,
    IdleTimeout,
    Port,
    BulkBytesMax,
}

/// The gateway keeps no data, so it saves, appends, evicts and replicates nothing.
const SETTINGS: &[(&str, Value)] = &[
    ("appendonly", Value::Fixed("no")),
    ("databases", Value::Databases),
    ("maxclients", Value::ClientsMax),
    ("maxmemory", Value::Fixed("0")),
    ("maxmemory-policy", Value::Fixed("noeviction")),
    ("notify-keyspace-events", Value::Fixed("")),
    ("port", Value::Port),
    ("proto-max-bulk-len", Value::BulkBytesMax),
    ("replica-read-only", Value::Fixed("yes")),
    ("save", Value::Fixed("")),
    ("slave-read-only", Value::Fixed("yes")),
    ("timeout", Value::IdleTimeout),
];

/// CONFIG GET pattern [pattern ...].
pub(super) fn get(args: &Args<'_>, protocol: Protocol, facts: &Facts<'_>, out: &mut Vec<u8>) {
    // A name without wildcards is answered as the client wrote it, in its own case.
    let mut found: Vec<(&[u8], String)> = Vec::new();
    for pattern in args.from(2) {
        let wild = pattern.iter().any(|byte| b"*?[".contains(byte));
        for (name, value) in SETTINGS {
            if glob::matches(pattern, name.as_bytes(), true) {
                let shown = if wild { name.as_bytes() } else { pattern };
                let known =
                    found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
                if !known {
                    found.push((shown, text(value, facts)));
                }
            }
        }
    }
    write::map_header(out, protocol, found.len());
    for (name, value) in found {
        write::bulk(out, name);
        write::bulk(out, value.as_bytes());
    }
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
