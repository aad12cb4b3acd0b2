//! Replies: reading RESP2 and RESP3 into a small value, and writing a value in the session's protocol.
//!
//! `Reply` is what operations give and what handlers return. The RESP3 types that RESP2 lacks are kept where they
//! carry meaning for a plugin and fold into their RESP2 form otherwise (a set is an array, a big number a bulk).
//! Reading never panics and answers `None` for bytes that are no reply.

use std::borrow::Cow;

use crate::args::parse_int;
use crate::convert::FromReply;
use crate::error::Result;
use crate::frame::put_raw;

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 32;

/// One reply.
///
/// ```
/// # use sluicegate_plugin::reply::Reply;
/// let reply = Reply::parse(b"*2\r\n$3\r\nfoo\r\n:7\r\n").unwrap();
/// assert_eq!(reply, Reply::Array(vec![Reply::bulk("foo"), Reply::Int(7)]));
/// assert_eq!(reply.to::<(String, i64)>(), Ok(("foo".into(), 7)));
/// let mut bytes = Vec::new();
/// Reply::Null.write(2, &mut bytes);
/// assert_eq!(bytes, b"$-1\r\n");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// `$-1` or `_`.
    Null,
    /// `*-1`, as `LPOP key count` answers for a missing key; `_` in RESP3.
    NullArray,
    /// `+OK`
    Simple(Cow<'static, str>),
    /// `:1`
    Int(i64),
    /// `$3 foo`
    Bulk(Vec<u8>),
    /// `-ERR ...` inside an array; an operation's own error is an `Err`.
    Error(String),
    /// `*2 ...`, `~2 ...` or a push.
    Array(Vec<Reply>),
    /// `%1 ...`: keys and values in turn.
    Map(Vec<Reply>),
    /// `#t`
    Bool(bool),
    /// `,1.5` as its text.
    Double(String),
}

impl Reply {
    /// `+OK`
    pub fn ok() -> Self {
        Self::Simple(Cow::Borrowed("OK"))
    }

    /// A bulk string.
    pub fn bulk(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bulk(bytes.into())
    }

    /// Whether this is null, of whatever form.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::NullArray)
    }

    /// The integer, also when it came as text.
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Bulk(text) => parse_int(text),
            Self::Simple(text) => parse_int(text.as_bytes()),
            Self::Bool(value) => Some(i64::from(*value)),
            Self::Null
            | Self::NullArray
            | Self::Error(_)
            | Self::Array(_)
            | Self::Map(_)
            | Self::Double(_) => None,
        }
    }

    /// The bytes of a bulk or simple string.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bulk(bytes) => Some(bytes),
            Self::Simple(text) => Some(text.as_bytes()),
            Self::Double(text) => Some(text.as_bytes()),
            Self::Null
            | Self::NullArray
            | Self::Int(_)
            | Self::Error(_)
            | Self::Array(_)
            | Self::Map(_)
            | Self::Bool(_) => None,
        }
    }

    /// This reply as a `T`, or an error that names what came and what was wanted.
    pub fn to<T: FromReply>(self) -> Result<T> {
        T::from_result(Ok(self))
    }

    /// Reads exactly one reply; a bulk string keeps its bytes where they are.
    pub(crate) fn from_bytes(mut bytes: Vec<u8>, from: usize) -> Option<Self> {
        let reply = bytes.get(from..)?;
        if reply == b"+OK\r\n" {
            return Some(Self::ok());
        }
        if let Some(head_len) = head_of_only_string(reply) {
            let end = bytes.len() - 2;
            bytes.copy_within(from + head_len..end, 0);
            bytes.truncate(end - from - head_len);
            return Some(Self::Bulk(bytes));
        }
        Self::parse(reply)
    }

    /// Reads exactly one reply.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut at = 0;
        let reply = parse_at(bytes, &mut at, 0)?;
        (at == bytes.len()).then_some(reply)
    }

    /// Appends this reply as bytes of protocol `resp` (2 or 3). What the protocol cannot hold takes the nearest form that it
    /// can: a `Double` whose text is no number is a string, a `Map` with an odd number of items an array, and what is nested
    /// deeper than 32 an error in its place.
    pub fn write(&self, resp: u8, out: &mut Vec<u8>) {
        self.write_at(0, resp, out);
    }

    fn write_at(&self, depth: usize, resp: u8, out: &mut Vec<u8>) {
        match self {
            Self::Null | Self::NullArray if resp == 3 => out.extend_from_slice(b"_\r\n"),
            Self::Null => out.extend_from_slice(b"$-1\r\n"),
            Self::NullArray => out.extend_from_slice(b"*-1\r\n"),
            Self::Simple(text) if text == "OK" => out.extend_from_slice(b"+OK\r\n"),
            Self::Simple(text) => put_line(out, b'+', text.as_bytes()),
            Self::Error(text) => put_line(out, b'-', text.as_bytes()),
            Self::Int(value) => put_head(out, b':', *value),
            Self::Bulk(bytes) => put_bulk(out, bytes),
            Self::Array(_) | Self::Map(_) if depth >= DEPTH_MAX => {
                put_line(out, b'-', b"ERR a reply nested deeper than 32");
            }
            Self::Map(items) if resp == 3 && items.len().is_multiple_of(2) => {
                put_head(out, b'%', count(items.len() / 2));
                put_items(out, items, depth, resp);
            }
            Self::Array(items) | Self::Map(items) => {
                put_head(out, b'*', count(items.len()));
                put_items(out, items, depth, resp);
            }
            Self::Bool(value) if resp == 3 => {
                out.extend_from_slice(if *value { b"#t\r\n" } else { b"#f\r\n" });
            }
            Self::Bool(value) => put_head(out, b':', i64::from(*value)),
            Self::Double(text) if resp == 3 && is_double(text) => {
                put_line(out, b',', text.as_bytes())
            }
            Self::Double(text) => put_bulk(out, text.as_bytes()),
        }
    }
}

/// Whether RESP3 has such a double. The standard library would know it too, but is a fifth of a small guest.
fn is_double(text: &str) -> bool {
    let number = text.strip_prefix('-').unwrap_or(text).as_bytes();
    if matches!(number, b"inf" | b"nan") {
        return true;
    }
    // Digits, then digits behind a point, then digits behind an exponent's mark: each part has one at least.
    let (mut part, mut count, mut before) = (0, 0, b'.');
    for byte in number {
        let begins = match byte {
            b'0'..=b'9' => {
                count += 1;
                before = *byte;
                continue;
            }
            b'.' => part == 0,
            b'e' | b'E' => part < 2,
            b'+' | b'-' if matches!(before, b'e' | b'E') => {
                before = *byte;
                continue;
            }
            _ => false,
        };
        if !begins || count == 0 {
            return false;
        }
        (part, count, before) = (if *byte == b'.' { 1 } else { 2 }, 0, *byte);
    }
    count > 0
}

fn put_items(out: &mut Vec<u8>, items: &[Reply], depth: usize, resp: u8) {
    for item in items {
        item.write_at(depth + 1, resp, out);
    }
}

fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(0)
}

fn put_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    put_head(out, b'$', i64::try_from(bytes.len()).unwrap_or(0));
    put_raw(out, bytes);
    out.extend_from_slice(b"\r\n");
}

/// A line can hold no line break: one inside the text becomes a space.
fn put_line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.extend(text.iter().map(|byte| match byte {
        b'\r' | b'\n' => b' ',
        other => *other,
    }));
    out.extend_from_slice(b"\r\n");
}

fn put_head(out: &mut Vec<u8>, kind: u8, value: i64) {
    out.push(kind);
    put_decimal(out, value);
    out.extend_from_slice(b"\r\n");
}

/// Appends `value` in decimal.
pub(crate) fn put_decimal(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0u8; 20];
    let mut rest = value.unsigned_abs();
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(digits.get(20 - used..).unwrap_or_default());
}

/// The length of the `$length` line of a reply that is one string and nothing else.
fn head_of_only_string(reply: &[u8]) -> Option<usize> {
    let (kind, digits) = reply.split_first()?;
    if *kind != b'$' {
        return None;
    }
    let (mut len, mut count) = (0usize, 0usize);
    // More digits than these are no length that a guest could hold.
    while let Some(digit @ b'0'..=b'9') = digits.get(count)
        && count < 9
    {
        len = len * 10 + usize::from(digit - b'0');
        count += 1;
    }
    let is_canonical = count == 1 || (count > 0 && digits.first() != Some(&b'0'));
    let body_at = count + 2;
    let fits = is_canonical && digits.len() == body_at + len + 2;
    let is_line_end =
        |at: usize| digits.get(at) == Some(&b'\r') && digits.get(at + 1) == Some(&b'\n');
    (fits && is_line_end(count) && is_line_end(body_at + len)).then_some(1 + body_at)
}

fn line<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = bytes.get(*at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    *at += end + 2;
    rest.get(..end)
}

fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => String::from(text),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn parse_at(bytes: &[u8], at: &mut usize, depth: usize) -> Option<Reply> {
    if depth > DEPTH_MAX {
        return None;
    }
    let kind = *bytes.get(*at)?;
    *at += 1;
    let head = line(bytes, at)?;
    match kind {
        b'+' if head == b"OK" => Some(Reply::ok()),
        b'+' => Some(Reply::Simple(text(head).into())),
        b'-' => Some(Reply::Error(text(head))),
        b':' => parse_int(head.strip_prefix(b"+").unwrap_or(head)).map(Reply::Int),
        b'(' => Some(Reply::Bulk(head.to_vec())),
        b',' => Some(Reply::Double(text(head))),
        b'#' => Some(Reply::Bool(head == b"t")),
        b'_' => Some(Reply::Null),
        b'$' | b'=' | b'!' => {
            let Ok(len) = usize::try_from(parse_int(head)?) else {
                return Some(Reply::Null);
            };
            let body = bytes.get(*at..at.checked_add(len)?)?;
            *at += len;
            if bytes.get(*at..*at + 2)? != b"\r\n" {
                return None;
            }
            *at += 2;
            Some(match kind {
                b'!' => Reply::Error(text(body)),
                b'=' => Reply::Bulk(body.get(4..).unwrap_or_default().to_vec()),
                _ => Reply::Bulk(body.to_vec()),
            })
        }
        b'*' | b'~' | b'>' => match usize::try_from(parse_int(head)?) {
            Ok(count) => Some(Reply::Array(parse_items(bytes, at, depth, count)?)),
            Err(_) => Some(Reply::NullArray),
        },
        b'%' => {
            let count = usize::try_from(parse_int(head)?).ok()?.checked_mul(2)?;
            Some(Reply::Map(parse_items(bytes, at, depth, count)?))
        }
        b'|' => {
            let count = usize::try_from(parse_int(head)?).ok()?.checked_mul(2)?;
            parse_items(bytes, at, depth, count)?;
            parse_at(bytes, at, depth + 1)
        }
        _ => None,
    }
}

fn parse_items(bytes: &[u8], at: &mut usize, depth: usize, count: usize) -> Option<Vec<Reply>> {
    // The shortest item takes three bytes, so a lying count reserves no more than the bytes that are there.
    let mut items = Vec::with_capacity(count.min(bytes.len() / 3));
    for _ in 0..count {
        items.push(parse_at(bytes, at, depth + 1)?);
    }
    Some(items)
}

#[cfg(test)]
mod tests {
    use super::{Reply, put_decimal};
    use crate::convert::IntoReply;

    #[test]
    fn reply_of_either_protocol_reads_to_the_same_value() {
        let cases: &[(&str, &str, Reply)] = &[
            ("$-1\r\n", "_\r\n", Reply::Null),
            ("+OK\r\n", "+OK\r\n", Reply::ok()),
            (":-7\r\n", ":-7\r\n", Reply::Int(-7)),
            ("$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n", Reply::bulk("a\r\n")),
            (
                "*2\r\n:1\r\n-ERR no\r\n",
                "*2\r\n:1\r\n-ERR no\r\n",
                Reply::Array(vec![Reply::Int(1), Reply::Error("ERR no".into())]),
            ),
        ];
        for (two, three, reply) in cases {
            assert_eq!(Reply::parse(two.as_bytes()).as_ref(), Some(reply));
            assert_eq!(Reply::parse(three.as_bytes()).as_ref(), Some(reply));
            let mut out = Vec::new();
            reply.write(2, &mut out);
            assert_eq!(out, two.as_bytes());
            out.clear();
            reply.write(3, &mut out);
            assert_eq!(out, three.as_bytes());
        }
    }

    #[test]
    fn null_array_keeps_its_form() {
        let reply = Reply::parse(b"*-1\r\n").unwrap();
        assert!(reply.is_null());
        for (resp, wanted) in [(2, "*-1\r\n"), (3, "_\r\n")] {
            let mut out = Vec::new();
            reply.write(resp, &mut out);
            assert_eq!(out, wanted.as_bytes());
        }
        assert_eq!(reply.to::<Option<Vec<i64>>>(), Ok(None));
    }

    #[test]
    fn reply_that_owns_its_bytes_reads_as_any_other() {
        let cases: &[&[u8]] = &[
            b"$3\r\nfoo\r\n",
            b"$0\r\n\r\n",
            b"$2\r\n\r\n\r\n",
            b"$-1\r\n",
            b"$3\r\nfo\r\n",
            b"$3\r\nfooo\r\n",
            b"$\n",
            b"$\r\n",
            b"$1\n\r\n",
            b"$x\r\na\r\n",
            b"$18446744073709551615\r\na\r\n",
            b":1\r\n",
            b"",
        ];
        for bytes in cases {
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(Reply::from_bytes(bytes.to_vec(), 0), Reply::parse(bytes), "{text:?}");
        }
    }

    #[test]
    fn reply_cut_anywhere_or_followed_by_more_is_none() {
        let whole = b"*3\r\n$3\r\nfoo\r\n%1\r\n+a\r\n:1\r\n#t\r\n";
        for end in 0..whole.len() {
            assert_eq!(Reply::parse(&whole[..end]), None, "cut at {end}");
        }
        assert!(Reply::parse(whole).is_some());
        assert_eq!(Reply::parse(b":1\r\n:2\r\n"), None);
        assert_eq!(Reply::parse(b"*1000000000\r\n"), None);
        assert_eq!(Reply::parse(&b"*1\r\n".repeat(100)), None);
    }

    #[test]
    fn reply_that_the_protocol_cannot_hold_takes_another_form() {
        let double = |text: &str| Reply::Double(text.into());
        let deep = (0..40).fold(Reply::Int(1), |inner, _| Reply::Array(vec![inner]));
        let refused = format!("{}-ERR a reply nested deeper than 32\r\n", "*1\r\n".repeat(32));
        let cases: &[(Reply, &str)] = &[
            (double("1.5"), ",1.5\r\n"),
            (double("-1.5e+10"), ",-1.5e+10\r\n"),
            (double("-inf"), ",-inf\r\n"),
            (f64::NAN.into_reply().unwrap(), ",nan\r\n"),
            (f64::NEG_INFINITY.into_reply().unwrap(), ",-inf\r\n"),
            (1e300_f64.into_reply().unwrap(), &format!(",{}\r\n", 1e300_f64)),
            (double("x"), "$1\r\nx\r\n"),
            (double("1."), "$2\r\n1.\r\n"),
            (double("1e"), "$2\r\n1e\r\n"),
            (double("--1"), "$3\r\n--1\r\n"),
            (double(""), "$0\r\n\r\n"),
            (Reply::Map(vec![Reply::Int(1)]), "*1\r\n:1\r\n"),
            (Reply::Map(vec![Reply::Int(1), Reply::Int(2)]), "%1\r\n:1\r\n:2\r\n"),
            (deep, &refused),
        ];
        for (reply, wanted) in cases {
            let mut out = Vec::new();
            reply.write(3, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), *wanted);
        }
    }

    #[test]
    fn line_reply_with_a_line_break_is_written_on_one_line() {
        let mut out = Vec::new();
        Reply::Error("ERR a\r\nb".into()).write(2, &mut out);
        assert_eq!(out, b"-ERR a  b\r\n");
    }

    #[test]
    fn decimal_covers_the_whole_range() {
        for value in [0, 7, -7, 10, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_decimal(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }
}
