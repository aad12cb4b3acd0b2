//! What packing saves: memory of a million small keys as plain strings and in buckets, and what reading and writing them costs.
//!
//! Comes in: three running shards. Goes out: lines for Redis, and for Valkey where there is one: `used_memory` of the shards over
//! what they had empty, and CPU time of the gateway and the shards together, packed beside plain in one run.

use sluicegate_tests::client::{Client, request};
use sluicegate_tests::plugins::{Entry, built};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;

use super::gate::{Gate, LONG_CALLS};
use super::patterns::shards_cpu_seconds;
use super::{Effort, Line};

const KEYS: usize = 1_000_000;
/// Keys of one MSET.
const PIECE: usize = 500;
/// Requests that are counted for CPU time, and how many are under way.
const REQUESTS: usize = 100_000;
const DEPTH: usize = 50;
const BUCKETS: [usize; 3] = [8_192, 16_384, 65_536];

/// What one way of storing them came to.
struct Stored {
    bytes: f64,
    get_us: f64,
    set_us: f64,
}

/// Packed beside plain.
pub fn memory(shards: &[RealServer], effort: Effort) -> Vec<Line> {
    let keys = KEYS / effort.share;
    let mut lines = of_kind("Redis", shards, keys);
    if let Some(first) = RealServer::start_valkey() {
        let mut shards = vec![first];
        shards.extend((1..3).map(|_| shards[0].start_alike(&[])).collect::<Vec<_>>());
        lines.extend(of_kind("Valkey", &shards, keys));
    }
    lines
}

fn of_kind(kind: &str, shards: &[RealServer], keys: usize) -> Vec<Line> {
    let file = built("pack");
    let plugins = [Entry { name: "pack", file: &file, settings: &[LONG_CALLS] }];
    let plain = store(&Gate::start(shards, &[], &[]), shards, keys);
    let mut lines = Vec::new();
    for buckets in BUCKETS {
        // As many keys to a bucket in a short run.
        let buckets = (buckets * keys / KEYS).max(1);
        let binding = format!(
            "{{use: pack, keys: [\"obj:*\"], config: {{prefix: \"obj:\", buckets: {buckets}}}}}"
        );
        let packed = store(&Gate::start(shards, &plugins, &[&binding]), shards, keys);
        let note = format!(
            "{:.0} / {:.0} bytes a key; GET {:.1} / {:.1} us, SET {:.1} / {:.1} us of CPU",
            packed.bytes, plain.bytes, packed.get_us, plain.get_us, packed.set_us, plain.set_us
        );
        let what = format!("{kind}: {keys} keys of 16 bytes in {buckets} buckets");
        lines.push(Line::known(&what, packed.bytes / plain.bytes, "x", note));
    }
    lines
}

fn store(gate: &Gate, shards: &[RealServer], keys: usize) -> Stored {
    for shard in shards {
        shard.client().line("FLUSHALL SYNC");
    }
    let empty = used_memory(shards);
    let mut client = Client::connect(gate.address());
    for piece in 0..keys / PIECE {
        let mut words = vec!["MSET".to_owned()];
        for number in piece * PIECE..(piece + 1) * PIECE {
            words.extend([key(number), format!("value-{number:010}")]);
        }
        assert_eq!(client.command(&words), Value::ok());
    }
    let bytes = (used_memory(shards) - empty) / keys as f64;
    let get = |number: usize| request(&["GET", &key(number)]);
    let get_us = cpu_us(gate, shards, &mut client, keys, get);
    let set = |number: usize| request(&["SET", &key(number), &format!("other-{number:010}")]);
    let set_us = cpu_us(gate, shards, &mut client, keys, set);
    Stored { bytes, get_us, set_us }
}

fn key(number: usize) -> String {
    format!("obj:{number:08}")
}

/// CPU time of one request, of the gateway and the shards.
fn cpu_us(
    gate: &Gate,
    shards: &[RealServer],
    client: &mut Client,
    keys: usize,
    of: impl Fn(usize) -> Vec<u8>,
) -> f64 {
    let used = || gate.cpu_seconds() + shards_cpu_seconds(shards);
    let before = used();
    for round in 0..REQUESTS / DEPTH {
        // A stride that meets all keys in no order.
        let numbers = (0..DEPTH).map(|place| (round * DEPTH + place) * 7_919 % keys);
        client.send_raw(&numbers.flat_map(&of).collect::<Vec<u8>>());
        for _ in 0..DEPTH {
            assert!(!matches!(client.reply(), Value::Error(_) | Value::Null));
        }
    }
    (used() - before) * 1e6 / REQUESTS as f64
}

fn used_memory(shards: &[RealServer]) -> f64 {
    let of = |shard: &RealServer| -> f64 {
        let info = shard.client().line("INFO memory").text();
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        line.and_then(|bytes| bytes.trim().parse().ok()).expect("used_memory")
    };
    shards.iter().map(of).sum()
}
