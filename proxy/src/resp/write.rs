//! Writing RESP: replies of the gateway's own, and requests to shards.
//!
//! In: values and the session's protocol. Out: bytes appended to a buffer. RESP2 and RESP3 differ only where the
//! functions take a `Protocol`. An error or simple text never breaks its frame: line breaks become spaces, as Redis
//! does it. Nothing is read here, and nothing fails.

/// The version of RESP that a session speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

impl Protocol {
    /// The number that HELLO uses for it.
    pub fn number(self) -> i64 {
        match self {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        }
    }
}

/// An error; `text` starts with its code ("ERR ...").
pub fn error(out: &mut Vec<u8>, text: &str) {
    line(out, b'-', text.as_bytes());
}

/// An error whose text holds bytes of a request.
pub fn error_bytes(out: &mut Vec<u8>, text: &[u8]) {
    line(out, b'-', text);
}

/// A simple string such as OK.
pub fn simple(out: &mut Vec<u8>, text: &str) {
    line(out, b'+', text.as_bytes());
}

/// A number.
pub fn integer(out: &mut Vec<u8>, value: i64) {
    header(out, b':', value);
}

/// A number with a fraction, as its text; RESP3 only.
pub fn double(out: &mut Vec<u8>, text: &[u8]) {
    line(out, b',', text);
}

/// A bulk string.
pub fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    header_len(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Text for people: a verbatim string in RESP3, a bulk string in RESP2.
pub fn verbatim(out: &mut Vec<u8>, protocol: Protocol, text: &[u8]) {
    match protocol {
        Protocol::Resp2 => bulk(out, text),
        Protocol::Resp3 => {
            header_len(out, b'=', text.len() + 4);
            out.extend_from_slice(b"txt:");
            out.extend_from_slice(text);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// No value.
pub fn null(out: &mut Vec<u8>, protocol: Protocol) {
    out.extend_from_slice(match protocol {
        Protocol::Resp2 => b"$-1\r\n",
        Protocol::Resp3 => b"_\r\n",
    });
}

/// No array.
pub fn null_array(out: &mut Vec<u8>, protocol: Protocol) {
    out.extend_from_slice(match protocol {
        Protocol::Resp2 => b"*-1\r\n",
        Protocol::Resp3 => b"_\r\n",
    });
}

/// The head of an array of `count` values.
pub fn array_header(out: &mut Vec<u8>, count: usize) {
    header_len(out, b'*', count);
}

/// The head of a map of `pairs` pairs; in RESP2 an array of twice as many values.
pub fn map_header(out: &mut Vec<u8>, protocol: Protocol, pairs: usize) {
    match protocol {
        Protocol::Resp2 => header_len(out, b'*', pairs * 2),
        Protocol::Resp3 => header_len(out, b'%', pairs),
    }
}

/// The head of a set of `count` values; in RESP2 an array.
pub fn set_header(out: &mut Vec<u8>, protocol: Protocol, count: usize) {
    match protocol {
        Protocol::Resp2 => header_len(out, b'*', count),
        Protocol::Resp3 => header_len(out, b'~', count),
    }
}

/// The head of a push message of `count` values; in RESP2 an array.
pub fn push_header(out: &mut Vec<u8>, protocol: Protocol, count: usize) {
    match protocol {
        Protocol::Resp2 => header_len(out, b'*', count),
        Protocol::Resp3 => header_len(out, b'>', count),
    }
}

/// A request: an array of bulk strings.
pub fn request<'a>(out: &mut Vec<u8>, args: impl ExactSizeIterator<Item = &'a [u8]>) {
    array_header(out, args.len());
    for arg in args {
        bulk(out, arg);
    }
}

fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.extend(text.iter().map(|byte| match byte {
        b'\r' | b'\n' => b' ',
        other => *other,
    }));
    out.extend_from_slice(b"\r\n");
}

fn header(out: &mut Vec<u8>, kind: u8, value: i64) {
    out.push(kind);
    if value < 0 {
        out.push(b'-');
    }
    digits(out, value.unsigned_abs());
    out.extend_from_slice(b"\r\n");
}

fn header_len(out: &mut Vec<u8>, kind: u8, len: usize) {
    out.push(kind);
    digits(out, len as u64);
    out.extend_from_slice(b"\r\n");
}

/// `value` in decimal. By hand: this runs once per argument of a split request, and `write!` is slower.
fn digits(out: &mut Vec<u8>, value: u64) {
    let start = out.len();
    let mut rest = value;
    loop {
        out.push(b'0' + u8::try_from(rest % 10).unwrap_or(0));
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if let Some(written) = out.get_mut(start..) {
        written.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl FnOnce(&mut Vec<u8>), expected: &str) {
        let mut out = Vec::new();
        write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn values_have_their_frames() {
        check(|out| simple(out, "OK"), "+OK\r\n");
        check(|out| bulk(out, b""), "$0\r\n\r\n");
        check(|out| bulk(out, b"a\r\nb"), "$4\r\na\r\nb\r\n");
        check(|out| array_header(out, 12), "*12\r\n");
        for (value, expected) in [
            (0, ":0\r\n"),
            (-7, ":-7\r\n"),
            (i64::MIN, ":-9223372036854775808\r\n"),
            (i64::MAX, ":9223372036854775807\r\n"),
        ] {
            check(|out| integer(out, value), expected);
        }
    }

    #[test]
    fn values_differ_by_protocol() {
        use Protocol::{Resp2, Resp3};
        check(|out| null(out, Resp2), "$-1\r\n");
        check(|out| null(out, Resp3), "_\r\n");
        check(|out| null_array(out, Resp2), "*-1\r\n");
        check(|out| map_header(out, Resp2, 3), "*6\r\n");
        check(|out| map_header(out, Resp3, 3), "%3\r\n");
        check(|out| set_header(out, Resp3, 2), "~2\r\n");
        check(|out| push_header(out, Resp3, 2), ">2\r\n");
        check(|out| verbatim(out, Resp2, b"hi"), "$2\r\nhi\r\n");
        check(|out| verbatim(out, Resp3, b"hi"), "=6\r\ntxt:hi\r\n");
    }

    #[test]
    fn an_error_text_with_line_breaks_stays_one_line() {
        check(|out| error(out, "ERR a\r\nb"), "-ERR a  b\r\n");
        check(|out| simple(out, "a\nb"), "+a b\r\n");
    }

    #[test]
    fn a_request_is_an_array_of_bulk_strings() {
        let args: [&[u8]; 2] = [b"GET", b"k"];
        check(|out| request(out, args.into_iter()), "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
    }
}
