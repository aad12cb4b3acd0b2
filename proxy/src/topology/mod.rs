//! Which shard owns a key.
//!
//! A `Topology` is made from a checked pool and never changes; a new configuration makes a new one. It holds no
//! address and no connection, only names turned into points: `shard_of` takes the hashed part of a key (hash tag),
//! hashes it and looks the number up in a sorted array, without allocation. `locate` tells the steps for `explain`.
//!
//! Each worker has its own clone: the points are shared, the state of `random` is not. Same names, weights and rules
//! give the same placement in every process; `fingerprint` shows it.

pub mod ketama;
pub mod points;
pub mod ring;

use std::cell::Cell;
use std::sync::Arc;

use crate::config::{Distribution, KeylessScripts, PoolConfig, ShardConfig};
use crate::hashing::HashKind;
use crate::hashing::functions::xxh3;
use points::Points;

/// Index of a shard in its pool, in the order of the configuration.
pub type ShardIndex = u16;

/// The immutable placement of one pool.
#[derive(Clone, Debug)]
pub struct Topology {
    shards: ShardIndex,
    hash: HashKind,
    hash_tag: Option<[u8; 2]>,
    keyless_scripts: KeylessScripts,
    placement: Placement,
    fingerprint: u64,
}

/// The part that differs by distribution. Points are shared between clones.
#[derive(Clone, Debug)]
enum Placement {
    Ketama(Arc<Points>),
    Ring(Arc<Points>),
    /// Shard indexes, each as often as its weight.
    Modula(Arc<[ShardIndex]>),
    Random(Draw),
}

/// How a key found its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location<'a> {
    /// The part of the key that is hashed.
    pub hashed: &'a [u8],
    /// Its hash; `None` where none is taken (one shard, `random`).
    pub hash: Option<u64>,
    /// The point of the ring that owns the hash (`ketama`, `ring`), or the slot of the table (`modula`).
    pub point: Option<u64>,
    /// The owner.
    pub shard: ShardIndex,
}

impl Topology {
    /// The placement of `pool`.
    pub fn from_pool(pool: &PoolConfig) -> Self {
        let placement = match pool.distribution {
            Distribution::Ketama => Placement::Ketama(Arc::new(ketama::points(&pool.shards))),
            Distribution::Ring => Placement::Ring(Arc::new(ring::points(&pool.shards))),
            Distribution::Modula => Placement::Modula(modula_slots(&pool.shards)),
            Distribution::Random => Placement::Random(Draw::new(0)),
        };
        Self {
            shards: ShardIndex::try_from(pool.shards.len()).unwrap_or(ShardIndex::MAX),
            hash: pool.hash,
            hash_tag: pool.hash_tag,
            keyless_scripts: pool.keyless_scripts,
            fingerprint: fingerprint_of(pool, &placement),
            placement,
        }
    }

    /// The same placement whose `random` draws start from `seed`, so that workers do not draw in step.
    /// Without effect on the other distributions.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        if let Placement::Random(draw) = &mut self.placement {
            *draw = Draw::new(seed);
        }
        self
    }

    /// The shard that owns `key`. With `random` each call draws anew: ask once per request.
    pub fn shard_of(&self, key: &[u8]) -> ShardIndex {
        self.locate(key).shard
    }

    /// Whether a key that was found on `shard` belongs there. With `random` it may belong anywhere; nothing is drawn.
    pub fn may_hold(&self, shard: ShardIndex, key: &[u8]) -> bool {
        match &self.placement {
            Placement::Random(_) => true,
            Placement::Ketama(_) | Placement::Ring(_) | Placement::Modula(_) => {
                self.shard_of(key) == shard
            }
        }
    }

    /// The shard that runs a script without keys, whose first argument is given; `None`: none does.
    pub fn shard_of_script(&self, first_arg: Option<&[u8]>) -> Option<ShardIndex> {
        match (self.keyless_scripts, first_arg) {
            (KeylessScripts::FirstArg, Some(arg)) => Some(self.shard_of(arg)),
            (KeylessScripts::FirstArg, None) | (KeylessScripts::FirstShard, _) => Some(0),
            (KeylessScripts::Refuse, _) => None,
        }
    }

    /// The shard of a channel: that of a key of its name, and with `random` one that is drawn once for all.
    pub fn shard_of_channel(&self, channel: &[u8]) -> ShardIndex {
        match &self.placement {
            Placement::Random(_) => {
                let drawn = xxh3(channel) % u64::from(self.shards.max(1));
                ShardIndex::try_from(drawn).unwrap_or_default()
            }
            Placement::Ketama(_) | Placement::Ring(_) | Placement::Modula(_) => {
                self.shard_of(channel)
            }
        }
    }

    /// How `key` finds its shard. With `random` this draws, as `shard_of` does.
    #[inline]
    pub fn locate<'a>(&self, key: &'a [u8]) -> Location<'a> {
        let hashed = self.hashed_part(key);
        let mut location = Location { hashed, hash: None, point: None, shard: 0 };
        if self.shards <= 1 {
            return location;
        }
        let (hash, point, shard) = match &self.placement {
            Placement::Ketama(points) => {
                let hash = self.hash_of(hashed);
                let (point, shard) = points.owner(hash);
                (Some(hash), point, shard)
            }
            Placement::Ring(points) => {
                let hash = ring::position(self.hash.hash(hashed));
                let (point, shard) = points.owner(hash);
                (Some(hash), point, shard)
            }
            Placement::Modula(slots) => {
                let hash = self.hash_of(hashed);
                let slot = hash % (slots.len() as u64).max(1);
                (Some(hash), Some(slot), slot_owner(slots, slot))
            }
            Placement::Random(draw) => (None, None, draw.below(self.shards)),
        };
        location.hash = hash;
        location.point = point;
        location.shard = shard;
        location
    }

    /// The part of `key` that is hashed: what stands between the first opening character of the hash tag and the
    /// first closing one after it, if that is at least one byte, else the whole key.
    pub fn hashed_part<'a>(&self, key: &'a [u8]) -> &'a [u8] {
        let Some([open, close]) = self.hash_tag else {
            return key;
        };
        let inside = memchr::memchr(open, key).and_then(|start| key.get(start + 1..));
        let Some(inside) = inside else {
            return key;
        };
        match memchr::memchr(close, inside) {
            Some(length) if length > 0 => inside.get(..length).unwrap_or(key),
            _ => key,
        }
    }

    /// Number of shards.
    pub fn len(&self) -> usize {
        usize::from(self.shards)
    }

    /// Whether the pool has no shard; never so for a checked pool.
    pub fn is_empty(&self) -> bool {
        self.shards == 0
    }

    /// A number that is equal in two gateways if and only if (by all likelihood) they place every key alike.
    /// Addresses of named shards are not in it.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// twemproxy gives an empty key the hash 0, whatever the function.
    fn hash_of(&self, hashed: &[u8]) -> u64 {
        if hashed.is_empty() {
            return 0;
        }
        self.hash.hash(hashed)
    }
}

/// The shards with their indexes in the order in which twemproxy builds its rings: it sorts the servers of a pool by
/// the length of their names, then by their bytes, when it looks for duplicates, and leaves them so.
fn twemproxy_order(shards: &[ShardConfig]) -> Vec<(ShardIndex, &ShardConfig)> {
    let mut order: Vec<_> = (0..).zip(shards).collect();
    order.sort_by_key(|(_, shard)| (shard.name.len(), shard.name.as_bytes()));
    order
}

/// Each shard as often as its weight, in twemproxy's order: the order of the file does not count.
fn modula_slots(shards: &[ShardConfig]) -> Arc<[ShardIndex]> {
    let mut slots = Vec::new();
    for (index, shard) in twemproxy_order(shards) {
        slots.extend((0..shard.weight).map(|_| index));
    }
    slots.into()
}

/// The owner of one slot; a checked pool has at least one slot.
fn slot_owner(slots: &[ShardIndex], slot: u64) -> ShardIndex {
    usize::try_from(slot).ok().and_then(|slot| slots.get(slot)).copied().unwrap_or_default()
}

/// Hashes everything that placement depends on.
fn fingerprint_of(pool: &PoolConfig, placement: &Placement) -> u64 {
    let mut text = Vec::new();
    text.extend(
        format!("{:?} {} {:?}", pool.distribution, pool.hash.name(), pool.hash_tag).bytes(),
    );
    let mut add = |point: u64, shard: ShardIndex| {
        let name = pool.shards.get(usize::from(shard)).map_or("", |shard| shard.name.as_str());
        text.extend(point.to_le_bytes());
        text.extend((name.len() as u64).to_le_bytes());
        text.extend(name.bytes());
    };
    match placement {
        Placement::Ketama(points) | Placement::Ring(points) => {
            points.iter().for_each(|(point, shard)| add(point, shard));
        }
        Placement::Modula(slots) => {
            (0..).zip(slots.iter()).for_each(|(slot, shard)| add(slot, *shard));
        }
        Placement::Random(_) => {
            (0..).zip(0..).take(pool.shards.len()).for_each(|(slot, shard)| add(slot, shard));
        }
    }
    xxh3(&text)
}

/// The state of `random`: SplitMix64. One per clone, so that no two threads share it.
#[derive(Clone, Debug)]
struct Draw {
    state: Cell<u64>,
}

impl Draw {
    fn new(seed: u64) -> Self {
        Self { state: Cell::new(seed) }
    }

    /// A shard below `count`, all equally likely (weights are ignored, as in twemproxy).
    fn below(&self, count: ShardIndex) -> ShardIndex {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let scaled = (u128::from(mixed) * u128::from(count)) >> 64;
        ShardIndex::try_from(scaled).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
