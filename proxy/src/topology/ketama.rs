//! twemproxy's ketama ring, byte for byte.
//!
//! In: shards with name and weight. Out: the points that twemproxy computes for them. The number of points of a shard
//! is computed in single precision, which loses some: 25 equal shards get 156 points each, not 160, and a shard of
//! small share may get none. Using exact arithmetic would move about one key in a hundred.
//!
//! Point p of a shard comes from MD5 of `name-p`, four points to a digest.

use super::ShardIndex;
use super::points::Points;
use crate::config::ShardConfig;
use crate::hashing::functions::md5_words;
use crate::limits::POINTS_PER_WEIGHT;

/// Longest `name-p` that twemproxy hashes, bytes; it cuts the rest off.
const POINT_NAME_BYTES_MAX: usize = 272;
/// Points that one digest gives.
const POINTS_PER_DIGEST: u32 = 4;

/// The ring of `shards`.
pub fn points(shards: &[ShardConfig]) -> Points {
    // twemproxy sums in 32 bits.
    let weight_total = shards
        .iter()
        .fold(0u32, |total, shard| total.wrapping_add(shard.weight));
    let mut pairs: Vec<(u64, ShardIndex)> = Vec::new();
    for (index, shard) in (0..).zip(shards) {
        for digest in 0..digest_count(shard.weight, weight_total, shards.len()) {
            let words = point_words(shard.name.as_bytes(), digest);
            pairs.extend(words.map(|word| (u64::from(word), index)));
        }
    }
    Points::new(pairs)
}

/// How many digests, of four points each, a shard gets: twemproxy's expression, in its precision.
#[allow(
    clippy::cast_possible_truncation,
    reason = "C's float arithmetic is the specification; the result is small and not negative"
)]
fn digest_count(weight: u32, weight_total: u32, shard_count: usize) -> u32 {
    let share = weight as f32 / weight_total as f32;
    let points = share * POINTS_PER_WEIGHT as f32 / POINTS_PER_DIGEST as f32 * shard_count as f32;
    let points = (f64::from(points) + 0.000_000_000_1) as f32;
    points.floor() as u32
}

/// The four points of one digest of a shard.
fn point_words(name: &[u8], digest: u32) -> [u32; 4] {
    let mut text = name.to_vec();
    text.extend(format!("-{digest}").bytes());
    text.truncate(POINT_NAME_BYTES_MAX);
    md5_words(&text)
}
