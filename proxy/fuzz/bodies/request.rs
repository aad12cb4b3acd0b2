//! Requests: `RequestScan` on RESP and inline requests, whole and cut where the input says.
//!
//! Comes in: a mode byte (bit 0 the bounds before AUTH; 2 or 3 in its low half a run of digits near the bound of a line,
//! put in at the first cut), the cuts, the bytes. What must hold: the verdict at each cut is that on the whole as far as it can be
//! known; arguments lie in the request, within the bounds, and give the same bytes when written again; an inline line
//! has the words that Redis's `sdssplitargs` finds. Written after networking.c and sds.c of Redis 7.0.

use super::places;
use crate::limits;
use crate::resp::args::{Args, Span};
use crate::resp::inline::encode;
use crate::resp::request::{RequestLimits, RequestScan, Scanned};
use crate::resp::write;

pub(crate) fn check(input: &[u8]) {
    let Some((mode, rest)) = input.split_first() else {
        return;
    };
    let limits = if mode & 1 == 0 { RequestLimits::OPEN } else { RequestLimits::BEFORE_AUTH };
    let (mut cuts, text) = places(rest);
    let mut bytes = text.to_vec();
    if mode & 14 == 2 && bytes.len() <= 64 {
        cuts.truncate(2);
        let at = cuts.first().copied().unwrap_or(0);
        let run = vec![b'1'; limits::INLINE_BYTES_MAX - 8 + usize::from(mode >> 4)];
        bytes.splice(at..at, run);
        cuts.push(bytes.len().min(limits::INLINE_BYTES_MAX + 1));
    }
    let mut whole = RequestScan::default();
    let verdict = whole.scan(&bytes, &limits);
    cuts.push(bytes.len());
    verdict_at_cuts(&bytes, &cuts, &limits, &verdict, whole.spans());
    match verdict {
        Scanned::Complete { len } => complete(&bytes[..len], whole.spans(), &limits),
        Scanned::Inline { len } => inline(&bytes[..len]),
        Scanned::Incomplete => {
            // The bytes of an argument not yet here are expected, never more than one argument and its end.
            let most = bytes.len() + limits.bulk_bytes_max + 2;
            assert!(whole.expected() <= most, "expects {}", whole.expected());
        }
        Scanned::Broken(_) => {}
    }
    assert!(whole.spans().len() <= bytes.len() / 5, "an argument takes five bytes at least");
    whole.reset();
    assert_eq!(whole.scan(&bytes, &limits), verdict, "after reset");
}

/// Goes on from cut to cut as on a socket, and looks at each piece afresh.
fn verdict_at_cuts(
    bytes: &[u8],
    cuts: &[usize],
    limits: &RequestLimits,
    verdict: &Scanned,
    spans: &[Span],
) {
    let mut scan = RequestScan::default();
    for cut in cuts {
        let piece = &bytes[..*cut];
        let found = scan.scan(piece, limits);
        assert_eq!(RequestScan::default().scan(piece, limits), found, "afresh, cut at {cut}");
        if found == Scanned::Incomplete {
            let due = match verdict {
                Scanned::Complete { len } | Scanned::Inline { len } => {
                    assert!(scan.expected() <= *len, "expects {}", scan.expected());
                    cut < len
                }
                Scanned::Incomplete | Scanned::Broken(_) => *cut < bytes.len() || verdict == &found,
            };
            assert!(due, "incomplete at {cut}, in all {verdict:?}");
            assert_eq!(scan.scan(piece, limits), Scanned::Incomplete, "twice at {cut}");
        } else {
            assert_eq!(&found, verdict, "cut at {cut}");
            assert_eq!(scan.spans(), spans, "cut at {cut}");
            return;
        }
    }
}

fn complete(request: &[u8], spans: &[Span], limits: &RequestLimits) {
    assert!(spans.len() <= limits.arguments_max);
    let mut end_before = 0;
    for span in spans {
        let (start, len) = (span.start as usize, span.len as usize);
        assert!(end_before < start && start + len + 2 <= request.len(), "{span:?}");
        assert!(len <= limits.bulk_bytes_max, "{span:?}");
        assert_eq!(&request[start + len..start + len + 2], b"\r\n", "{span:?}");
        end_before = start + len + 2;
    }
    let args = Args::new(request, spans);
    let mut again = Vec::new();
    write::request(&mut again, args.from(0));
    if let Some(first) = spans.first() {
        // Numbers have one spelling, so what is written again is what came.
        assert_eq!(again, request);
        let mut behind_name = RequestScan::default();
        let position = (first.start + first.len) as usize + 2;
        behind_name.start_behind_name(*first, position, spans.len() - 1);
        assert_eq!(behind_name.scan(request, limits), Scanned::Complete { len: request.len() });
        assert_eq!(behind_name.spans(), spans, "started behind the name");
    } else {
        assert_eq!(again, b"*0\r\n");
    }
}

fn inline(line: &[u8]) {
    assert!(line.len() <= limits::INLINE_BYTES_MAX + 1 && !line.starts_with(b"*"));
    assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let words = words_of_redis(text.strip_suffix(b"\r").unwrap_or(text));
    let found = encode(line);
    let Some(words) = words else {
        assert!(found.is_err(), "quotes do not close");
        return;
    };
    let found = found.expect("Redis takes this line");
    if words.is_empty() {
        assert_eq!(found, None);
        return;
    }
    let mut due = Vec::new();
    write::request(&mut due, words.iter().map(Vec::as_slice));
    assert_eq!(found.as_ref(), Some(&due), "words {words:?}");
    assert!(due.len() <= 16 * (line.len() + 1), "{} bytes of {}", due.len(), line.len());
    let verdict = RequestScan::default().scan(&due, &RequestLimits::OPEN);
    assert_eq!(verdict, Scanned::Complete { len: due.len() });
    if line.len() < 1_000 {
        assert_eq!(encode(&quoted(&words)), Ok(found), "quoted again");
    }
}

/// The words as a line in which every byte of them is escaped.
fn quoted(words: &[Vec<u8>]) -> Vec<u8> {
    let escape = |byte: &u8| format!("\\x{byte:02X}");
    let word = |word: &Vec<u8>| format!("\"{}\"", word.iter().map(escape).collect::<String>());
    words.iter().map(word).collect::<Vec<_>>().join(" ").into_bytes()
}

/// `sdssplitargs`, step by step as in C: a text ends at its first NUL, which reads as the NUL behind the last byte.
/// `None` when quotes do not close.
fn words_of_redis(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let byte = |at: usize| text.get(at).copied().unwrap_or(0);
    let is_space = |byte: u8| matches!(byte, b' ' | 9..=13);
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        while is_space(byte(at)) {
            at += 1;
        }
        if byte(at) == 0 {
            return Some(words);
        }
        let mut word = Vec::new();
        let mut quote = 0;
        loop {
            let here = byte(at);
            if quote != 0 {
                let next = byte(at + 1);
                if here == 0 {
                    return None;
                } else if quote == b'"'
                    && here == b'\\'
                    && next == b'x'
                    && let (Some(high), Some(low)) = (nibble(byte(at + 2)), nibble(byte(at + 3)))
                {
                    word.push(high << 4 | low);
                    at += 3;
                } else if quote == b'"' && here == b'\\' && next != 0 {
                    at += 1;
                    word.push(match next {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'b' => 8,
                        b'a' => 7,
                        other => other,
                    });
                } else if quote == b'\'' && here == b'\\' && next == b'\'' {
                    at += 1;
                    word.push(b'\'');
                } else if here == quote {
                    if next != 0 && !is_space(next) {
                        return None;
                    }
                    at += 1;
                    break;
                } else {
                    word.push(here);
                }
            } else {
                match here {
                    b' ' | b'\n' | b'\r' | b'\t' | 0 => break,
                    b'"' | b'\'' => quote = here,
                    other => word.push(other),
                }
            }
            at += 1;
        }
        words.push(word);
    }
}
