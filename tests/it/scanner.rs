//! The hot path's scanners against the redis-protocol crate: the same verdict on every input.
//!
//! Comes in: valid requests and replies made from a seed, RESP2 and RESP3, nested, and the same with bytes changed,
//! dropped or put in. Every prefix of each is judged by both: whole (and how long), unfinished, or broken; the
//! scanner goes on from prefix to prefix, as it does on a socket. What is valid has one right verdict at each cut. For
//! the rest, where our scanner is stricter or looser on purpose, `excuse` names the reason; anything else fails with
//! the input. `SEED=n` replays.

use redis_protocol::resp2::decode::decode as decode_resp2;
use redis_protocol::resp2::types::OwnedFrame;
use redis_protocol::resp3::decode::complete::decode as decode_resp3;
use sluicegate::resp::reply::{ReplyScan, ReplyScanned};
use sluicegate::resp::request::{RequestLimits, RequestScan, Scanned};
use sluicegate_tests::rng::Rng;

const CASES: usize = 6_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Whole(usize),
    Unfinished,
    Broken,
}

#[test]
fn replies_get_the_same_verdict_as_from_redis_protocol_at_every_cut() {
    let mut rng = Rng::from_env(11);
    let mut agreed = [0_usize; 3];
    for case in 0..CASES {
        let mut reply = Vec::new();
        value(&mut rng, 3, &mut reply);
        let valid = case % 2 == 0;
        if !valid {
            mutate(&mut rng, &mut reply);
        }
        let mut scan = ReplyScan::default();
        for cut in 0..=reply.len() {
            let prefix = &reply[..cut];
            let ours = match scan.scan(prefix) {
                ReplyScanned::Complete { len } => Verdict::Whole(len),
                ReplyScanned::Incomplete => Verdict::Unfinished,
                ReplyScanned::Broken => Verdict::Broken,
            };
            if valid {
                assert_eq!(ours, due(prefix, reply.len()), "{}", prefix.escape_ascii());
            }
            compare(ours, reply_oracle(prefix), prefix, &mut agreed);
            if ours != Verdict::Unfinished {
                break;
            }
        }
    }
    assert!(agreed.iter().all(|count| *count > 500), "too few of a kind: {agreed:?}");
}

#[test]
fn requests_get_the_same_verdict_as_from_redis_protocol_at_every_cut() {
    let mut rng = Rng::from_env(12);
    let mut agreed = [0_usize; 3];
    for case in 0..CASES {
        let mut request = format!("*{}\r\n", 1 + rng.below(5)).into_bytes();
        let count = request[1] - b'0';
        for _ in 0..count {
            bulk(&mut rng, &mut request);
        }
        let valid = case % 2 == 0;
        if !valid {
            mutate(&mut rng, &mut request);
        }
        if request.first() != Some(&b'*') {
            continue;
        }
        let mut scan = RequestScan::default();
        for cut in 0..=request.len() {
            let prefix = &request[..cut];
            let ours = match scan.scan(prefix, &RequestLimits::OPEN) {
                Scanned::Complete { len } => Verdict::Whole(len),
                Scanned::Incomplete => Verdict::Unfinished,
                Scanned::Inline { .. } | Scanned::Broken(_) => Verdict::Broken,
            };
            if valid {
                assert_eq!(ours, due(prefix, request.len()), "{}", prefix.escape_ascii());
            }
            compare(ours, request_oracle(prefix), prefix, &mut agreed);
            if ours != Verdict::Unfinished {
                break;
            }
        }
    }
    assert!(agreed.iter().all(|count| *count > 500), "too few of a kind: {agreed:?}");
}

/// Bytes of any kind make no scanner panic, whatever the verdict.
#[test]
fn scanners_survive_any_bytes() {
    let mut rng = Rng::from_env(13);
    let alphabet = b"*$:+-_#,(!=%~>|0123456789\r\nabt \x00\xff";
    for _ in 0..CASES * 10 {
        let len = rng.below(40);
        let bytes: Vec<u8> = (0..len).map(|_| alphabet[rng.below(alphabet.len())]).collect();
        let reply = ReplyScan::default().scan(&bytes);
        if let ReplyScanned::Complete { len } = reply {
            assert!(len <= bytes.len(), "{bytes:?}");
        }
        let mut scan = RequestScan::default();
        if let Scanned::Complete { len } = scan.scan(&bytes, &RequestLimits::OPEN) {
            assert!(len <= bytes.len(), "{bytes:?}");
            for span in scan.spans() {
                assert!((span.start + span.len) as usize <= len, "{bytes:?}");
            }
        }
    }
}

/// The verdict on the beginning of something valid that is `whole` bytes long.
fn due(prefix: &[u8], whole: usize) -> Verdict {
    if prefix.len() == whole { Verdict::Whole(whole) } else { Verdict::Unfinished }
}

fn compare(ours: Verdict, theirs: Verdict, input: &[u8], agreed: &mut [usize; 3]) {
    if ours == theirs {
        agreed[match ours {
            Verdict::Whole(_) => 0,
            Verdict::Unfinished => 1,
            Verdict::Broken => 2,
        }] += 1;
        return;
    }
    let shown = String::from_utf8_lossy(input);
    assert!(excuse(ours, theirs, input).is_some(), "{shown:?}: ours {ours:?}, theirs {theirs:?}");
}

/// Why the two may differ.
fn excuse(ours: Verdict, theirs: Verdict, input: &[u8]) -> Option<&'static str> {
    let has = |part: &[u8]| input.windows(part.len()).any(|window| window == part);
    match (ours, theirs) {
        (Verdict::Broken, Verdict::Whole(_) | Verdict::Unfinished) => {
            if !bulk_ends_agree(input) {
                return Some("a bulk string must end in CRLF; redis-protocol takes any two bytes");
            }
            if input.windows(2).any(|w| w[0] == b'\r' && w[1] != b'\n') {
                return Some("a line ends at its first CR; redis-protocol looks for CRLF");
            }
            if [b":+", b"$+", b"*+", b"%+", b"~+", b">+", b"|+", b"=+", b"!+"]
                .iter()
                .any(|p| has(*p))
                || has_odd_number(input)
            {
                return Some(
                    "numbers are written as servers write them: no +, no leading zero, no -0",
                );
            }
            if input.starts_with(b"*") && other_argument(input) {
                return Some("an argument that is no bulk string is told at once");
            }
            has(b"?\r")
                .then_some("streamed types are sent by no server")
                .or_else(|| {
                    has(b"_").then_some("nothing stands behind a null").or_else(|| {
                        bad_mark(input)
                            .then_some("an unknown mark is broken at once; redis-protocol reads on")
                    })
                })
                .or_else(|| has_huge_count(input).then_some("more elements than any bound allows"))
                .or_else(|| long_size(input).then_some("a size of more than 24 bytes is none"))
                .or_else(|| {
                    has_negative_size(input)
                        .then_some("only -1 is a size below zero, and only of $ and *")
                })
        }
        (Verdict::Whole(_) | Verdict::Unfinished, Verdict::Broken) => {
            if has(b",") || has(b"(") || has(b"=") || has(b"|") {
                return Some(
                    "doubles, big numbers, verbatim formats and the places of attributes are not looked at",
                );
            }
            if std::str::from_utf8(input).is_err() {
                return Some("texts may hold any bytes");
            }
            (has(b"%") || has(b"~") || has(b">"))
                .then_some("contents of maps, sets and pushes are not looked at")
                .or_else(|| {
                    unfinished_bad_line(input)
                        .then_some("a bad line is judged when its end has come")
                })
                .or_else(|| {
                    has(b"-1\r\n").then_some("null bulk strings and arrays exist in RESP2 only")
                })
        }
        _ => None,
    }
}

fn bulk_ends_agree(input: &[u8]) -> bool {
    // Any `$n` whose body is not followed by CRLF, looked for at every place.
    let mut at = 0;
    while at < input.len() {
        if matches!(input[at], b'$' | b'=' | b'!')
            && let Some(end) = input[at..].windows(2).position(|w| w == b"\r\n")
            && let Ok(text) = std::str::from_utf8(&input[at + 1..at + end])
            && let Ok(len) = text.parse::<usize>()
        {
            let stop = at + end + 2 + len;
            if stop + 2 <= input.len() && &input[stop..stop + 2] != b"\r\n" {
                return false;
            }
        }
        at += 1;
    }
    true
}

fn has_odd_number(input: &[u8]) -> bool {
    input.windows(3).any(|w| {
        b"$*:%~>|=!".contains(&w[0])
            && ((w[1] == b'0' && w[2].is_ascii_digit()) || (w[1] == b'-' && w[2] == b'0'))
    })
}

/// Whether a line of a request begins with a mark that is no bulk string's.
fn other_argument(input: &[u8]) -> bool {
    input.windows(3).any(|w| w[..2] == *b"\r\n" && b"+-:*".contains(&w[2]))
}

fn has_negative_size(input: &[u8]) -> bool {
    input.windows(2).any(|w| b"$*%~>|=!".contains(&w[0]) && w[1] == b'-')
}

/// Whether a value begins with a mark that no type has. What lies inside a bulk string is not looked at.
fn bad_mark(input: &[u8]) -> bool {
    let mut rest = input;
    while let Some(mark) = rest.first() {
        if !b"+-:_#,($=!*~>%|".contains(mark) {
            return true;
        }
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return false;
        };
        let payload = match mark {
            b'$' | b'=' | b'!' => std::str::from_utf8(&rest[1..end]).ok(),
            _ => None,
        };
        let payload = payload.and_then(|text| text.parse::<usize>().ok()).map_or(0, |len| len + 2);
        rest = rest.get(end + 2 + payload..).unwrap_or_default();
    }
    false
}

fn has_huge_count(input: &[u8]) -> bool {
    let lines = input.split(|byte| *byte == b'\n');
    lines.into_iter().any(|line| {
        matches!(line, [b'*' | b'$' | b'~' | b'%' | b'>' | b'|' | b'=' | b'!', size @ ..] if size.len() > 7)
    })
}

fn long_size(input: &[u8]) -> bool {
    input.split(|byte| *byte == b'\n').any(|line| line.len() > 24)
}

fn unfinished_bad_line(input: &[u8]) -> bool {
    !input.ends_with(b"\r\n")
}

fn reply_oracle(input: &[u8]) -> Verdict {
    let resp2 = match decode_resp2(input) {
        Ok(Some((_, len))) => Verdict::Whole(len),
        Ok(None) => Verdict::Unfinished,
        Err(_) => Verdict::Broken,
    };
    if resp2 != Verdict::Broken {
        return resp2;
    }
    match decode_resp3(input) {
        Ok(Some((_, len))) => Verdict::Whole(len),
        Ok(None) => Verdict::Unfinished,
        Err(_) => Verdict::Broken,
    }
}

fn request_oracle(input: &[u8]) -> Verdict {
    match decode_resp2(input) {
        Ok(Some((OwnedFrame::Array(items), len))) => {
            let bulks = items.iter().all(|item| matches!(item, OwnedFrame::BulkString(_)));
            if bulks { Verdict::Whole(len) } else { Verdict::Broken }
        }
        Ok(Some((OwnedFrame::Null, len))) if input.starts_with(b"*") => Verdict::Whole(len),
        Ok(Some(_)) => Verdict::Broken,
        Ok(None) => Verdict::Unfinished,
        Err(_) => Verdict::Broken,
    }
}

/// Appends a random valid value.
fn value(rng: &mut Rng, depth: usize, out: &mut Vec<u8>) {
    let kinds = if depth == 0 { 9 } else { 14 };
    match rng.below(kinds) {
        0 => line(rng, b'+', out),
        1 => line(rng, b'-', out),
        2 => out.extend_from_slice(format!(":{}\r\n", rng.between(-1000, 100_000)).as_bytes()),
        3 | 4 => bulk(rng, out),
        5 => out.extend_from_slice(b"_\r\n"),
        6 => out.extend_from_slice(if rng.one_in(2) { b"#t\r\n" } else { b"#f\r\n" }),
        7 => out.extend_from_slice(format!(",{}.5\r\n", rng.between(-99, 99)).as_bytes()),
        8 => out.extend_from_slice(format!("({}\r\n", rng.bits()).as_bytes()),
        9 | 10 => aggregate(rng, depth, (b'*', 1), out),
        11 => aggregate(rng, depth, (b'~', 1), out),
        12 => aggregate(rng, depth, (b'%', 2), out),
        _ => out.extend_from_slice(if rng.one_in(2) { b"$-1\r\n" } else { b"*-1\r\n" }),
    }
}

fn aggregate(rng: &mut Rng, depth: usize, (mark, width): (u8, usize), out: &mut Vec<u8>) {
    let count = rng.below(4);
    out.push(mark);
    out.extend_from_slice(format!("{count}\r\n").as_bytes());
    for item in 0..count * width {
        if width == 2 && item % 2 == 0 {
            // Keys of a map differ, as servers' do.
            out.extend_from_slice(format!("+k{item}\r\n").as_bytes());
        } else if mark == b'~' {
            out.extend_from_slice(format!(":{item}\r\n").as_bytes());
        } else {
            value(rng, depth - 1, out);
        }
    }
}

fn line(rng: &mut Rng, mark: u8, out: &mut Vec<u8>) {
    out.push(mark);
    let len = rng.below(12);
    out.extend((0..len).map(|_| b'a' + u8::try_from(rng.below(26)).unwrap_or(0)));
    out.extend_from_slice(b"\r\n");
}

fn bulk(rng: &mut Rng, out: &mut Vec<u8>) {
    let len = rng.below(20);
    let bytes = rng.bytes(len);
    out.extend_from_slice(format!("${len}\r\n").as_bytes());
    out.extend_from_slice(&bytes);
    out.extend_from_slice(b"\r\n");
}

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=rng.below(2) {
        let at = rng.below(bytes.len());
        match rng.below(3) {
            0 => bytes[at] = *b"\r\n*$:+-_#0123456789x".get(rng.below(20)).unwrap_or(&0),
            1 => {
                bytes.remove(at);
            }
            _ => bytes.insert(at, b'0' + u8::try_from(rng.below(10)).unwrap_or(0)),
        }
        if bytes.is_empty() {
            bytes.push(b'+');
        }
    }
}
