//! twemproxy's ketama ring, byte for byte.
//!
//! In: shards with name and weight. Out: the points that twemproxy computes for them. The number of points of a shard
//! is computed in single precision, which loses some: 25 equal shards get 156 points each, not 160, and a shard of
//! small share may get none. Using exact arithmetic would move about one key in a hundred.
//!
//! Point p of a shard comes from MD5 of `name-p`, four points to a digest.

use super::points::Points;
use super::{ShardIndex, twemproxy_order};
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
    let weight_total = shards.iter().fold(0u32, |total, shard| total.wrapping_add(shard.weight));
    let mut pairs: Vec<(u64, ShardIndex)> = Vec::new();
    for (index, shard) in twemproxy_order(shards) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Address;

    fn shard(name: &str, weight: u32) -> ShardConfig {
        let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 6379 };
        ShardConfig { weight, ..ShardConfig::named(name, address) }
    }

    fn counts(shards: &[ShardConfig]) -> Vec<usize> {
        let mut counts = vec![0; shards.len()];
        for (_, owner) in points(shards).iter() {
            counts[usize::from(owner)] += 1;
        }
        counts
    }

    fn equal_shards(count: usize) -> Vec<ShardConfig> {
        (0..count).map(|i| shard(&format!("s{i}"), 1)).collect()
    }

    #[test]
    fn digest_words_are_those_of_twemproxys_test_program() {
        assert_eq!(md5_words(b"server1-8")[0], 3_853_726_576);
        assert_eq!(md5_words(b"server1-8")[3], 2_667_054_752);
    }

    #[test]
    fn four_named_servers_give_ring_a() {
        let names = ["server1", "server2", "server3", "server4"];
        let shards: Vec<_> = names.iter().map(|name| shard(name, 1)).collect();
        let ring: Vec<_> = points(&shards).iter().collect();
        assert_eq!(ring.len(), 640);
        assert_eq!(ring[..3], [(9_796_559, 2), (10_686_546, 1), (26_495_822, 0)]);
        assert_eq!(ring[639], (4_290_847_573, 3));
    }

    #[test]
    fn weighted_unnamed_servers_give_ring_b() {
        let shards =
            [shard("127.0.0.1:6379", 1), shard("127.0.0.1:6380", 1), shard("127.0.0.1:6381", 2)];
        assert_eq!(counts(&shards), [120, 120, 240]);
        let ring: Vec<_> = points(&shards).iter().collect();
        assert_eq!(ring[..2], [(20_075_150, 0), (23_409_604, 1)]);
        assert_eq!(ring[479], (4_289_099_568, 2));
    }

    #[test]
    fn equal_servers_lose_points_exactly_where_single_precision_does() {
        let short = [25, 47, 50, 55, 61, 71, 94, 100, 107, 109, 110, 115, 122];
        for count in 1..=128 {
            let expected = if short.contains(&count) { 156 } else { 160 };
            assert_eq!(counts(&equal_shards(count)), vec![expected; count], "{count}");
        }
    }

    #[test]
    fn server_of_tiny_share_gets_no_point() {
        assert_eq!(counts(&[shard("a", 100_000), shard("b", 1)]), [316, 0]);
    }

    #[test]
    fn point_name_is_cut_at_its_longest() {
        let name = "n".repeat(POINT_NAME_BYTES_MAX);
        assert_eq!(point_words(name.as_bytes(), 7), md5_words(name.as_bytes()));
    }
}
