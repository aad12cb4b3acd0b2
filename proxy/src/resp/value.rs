//! Small readings of RESP content, for joins and for arguments that are numbers.
//!
//! In: the bytes of complete replies or of one argument. Out: where a value ends, what an array's head says, what number
//! an argument is. Nothing is built: a join copies raw bytes from place to place.
//! Invariants: no input panics; depth is bounded by `limits`; a broken or incomplete value reads as `None`.
//! The hot path's scanners are in `request` and `reply`; this is for whole replies that are already here.

use crate::limits::REPLY_DEPTH_MAX;

/// The first byte of a reply and the text of its first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// Type byte: `+ - : $ * _ # , ( ! = % ~ > |`.
    pub kind: u8,
    /// The first line without type byte and line end.
    pub line: &'a [u8],
    /// Bytes of the first line, line end included.
    pub len: usize,
}

impl Head<'_> {
    /// The line as a number: the value of `:`, the length of `$`, the count of `*`.
    pub fn number(&self) -> Option<i64> {
        integer(self.line)
    }

    /// Whether the reply is an error, of either form.
    pub fn is_error(&self) -> bool {
        self.kind == b'-' || self.kind == b'!'
    }
}

/// The head of the first value in `bytes`.
pub fn head(bytes: &[u8]) -> Option<Head<'_>> {
    let (kind, rest) = bytes.split_first()?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    Some(Head {
        kind: *kind,
        line: rest.get(..end)?,
        len: end + 3,
    })
}

/// Length in bytes of the first value in `bytes`, if it is complete and well formed.
pub fn value_len(bytes: &[u8]) -> Option<usize> {
    let mut at: usize = 0;
    // Values still to be skipped, per level of nesting.
    let mut open = [0u64; REPLY_DEPTH_MAX];
    let mut depth = 0;
    *open.get_mut(depth)? = 1;
    loop {
        while *open.get(depth)? == 0 {
            if depth == 0 {
                return Some(at);
            }
            depth -= 1;
        }
        let rest = bytes.get(at..)?;
        let head = head(rest)?;
        at += head.len;
        let count = match head.kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => 0,
            b'$' | b'=' | b'!' => {
                if let Some(len) = length(&head)? {
                    at = at.checked_add(usize::try_from(len).ok()?)?;
                    if bytes.get(at..at.checked_add(2)?)? != b"\r\n" {
                        return None;
                    }
                    at += 2;
                }
                0
            }
            b'*' | b'~' | b'>' => length(&head)?.unwrap_or(0),
            b'%' => length(&head)?.unwrap_or(0).checked_mul(2)?,
            // An attribute stands before the value that it belongs to.
            b'|' => length(&head)?.unwrap_or(0).checked_mul(2)?.checked_add(1)?,
            _ => return None,
        };
        *open.get_mut(depth)? -= 1;
        if count > 0 {
            depth += 1;
            *open.get_mut(depth)? = count;
        }
    }
}

/// A length: `None` inside for the null forms `$-1` and `*-1`.
fn length(head: &Head<'_>) -> Option<Option<u64>> {
    match head.number()? {
        -1 => Some(None),
        other => u64::try_from(other).ok().map(Some),
    }
}

/// An argument as a number, as strictly as Redis reads it: no sign `+`, no leading zero, no space.
pub fn integer(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = match digits.as_bytes() {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[&[u8]] = &[
        b"+OK\r\n",
        b"-ERR no\r\n",
        b":-5\r\n",
        b"$-1\r\n",
        b"$0\r\n\r\n",
        b"$4\r\na\r\nb\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
        b"_\r\n",
        b"#t\r\n",
        b",1.5\r\n",
        b"(123456789012345678901234567890\r\n",
        b"!5\r\nERR x\r\n",
        b"=7\r\ntxt:abc\r\n",
        b"%1\r\n+a\r\n~2\r\n:1\r\n:2\r\n",
        b">2\r\n+a\r\n+b\r\n",
        b"|1\r\n+ttl\r\n:3\r\n$1\r\na\r\n",
        b"*2\r\n|1\r\n+ttl\r\n:3\r\n:1\r\n:2\r\n",
    ];

    #[test]
    fn a_whole_value_ends_at_its_end_whatever_follows() {
        for value in WHOLE {
            assert_eq!(value_len(value), Some(value.len()), "{value:?}");
            let more = [value, b"+next\r\n".as_slice()].concat();
            assert_eq!(value_len(&more), Some(value.len()), "{value:?}");
        }
    }

    #[test]
    fn a_cut_value_has_no_length() {
        for value in WHOLE {
            for end in 0..value.len() {
                assert_eq!(value_len(&value[..end]), None, "{:?}", &value[..end]);
            }
        }
    }

    #[test]
    fn broken_values_have_no_length() {
        let deep = b"*1\r\n".repeat(REPLY_DEPTH_MAX + 1);
        let cases: &[&[u8]] = &[
            b"?\r\n",
            b"$x\r\n",
            b"$-2\r\n",
            b"$1\r\nabc\r\n",
            b"$9223372036854775807\r\n",
            b"%9223372036854775807\r\n",
            b"*1\r\n?\r\n",
            &deep,
        ];
        for bytes in cases {
            assert_eq!(value_len(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn integers_are_as_strict_as_redis() {
        let cases: &[(&[u8], Option<i64>)] = &[
            (b"0", Some(0)),
            (b"-1", Some(-1)),
            (b"9223372036854775807", Some(i64::MAX)),
            (b"-9223372036854775808", Some(i64::MIN)),
            (b"9223372036854775808", None),
            (b"", None),
            (b"-", None),
            (b"-0", None),
            (b"+1", None),
            (b"01", None),
            (b" 1", None),
            (b"1\0", None),
            (b"1.5", None),
            (b"\xff", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(integer(bytes), *expected, "{bytes:?}");
        }
    }
}
