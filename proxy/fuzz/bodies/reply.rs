//! Replies: the scanner of what shards send, the check of what plugins answer, and the small readings of `value`.
//!
//! Comes in: the cuts, then the bytes. What must hold: the verdict at each cut is that on the whole as far as it can be
//! known; a reply ends where it ends whatever follows; its items together are the reply; a plugin's reply is taken if
//! and only if a strict reader written here takes it, and then the scanner of any client finds exactly one reply.
//! Written after the specification of RESP3 and after what hiredis refuses.

use super::places;
use crate::plugin::limits::REPLY_DEPTH_MAX;
use crate::plugin::reply_check::is_one_reply;
use crate::resp::reply::{ReplyScan, ReplyScanned};
use crate::resp::value;

pub(crate) fn check(input: &[u8]) {
    let (mut cuts, bytes) = places(input);
    let verdict = ReplyScan::default().scan(bytes);
    cuts.push(bytes.len());
    verdict_at_cuts(bytes, &cuts, verdict);
    match verdict {
        ReplyScanned::Complete { len } => complete(bytes, len),
        ReplyScanned::Incomplete | ReplyScanned::Broken => {
            assert_eq!(value::value_len(bytes), None)
        }
    }
    readings(bytes);
    of_plugin(bytes);
}

fn verdict_at_cuts(bytes: &[u8], cuts: &[usize], verdict: ReplyScanned) {
    let mut scan = ReplyScan::default();
    for cut in cuts {
        let piece = &bytes[..*cut];
        let found = scan.scan(piece);
        assert_eq!(ReplyScan::default().scan(piece), found, "afresh, cut at {cut}");
        if found == ReplyScanned::Incomplete {
            assert!(scan.expected() > *cut, "expects {} at {cut}", scan.expected());
            match verdict {
                ReplyScanned::Complete { len } => {
                    assert!(*cut < len && scan.expected() <= len, "incomplete at {cut} of {len}");
                }
                ReplyScanned::Incomplete => {}
                ReplyScanned::Broken => assert!(*cut < bytes.len(), "broken, but not at its end"),
            }
            assert_eq!(scan.scan(piece), found, "twice at {cut}");
        } else {
            assert_eq!(found, verdict, "cut at {cut}");
            scan.reset();
            assert_eq!(scan.scan(bytes), verdict, "after reset");
            return;
        }
    }
}

fn complete(bytes: &[u8], len: usize) {
    assert!(len <= bytes.len());
    let reply = &bytes[..len];
    for behind in [&b""[..], b"+OK\r\n", b"$", b"\r\n", b"\x00"] {
        let followed = [reply, behind].concat();
        assert_eq!(value::value_len(&followed), Some(len), "followed by {behind:?}");
    }
    assert_eq!(value::value_len(&reply[..len - 1]), None, "without its last byte");
    let head = value::head(reply).expect("a whole reply has a head");
    let number = head.number();
    if let Some(items) = value::items(reply) {
        let items: Vec<&[u8]> = items.collect();
        let each = if head.kind == b'%' { 2 } else { 1 };
        let count = usize::try_from(number.expect("a count")).expect("items have a count");
        assert_eq!(items.len(), count * each, "items of a whole reply");
        let again = [&reply[..head.len], &items.concat()].concat();
        assert_eq!(again, reply, "head and items are the reply");
    } else {
        let none = matches!(head.kind, b'*' | b'~' | b'%' | b'>') && number.is_some_and(|n| n >= 0);
        assert!(!none, "a whole aggregate has items");
    }
    if head.kind == b'$' && number != Some(-1) {
        assert_eq!(value::string(reply), Some(&reply[head.len..len - 2]));
    }
    let has_text = head.kind == b'-' || head.kind == b'!' && number != Some(-1);
    assert_eq!(has_text, value::error_text(reply).is_some());
}

/// What is read from any bytes lies in them.
fn readings(bytes: &[u8]) {
    let inside = |part: &[u8]| {
        let range = bytes.as_ptr_range();
        let part = part.as_ptr_range();
        assert!(range.start <= part.start && part.end <= range.end);
    };
    value::string(bytes).into_iter().for_each(inside);
    value::error_text(bytes).into_iter().for_each(inside);
    value::items(bytes).into_iter().flatten().for_each(inside);
    if let Some(head) = value::head(bytes) {
        assert!(head.len <= bytes.len() && head.line.len() + 3 == head.len);
        let number = (head.kind == b':').then(|| head.number()).flatten();
        assert_eq!(value::integer(bytes), number);
    }
}

fn of_plugin(bytes: &[u8]) {
    for resp in [2, 3] {
        let taken = is_one_reply(bytes, resp);
        let strict = one(bytes, resp, 0).is_some_and(<[u8]>::is_empty);
        assert_eq!(taken, strict, "RESP{resp} {}", bytes.escape_ascii());
        if taken {
            let scanned = ReplyScan::default().scan(bytes);
            assert_eq!(scanned, ReplyScanned::Complete { len: bytes.len() }, "RESP{resp}");
        }
    }
}

/// Reads one value of a session's protocol and gives what follows it.
fn one(bytes: &[u8], resp: u8, depth: usize) -> Option<&[u8]> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let (kind, text) = bytes[..end].split_first()?;
    let rest = &bytes[end + 2..];
    if text.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return None;
    }
    let text = std::str::from_utf8(text).ok().filter(|_| !matches!(kind, b'+' | b'-'));
    let count = || text.and_then(canonical::<usize>);
    let children = |count: usize, depth: usize| {
        (depth <= REPLY_DEPTH_MAX).then_some(())?;
        (0..count).try_fold(rest, |rest, _| one(rest, resp, depth))
    };
    match (kind, resp) {
        (b'+' | b'-', _) => Some(rest),
        (b':', _) => canonical::<i64>(text?).map(|_| rest),
        (b'$' | b'*', 2) if text == Some("-1") => Some(rest),
        (b'$', _) | (b'=' | b'!', 3) => {
            let (body, behind) = rest.split_at_checked(count()?)?;
            // A verbatim string says in three letters what it is.
            (*kind != b'=' || body.get(3) == Some(&b':')).then_some(())?;
            behind.strip_prefix(b"\r\n")
        }
        (b'*', _) | (b'~', 3) => children(count()?, depth + 1),
        (b'%', 3) => children(count()?.checked_mul(2)?, depth + 1),
        (b'|', 3) => one(children(count()?.checked_mul(2)?, depth + 1)?, resp, depth),
        (b'_', 3) => (text == Some("")).then_some(rest),
        (b'#', 3) => matches!(text?, "t" | "f").then_some(rest),
        (b'(', 3) => {
            let digits = text?.strip_prefix('-').unwrap_or(text?);
            let good = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            good.then_some(rest)
        }
        (b',', 3) => {
            let text = text?;
            let named = matches!(text, "inf" | "-inf" | "nan" | "-nan");
            let starts = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
            let number =
                starts(text.strip_prefix('-').unwrap_or(text)) && text.parse::<f64>().is_ok();
            (named || number).then_some(rest)
        }
        _ => None,
    }
}

/// A number written as servers write it.
fn canonical<N: std::str::FromStr + ToString>(text: &str) -> Option<N> {
    text.parse::<N>().ok().filter(|number| number.to_string() == text)
}
