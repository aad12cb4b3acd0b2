//! Whether bytes from a plugin are exactly one complete reply of the session's protocol.
//!
//! A client that got half a reply, or two, would take every later one for the wrong request; so each reply of a plugin
//! is walked once before it is sent, and what a strict client library refuses is refused here: numbers are written as
//! servers write them. Works without building values and without recursion; never panics.

use super::limits::REPLY_DEPTH_MAX;
use crate::resp::request::parse_number;

/// Whether `bytes` are exactly one reply of protocol `resp` (2 or 3). Pushes are no replies.
pub(super) fn is_one_reply(bytes: &[u8], resp: u8) -> bool {
    let mut at = 0;
    // Items still to come per open level; the whole reply is one item.
    let mut open = [0_u64; REPLY_DEPTH_MAX + 1];
    let mut depth = 0;
    if let Some(level) = open.first_mut() {
        *level = 1;
    }
    loop {
        let Some(level) = open.get_mut(depth) else {
            return false;
        };
        if *level == 0 {
            if depth == 0 {
                return at == bytes.len();
            }
            depth -= 1;
            continue;
        }
        *level -= 1;
        let Some((kind, head)) = next_line(bytes, &mut at) else {
            return false;
        };
        match value(kind, head, resp, bytes, &mut at) {
            Value::Whole => {}
            // An attribute stands before its value: the value is still to come on this level.
            Value::Attribute(items) => {
                *level += 1;
                depth += 1;
                match open.get_mut(depth) {
                    Some(inner) => *inner = items,
                    None => return false,
                }
            }
            Value::Items(items) => {
                depth += 1;
                match open.get_mut(depth) {
                    Some(inner) => *inner = items,
                    None => return false,
                }
            }
            Value::Broken => return false,
        }
    }
}

enum Value {
    Whole,
    Items(u64),
    Attribute(u64),
    Broken,
}

fn value(kind: u8, head: &[u8], resp: u8, bytes: &[u8], at: &mut usize) -> Value {
    let whole = |good: bool| if good { Value::Whole } else { Value::Broken };
    match (kind, resp) {
        (b'+' | b'-', _) => whole(!head.contains(&b'\n') && !head.contains(&b'\r')),
        (b':', _) => whole(parse_number(head).is_some()),
        (b'$', 2) if head == b"-1" => Value::Whole,
        (b'*', 2) if head == b"-1" => Value::Whole,
        (b'$', _) | (b'!', 3) => whole(skip_bulk(head, bytes, at).is_some()),
        // Three letters say what kind of text it is.
        (b'=', 3) => {
            whole(skip_bulk(head, bytes, at).is_some_and(|text| text.get(3) == Some(&b':')))
        }
        (b'*', _) | (b'~', 3) => length(head).map_or(Value::Broken, Value::Items),
        (b'%', 3) => length(head).map_or(Value::Broken, |n| Value::Items(n.saturating_mul(2))),
        (b'|', 3) => length(head).map_or(Value::Broken, |n| Value::Attribute(n.saturating_mul(2))),
        (b'_', 3) => whole(head.is_empty()),
        (b'#', 3) => whole(matches!(head, b"t" | b"f")),
        (b',', 3) => whole(is_double(head)),
        (b'(', 3) => whole(is_big_number(head)),
        _ => Value::Broken,
    }
}

/// The kind and the text of the line at `at`, which moves behind it.
fn next_line<'a>(bytes: &'a [u8], at: &mut usize) -> Option<(u8, &'a [u8])> {
    let rest = bytes.get(*at..)?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let line = rest.get(..end)?.strip_suffix(b"\r")?;
    let (kind, head) = line.split_first()?;
    *at += end + 1;
    Some((*kind, head))
}

fn length(head: &[u8]) -> Option<u64> {
    u64::try_from(parse_number(head)?).ok()
}

/// The bytes of the bulk string at `at`, which moves behind its end.
fn skip_bulk<'a>(head: &[u8], bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let len = usize::try_from(length(head)?).ok()?;
    let (text, rest) = bytes.get(*at..)?.split_at_checked(len)?;
    if !rest.starts_with(b"\r\n") {
        return None;
    }
    *at += len + 2;
    Some(text)
}

fn is_big_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

fn is_double(text: &[u8]) -> bool {
    match text.strip_prefix(b"-").unwrap_or(text) {
        b"inf" | b"nan" => true,
        number @ [b'0'..=b'9', ..] => {
            std::str::from_utf8(number).is_ok_and(|number| number.parse::<f64>().is_ok())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_one_reply;

    const WHOLE: &[(&str, bool)] = &[
        ("+OK\r\n", true),
        ("-ERR no\r\n", true),
        (":-12\r\n", true),
        ("$3\r\na\r\n\r\n", true),
        ("$0\r\n\r\n", true),
        ("*0\r\n", true),
        ("*2\r\n*1\r\n:1\r\n$1\r\nx\r\n", true),
        ("_\r\n", false),
        ("#t\r\n", false),
        (",1.5e3\r\n", false),
        (",-1E+3\r\n", false),
        (",-inf\r\n", false),
        ("%1\r\n+a\r\n:1\r\n", false),
        ("~1\r\n+a\r\n", false),
        ("|1\r\n+ttl\r\n:1\r\n$1\r\nx\r\n", false),
        ("(123456789012345678901234567890\r\n", false),
        ("=5\r\ntxt:a\r\n", false),
    ];

    #[test]
    fn reply_that_is_whole_is_taken_and_cut_anywhere_is_refused() {
        for (text, in_two) in WHOLE {
            let bytes = text.as_bytes();
            assert_eq!(is_one_reply(bytes, 2), *in_two, "RESP2 {text:?}");
            assert!(is_one_reply(bytes, 3), "RESP3 {text:?}");
            for end in 0..bytes.len() {
                assert!(!is_one_reply(&bytes[..end], 3), "{text:?} cut at {end}");
            }
            let twice = [bytes, bytes].concat();
            assert!(!is_one_reply(&twice, 3), "{text:?} twice");
        }
        assert!(is_one_reply(b"$-1\r\n", 2) && is_one_reply(b"*-1\r\n", 2));
    }

    #[test]
    fn reply_that_is_broken_is_refused() {
        let deep = "*1\r\n".repeat(100) + ":1\r\n";
        let broken: &[&str] = &[
            "",
            "OK\r\n",
            "+OK\n",
            "+a\rb\r\n:",
            ":x\r\n",
            ":\r\n",
            ":+1\r\n",
            ":01\r\n",
            ":-0\r\n",
            ":9223372036854775808\r\n",
            "$03\r\nabc\r\n",
            "*01\r\n:1\r\n",
            "(+1\r\n",
            "(\r\n",
            "=0\r\n\r\n",
            "=4\r\ntext\r\n",
            ",1e5e5\r\n",
            ",+1\r\n",
            ",.5\r\n",
            "$-2\r\n",
            "$3\r\nab\r\n",
            "$3\r\nabcd\r\n",
            "$999999999999999999\r\n",
            "$99999999999999999999999\r\n",
            "*-2\r\n",
            "*1000000000\r\n",
            ">1\r\n+a\r\n",
            "%9223372036854775807\r\n",
            "$?\r\n;1\r\na\r\n;0\r\n",
            &deep,
        ];
        for text in broken {
            assert!(!is_one_reply(text.as_bytes(), 2), "{text:?}");
            assert!(!is_one_reply(text.as_bytes(), 3), "{text:?}");
        }
    }
}
