//! Finding requests in what a client sent.
//!
//! A request is an array of bulk strings, or one inline line. `RequestScan` finds where the request at the start of
//! a buffer ends and where its arguments lie, and can go on where it stopped when more bytes have come, so that a
//! request of a million arguments that arrives in pieces is looked at once. Verdicts and error words are those of
//! Redis 7.0 (`networking.c`, `processMultibulkBuffer`), with one difference: a line that ends in CR without LF, or
//! a bulk string without CRLF behind it, is an error here. Redis takes any two bytes there; a gateway that forwards
//! raw bytes must not let two parsers see two different requests.
//!
//! Invariant: spans given out lie inside the first `len` bytes. No allocation once `spans` has grown.

use crate::limits;
use crate::resp::args::Span;

/// What the client did wrong, in Redis's words. The connection is closed after it is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The array header is no number, or too large.
    #[error("invalid multibulk length")]
    MultibulkLength,
    /// More arguments than a client may send before AUTH.
    #[error("unauthenticated multibulk length")]
    UnauthenticatedMultibulk,
    /// An array header without an end.
    #[error("too big mbulk count string")]
    MultibulkLine,
    /// A bulk header without an end.
    #[error("too big bulk count string")]
    BulkLine,
    /// An argument that is no bulk string.
    #[error("expected '$', got '{}'", char::from(*.0))]
    NotBulk(u8),
    /// The bulk header is no number, negative or too large.
    #[error("invalid bulk length")]
    BulkLength,
    /// A longer argument than a client may send before AUTH.
    #[error("unauthenticated bulk length")]
    UnauthenticatedBulk,
    /// An inline line without an end.
    #[error("too big inline request")]
    InlineLine,
    /// An inline line whose quotes do not close.
    #[error("unbalanced quotes in request")]
    Quotes,
}

/// The bounds of one request; they are tighter before AUTH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Most arguments.
    pub arguments_max: usize,
    /// Longest argument, bytes.
    pub bulk_bytes_max: usize,
    /// Whether these are the bounds before AUTH, which have their own error words.
    pub unauthenticated: bool,
}

impl RequestLimits {
    /// The bounds for a client that may do everything.
    pub const OPEN: Self = Self {
        arguments_max: limits::ARGUMENTS_MAX,
        bulk_bytes_max: limits::BULK_BYTES_MAX,
        unauthenticated: false,
    };
    /// The bounds for a client that has not given its password yet.
    pub const BEFORE_AUTH: Self = Self {
        arguments_max: limits::UNAUTHENTICATED_ARGUMENTS_MAX,
        bulk_bytes_max: limits::UNAUTHENTICATED_BULK_BYTES_MAX,
        unauthenticated: true,
    };
}

/// What stands at the start of the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scanned {
    /// A whole request of `len` bytes; its spans are in the scan.
    Complete {
        /// Bytes of the request, from the start of the buffer.
        len: usize,
    },
    /// A whole inline line of `len` bytes, its end included; see `inline`.
    Inline {
        /// Bytes of the line, from the start of the buffer.
        len: usize,
    },
    /// The request goes on behind the end of the buffer.
    Incomplete,
    /// What is there is no request.
    Broken(ProtocolError),
}

/// A scan in progress. After `Complete` or `Inline`, call `reset` and go on behind the request.
#[derive(Debug, Default)]
pub struct RequestScan {
    spans: Vec<Span>,
    position: usize,
    missing: usize,
    started: bool,
    /// Where the argument that is not whole will end.
    expected: usize,
}

impl RequestScan {
    /// The arguments found; complete after `Scanned::Complete`.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Whether a request has begun whose end has not been seen.
    pub fn in_progress(&self) -> bool {
        self.started
    }

    /// Makes ready for the next request. Keeps the memory.
    pub fn reset(&mut self) {
        self.spans.clear();
        self.position = 0;
        self.missing = 0;
        self.started = false;
        self.expected = 0;
    }

    /// How many bytes the request that is not whole has at least, as far as is known.
    pub fn expected(&self) -> usize {
        self.expected
    }

    /// Gives memory back that only an unusual request needed.
    pub fn shrink(&mut self) {
        if self.spans.capacity() > 1024 {
            self.spans = Vec::new();
        }
    }

    /// Starts behind the name of a request whose first bytes are known: `name` lies in them, `position` is their number,
    /// and `missing` arguments follow.
    #[inline]
    pub fn start_behind_name(&mut self, name: Span, position: usize, missing: usize) {
        self.spans.push(name);
        self.position = position;
        self.missing = missing;
        self.started = true;
    }

    /// Looks at `buffer`, which starts at the request's first byte and may have grown since the last call.
    pub fn scan(&mut self, buffer: &[u8], limits: &RequestLimits) -> Scanned {
        if !self.started {
            match self.scan_header(buffer, limits) {
                Ok(true) => {}
                Ok(false) => return self.incomplete_or_inline(buffer),
                Err(error) => return Scanned::Broken(error),
            }
        }
        while self.missing > 0 {
            match self.scan_argument(buffer, limits) {
                Ok(true) => self.missing -= 1,
                Ok(false) => return Scanned::Incomplete,
                Err(error) => return Scanned::Broken(error),
            }
        }
        Scanned::Complete { len: self.position }
    }

    fn incomplete_or_inline(&self, buffer: &[u8]) -> Scanned {
        if buffer.first().is_none_or(|byte| *byte == b'*') {
            return Scanned::Incomplete;
        }
        let searched = buffer.get(..limits::INLINE_BYTES_MAX + 1).unwrap_or(buffer);
        match memchr::memchr(b'\n', searched) {
            Some(at) => Scanned::Inline { len: at + 1 },
            None if buffer.len() > limits::INLINE_BYTES_MAX => {
                Scanned::Broken(ProtocolError::InlineLine)
            }
            None => Scanned::Incomplete,
        }
    }

    /// `Ok(true)` when the array header is read, `Ok(false)` when it is not all there or no array.
    fn scan_header(
        &mut self,
        buffer: &[u8],
        limits: &RequestLimits,
    ) -> Result<bool, ProtocolError> {
        if buffer.first() != Some(&b'*') {
            return Ok(false);
        }
        let Some(line) = line_at(buffer, 0, ProtocolError::MultibulkLine)? else {
            return Ok(false);
        };
        let count = match line.number {
            Some(count) if line.well_ended => count,
            _ => return Err(ProtocolError::MultibulkLength),
        };
        if limits.unauthenticated && count > as_i64(limits.arguments_max) {
            return Err(ProtocolError::UnauthenticatedMultibulk);
        }
        if count > as_i64(limits.arguments_max) {
            return Err(ProtocolError::MultibulkLength);
        }
        self.missing = usize::try_from(count).unwrap_or(0);
        self.position = line.end;
        self.started = true;
        Ok(true)
    }

    fn scan_argument(
        &mut self,
        buffer: &[u8],
        limits: &RequestLimits,
    ) -> Result<bool, ProtocolError> {
        let Some(&mark) = buffer.get(self.position) else {
            return Ok(false);
        };
        let Some(line) = line_at(buffer, self.position, ProtocolError::BulkLine)? else {
            return Ok(false);
        };
        if mark != b'$' {
            return Err(ProtocolError::NotBulk(mark));
        }
        let length = match line.number.map(usize::try_from) {
            Some(Ok(length)) if line.well_ended => length,
            _ => return Err(ProtocolError::BulkLength),
        };
        if length > limits.bulk_bytes_max {
            return Err(if limits.unauthenticated && length <= limits::BULK_BYTES_MAX {
                ProtocolError::UnauthenticatedBulk
            } else {
                ProtocolError::BulkLength
            });
        }
        let end = line.end + length;
        let Some(ending) = buffer.get(end..end + 2) else {
            self.expected = end + 2;
            return Ok(false);
        };
        if ending != b"\r\n" {
            return Err(ProtocolError::BulkLength);
        }
        let (Ok(start), Ok(len)) = (u32::try_from(line.end), u32::try_from(length)) else {
            return Err(ProtocolError::MultibulkLength);
        };
        self.spans.push(Span { start, len });
        self.position = end + 2;
        Ok(true)
    }
}

/// A header line: the number on it and where the next byte after its CRLF is.
struct Line {
    number: Option<i64>,
    end: usize,
    well_ended: bool,
}

/// The header line that starts at `from` with its mark; `None` when its end has not come.
#[inline]
fn line_at(
    buffer: &[u8],
    from: usize,
    too_long: ProtocolError,
) -> Result<Option<Line>, ProtocolError> {
    let rest = buffer.get(from..).unwrap_or_default();
    // Almost every number has one or two digits.
    match rest {
        [_, one @ b'0'..=b'9', b'\r', b'\n', ..] => {
            let number = Some(i64::from(one - b'0'));
            Ok(Some(Line { number, end: from + 4, well_ended: true }))
        }
        [_, ten @ b'1'..=b'9', one @ b'0'..=b'9', b'\r', b'\n', ..] => {
            let number = Some(i64::from(ten - b'0') * 10 + i64::from(one - b'0'));
            Ok(Some(Line { number, end: from + 5, well_ended: true }))
        }
        _ => longer_line_at(rest, from, too_long),
    }
}

fn longer_line_at(
    rest: &[u8],
    from: usize,
    too_long: ProtocolError,
) -> Result<Option<Line>, ProtocolError> {
    let searched = rest.get(..limits::INLINE_BYTES_MAX).unwrap_or(rest);
    let Some(at) = memchr::memchr(b'\r', searched) else {
        return if rest.len() >= limits::INLINE_BYTES_MAX { Err(too_long) } else { Ok(None) };
    };
    let Some(last) = rest.get(at + 1) else {
        return Ok(None);
    };
    let number = rest.get(1..at).and_then(parse_number);
    Ok(Some(Line { number, end: from + at + 2, well_ended: *last == b'\n' }))
}

/// A decimal number exactly as Redis's `string2ll` takes it: no sign but `-`, no leading zero, no blank.
pub fn parse_number(digits: &[u8]) -> Option<i64> {
    let (negative, digits) = match digits {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, digits),
    };
    let first = *digits.first()?;
    if first == b'0' {
        return (digits.len() == 1 && !negative).then_some(0);
    }
    if digits.len() > 19 {
        return None;
    }
    let mut value: i64 = 0;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        let digit = i64::from(byte - b'0');
        // Counted downwards, so that the smallest number fits.
        value = value.checked_mul(10)?.checked_sub(digit)?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

fn as_i64(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(input: &[u8]) -> (Scanned, Vec<Vec<u8>>) {
        let mut scan = RequestScan::default();
        let verdict = scan.scan(input, &RequestLimits::OPEN);
        let args = scan
            .spans()
            .iter()
            .map(|s| input[s.start as usize..(s.start + s.len) as usize].to_vec())
            .collect();
        (verdict, args)
    }

    #[test]
    fn request_split_at_every_byte_gives_the_same_verdict() {
        let input = b"*3\r\n$3\r\nSET\r\n$5\r\nhello\r\n$0\r\n\r\n";
        let (verdict, args) = whole(input);
        assert_eq!(verdict, Scanned::Complete { len: input.len() });
        assert_eq!(args, [b"SET".to_vec(), b"hello".to_vec(), Vec::new()]);
        let mut scan = RequestScan::default();
        for cut in 0..input.len() {
            assert_eq!(
                scan.scan(&input[..cut], &RequestLimits::OPEN),
                Scanned::Incomplete,
                "{cut}"
            );
        }
        assert_eq!(scan.scan(input, &RequestLimits::OPEN), verdict);
        assert_eq!(scan.spans().len(), 3);
    }

    #[test]
    fn request_broken_is_told_in_the_words_of_redis() {
        let check = |input: &[u8], words: &str| match whole(input).0 {
            Scanned::Broken(error) => assert_eq!(error.to_string(), words, "{input:?}"),
            other => panic!("{input:?}: {other:?}"),
        };
        check(b"*x\r\n", "invalid multibulk length");
        check(b"*1048577\r\n", "invalid multibulk length");
        check(b"*01\r\n", "invalid multibulk length");
        check(b"*1\rx", "invalid multibulk length");
        check(b"*1\r\n+OK\r\n", "expected '$', got '+'");
        check(b"*1\r\n\r\n", "expected '$', got '\r'");
        check(b"*1\r\n$-1\r\n", "invalid bulk length");
        check(b"*1\r\n$536870913\r\n", "invalid bulk length");
        check(b"*1\r\n$1\r\nabc", "invalid bulk length");
        check(&[b"*1".as_slice(), &[b'1'; 70_000]].concat(), "too big mbulk count string");
        check(&[b"*1\r\n$".as_slice(), &[b'1'; 70_000]].concat(), "too big bulk count string");
        check(&[b'x'; 70_000], "too big inline request");
    }

    #[test]
    fn request_before_auth_has_tighter_bounds() {
        let check = |input: &[u8], words: &str| {
            let mut scan = RequestScan::default();
            match scan.scan(input, &RequestLimits::BEFORE_AUTH) {
                Scanned::Broken(error) => assert_eq!(error.to_string(), words),
                other => panic!("{other:?}"),
            }
        };
        check(b"*11\r\n", "unauthenticated multibulk length");
        check(b"*1\r\n$16385\r\n", "unauthenticated bulk length");
    }

    #[test]
    fn request_empty_or_negative_array_is_complete_without_arguments() {
        assert_eq!(whole(b"*0\r\n"), (Scanned::Complete { len: 4 }, vec![]));
        assert_eq!(whole(b"*-1\r\n"), (Scanned::Complete { len: 5 }, vec![]));
    }

    #[test]
    fn number_is_read_as_string2ll_reads_it() {
        let table: [(&[u8], Option<i64>); 11] = [
            (b"0", Some(0)),
            (b"17", Some(17)),
            (b"-9223372036854775808", Some(i64::MIN)),
            (b"9223372036854775807", Some(i64::MAX)),
            (b"9223372036854775808", None),
            (b"-0", None),
            (b"00", None),
            (b"+1", None),
            (b"", None),
            (b"-", None),
            (b" 1", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_number(text), expected, "{text:?}");
        }
    }
}
