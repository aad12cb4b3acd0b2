//! What a fill or a deletion tells those who wait for the key.
//!
//! A small value travels in the notice, so that hundreds of waiters are answered without asking the shard again. Only
//! bytes in and out: who sends and who waits is `write`'s and `read`'s.

/// Largest value that travels in a notice: each waiter gets its own copy.
const VALUE_MAX: usize = 64 * 1024;

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// This is the new value.
    Value(Vec<u8>),
    /// There is a new value.
    Filled,
    /// The lease or the value is gone: somebody has to compute.
    Gone,
}

/// The notice of a fill with `value`.
pub fn filled(value: &[u8]) -> Vec<u8> {
    if value.len() > VALUE_MAX {
        return FILLED.to_vec();
    }
    let mut bytes = Vec::with_capacity(1 + value.len());
    bytes.push(b'v');
    bytes.extend_from_slice(value);
    bytes
}

/// The notice of a fill without its value.
pub const FILLED: &[u8] = b"f";

/// The notice of a deletion or of a lease given back.
pub const GONE: &[u8] = b"g";

/// Reads a notice.
pub fn read(bytes: &[u8]) -> Notice {
    match bytes.split_first() {
        Some((b'v', value)) => Notice::Value(value.to_vec()),
        Some((b'f', _)) => Notice::Filled,
        _ => Notice::Gone,
    }
}
