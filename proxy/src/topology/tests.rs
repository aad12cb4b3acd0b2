//! Placement end to end: from a pool's settings to the shard of a key.
//!
//! The vectors of ketama were computed from twemproxy's sources by another implementation; those of `ring` were
//! recorded from this one at its first release and must never change: a dependency that moves one of them moves
//! users' keys.

use super::*;
use crate::config::{Address, Listen, ShardConfig};
use crate::hashing::HASH_NAMES;

fn pool(distribution: Distribution, hash: HashKind, shards: &[(&str, u32)]) -> PoolConfig {
    let listen = Listen::Tcp { host: "127.0.0.1".to_owned(), port: 6380 };
    let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 6379 };
    let shards = shards.iter().map(|(name, weight)| ShardConfig {
        weight: *weight,
        ..ShardConfig::named(name, address.clone())
    });
    PoolConfig { distribution, hash, ..PoolConfig::with_defaults("main", listen, shards.collect()) }
}

fn check(pool: &PoolConfig, expected: &[(&str, &str)]) {
    let topology = Topology::from_pool(pool);
    for (key, name) in expected {
        let shard = topology.shard_of(key.as_bytes());
        assert_eq!(pool.shards[usize::from(shard)].name, *name, "{key}");
    }
}

const ABC: [(&str, u32); 3] = [("a", 1), ("b", 1), ("c", 1)];

#[test]
fn ketama_places_keys_as_twemproxy_on_ring_a() {
    let names = [("server1", 1), ("server2", 1), ("server3", 1), ("server4", 1)];
    let pool = pool(Distribution::Ketama, HashKind::Fnv1a64, &names);
    let expected = [
        ("foo", "server1"),
        ("user:1000", "server1"),
        ("apple", "server1"),
        ("café", "server1"),
        ("bar", "server4"),
        ("key:000000000001", "server3"),
    ];
    check(&pool, &expected);
}

#[test]
fn ketama_places_keys_as_twemproxy_on_ring_b() {
    let names = [("127.0.0.1:6379", 1), ("127.0.0.1:6380", 1), ("127.0.0.1:6381", 2)];
    let pool = pool(Distribution::Ketama, HashKind::Fnv1a64, &names);
    let expected = [
        ("foo", "127.0.0.1:6381"),
        ("bar", "127.0.0.1:6381"),
        ("user:1000", "127.0.0.1:6381"),
        ("apple", "127.0.0.1:6381"),
        ("café", "127.0.0.1:6381"),
        ("key:000000000001", "127.0.0.1:6379"),
    ];
    check(&pool, &expected);
}

#[test]
fn ring_places_keys_where_every_release_did() {
    let pool = pool(Distribution::Ring, HashKind::Xxh3, &ABC);
    check(&pool, &GOLDEN_ABC);
    let weighted = pool_weighted();
    check(&weighted, &GOLDEN_WEIGHTED);
    assert_eq!(Topology::from_pool(&pool).fingerprint(), GOLDEN_FINGERPRINTS[0]);
    assert_eq!(Topology::from_pool(&weighted).fingerprint(), GOLDEN_FINGERPRINTS[1]);
}

fn pool_weighted() -> PoolConfig {
    let names = [("10.0.0.1:6379", 1), ("10.0.0.2:6379", 2), ("10.0.0.3:6379", 5)];
    pool(Distribution::Ring, HashKind::Xxh3, &names)
}

/// Keys and their shards on the ring of `ABC`.
const GOLDEN_ABC: [(&str, &str); 22] = [
    ("", "b"),
    ("a", "a"),
    ("foo", "a"),
    ("bar", "a"),
    ("apple", "b"),
    ("café", "b"),
    ("user:1000", "b"),
    ("user:{1000}.name", "b"),
    ("{1000}", "b"),
    ("key:000000000001", "a"),
    ("key:000000000002", "b"),
    ("key:000000000003", "c"),
    ("session:9f8e7d", "c"),
    ("cache:front", "c"),
    ("counter:views", "b"),
    ("leaderboard", "a"),
    ("0", "a"),
    ("1", "a"),
    ("2", "c"),
    ("3", "a"),
    ("long key with spaces and more than sixteen bytes", "a"),
    ("\0\u{1}\u{7f}", "c"),
];
/// Keys and their shards on the ring of `pool_weighted`.
const GOLDEN_WEIGHTED: [(&str, &str); 22] = [
    ("", "10.0.0.2:6379"),
    ("a", "10.0.0.3:6379"),
    ("foo", "10.0.0.3:6379"),
    ("bar", "10.0.0.1:6379"),
    ("apple", "10.0.0.2:6379"),
    ("café", "10.0.0.3:6379"),
    ("user:1000", "10.0.0.2:6379"),
    ("user:{1000}.name", "10.0.0.2:6379"),
    ("{1000}", "10.0.0.2:6379"),
    ("key:000000000001", "10.0.0.3:6379"),
    ("key:000000000002", "10.0.0.3:6379"),
    ("key:000000000003", "10.0.0.3:6379"),
    ("session:9f8e7d", "10.0.0.2:6379"),
    ("cache:front", "10.0.0.3:6379"),
    ("counter:views", "10.0.0.3:6379"),
    ("leaderboard", "10.0.0.2:6379"),
    ("0", "10.0.0.2:6379"),
    ("1", "10.0.0.3:6379"),
    ("2", "10.0.0.3:6379"),
    ("3", "10.0.0.1:6379"),
    ("long key with spaces and more than sixteen bytes", "10.0.0.3:6379"),
    ("\0\u{1}\u{7f}", "10.0.0.3:6379"),
];
/// Fingerprints of both rings: every point and its owner.
const GOLDEN_FINGERPRINTS: [u64; 2] = [5858369559557238933, 6914144159008628317];

#[test]
fn modula_takes_the_hash_modulo_the_weights() {
    let pool = pool(Distribution::Modula, HashKind::Crc32a, &[("a", 2), ("b", 1)]);
    // crc32a modulo 3: foo 2356372769 -> 2, bar 1996459178 -> 2, apple 2838417488 -> 2, a 3904355907 -> 0.
    check(&pool, &[("foo", "b"), ("bar", "b"), ("apple", "b"), ("a", "a"), ("", "a")]);
}

#[test]
fn every_twemproxy_hash_reaches_the_ketama_ring() {
    for (name, hash) in HASH_NAMES.iter().filter(|(_, hash)| hash.is_twemproxy()) {
        let topology = Topology::from_pool(&pool(Distribution::Ketama, *hash, &ABC));
        let location = topology.locate(b"user:1000");
        assert_eq!(location.hash, Some(hash.hash(b"user:1000")), "{name}");
        assert!(location.point.unwrap() <= u64::from(u32::MAX), "{name}");
    }
}

#[test]
fn empty_key_has_hash_zero_under_twemproxys_rules() {
    for distribution in [Distribution::Ketama, Distribution::Modula] {
        let topology = Topology::from_pool(&pool(distribution, HashKind::Md5, &ABC));
        assert_eq!(topology.locate(b"").hash, Some(0));
    }
}

#[test]
fn single_shard_owns_every_key_unhashed() {
    for distribution in
        [Distribution::Ketama, Distribution::Ring, Distribution::Modula, Distribution::Random]
    {
        let topology = Topology::from_pool(&pool(distribution, HashKind::Md5, &[("a", 3)]));
        assert_eq!(topology.locate(b"foo").hash, None);
        assert_eq!(topology.shard_of(b"foo"), 0);
    }
}

#[test]
fn hash_tag_takes_the_first_closed_part_of_one_byte_or_more() {
    let cases: [(&[u8; 2], &str, &str); 12] = [
        (b"{}", "user:{1000}.name", "1000"),
        (b"{}", "{a}{b}", "a"),
        (b"{}", "a}b{c}", "c"),
        (b"{}", "{}{b}", "{}{b}"),
        (b"{}", "{a", "{a"),
        (b"{}", "a}", "a}"),
        (b"{}", "{{a}}", "{a"),
        (b"{}", "plain", "plain"),
        (b"{}", "", ""),
        (b"$$", "x$ab$y", "ab"),
        (b"$$", "x$y", "x$y"),
        (b"::", "a::b:c", "a::b:c"),
    ];
    for (tag, key, expected) in cases {
        let mut pool = pool(Distribution::Ring, HashKind::Xxh3, &ABC);
        pool.hash_tag = Some(*tag);
        let topology = Topology::from_pool(&pool);
        let part = topology.hashed_part(key.as_bytes());
        assert_eq!(part, expected.as_bytes(), "{key}");
        pool.hash_tag = None;
        let whole = Topology::from_pool(&pool);
        assert_eq!(whole.hashed_part(key.as_bytes()), key.as_bytes());
    }
}

#[test]
fn random_reaches_all_shards_and_repeats_for_a_seed() {
    let pool = pool(Distribution::Random, HashKind::Xxh3, &[("a", 9), ("b", 1)]);
    let topology = Topology::from_pool(&pool).with_seed(7);
    let draws: Vec<_> = (0..2000).map(|_| topology.shard_of(b"foo")).collect();
    let ones = draws.iter().filter(|shard| **shard == 1).count();
    assert!((900..1100).contains(&ones), "weights are ignored: {ones}");
    let again = Topology::from_pool(&pool).with_seed(7);
    assert!(draws.iter().all(|shard| again.shard_of(b"foo") == *shard));
}

#[test]
fn fingerprint_changes_with_everything_that_moves_keys() {
    let base = pool(Distribution::Ring, HashKind::Xxh3, &ABC);
    let same = Topology::from_pool(&base).fingerprint();
    let mut others = vec![
        pool(Distribution::Ring, HashKind::Xxh3, &[("a", 1), ("b", 1), ("d", 1)]),
        pool(Distribution::Ring, HashKind::Xxh3, &[("a", 1), ("b", 1), ("c", 2)]),
        pool(Distribution::Modula, HashKind::Xxh3, &ABC),
        pool(Distribution::Random, HashKind::Xxh3, &ABC),
        pool(Distribution::Ketama, HashKind::Murmur, &ABC),
        pool(Distribution::Ketama, HashKind::Md5, &ABC),
    ];
    let mut untagged = base.clone();
    untagged.hash_tag = None;
    others.push(untagged);
    let mut prints: Vec<_> =
        others.iter().map(|pool| Topology::from_pool(pool).fingerprint()).collect();
    prints.push(same);
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), 8);
    let reordered = pool(Distribution::Ring, HashKind::Xxh3, &[("c", 1), ("a", 1), ("b", 1)]);
    assert_eq!(Topology::from_pool(&reordered).fingerprint(), same);
}

/// Seen on a running nutcracker 0.5.0: it sorts servers by length of name, then by bytes, before it fills the table.
#[test]
fn modula_table_follows_the_names_and_not_the_order_of_the_file() {
    let names = [("zz", 1), ("b", 2), ("aaa", 1), ("B", 1)];
    let pool = pool(Distribution::Modula, HashKind::Crc32a, &names);
    let topology = Topology::from_pool(&pool);
    let Placement::Modula(slots) = &topology.placement else {
        panic!("{topology:?}");
    };
    let order: Vec<_> = slots.iter().map(|shard| names[usize::from(*shard)].0).collect();
    assert_eq!(order, ["B", "b", "b", "zz", "aaa"]);
}
