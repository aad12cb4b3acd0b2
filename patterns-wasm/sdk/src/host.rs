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
    pub(crate) struct Offer {
        pub(crate) now_ms: u64,
        pub(crate) random: u64,
        pub(crate) shared: HashMap<Vec<u8>, (Vec<u8>, u64)>,
        pub(crate) shared_bytes_max: usize,
        /// As in the manifest; without it they are not looked at.
        pub(crate) metric_kinds: Option<Vec<String>>,
        pub(crate) logs: Vec<(u8, String)>,
        pub(crate) metrics: HashMap<u32, i64>,
    }

    impl Default for Offer {
        /// Without bounds.
        fn default() -> Self {
            Self {
                now_ms: 0,
                random: 0,
                shared: HashMap::new(),
                shared_bytes_max: usize::MAX,
                metric_kinds: None,
                logs: Vec::new(),
                metrics: HashMap::new(),
            }
        }
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

    #[allow(
        clippy::panic,
        reason = "a test must fail of what the gateway would take for something else"
    )]
    pub(crate) fn metric(id: u32, kind: u8, value: i64) {
        let kinds = ["counter", "gauge", "histogram"];
        let kind = kinds.get(usize::from(kind)).copied().unwrap_or_default();
        OFFER.with_borrow_mut(|offer| {
            if let Some(kinds) = &offer.metric_kinds {
                match kinds.get(id as usize) {
                    Some(named) if named == kind => {}
                    Some(named) => panic!("metric {id} is a {named} in plugin!, not a {kind}"),
                    None => panic!("plugin! names no metric {id}"),
                }
            }
            let known = offer.metrics.entry(id).or_default();
            *known = if kind == "gauge" { value } else { known.wrapping_add(value) };
        });
    }

    pub(crate) fn shared_get(key: &[u8]) -> Option<Vec<u8>> {
        OFFER.with_borrow(|offer| {
            let (value, until) = offer.shared.get(key)?;
            (*until == 0 || *until > offer.now_ms).then(|| value.clone())
        })
    }

    pub(crate) fn shared_set(key: &[u8], value: &[u8], ttl_ms: u32) -> bool {
        /// What an entry costs besides its key and value.
        const ENTRY_BYTES: usize = 64;
        OFFER.with_borrow_mut(|offer| {
            let now_ms = offer.now_ms;
            if value.is_empty() {
                offer.shared.remove(key);
                return true;
            }
            offer.shared.retain(|_, (_, until)| *until == 0 || *until > now_ms);
            let others = offer.shared.iter().filter(|(known, _)| *known != key);
            let taken: usize =
                others.map(|(key, (value, _))| key.len() + value.len() + ENTRY_BYTES).sum();
            if taken + key.len() + value.len() + ENTRY_BYTES > offer.shared_bytes_max {
                return false;
            }
            let until = if ttl_ms == 0 { 0 } else { now_ms + u64::from(ttl_ms) };
            offer.shared.insert(key.to_vec(), (value.to_vec(), until));
            true
        })
    }
}
