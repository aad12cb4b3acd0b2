//! A sorted array of ring points and their owners.
//!
//! In: (point, shard) pairs in any order. Out: for a hash, the first point at or above it, wrapping to the first, and
//! that point's owner. The points are kept apart from the owners so that a search touches few cache lines.
//!
//! Invariants: both arrays have the same length; points ascend. Lookup does not allocate and cannot fail.

use super::ShardIndex;

/// The points of one ring.
#[derive(Debug)]
pub struct Points {
    points: Box<[u64]>,
    owners: Box<[ShardIndex]>,
}

impl Points {
    /// Sorts `pairs` by point; equal points keep their order, so that the first given one owns the hash.
    pub fn new(mut pairs: Vec<(u64, ShardIndex)>) -> Self {
        pairs.sort_by_key(|(point, _)| *point);
        let (points, owners): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        Self { points: points.into(), owners: owners.into() }
    }

    /// The point that owns `hash` (`None` without points) and its shard.
    #[inline]
    pub fn owner(&self, hash: u64) -> (Option<u64>, ShardIndex) {
        let at = self.points.partition_point(|point| *point < hash);
        let at = if at < self.points.len() { at } else { 0 };
        let owner = self.owners.get(at).copied().unwrap_or_default();
        (self.points.get(at).copied(), owner)
    }

    /// Points and owners in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, ShardIndex)> {
        self.points.iter().copied().zip(self.owners.iter().copied())
    }
}
