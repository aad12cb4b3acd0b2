//! A reply as a value: a small RESP2 and RESP3 reader, written apart from the gateway's own.
//!
//! Comes in: bytes of a connection. Goes out: the first whole reply and its length, or `None` while more is needed.
//! Bytes that are no RESP fail the test, with the bytes. Values are ordered, so that replies whose order the server
//! leaves free can be sorted and compared. No socket here.

use std::fmt;

/// One reply. Numbers that are not integers stay text: the tests compare what was sent.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    Simple(Vec<u8>),
    Error(Vec<u8>),
    Integer(i64),
    Bulk(Vec<u8>),
    Null,
    Array(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Set(Vec<Value>),
    Push(Vec<Value>),
    Double(Vec<u8>),
    Boolean(bool),
    BigNumber(Vec<u8>),
    Verbatim(Vec<u8>),
}

impl Value {
    /// A bulk string of `text`.
    pub fn bulk(text: impl AsRef<[u8]>) -> Value {
        Value::Bulk(text.as_ref().to_vec())
    }

    /// The simple string `OK`.
    pub fn ok() -> Value {
        Value::Simple(b"OK".to_vec())
    }

    /// The text of a simple string, bulk string, verbatim string or error; empty for anything else.
    pub fn text(&self) -> String {
        match self {
            Value::Simple(t) | Value::Error(t) | Value::Bulk(t) | Value::Verbatim(t) => {
                String::from_utf8_lossy(t).into_owned()
            }
            _ => String::new(),
        }
    }

    /// Whether it is an error that starts with `start`.
    pub fn is_error(&self, start: &str) -> bool {
        matches!(self, Value::Error(text) if text.starts_with(start.as_bytes()))
    }

    /// The same value with the elements of every level sorted, for replies whose order is free.
    pub fn sorted(self) -> Value {
        let sort = |items: Vec<Value>| {
            let mut items: Vec<Value> = items.into_iter().map(Value::sorted).collect();
            items.sort();
            items
        };
        match self {
            Value::Array(items) => Value::Array(sort(items)),
            Value::Set(items) => Value::Set(sort(items)),
            Value::Push(items) => Value::Push(sort(items)),
            Value::Map(mut pairs) => {
                pairs.sort();
                Value::Map(pairs)
            }
            other => other,
        }
    }

    /// A flat array of pairs (RESP2's form of a map) as a sorted map; anything else unchanged.
    pub fn paired(self) -> Value {
        match self {
            Value::Array(items) if items.len() % 2 == 0 => {
                let pairs = items.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone()));
                Value::Map(pairs.collect()).sorted()
            }
            other => other.sorted(),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |f: &mut fmt::Formatter<'_>, mark: char, t: &[u8]| {
            write!(f, "{mark}{}", t[..t.len().min(200)].escape_ascii())
        };
        match self {
            Value::Simple(t) => text(f, '+', t),
            Value::Error(t) => text(f, '-', t),
            Value::Integer(n) => write!(f, ":{n}"),
            Value::Bulk(t) => text(f, '$', t),
            Value::Null => write!(f, "null"),
            Value::Array(items) => f.debug_list().entries(items).finish(),
            Value::Map(pairs) => f.debug_map().entries(pairs.iter().map(|(k, v)| (k, v))).finish(),
            Value::Set(items) => f.debug_set().entries(items).finish(),
            Value::Push(items) => {
                write!(f, "push ").and_then(|()| f.debug_list().entries(items).finish())
            }
            Value::Double(t) => text(f, ',', t),
            Value::Boolean(b) => write!(f, "#{b}"),
            Value::BigNumber(t) => text(f, '(', t),
            Value::Verbatim(t) => text(f, '=', t),
        }
    }
}

/// The first reply in `bytes` and how long it is; `None` while it is not whole.
pub fn parse(bytes: &[u8]) -> Option<(Value, usize)> {
    let line_end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let (mark, line) = bytes[..line_end].split_first()?;
    let after = line_end + 2;
    let text = || line.to_vec();
    let simple = match mark {
        b'+' => Value::Simple(text()),
        b'-' => Value::Error(text()),
        b':' => Value::Integer(number(line)),
        b',' => Value::Double(text()),
        b'(' => Value::BigNumber(text()),
        b'#' => Value::Boolean(line == b"t"),
        b'_' => Value::Null,
        b'$' | b'=' | b'!' => return blob(*mark, number(line), bytes, after),
        b'*' | b'~' | b'>' | b'%' | b'|' => return aggregate(*mark, number(line), bytes, after),
        _ => panic!("no RESP: {}", bytes[..bytes.len().min(120)].escape_ascii()),
    };
    Some((simple, after))
}

fn blob(mark: u8, len: i64, bytes: &[u8], start: usize) -> Option<(Value, usize)> {
    let Ok(len) = usize::try_from(len) else {
        return Some((Value::Null, start));
    };
    let content = bytes.get(start..start + len)?.to_vec();
    let end = bytes.get(start + len..start + len + 2)?;
    assert_eq!(end, b"\r\n", "a bulk string of {len} bytes does not end where it says");
    let value = match mark {
        b'=' => Value::Verbatim(content),
        b'!' => Value::Error(content),
        _ => Value::Bulk(content),
    };
    Some((value, start + len + 2))
}

fn aggregate(mark: u8, len: i64, bytes: &[u8], start: usize) -> Option<(Value, usize)> {
    let Ok(len) = usize::try_from(len) else {
        return Some((Value::Null, start));
    };
    let count = if matches!(mark, b'%' | b'|') { len * 2 } else { len };
    let mut items = Vec::new();
    let mut at = start;
    for _ in 0..count {
        let (item, item_len) = parse(bytes.get(at..)?)?;
        items.push(item);
        at += item_len;
    }
    let value = match mark {
        b'~' => Value::Set(items),
        b'>' => Value::Push(items),
        b'%' => {
            let pairs = items.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            Value::Map(pairs.collect())
        }
        b'|' => {
            // An attribute stands before the reply that it belongs to.
            let (value, len) = parse(bytes.get(at..)?)?;
            return Some((value, at + len));
        }
        _ => Value::Array(items),
    };
    Some((value, at))
}

fn number(line: &[u8]) -> i64 {
    let text = String::from_utf8_lossy(line);
    text.parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::{Value, parse};

    fn check(bytes: &str, expected: &Value) {
        let whole = bytes.as_bytes();
        for cut in 0..whole.len() {
            assert_eq!(parse(&whole[..cut]), None, "{bytes:?} cut at {cut}");
        }
        assert_eq!(parse(whole), Some((expected.clone(), whole.len())), "{bytes:?}");
    }

    #[test]
    fn reply_of_each_kind_is_read_whole_and_never_early() {
        check("+OK\r\n", &Value::ok());
        check("-ERR no\r\n", &Value::Error(b"ERR no".to_vec()));
        check(":-7\r\n", &Value::Integer(-7));
        check("$3\r\na\r\n\r\n", &Value::bulk("a\r\n"));
        check("$-1\r\n", &Value::Null);
        check("*-1\r\n", &Value::Null);
        check("_\r\n", &Value::Null);
        check("#t\r\n", &Value::Boolean(true));
        check(",1.5\r\n", &Value::Double(b"1.5".to_vec()));
        check("=7\r\ntxt:abc\r\n", &Value::Verbatim(b"txt:abc".to_vec()));
        check("*2\r\n:1\r\n*0\r\n", &Value::Array(vec![Value::Integer(1), Value::Array(vec![])]));
        check("~1\r\n$1\r\na\r\n", &Value::Set(vec![Value::bulk("a")]));
        check(
            "%1\r\n+a\r\n:1\r\n",
            &Value::Map(vec![(Value::Simple(b"a".to_vec()), Value::Integer(1))]),
        );
        check(">1\r\n+a\r\n", &Value::Push(vec![Value::Simple(b"a".to_vec())]));
        check("|1\r\n+ttl\r\n:3\r\n:5\r\n", &Value::Integer(5));
    }

    #[test]
    fn pairs_in_any_order_compare_equal() {
        let (a, b) = ("*4\r\n+x\r\n:1\r\n+y\r\n:2\r\n", "%2\r\n+y\r\n:2\r\n+x\r\n:1\r\n");
        let paired = |text: &str| parse(text.as_bytes()).expect("whole").0.paired();
        assert_eq!(paired(a), paired(b));
    }
}
