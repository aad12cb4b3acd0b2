//! INFO: the gateway's own lines, in the sections that clients and tools read.
//!
//! In: a section's title and the gateway's facts. Out: its lines. `loading:0`, `role:master` and `redis_version` are what
//! clients wait for before they start; they never depend on a shard. The shards' numbers, and which sections are shown,
//! are `gather`'s.

use std::fmt::Display;

use super::{Facts, REDIS_VERSION};

/// Appends the lines of one section.
type Section = fn(&Facts<'_>, &mut String);

/// Title and lines of each section.
const SECTIONS: &[(&str, Section)] = &[
    ("Server", server),
    ("Clients", clients),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("Cluster", cluster),
    ("Gateway", gateway),
    ("Plugins", plugins),
];

/// The gateway's lines of the section with this title; none if it has nothing to say there.
pub fn section(title: &str, facts: &Facts<'_>) -> String {
    let mut text = String::new();
    if let Some((_, lines)) = SECTIONS.iter().find(|(known, _)| *known == title) {
        lines(facts, &mut text);
    }
    text
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

/// The gateway is ready; a shard that loads says so in its replies.
fn persistence(_: &Facts<'_>, text: &mut String) {
    line(text, "loading", 0);
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

/// To clients the gateway is a master.
fn replication(_: &Facts<'_>, text: &mut String) {
    line(text, "role", "master");
}

fn cluster(_: &Facts<'_>, text: &mut String) {
    line(text, "cluster_enabled", 0);
}

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
