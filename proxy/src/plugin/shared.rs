//! The memory that a plugin keeps in the host: per worker and binding, over instances, traps and swaps.
//!
//! A small map with a bound in bytes and a time to live per entry. Time is an argument. Over the bound a `set` is
//! refused and the plugin is told so; nothing is evicted behind its back, except what has expired.

use std::collections::HashMap;

/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 64;

/// The shared memory of one binding on one worker.
#[derive(Debug, Default)]
pub struct Shared {
    entries: HashMap<Vec<u8>, Entry>,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Entry {
    value: Vec<u8>,
    /// On the monotonic clock; 0: never.
    expires_ms: u64,
}

impl Shared {
    /// Empty memory with a bound.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// Changes the bound, as a new generation may. What is there stays.
    pub fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Bytes in use, with what the entries cost.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The value of `key`, if it has one at `now_ms`.
    pub fn get(&self, now_ms: u64, key: &[u8]) -> Option<&[u8]> {
        let entry = self.entries.get(key)?;
        is_alive(entry, now_ms).then_some(entry.value.as_slice())
    }

    /// Keeps `value` for `ttl_ms` (0: for good); an empty value removes. `false`: over the bound, nothing changed.
    pub fn set(&mut self, now_ms: u64, key: &[u8], value: &[u8], ttl_ms: u32) -> bool {
        if value.is_empty() {
            if let Some(old) = self.entries.remove(key) {
                self.bytes -= cost(key, &old.value);
            }
            return true;
        }
        let old = self.entries.get(key).map_or(0, |entry| cost(key, &entry.value));
        let new = cost(key, value);
        if self.bytes - old + new > self.bytes_max {
            self.drop_expired(now_ms);
        }
        let old = self.entries.get(key).map_or(0, |entry| cost(key, &entry.value));
        if self.bytes - old + new > self.bytes_max {
            return false;
        }
        self.bytes = self.bytes - old + new;
        let entry = Entry {
            value: value.to_vec(),
            expires_ms: match ttl_ms {
                0 => 0,
                some => now_ms + u64::from(some),
            },
        };
        self.entries.insert(key.to_vec(), entry);
        true
    }

    fn drop_expired(&mut self, now_ms: u64) {
        let bytes = &mut self.bytes;
        self.entries.retain(|key, entry| {
            let alive = is_alive(entry, now_ms);
            if !alive {
                *bytes -= cost(key, &entry.value);
            }
            alive
        });
    }
}

fn is_alive(entry: &Entry, now_ms: u64) -> bool {
    entry.expires_ms == 0 || entry.expires_ms > now_ms
}

fn cost(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::{ENTRY_BYTES, Shared};

    #[test]
    fn shared_keeps_values_until_they_expire() {
        let mut shared = Shared::new(1_000);
        assert!(shared.set(10, b"a", b"1", 5));
        assert!(shared.set(10, b"b", b"2", 0));
        assert_eq!(shared.get(14, b"a"), Some(&b"1"[..]));
        assert_eq!(shared.get(15, b"a"), None);
        assert_eq!(shared.get(u64::MAX, b"b"), Some(&b"2"[..]));
        assert!(shared.set(20, b"b", b"", 0));
        assert_eq!(shared.get(20, b"b"), None);
    }

    #[test]
    fn shared_over_its_bound_refuses_and_makes_room_only_from_what_expired() {
        let mut shared = Shared::new(2 * (ENTRY_BYTES + 2));
        assert!(shared.set(0, b"a", b"1", 5));
        assert!(shared.set(0, b"b", b"2", 0));
        assert!(!shared.set(0, b"c", b"3", 0));
        assert_eq!(shared.get(0, b"a"), Some(&b"1"[..]));
        assert!(shared.set(0, b"a", b"9", 5), "the same size fits");
        assert!(shared.set(5, b"c", b"3", 0), "a has expired");
        assert_eq!(shared.bytes(), 2 * (ENTRY_BYTES + 2));
        assert!(!shared.set(5, b"c", b"33", 0));
        assert_eq!(shared.get(5, b"c"), Some(&b"3"[..]));
    }
}
