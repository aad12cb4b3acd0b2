//! `sluicegate explain -c FILE GET user:1`: where would this command go, and why?
//!
//! In: a checked configuration, the command as typed and its keys. Out: for each pool, how each key finds its shard
//! (hash tag, hash, ring point) and the plugins bound to it. What the keys of a command are the caller knows.
//!
//! Nothing is started and no server is asked.

use std::fmt::Write;

use super::{Outcome, shown_bytes, shown_listen, shown_rules};
use crate::config::{Config, Distribution, PoolConfig};
use crate::plugin::glob::Pattern;
use crate::topology::Topology;

/// Explains a command that names `keys`. `pool_name` picks one pool; `None` shows all.
pub fn explain(
    config: &Config,
    pool_name: Option<&str>,
    command: &[&[u8]],
    keys: &[&[u8]],
) -> Outcome {
    let shown: Vec<_> = command.iter().map(|part| shown_bytes(part)).collect();
    let mut text = format!("{}\n", shown.join(" "));
    let wanted = |pool: &&PoolConfig| pool_name.is_none_or(|name| pool.name == name);
    let pools: Vec<_> = config.pools.iter().filter(wanted).collect();
    if pools.is_empty() {
        let names: Vec<_> = config.pools.iter().map(|pool| pool.name.as_str()).collect();
        let text =
            format!("no pool {:?}, known: {}\n", pool_name.unwrap_or_default(), names.join(", "));
        return Outcome { text, exit_code: 1 };
    }
    if keys.is_empty() {
        text.push_str("names no key, so no shard owns it\n");
    }
    for pool in pools {
        let _ = writeln!(
            text,
            "\npool {} on {}: {}",
            pool.name,
            shown_listen(&pool.listen),
            shown_rules(pool)
        );
        let topology = Topology::from_pool(pool);
        for key in keys {
            text.push_str(&key_lines(pool, &topology, key));
            text.push_str(&plugin_lines(config, pool, key));
        }
    }
    Outcome { text, exit_code: 0 }
}

/// How one key finds its shard.
fn key_lines(pool: &PoolConfig, topology: &Topology, key: &[u8]) -> String {
    let mut text = format!("  key     {}\n", shown_bytes(key));
    if pool.distribution == Distribution::Random && topology.len() > 1 {
        text.push_str("  shard   any: drawn anew for each request\n");
        return text;
    }
    let location = topology.locate(key);
    if location.hashed.len() < key.len() {
        let _ = writeln!(text, "  tag     {}", shown_bytes(location.hashed));
    }
    match (location.hash, location.point, pool.distribution) {
        (None, _, _) => text.push_str("  hash    none: the pool has one shard\n"),
        (Some(hash), Some(slot), Distribution::Modula) => {
            let _ =
                writeln!(text, "  hash    {hash}\n  slot    {slot} (the hash modulo the weights)");
        }
        (Some(hash), point, _) => {
            let _ = writeln!(text, "  hash    {hash}");
            if let Some(point) = point {
                let note = if point < hash { " (past the last point: the first one)" } else { "" };
                let _ = writeln!(text, "  point   {point}{note}");
            }
        }
    }
    if let Some(shard) = pool.shards.get(usize::from(location.shard)) {
        let _ = writeln!(text, "  shard   {} at {}", shard.name, shard.address);
    }
    text
}

/// The plugins bound to a key, in the order in which they are tried.
fn plugin_lines(config: &Config, pool: &PoolConfig, key: &[u8]) -> String {
    let mut text = String::new();
    for binding in &pool.bindings {
        let pattern = binding.keys.iter().find(|pattern| Pattern::new(pattern).matches(key));
        let (Some(pattern), Some(plugin)) = (pattern, config.plugins.get(binding.plugin)) else {
            continue;
        };
        let missing = if plugin.present { "" } else { " (its file is missing: left out)" };
        let pattern = shown_bytes(pattern);
        let _ = writeln!(
            text,
            "  plugin  {} by {pattern}, if it hooks the command{missing}",
            plugin.name
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    fn check(text: &str, pool: Option<&str>, command: &str, keys: &[&[u8]], expected: &str) {
        let config = config::parse(text, Path::new("gate.yaml")).unwrap().config;
        let command: Vec<_> = command.split(' ').map(str::as_bytes).collect();
        let outcome = explain(&config, pool, &command, keys);
        assert_eq!(outcome.text, expected);
        assert_eq!(outcome.exit_code, 0);
    }

    const TWO_POOLS: &str = "\
plugins: {cache: {file: c.wasm}, board: {file: b.wasm}}
pools:
  a:
    listen: h:1
    distribution: ketama
    shards: [{name: server1, address: 'h:2'}, {name: server2, address: 'h:3'},
             {name: server3, address: 'h:4'}, {name: server4, address: 'h:5'}]
    plugins: [{use: board, keys: ['b*']}, {use: cache, keys: ['x*', 'f*']}]
  b:
    listen: h:9
    distribution: modula
    hash: crc32a
    hash_tag: ''
    shards: [{name: two, address: 'h:2', weight: 2}, {name: one, address: 'h:3'}]
";

    #[test]
    fn key_is_followed_through_tag_hash_and_point_in_every_pool() {
        let expected = "\
GET f{foo}

pool a on h:1: ketama, hash fnv1a_64, hash tag {}
  key     f{foo}
  tag     foo
  hash    4275688823
  point   4289319316
  shard   server1 at h:2
  plugin  cache by f*, if it hooks the command

pool b on h:9: modula, hash crc32a, no hash tag
  key     f{foo}
  hash    1887093265
  slot    1 (the hash modulo the weights)
  shard   two at h:2
";
        check(TWO_POOLS, None, "GET f{foo}", &[b"f{foo}"], expected);
    }

    #[test]
    fn one_pool_can_be_picked_and_several_keys_are_explained() {
        let expected = "\
MGET foo bar

pool b on h:9: modula, hash crc32a, no hash tag
  key     foo
  hash    2356372769
  slot    2 (the hash modulo the weights)
  shard   two at h:2
  key     bar
  hash    1996459178
  slot    2 (the hash modulo the weights)
  shard   two at h:2
";
        check(TWO_POOLS, Some("b"), "MGET foo bar", &[b"foo", b"bar"], expected);
    }

    #[test]
    fn placement_without_a_hash_is_said() {
        let one = "pools: {a: {listen: 'h:1', shards: [{name: s, address: 'h:2'}]}}";
        let expected = "\
GET k

pool a on h:1: ring, hash xxh3_64, hash tag {}
  key     k
  hash    none: the pool has one shard
  shard   s at h:2
";
        check(one, None, "GET k", &[b"k"], expected);
        let random = "pools: {a: {listen: 'h:1', distribution: random, shards: ['h:2', 'h:3']}}";
        let expected = "\
GET k

pool a on h:1: random
  key     k
  shard   any: drawn anew for each request
";
        check(random, None, "GET k", &[b"k"], expected);
        let expected = "PING\nnames no key, so no shard owns it\n\npool a on h:1: random\n";
        check(random, None, "PING", &[], expected);
    }

    #[test]
    fn unknown_pool_fails_with_the_known_ones() {
        let config = config::parse(TWO_POOLS, Path::new("gate.yaml")).unwrap().config;
        let outcome = explain(&config, Some("c"), &[b"GET"], &[]);
        assert_eq!((outcome.text.as_str(), outcome.exit_code), ("no pool \"c\", known: a, b\n", 1));
    }
}
