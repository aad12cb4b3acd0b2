//! Small readings of whole replies, for joins and for whoever must know what a reply is.
//!
//! In: the bytes of complete replies. Out: the first line of a reply taken apart, where the value at the start of a
//! buffer ends, the elements of an array as byte ranges. Nothing is built: a join copies raw bytes from place to place.
//! Invariants: no input panics; a broken or incomplete value reads as `None`. Finding replies in a stream is `reply`'s.

use crate::resp::reply::{ReplyScan, ReplyScanned};
use crate::resp::request::parse_number;

/// The first line of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// Type byte: one of `+-:$*_#,(!=%~>|`.
    pub kind: u8,
    /// The line without type byte and line end.
    pub line: &'a [u8],
    /// Bytes of the line, type byte and line end included.
    pub len: usize,
}

impl Head<'_> {
    /// The line as a number: the value of `:`, the length of `$`, the count of `*`.
    pub fn number(&self) -> Option<i64> {
        parse_number(self.line)
    }

    /// Whether the reply is an error, in the short or the long form.
    pub fn is_error(&self) -> bool {
        matches!(self.kind, b'-' | b'!')
    }
}

/// The head of the value at the start of `bytes`.
pub fn head(bytes: &[u8]) -> Option<Head<'_>> {
    let (kind, rest) = bytes.split_first()?;
    let end = memchr::memchr(b'\r', rest)?;
    let line = rest.get(..end)?;
    if rest.get(end + 1) != Some(&b'\n') {
        return None;
    }
    Some(Head { kind: *kind, line, len: end + 3 })
}

/// Length in bytes of the value at the start of `bytes`, if it is complete and well formed.
pub fn value_len(bytes: &[u8]) -> Option<usize> {
    match ReplyScan::default().scan(bytes) {
        ReplyScanned::Complete { len } => Some(len),
        ReplyScanned::Incomplete | ReplyScanned::Broken => None,
    }
}

/// The text of an error reply without type byte, length and line end; `None` if `bytes` is no error.
pub fn error_text(bytes: &[u8]) -> Option<&[u8]> {
    let head = head(bytes)?;
    match head.kind {
        b'-' => Some(head.line),
        b'!' => {
            let len = usize::try_from(head.number()?).ok()?;
            bytes.get(head.len..head.len.checked_add(len)?)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_the_first_line() {
        let read = head(b"*12\r\n$1\r\n").unwrap();
        assert_eq!((read.kind, read.number(), read.len), (b'*', Some(12), 5));
        assert_eq!(head(b"$-1\r\n").unwrap().number(), Some(-1));
        assert_eq!(head(b"+OK\r\n").unwrap().number(), None);
        for broken in [b"".as_slice(), b"+OK", b"+OK\r", b"+OK\rx\r\n"] {
            assert_eq!(head(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_value_ends_at_its_end_whatever_follows() {
        let value = b"*2\r\n|1\r\n+ttl\r\n:3\r\n:1\r\n%1\r\n+a\r\n~1\r\n$2\r\n\r\n\r\n";
        let more = [value.as_slice(), b"+next\r\n"].concat();
        assert_eq!(value_len(&more), Some(value.len()));
        assert_eq!(value_len(&value[..value.len() - 1]), None);
        assert_eq!(value_len(b"?\r\n"), None);
    }

    #[test]
    fn an_error_text_is_found_in_both_forms() {
        let cases: &[(&[u8], Option<&[u8]>)] = &[
            (b"-ERR no\r\n", Some(b"ERR no")),
            (b"!6\r\nERR no\r\n", Some(b"ERR no")),
            (b"!99\r\nERR no\r\n", None),
            (b"+OK\r\n", None),
            (b"", None),
        ];
        for (bytes, text) in cases {
            assert_eq!(error_text(bytes), *text, "{bytes:?}");
        }
    }
}
