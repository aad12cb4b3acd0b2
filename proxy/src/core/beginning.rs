//! How the last plain request began: most begin like the one before.
//!
//! ```text
//!   *2\r\n$3\r\nGET\r\n $5\r\nkey:1\r\n        the first 13 bytes say the number of arguments and the name,
//!   |--- beginning --|                       so equal bytes need no second scan and no second look-up
//! ```
//! In: a request that was scanned and resolved. Out: for the next request's bytes, whether they begin alike. Only short
//! beginnings are remembered, as one number, so that comparing them is one instruction.

use crate::command::CommandSpec;
use crate::resp::args::{Args, Span};
use crate::resp::request::RequestScan;

/// The longest beginning that is remembered, bytes: with up to nine arguments, names of up to six letters.
const BYTES_MAX: usize = 16;

/// The beginning of a request, up to the end of its name, and what it means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beginning {
    bytes: u128,
    mask: u128,
    len: usize,
    name: Span,
    arguments: usize,
    pub(crate) spec: &'static CommandSpec,
}

impl Beginning {
    /// That of `args`, which `spec` accepts; `None` if it is too long, or if `spec` is a subcommand.
    pub(crate) fn of(args: &Args<'_>, spec: &'static CommandSpec) -> Option<Self> {
        let name = args.span(0)?;
        let len = (name.start + name.len) as usize + 2;
        if len > BYTES_MAX || spec.name.len() != args.name().len() {
            return None;
        }
        let mask = if len == BYTES_MAX { u128::MAX } else { (1 << (8 * len)) - 1 };
        let bytes = u128::from_le_bytes(*args.raw().first_chunk()?) & mask;
        Some(Self { bytes, mask, len, name, arguments: args.len(), spec })
    }

    /// Whether `bytes` begin so; then `scan`, which must be fresh, goes on behind the name.
    #[inline]
    pub(crate) fn starts(&self, bytes: &[u8], scan: &mut RequestScan) -> bool {
        let Some(first) = bytes.first_chunk::<BYTES_MAX>() else {
            return false;
        };
        if u128::from_le_bytes(*first) & self.mask != self.bytes {
            return false;
        }
        scan.start_behind_name(self.name, self.len, self.arguments - 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::resolve::resolve;
    use crate::resp::request::{RequestLimits, Scanned};

    fn request(words: &[&str]) -> Vec<u8> {
        let mut raw = Vec::new();
        crate::resp::write::request(&mut raw, words.iter().map(|word| word.as_bytes()));
        raw
    }

    fn beginning_of(words: &[&str]) -> Option<Beginning> {
        let raw = request(words);
        let mut scan = RequestScan::default();
        scan.scan(&raw, &RequestLimits::OPEN);
        let args = Args::new(&raw, scan.spans());
        Beginning::of(&args, resolve(&args).unwrap())
    }

    #[test]
    fn request_that_begins_alike_is_scanned_as_if_from_its_first_byte() {
        let known = beginning_of(&["get", "key:1"]).unwrap();
        for (words, alike) in [
            (&["get", "another key"] as &[&str], true),
            (&["get", ""], true),
            (&["GET", "key:1"], false),
            (&["get", "key:1", "x"], false),
            (&["set", "key:1"], false),
            (&["gets", "key:1"], false),
        ] {
            let raw = request(words);
            let mut scan = RequestScan::default();
            assert_eq!(known.starts(&raw, &mut scan), alike, "{words:?}");
            let len = raw.len();
            assert_eq!(scan.scan(&raw, &RequestLimits::OPEN), Scanned::Complete { len });
            let args = Args::new(&raw, scan.spans());
            assert!(args.from(0).eq(words.iter().map(|word| word.as_bytes())), "{words:?}");
        }
    }

    #[test]
    fn every_cut_of_a_request_that_begins_alike_is_incomplete() {
        let known = beginning_of(&["GET", "key:1"]).unwrap();
        let raw = request(&["GET", "some key"]);
        for cut in 0..raw.len() {
            let mut scan = RequestScan::default();
            known.starts(&raw[..cut], &mut scan);
            assert_eq!(scan.scan(&raw[..cut], &RequestLimits::OPEN), Scanned::Incomplete);
            let len = raw.len();
            assert_eq!(scan.scan(&raw, &RequestLimits::OPEN), Scanned::Complete { len });
        }
    }

    #[test]
    fn long_beginnings_and_subcommands_are_not_remembered() {
        assert!(beginning_of(&["LRANGE", "k", "0", "1"]).is_some());
        assert!(beginning_of(&["HGETALL", "k"]).is_none());
        assert!(beginning_of(&["OBJECT", "ENCODING", "k"]).is_none());
    }
}
