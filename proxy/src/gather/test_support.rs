//! A pool and shards' answers for tests: what every state machine of this folder is tried with.
//!
//! In: names of shards, replies. Out: the surroundings of a round and the answers of its shards, in the order of asking.
//! Keys for a shard are found by trying, with the placement that the pool really has.

use super::{Answer, Around, scan};
use crate::config;
use crate::local::{Facts, Stats};
use crate::resp::write::Protocol;
use crate::topology::{ShardIndex, Topology};

/// A pool with named shards.
pub(super) struct Pool {
    topology: Topology,
    names: Vec<String>,
    by_name: Vec<ShardIndex>,
}

impl Pool {
    pub(super) fn new(names: &[&str]) -> Pool {
        let mut text = "pools:\n  main:\n    listen: 127.0.0.1:1\n    shards:\n".to_owned();
        for (number, name) in names.iter().enumerate() {
            text.push_str(&format!(
                "      - {{name: {name}, address: \"127.0.0.1:{}\"}}\n",
                7000 + number
            ));
        }
        let loaded = config::parse(&text, std::path::Path::new("test.yaml")).unwrap();
        let topology = Topology::from_pool(&loaded.config.pools[0]);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Pool { topology, by_name: scan::by_name(&names), names }
    }

    pub(super) fn around(&self) -> Around<'_> {
        Around {
            topology: &self.topology,
            shard_names: &self.names,
            by_name: &self.by_name,
            protocol: Protocol::Resp2,
            random: 0,
        }
    }
}

/// What the gateway knows of itself in these tests.
pub(super) fn facts() -> Facts<'static> {
    Facts {
        now_us: 61_000_007,
        version: "0.1.0",
        password: None,
        pool_name: "main",
        shard_names: &[],
        ring_fingerprint: 255,
        workers: 2,
        process_id: 77,
        run_id: "cafe",
        listen_port: 6380,
        uptime_s: 90_000,
        config_file: "gateway.yaml",
        clients: 3,
        clients_blocked: 0,
        clients_max: 10_000,
        databases: 16,
        database: 0,
        idle_timeout_s: 0,
        stats: Stats::default(),
        plugins: "",
        counters: &[],
        own_commands: &[],
    }
}

/// One answer of each shard, from the first on.
pub(super) fn answers(replies: &[&str]) -> Vec<Answer> {
    (0..)
        .zip(replies)
        .map(|(shard, reply)| Answer { shard, reply: reply.as_bytes().to_vec() })
        .collect()
}

/// Answers of the shards that are named.
pub(super) fn answers_of(replies: &[(ShardIndex, &[u8])]) -> Vec<Answer> {
    replies.iter().map(|(shard, reply)| Answer { shard: *shard, reply: reply.to_vec() }).collect()
}

/// A key that belongs to `shard`.
pub(super) fn key_on(pool: &Pool, shard: ShardIndex) -> String {
    let keys = (0..1000).map(|number| format!("key:{number}"));
    keys.into_iter().find(|key| pool.topology.may_hold(shard, key.as_bytes())).unwrap()
}
