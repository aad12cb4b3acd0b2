//! A sorted array of ring points and their owners.
//!
//! In: (point, shard) pairs in any order. Out: for a hash, the first point at or above it, wrapping to the first, and
//! that point's owner.
//!
//! ```text
//!   starts:  0    2    2    5 ...       one entry per value of a hash's top bits
//!            |    |____|    |           `starts[top]`: the first point whose top bits are not below `top`
//!   points:  3 9  17 23 31  44 ...      so a search begins there and looks at one or two points
//! ```
//! Points of a ring lie evenly, and a search by halves would be nine guesses that the processor gets wrong half of
//! the time; with at least two entries per point the table leaves about one guess.
//!
//! Invariant: points ascend. Lookup does not allocate and cannot fail.

use super::ShardIndex;

/// The points of one ring.
#[derive(Debug)]
pub struct Points {
    points: Box<[(u64, ShardIndex)]>,
    starts: Box<[u32]>,
    shift: u32,
}

impl Points {
    /// Sorts `pairs` by point; equal points keep their order, so that the first given one owns the hash.
    pub fn new(mut pairs: Vec<(u64, ShardIndex)>) -> Self {
        pairs.sort_by_key(|(point, _)| *point);
        let highest = pairs.last().map_or(0, |(point, _)| *point);
        let used_bits = u64::BITS - highest.leading_zeros();
        let table_bits = (2 * pairs.len()).next_power_of_two().trailing_zeros().min(used_bits);
        let shift = (used_bits - table_bits).min(u64::BITS - 1);
        let starts = (0..=highest >> shift)
            .map(|top| pairs.partition_point(|(point, _)| (*point >> shift) < top))
            .map(|start| u32::try_from(start).unwrap_or(u32::MAX))
            .collect();
        Self { points: pairs.into(), starts, shift }
    }

    /// The point that owns `hash` (`None` without points) and its shard.
    #[inline]
    pub fn owner(&self, hash: u64) -> (Option<u64>, ShardIndex) {
        let start = usize::try_from(hash >> self.shift).ok().and_then(|top| self.starts.get(top));
        let candidates = start.and_then(|start| self.points.get(*start as usize..));
        // Above the highest point the ring begins anew.
        let owner = candidates
            .and_then(|points| points.iter().find(|(point, _)| *point >= hash))
            .or(self.points.first());
        owner.map_or((None, 0), |(point, shard)| (Some(*point), *shard))
    }

    /// Points and owners in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, ShardIndex)> {
        self.points.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(points: &[u64]) {
        let ring = Points::new(points.iter().copied().zip(0..).collect());
        let mut sorted = points.to_vec();
        sorted.sort_unstable();
        let near = sorted.iter().flat_map(|p| [p.saturating_sub(1), *p, p.saturating_add(1)]);
        for hash in near.chain([0, 1, 1 << 31, 1 << 32, 1 << 63, u64::MAX]) {
            let expected = sorted.iter().find(|point| **point >= hash).or(sorted.first()).copied();
            assert_eq!(ring.owner(hash).0, expected, "{hash} in {points:?}");
        }
    }

    #[test]
    fn hash_is_owned_by_the_first_point_at_or_above_it_wherever_the_points_lie() {
        check(&[]);
        check(&[0]);
        check(&[7]);
        check(&[u64::MAX, 0]);
        check(&[5, 5, 5, 9]);
        check(&[1, 2, 3, 4, 5, 6, 7, u64::MAX]);
        let spread = |count: u64, bits: u32| -> Vec<u64> {
            (0..count).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)).collect()
        };
        check(&spread(480, 64));
        check(&spread(480, 32));
        check(&spread(4000, 32));
        check(&spread(1000, 8));
    }
}
