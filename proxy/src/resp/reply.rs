//! Finding the end of a reply in what a shard sent, RESP2 and RESP3.
//!
//! `ReplyScan` counts the values still missing instead of keeping a stack, so nesting costs nothing, and goes on
//! where it stopped when more bytes have come. An attribute (`|`) belongs to the value behind it. Streamed RESP3
//! types (`$?`, `*?`) are not sent by any server and are refused, as is everything else that is no RESP.
//! The values themselves are not looked at: replies are forwarded as they came.

use crate::limits;
use crate::resp::request::parse_number;

/// What stands at the start of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyScanned {
    /// A whole reply of `len` bytes.
    Complete {
        /// Bytes of the reply, from the start of the buffer.
        len: usize,
    },
    /// The reply goes on behind the end of the buffer.
    Incomplete,
    /// What is there is no RESP; the connection it came from cannot be used any more.
    Broken,
}

/// A scan in progress. After `Complete`, call `reset` and go on behind the reply.
#[derive(Debug)]
pub struct ReplyScan {
    position: usize,
    missing: u64,
    /// The end of the line at `position` is not before this byte of the buffer.
    searched: usize,
    /// Where the value that is not whole will end, as far as is known.
    expected: usize,
}

impl Default for ReplyScan {
    fn default() -> Self {
        Self { position: 0, missing: 1, searched: 0, expected: 0 }
    }
}

impl ReplyScan {
    /// Makes ready for the next reply.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Looks at `buffer`, which starts at the reply's first byte and may have grown since the last call.
    pub fn scan(&mut self, buffer: &[u8]) -> ReplyScanned {
        while self.missing > 0 {
            match step(buffer, self.position, self.searched) {
                Step::Value { end, more } => {
                    let Some(missing) = (self.missing - 1).checked_add(more) else {
                        return ReplyScanned::Broken;
                    };
                    self.position = end;
                    self.missing = missing;
                }
                Step::Incomplete { end, searched } => {
                    self.searched = searched;
                    self.expected = end;
                    return ReplyScanned::Incomplete;
                }
                Step::Broken => return ReplyScanned::Broken,
            }
        }
        ReplyScanned::Complete { len: self.position }
    }

    /// How many bytes the reply that is not whole has at least.
    pub fn expected(&self) -> usize {
        self.expected
    }
}

enum Step {
    /// A value's own bytes end at `end`, and `more` values follow that belong to it.
    Value {
        end: usize,
        more: u64,
    },
    /// The value goes on, at least to `end`. Its first line's end is not before `searched`.
    Incomplete {
        end: usize,
        searched: usize,
    },
    Broken,
}

#[inline]
fn step(buffer: &[u8], position: usize, searched: usize) -> Step {
    // Almost every bulk string is shorter than a hundred bytes.
    match buffer.get(position..) {
        Some([b'$', one @ b'0'..=b'9', b'\r', b'\n', ..]) => {
            bulk(buffer, position + 4, i64::from(one - b'0'))
        }
        Some([b'$', ten @ b'1'..=b'9', one @ b'0'..=b'9', b'\r', b'\n', ..]) => {
            bulk(buffer, position + 5, i64::from(ten - b'0') * 10 + i64::from(one - b'0'))
        }
        _ => any_step(buffer, position, searched),
    }
}

fn any_step(buffer: &[u8], position: usize, searched: usize) -> Step {
    // A CR that is the last byte is found again.
    let searched_now = buffer.len().saturating_sub(1);
    let more = Step::Incomplete { end: buffer.len() + 1, searched: searched_now };
    let Some((mark, rest)) = buffer.get(position..).and_then(<[u8]>::split_first) else {
        return more;
    };
    let sized = matches!(mark, b'$' | b'=' | b'!' | b'*' | b'~' | b'>' | b'%' | b'|');
    if !sized && !matches!(mark, b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(') {
        return Step::Broken;
    }
    // A size is a few digits: a longer line cannot become one. Other lines are texts, and scripts make long ones.
    let longest = if sized { 24 } else { limits::BULK_BYTES_MAX };
    // A long line that comes in pieces is searched once.
    let from = searched.saturating_sub(position + 1).min(rest.len());
    let Some(at) = memchr::memchr(b'\r', rest.get(from..).unwrap_or_default()) else {
        return if rest.len() > longest { Step::Broken } else { more };
    };
    let at = from + at;
    if at > longest {
        return Step::Broken;
    }
    match rest.get(at + 1) {
        None => return more,
        Some(b'\n') => {}
        Some(_) => return Step::Broken,
    }
    let end = position + 1 + at + 2;
    if !sized {
        let line = rest.get(..at).unwrap_or_default();
        return if is_scalar(*mark, line) { Step::Value { end, more: 0 } } else { Step::Broken };
    }
    let Some(number) = rest.get(..at).and_then(parse_number) else {
        return Step::Broken;
    };
    match mark {
        b'$' | b'=' | b'!' => bulk(buffer, end, number),
        _ => aggregate(*mark, end, number),
    }
}

/// Whether a line may stand behind its mark. Texts, doubles and big numbers are not looked at.
fn is_scalar(mark: u8, line: &[u8]) -> bool {
    match mark {
        b':' => parse_number(line).is_some(),
        b'#' => matches!(line, b"t" | b"f"),
        b'_' => line.is_empty(),
        _ => true,
    }
}

fn bulk(buffer: &[u8], start: usize, number: i64) -> Step {
    if number == -1 {
        return Step::Value { end: start, more: 0 };
    }
    let Ok(length) = usize::try_from(number) else {
        return Step::Broken;
    };
    if length > limits::BULK_BYTES_MAX {
        return Step::Broken;
    }
    let end = start + length;
    match buffer.get(end..end + 2) {
        Some(b"\r\n") => Step::Value { end: end + 2, more: 0 },
        Some(_) => Step::Broken,
        None => Step::Incomplete { end: end + 2, searched: 0 },
    }
}

fn aggregate(mark: u8, end: usize, number: i64) -> Step {
    if number == -1 && mark == b'*' {
        return Step::Value { end, more: 0 };
    }
    let Ok(count) = u64::try_from(number) else {
        return Step::Broken;
    };
    if count > limits::REPLY_ELEMENTS_MAX {
        return Step::Broken;
    }
    let more = match mark {
        b'%' => count * 2,
        // The value that the attribute describes follows it.
        b'|' => count * 2 + 1,
        _ => count,
    };
    Step::Value { end, more }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_split_at_every_byte_is_complete_only_at_its_end() {
        let replies: [&[u8]; 14] = [
            b"+OK\r\n",
            b"-ERR no\r\n",
            b":-12\r\n",
            b"$-1\r\n",
            b"*-1\r\n",
            b"$5\r\nhe\r\no\r\n",
            b"$0\r\n\r\n",
            b"*0\r\n",
            b"*3\r\n:1\r\n*2\r\n+a\r\n$1\r\nb\r\n_\r\n",
            b"%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n#t\r\n",
            b"|1\r\n+ttl\r\n:3\r\n$2\r\nhi\r\n",
            b">2\r\n+message\r\n,1.5\r\n",
            b"=7\r\ntxt:abc\r\n",
            b"(123456789012345678901234567890\r\n",
        ];
        for reply in replies {
            let mut scan = ReplyScan::default();
            for cut in 0..reply.len() {
                assert_eq!(
                    scan.scan(&reply[..cut]),
                    ReplyScanned::Incomplete,
                    "{reply:?} at {cut}"
                );
            }
            let followed = [reply, b"+NEXT\r\n"].concat();
            assert_eq!(scan.scan(&followed), ReplyScanned::Complete { len: reply.len() });
        }
    }

    #[test]
    fn reply_that_is_no_resp_is_broken() {
        let broken: [&[u8]; 11] = [
            b"HTTP/1.1\r\n",
            b"$x\r\n",
            b"$-2\r\n",
            b"$1\r\nabc",
            b"*-2\r\n",
            b"+a\rb",
            b"$?\r\n",
            b"%-1\r\n",
            b":x\r\n",
            b"#y\r\n",
            b"_x\r\n",
        ];
        for reply in broken {
            assert_eq!(ReplyScan::default().scan(reply), ReplyScanned::Broken, "{reply:?}");
        }
        // A size is judged by its length, whether its end has come or not.
        let long = b"*1111111111111111111111111\r\n";
        for cut in 26..long.len() {
            assert_eq!(ReplyScan::default().scan(&long[..cut]), ReplyScanned::Broken, "{cut}");
        }
    }
}
