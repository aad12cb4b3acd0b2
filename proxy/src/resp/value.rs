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

/// The values inside the array, set, map or push at the start of `bytes`, as they stand there: fields and values of a
/// map in turn. `None` if `bytes` is something else, or no array.
pub fn items(bytes: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let head = head(bytes).filter(|head| matches!(head.kind, b'*' | b'~' | b'%' | b'>'))?;
    let count = usize::try_from(head.number()?).ok()?;
    let count = if head.kind == b'%' { count.saturating_mul(2) } else { count };
    let mut rest = bytes.get(head.len..)?;
    Some((0..count).map_while(move |_| {
        let (item, behind) = rest.split_at_checked(value_len(rest)?)?;
        rest = behind;
        Some(item)
    }))
}

/// The bytes that a simple, bulk or verbatim string holds; `None` for anything else.
pub fn string(bytes: &[u8]) -> Option<&[u8]> {
    let head = head(bytes)?;
    let len = |head: &Head<'_>| usize::try_from(head.number()?).ok();
    match head.kind {
        b'+' => Some(head.line),
        b'$' => bytes.get(head.len..head.len.checked_add(len(&head)?)?),
        // Three letters say what kind of text it is.
        b'=' => bytes.get(head.len.checked_add(4)?..head.len.checked_add(len(&head)?)?),
        _ => None,
    }
}

/// The value of an integer.
pub fn integer(bytes: &[u8]) -> Option<i64> {
    head(bytes).filter(|head| head.kind == b':')?.number()
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
    fn items_are_the_values_inside_and_only_whole_ones() {
        let cases: &[(&str, Option<&[&str]>)] = &[
            ("*0\r\n", Some(&[])),
            ("*2\r\n:1\r\n*1\r\n+a\r\n+next\r\n", Some(&[":1\r\n", "*1\r\n+a\r\n"])),
            ("%1\r\n+a\r\n:1\r\n", Some(&["+a\r\n", ":1\r\n"])),
            ("~1\r\n_\r\n", Some(&["_\r\n"])),
            ("*2\r\n:1\r\n$9\r\nab", Some(&[":1\r\n"])),
            ("*-1\r\n", None),
            ("$1\r\na\r\n", None),
            ("", None),
        ];
        for (bytes, expected) in cases {
            let found: Option<Vec<&[u8]>> = items(bytes.as_bytes()).map(Iterator::collect);
            let expected: Option<Vec<&[u8]>> =
                expected.map(|items| items.iter().map(|item| item.as_bytes()).collect());
            assert_eq!(found, expected, "{bytes:?}");
        }
    }

    #[test]
    fn strings_and_integers_are_read_out_of_their_frames() {
        let cases: &[(&str, Option<&str>)] = &[
            ("+OK\r\n", Some("OK")),
            ("$3\r\na\r\n\r\n", Some("a\r\n")),
            ("$-1\r\n", None),
            ("$9\r\nab\r\n", None),
            ("=6\r\ntxt:hi\r\n", Some("hi")),
            ("=1\r\ntxt:hi\r\n", None),
            (":1\r\n", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(string(bytes.as_bytes()), expected.map(str::as_bytes), "{bytes:?}");
        }
        assert_eq!(integer(b":-7\r\n"), Some(-7));
        assert_eq!(integer(b"$1\r\n7\r\n"), None);
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
