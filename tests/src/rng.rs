//! Seeded choices: the same seed gives the same test, on every machine.
//!
//! Comes in: a seed from the environment (`SEED=n`), or the fixed one of the test. Goes out: numbers, picks, bytes.
//! Holding a `Rng` while a test fails prints the seed, so that the run can be repeated.
//! SplitMix64: small, even enough for tests, and ours, so that no upgrade changes what a seed means.

/// A seeded source of choices.
#[derive(Debug)]
pub struct Rng {
    seed: u64,
    state: u64,
}

impl Rng {
    /// The seed in `SEED`, or `default`.
    pub fn from_env(default: u64) -> Rng {
        let seed = match std::env::var("SEED") {
            Ok(text) => text.trim().parse().unwrap_or_else(|_| panic!("SEED={text} is no number")),
            Err(_) => default,
        };
        Rng { seed, state: seed }
    }

    /// Exactly this seed.
    pub fn seeded(seed: u64) -> Rng {
        Rng { seed, state: seed }
    }

    /// The seed that replays this test.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit` (0 when `limit` is 0).
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.bits() % limit).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = high.abs_diff(low).saturating_add(1);
        low.wrapping_add_unsigned(self.bits() % width)
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of `choices`.
    pub fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    /// `len` bytes of any value.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.bits().to_le_bytes()[0]).collect()
    }
}

impl Drop for Rng {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to replay this run: SEED={}", self.seed);
        }
    }
}
