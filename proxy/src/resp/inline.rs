//! Inline requests: one line of words, as a person types them into `nc` or telnet.
//!
//! `split` cuts a line into arguments as Redis's `sdssplitargs` does (double quotes with escapes, single quotes; a NUL
//! ends the line; form feeds and vertical tabs are skipped between words but do not end one), and `encode` writes them
//! as an ordinary request, so that nothing behind this file knows inline requests.
//! An empty line is no request and gets no reply. Not on the hot path: this allocates.

use crate::resp::request::ProtocolError;

/// Turns a line (its end included) into an ordinary request; `None` for an empty line.
pub fn encode(line: &[u8]) -> Result<Option<Vec<u8>>, ProtocolError> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let words = split(line)?;
    if words.is_empty() {
        return Ok(None);
    }
    let mut request = Vec::with_capacity(line.len() + 16 * words.len());
    request.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in &words {
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
    Ok(Some(request))
}

fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        while let [first, tail @ ..] = rest
            && is_space(*first)
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Ok(words);
        }
        let mut word = Vec::new();
        while let [byte, tail @ ..] = rest {
            match byte {
                b'"' => {
                    rest = double_quoted(tail, &mut word)?;
                    break;
                }
                b'\'' => {
                    rest = single_quoted(tail, &mut word)?;
                    break;
                }
                b' ' | b'\n' | b'\r' | b'\t' => break,
                byte => {
                    word.push(*byte);
                    rest = tail;
                }
            }
        }
        words.push(word);
    }
}

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// Reads up to the closing quote, which must end the word.
fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        match rest {
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push(hex(*high) << 4 | hex(*low));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = tail;
            }
            [b'"', tail @ ..] => return ends_word(tail),
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
            [] => return Err(ProtocolError::Quotes),
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        match rest {
            [b'\\', b'\'', tail @ ..] => {
                word.push(b'\'');
                rest = tail;
            }
            [b'\'', tail @ ..] => return ends_word(tail),
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
            [] => return Err(ProtocolError::Quotes),
        }
    }
}

fn ends_word(rest: &[u8]) -> Result<&[u8], ProtocolError> {
    match rest.first() {
        Some(byte) if !is_space(*byte) => Err(ProtocolError::Quotes),
        _ => Ok(rest),
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_line_becomes_the_request_that_redis_would_see() {
        let check = |line: &[u8], words: &[&[u8]]| {
            assert_eq!(split(line).unwrap(), words, "{line:?}");
        };
        check(b"PING", &[b"PING"]);
        check(b"  SET  a   b ", &[b"SET", b"a", b"b"]);
        check(b"SET k \"a b\\n\\x41\\\"\"", &[b"SET", b"k", b"a b\nA\""]);
        check(b"SET k 'a \\' b'", &[b"SET", b"k", b"a ' b"]);
        check(b"SET k \"\"", &[b"SET", b"k", b""]);
        check(b"\x0bGET a\x0bb\x0c 'c'\x0bd", &[b"GET", b"a\x0bb\x0c", b"c", b"d"]);
        assert_eq!(encode(b"GET a\0 b 'c\n"), encode(b"GET a\n"));
        assert_eq!(encode(b"\0GET\n").unwrap(), None);
        assert_eq!(encode(b"GET a\r\n").unwrap().unwrap(), b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
        assert_eq!(encode(b"\r\n").unwrap(), None);
    }

    #[test]
    fn inline_quotes_that_do_not_close_are_an_error() {
        for line in [b"GET \"a".as_slice(), b"GET 'a", b"GET \"a\"b", b"GET 'a'b"] {
            assert_eq!(split(line), Err(ProtocolError::Quotes), "{line:?}");
        }
    }
}
