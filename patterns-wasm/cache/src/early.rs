//! Early refresh: a value that is dear to compute is computed again a little before its end, by chance.
//!
//! XFetch (Vattani, Chierichetti, Lowenstein: "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015): a reader refreshes when
//! `delta * beta * -ln(u)` reaches the time that is left, `u` drawn from (0, 1], so with probability `exp(-left / (beta * delta))`.
//! `delta` is how long a recompute takes, measured here from a leader's nil to its fill and smoothed over the binding. Those
//! who draw at once still compete for the lease: one of them computes, and the others get the value.

use sluicegate_plugin::cx::Cx;

use crate::config::Config;

/// Where a worker keeps how long recomputes take, in milliseconds as a float's bytes.
const DELTA: &[u8] = b"delta";
/// What one measurement counts for in the mean.
const WEIGHT: f64 = 0.2;
/// Nobody draws so much: the probability is below 10^-8.
const DRAW_MAX: f64 = 20.0;

/// Whether this reader is to refresh a fresh value whose PTTL is `pttl`.
pub fn is_due(cx: &Cx, config: &Config, pttl: i64) -> bool {
    if config.early_refresh <= 0.0 || pttl < 0 {
        return false;
    }
    let Some(delta_ms) = delta_ms(cx) else {
        return false;
    };
    // Times are far below 2^53 ms.
    let left_ms = (pttl - i64::from(config.grace_ms())) as f64;
    let scale = delta_ms * config.early_refresh;
    left_ms < scale * DRAW_MAX && scale * draw(cx.random()) >= left_ms
}

/// `-ln(u)` for `u` from (0, 1], from 64 random bits.
fn draw(bits: u64) -> f64 {
    let parts = ((bits >> 11) + 1) as f64;
    -(parts / (1_u64 << 53) as f64).ln()
}

/// How long recomputes take; nothing before the first.
pub fn delta_ms(cx: &Cx) -> Option<f64> {
    let bytes = cx.shared_get(DELTA)?;
    bytes.try_into().ok().map(f64::from_le_bytes)
}

/// A leader begins to compute `key`.
pub fn begin(cx: &Cx, config: &Config, key: &[u8]) {
    if config.early_refresh > 0.0 {
        // A leader that never fills is not measured.
        cx.shared_set(&begun(key), &cx.mono_ms().to_le_bytes(), config.lease.ms());
    }
}

/// It has filled: what it took enters the mean. A fill that nobody led, or through another worker, is not measured.
pub fn end(cx: &Cx, config: &Config, key: &[u8]) {
    if config.early_refresh <= 0.0 {
        return;
    }
    let begun = begun(key);
    let Some(since) = cx.shared_get(&begun).and_then(|bytes| bytes.try_into().ok()) else {
        return;
    };
    cx.shared_set(&begun, b"", 0);
    let took_ms = cx.mono_ms().saturating_sub(u64::from_le_bytes(since)) as f64;
    let mean_ms = delta_ms(cx).map_or(took_ms, |mean_ms| mean_ms + WEIGHT * (took_ms - mean_ms));
    cx.shared_set(DELTA, &mean_ms.to_le_bytes(), 0);
}

fn begun(key: &[u8]) -> Vec<u8> {
    [b"begun:".as_slice(), key].concat()
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn draws_are_those_of_the_paper() {
        // P(draw >= t) = exp(-t): 0.3679 at 1, 0.0067 at 5. A generator with a fixed seed (SplitMix64).
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        let draws: Vec<f64> = (0..200_000).map(|_| draw(next())).collect();
        for at in [0.5_f64, 1.0, 2.0, 5.0] {
            let share = draws.iter().filter(|draw| **draw >= at).count() as f64 / 200_000.0;
            assert!((share - (-at).exp()).abs() < 0.004, "{share} at {at}");
        }
        assert_eq!((draw(u64::MAX), draw(0) > 36.0), (0.0, true));
    }
}
