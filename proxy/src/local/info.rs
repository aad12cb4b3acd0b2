//! INFO: the gateway about itself, in the sections that clients and tools read.
//!
//! In: section names and the gateway's facts. Out: one text. `loading:0`, `role:master` and `redis_version` are what
//! clients wait for before they start; the rest is the gateway's own. Numbers of the shards are not added up here.
//! An unknown section is empty, as in Redis.

use std::fmt::Display;

use super::{Facts, REDIS_VERSION};
use crate::resp::args::Args;
use crate::resp::write::{self, Protocol};

/// Appends the lines of one section.
type Section = fn(&Facts<'_>, &mut String);

/// Title and lines of each section, in the order in which they are shown.
const SECTIONS: &[(&str, Section)] = &[
    ("Server", server),
    ("Clients", clients),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("Cluster", cluster),
    ("Keyspace", keyspace),
    ("Gateway", gateway),
    ("Plugins", plugins),
];

/// INFO [section ...].
pub(super) fn info(args: &Args<'_>, protocol: Protocol, facts: &Facts<'_>, out: &mut Vec<u8>) {
    let every = args.len() == 1
        || args.from(1).any(|word| {
            [b"all".as_slice(), b"default", b"everything"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(word))
        });
    let mut text = String::new();
    for (title, lines) in SECTIONS {
        let asked = args.from(1).any(|word| word.eq_ignore_ascii_case(title.as_bytes()));
        if every || asked {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            text.push_str(&format!("# {title}\r\n"));
            lines(facts, &mut text);
        }
    }
    write::verbatim(out, protocol, text.as_bytes());
}

fn line(text: &mut String, name: &str, value: impl Display) {
    text.push_str(&format!("{name}:{value}\r\n"));
}

fn server(facts: &Facts<'_>, text: &mut String) {
    line(text, "redis_version", REDIS_VERSION);
    line(text, "redis_mode", "standalone");
    line(text, "sluicegate_version", facts.version);
    line(text, "arch_bits", usize::BITS);
    line(text, "process_id", facts.process_id);
    line(text, "run_id", facts.run_id);
    line(text, "tcp_port", facts.listen_port);
    line(text, "server_time_usec", facts.now_us);
    line(text, "uptime_in_seconds", facts.uptime_s);
    line(text, "uptime_in_days", facts.uptime_s / (24 * 60 * 60));
    line(text, "config_file", facts.config_file);
}

fn clients(facts: &Facts<'_>, text: &mut String) {
    line(text, "connected_clients", facts.clients);
    line(text, "maxclients", facts.clients_max);
    line(text, "blocked_clients", facts.clients_blocked);
}

/// The gateway keeps no data: it is never loading and has nothing to save.
fn persistence(_: &Facts<'_>, text: &mut String) {
    line(text, "loading", 0);
    line(text, "rdb_bgsave_in_progress", 0);
    line(text, "aof_enabled", 0);
}

fn stats(facts: &Facts<'_>, text: &mut String) {
    let stats = &facts.stats;
    line(text, "total_connections_received", stats.connections_received);
    line(text, "total_commands_processed", stats.commands_processed);
    line(text, "total_net_input_bytes", stats.input_bytes);
    line(text, "total_net_output_bytes", stats.output_bytes);
    line(text, "rejected_connections", stats.connections_rejected);
    line(text, "total_error_replies", stats.error_replies);
}

/// To clients the gateway is a master without replicas.
fn replication(_: &Facts<'_>, text: &mut String) {
    line(text, "role", "master");
    line(text, "connected_slaves", 0);
}

fn cluster(_: &Facts<'_>, text: &mut String) {
    line(text, "cluster_enabled", 0);
}

/// Keys are counted by the shards.
fn keyspace(_: &Facts<'_>, _: &mut String) {}

fn gateway(facts: &Facts<'_>, text: &mut String) {
    line(text, "pool", facts.pool_name);
    line(text, "workers", facts.workers);
    line(text, "shards", facts.shard_names.len());
    line(text, "shard_names", facts.shard_names.join(","));
    line(text, "ring_fingerprint", format!("{:016x}", facts.ring_fingerprint));
    for (name, count) in facts.counters {
        line(text, name, count);
    }
}

fn plugins(facts: &Facts<'_>, text: &mut String) {
    text.push_str(facts.plugins);
}
