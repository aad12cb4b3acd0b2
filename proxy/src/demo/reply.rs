//! A reply as a tree, read from its bytes and shown the way redis-cli shows it.
//!
//! In: the bytes of one complete reply, RESP2 or RESP3. Out: a `Reply`, and lines of text for people. The gateway
//! itself never builds such a tree: this is the demo's client. Invariants: no input panics; what is not RESP, or is
//! nested deeper than `DEPTH_MAX`, reads as `None`. Finding where a reply ends in a stream is `resp::reply`'s.

use crate::resp::value::head;

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 8;

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A simple string, or a RESP3 number or boolean as it was written.
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Nil,
    Array(Vec<Reply>),
    Map(Vec<Pair>),
}

/// A name and its value in a map.
type Pair = (Reply, Reply);

impl Reply {
    /// The reply that `bytes` are.
    pub(super) fn read(bytes: &[u8]) -> Option<Reply> {
        let (reply, rest) = read_value(bytes, 0)?;
        rest.is_empty().then_some(reply)
    }

    /// The bytes of a bulk string as text; empty for all else.
    pub(super) fn text(&self) -> String {
        match self {
            Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Reply::Simple(_)
            | Reply::Error(_)
            | Reply::Integer(_)
            | Reply::Nil
            | Reply::Array(_)
            | Reply::Map(_) => String::new(),
        }
    }

    /// In one line.
    pub(super) fn line(&self) -> String {
        match self {
            Reply::Simple(text) => text.clone(),
            Reply::Error(text) => format!("(error) {text}"),
            Reply::Integer(number) => format!("(integer) {number}"),
            Reply::Bulk(bytes) => quoted(bytes),
            Reply::Nil => "(nil)".to_owned(),
            Reply::Array(items) => {
                let items: Vec<_> = items.iter().map(Reply::line).collect();
                format!("[{}]", items.join(", "))
            }
            Reply::Map(pairs) => {
                let pair = |(name, value): &Pair| format!("{}: {}", name.line(), value.line());
                let pairs: Vec<_> = pairs.iter().map(pair).collect();
                format!("{{{}}}", pairs.join(", "))
            }
        }
    }

    /// In as many lines as redis-cli would take; text of several lines is shown as it is.
    pub(super) fn lines(&self) -> Vec<String> {
        match self {
            Reply::Array(items) if !items.is_empty() => (1..)
                .zip(items)
                .flat_map(|(number, item)| behind(&format!("{number}) "), item))
                .collect(),
            Reply::Map(pairs) if !pairs.is_empty() => (1..)
                .zip(pairs)
                .flat_map(|(number, (name, value))| {
                    behind(&format!("{number}# {} => ", name.line()), value)
                })
                .collect(),
            Reply::Bulk(bytes) if bytes.contains(&b'\n') => {
                String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
            }
            Reply::Simple(_)
            | Reply::Error(_)
            | Reply::Integer(_)
            | Reply::Bulk(_)
            | Reply::Nil
            | Reply::Array(_)
            | Reply::Map(_) => vec![self.line()],
        }
    }
}

/// Lines of `reply` with `mark` before the first and room for it before the others.
fn behind(mark: &str, reply: &Reply) -> Vec<String> {
    let room = " ".repeat(mark.chars().count());
    let marks = std::iter::once(mark).chain(std::iter::repeat(room.as_str()));
    marks.zip(reply.lines()).map(|(mark, line)| format!("{mark}{line}")).collect()
}

/// Bytes in quotes: text as it is, all else escaped.
pub(super) fn quoted(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| c.is_control() || c == '"') => format!("\"{text}\""),
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}

fn read_value(bytes: &[u8], depth: usize) -> Option<(Reply, &[u8])> {
    if depth > DEPTH_MAX {
        return None;
    }
    let head = head(bytes)?;
    let rest = bytes.get(head.len..)?;
    let line = || String::from_utf8_lossy(head.line).into_owned();
    let reply = match head.kind {
        b'+' | b',' | b'(' => Reply::Simple(line()),
        b'#' => Reply::Simple(if head.line == b"t" { "true" } else { "false" }.to_owned()),
        b'-' => Reply::Error(line()),
        b':' => Reply::Integer(head.number()?),
        b'_' => Reply::Nil,
        b'$' | b'*' if head.number()? < 0 => Reply::Nil,
        b'$' | b'=' | b'!' => {
            let len = usize::try_from(head.number()?).ok()?;
            let (content, rest) = (rest.get(..len)?, rest.get(len + 2..)?);
            let reply = match head.kind {
                b'!' => Reply::Error(String::from_utf8_lossy(content).into_owned()),
                // A verbatim string opens with its format and a colon: `txt:`.
                b'=' => Reply::Bulk(content.get(4..)?.to_vec()),
                _ => Reply::Bulk(content.to_vec()),
            };
            return Some((reply, rest));
        }
        b'*' | b'~' | b'>' => {
            let (items, rest) = read_values(rest, head.number()?, depth)?;
            return Some((Reply::Array(items), rest));
        }
        b'%' => {
            let (pairs, rest) = read_pairs(rest, head.number()?, depth)?;
            return Some((Reply::Map(pairs), rest));
        }
        // An attribute tells of the value behind it; nobody here asks for one.
        b'|' => {
            let (_, rest) = read_pairs(rest, head.number()?, depth)?;
            return read_value(rest, depth + 1);
        }
        _ => return None,
    };
    Some((reply, rest))
}

fn read_values(mut bytes: &[u8], count: i64, depth: usize) -> Option<(Vec<Reply>, &[u8])> {
    let mut items = Vec::new();
    for _ in 0..count {
        let (item, rest) = read_value(bytes, depth + 1)?;
        items.push(item);
        bytes = rest;
    }
    Some((items, bytes))
}

fn read_pairs(mut bytes: &[u8], count: i64, depth: usize) -> Option<(Vec<Pair>, &[u8])> {
    let mut pairs = Vec::new();
    for _ in 0..count {
        let (name, rest) = read_value(bytes, depth + 1)?;
        let (value, rest) = read_value(rest, depth + 1)?;
        pairs.push((name, value));
        bytes = rest;
    }
    Some((pairs, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_of_any_type_reads_as_redis_cli_shows_it() {
        let cases: &[(&[u8], &str)] = &[
            (b"+OK\r\n", "OK"),
            (b"-ERR no\r\n", "(error) ERR no"),
            (b"!6\r\nERR no\r\n", "(error) ERR no"),
            (b":-7\r\n", "(integer) -7"),
            (b"$3\r\nAda\r\n", "\"Ada\""),
            (b"$2\r\n\x00\xff\r\n", "\"\\x00\\xff\""),
            (b"=7\r\ntxt:Ada\r\n", "\"Ada\""),
            (b"$-1\r\n", "(nil)"),
            (b"*-1\r\n", "(nil)"),
            (b"_\r\n", "(nil)"),
            (b"#t\r\n", "true"),
            (b",1.5\r\n", "1.5"),
            (b"*2\r\n:1\r\n*1\r\n$-1\r\n", "[(integer) 1, [(nil)]]"),
            (b"%1\r\n+a\r\n:1\r\n", "{a: (integer) 1}"),
            (b"|1\r\n+ttl\r\n:1\r\n+OK\r\n", "OK"),
        ];
        for (bytes, expected) in cases {
            let reply = Reply::read(bytes).unwrap();
            assert_eq!(reply.line(), *expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_whole_reply_reads_as_none() {
        let deep = [b"*1\r\n".repeat(DEPTH_MAX + 1), b":1\r\n".to_vec()].concat();
        for bytes in [b"".as_slice(), b"$3\r\nab", b"+OK\r\n+", b"?\r\n", b"*2\r\n:1\r\n", &deep] {
            assert_eq!(Reply::read(bytes), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn nested_replies_are_numbered_and_indented() {
        let reply = Reply::read(b"*2\r\n*2\r\n:1\r\n:2\r\n%1\r\n+a\r\n$3\r\nb\nc\r\n").unwrap();
        let expected = ["1) 1) (integer) 1", "   2) (integer) 2", "2) 1# a => b", "           c"];
        assert_eq!(reply.lines(), expected);
        assert_eq!(Reply::Array(Vec::new()).lines(), ["[]"]);
    }
}
