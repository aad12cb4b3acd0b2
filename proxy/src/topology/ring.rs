//! The default ring: the `consistent_hash_ring` crate, read out once into a sorted array.
//!
//! In: shards with name and weight. Out: the crate's ranges as points. The crate is given numbers only, XXH3 of a
//! shard's name and XXH3 of a key, never text: how Rust's `Hash` feeds text to a hasher is no promised format. It
//! hashes each number once more with its own FNV-1a, which `position` repeats for the lookup.
//!
//! A test keeps lookups equal to the crate's own `try_get`, and golden vectors keep an upgrade from moving keys.

use std::hash::{Hash, Hasher};

use consistent_hash_ring::RingBuilder;

use super::ShardIndex;
use super::points::Points;
use crate::config::ShardConfig;
use crate::hashing::functions::xxh3;
use crate::limits::POINTS_PER_WEIGHT;

/// A shard as the crate sees it: only the hash of its name counts.
#[derive(Clone, Debug)]
struct Node {
    name_hash: u64,
    index: ShardIndex,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.name_hash == other.name_hash
    }
}

impl Eq for Node {}

impl Hash for Node {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.name_hash);
    }
}

/// The ring of `shards`. Neighbouring points of one shard are one here.
pub fn points(shards: &[ShardConfig]) -> Points {
    let ring = built(shards);
    let pairs =
        ring.resident_ranges().map(|range| (*range.keys().end(), range.node().index)).collect();
    Points::new(pairs)
}

/// The crate's ring of `shards`.
fn built(shards: &[ShardConfig]) -> consistent_hash_ring::Ring<Node> {
    let nodes = (0..).zip(shards).map(|(index, shard)| {
        let node = Node { name_hash: xxh3(shard.name.as_bytes()), index };
        let weight = usize::try_from(shard.weight).unwrap_or(usize::MAX);
        (node, weight.saturating_mul(POINTS_PER_WEIGHT))
    });
    RingBuilder::default().weighted_nodes_iter(nodes).build()
}

/// Where on the ring the crate puts a key that was given to it as the number `key_hash`: FNV-1a of its eight bytes.
#[inline]
pub fn position(key_hash: u64) -> u64 {
    key_hash.to_le_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Address;

    fn shards(names: &[&str]) -> Vec<ShardConfig> {
        let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 6379 };
        names.iter().map(|name| ShardConfig::named(name, address.clone())).collect()
    }

    #[test]
    fn lookup_finds_the_same_shard_as_the_crate() {
        let mut shards = shards(&["a", "b", "c", "10.0.0.1:6379", "a-very-long-name"]);
        shards[2].weight = 3;
        let ring = built(&shards);
        let points = points(&shards);
        assert_eq!(ring.vnodes(), 7 * POINTS_PER_WEIGHT);
        for number in 0..20_000 {
            let hash = xxh3(format!("key:{number}").as_bytes());
            let expected = ring.try_get(hash).unwrap().index;
            assert_eq!(points.owner(position(hash)).1, expected, "{number}");
        }
        for edge in [0, 1, u64::MAX] {
            let expected = ring.resident_ranges().find(|r| r.keys().contains(&edge));
            assert_eq!(points.owner(edge).1, expected.unwrap().node().index);
        }
    }

    #[test]
    fn order_of_shards_does_not_move_keys() {
        let forward = shards(&["a", "b", "c"]);
        let backward = shards(&["c", "b", "a"]);
        let (one, other) = (points(&forward), points(&backward));
        for number in 0..1000 {
            let at = position(number);
            let name = |points: &Points, shards: &[ShardConfig]| {
                shards[usize::from(points.owner(at).1)].name.clone()
            };
            assert_eq!(name(&one, &forward), name(&other, &backward));
        }
    }
}
