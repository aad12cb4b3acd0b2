//! What the gateway offers to an instance at once, without an operation: log, clocks, random, metrics, shared memory.
//!
//! In a guest these are the imports of the contract (see `exports`). Natively they are a stand-in that `harness` sets,
//! so that handlers behave the same in a test: virtual clocks, seeded random, shared memory that is forgotten with
//! the test's thread.

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::exports::imports::{
    log, metric, mono_ms, now_ms, random, shared_get, shared_set,
};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::{log, metric, mono_ms, now_ms, random, shared_get, shared_set};

/// The stand-in of native tests.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod native {
    use std::cell::RefCell;
    use std::collections::HashMap;

    /// What a test's gateway offers. One per instance; the harness puts it in place around each step.
    #[derive(Default)]
    pub(crate) struct Offer {
        pub(crate) now_ms: u64,
        pub(crate) random: u64,
        pub(crate) shared: HashMap<Vec<u8>, (Vec<u8>, u64)>,
        pub(crate) logs: Vec<(u8, String)>,
        pub(crate) metrics: HashMap<u32, i64>,
    }

    thread_local! {
        pub(crate) static OFFER: RefCell<Offer> = RefCell::new(Offer::default());
    }

    pub(crate) fn log(level: u8, message: &str) {
        OFFER.with_borrow_mut(|offer| offer.logs.push((level, String::from(message))));
    }

    pub(crate) fn now_ms() -> u64 {
        OFFER.with_borrow(|offer| offer.now_ms)
    }

    pub(crate) fn mono_ms() -> u64 {
        now_ms()
    }

    pub(crate) fn random() -> u64 {
        OFFER.with_borrow_mut(|offer| {
            offer.random = offer.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = offer.random;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        })
    }

    pub(crate) fn metric(id: u32, _kind: u8, value: i64) {
        OFFER.with_borrow_mut(|offer| *offer.metrics.entry(id).or_default() += value);
    }

    pub(crate) fn shared_get(key: &[u8]) -> Option<Vec<u8>> {
        OFFER.with_borrow(|offer| {
            let (value, until) = offer.shared.get(key)?;
            (*until == 0 || *until > offer.now_ms).then(|| value.clone())
        })
    }

    pub(crate) fn shared_set(key: &[u8], value: &[u8], ttl_ms: u32) -> bool {
        OFFER.with_borrow_mut(|offer| {
            if value.is_empty() {
                offer.shared.remove(key);
            } else {
                let until = match ttl_ms {
                    0 => 0,
                    some => offer.now_ms + u64::from(some),
                };
                offer.shared.insert(key.to_vec(), (value.to_vec(), until));
            }
            true
        })
    }
}
