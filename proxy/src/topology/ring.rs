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
    let pairs = ring
        .resident_ranges()
        .map(|range| (*range.keys().end(), range.node().index))
        .collect();
    Points::new(pairs)
}

/// The crate's ring of `shards`.
fn built(shards: &[ShardConfig]) -> consistent_hash_ring::Ring<Node> {
    let nodes = (0..).zip(shards).map(|(index, shard)| {
        let node = Node {
            name_hash: xxh3(shard.name.as_bytes()),
            index,
        };
        let weight = usize::try_from(shard.weight).unwrap_or(usize::MAX);
        (node, weight.saturating_mul(POINTS_PER_WEIGHT))
    });
    RingBuilder::default().weighted_nodes_iter(nodes).build()
}

/// Where on the ring the crate puts a key that was given to it as the number `key_hash`: FNV-1a of its eight bytes.
#[inline]
pub fn position(key_hash: u64) -> u64 {
    key_hash
        .to_le_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        })
}
