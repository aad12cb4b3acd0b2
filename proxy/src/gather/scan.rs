//! SCAN: one shard after the other, by a cursor that carries the shard.
//!
//! ```text
//!   cursor = shard's own cursor << 12 | the shard's position among the names in order
//! ```
//! In: a cursor and SCAN's options, which the shard reads. Out: one shard's part of the walk with the cursor behind it.
//! Invariants: 0 is only the start of the first shard and the end of the last; a key that stays is seen, because each
//! shard is walked from its own start to its own end; no state is kept here, so any cursor can be taken up at any time,
//! by any worker. Cursors stay below 2^53 up to 2^41 keys per shard, so clients that read them as doubles lose nothing.
//! One shard: its own cursors, unchanged.

use super::everywhere::refusal;
use super::{Answer, Around, Ask, Gather, MISFIT, Step, shown};
use crate::limits::SHARDS_MAX;
use crate::resp::args::Args;
use crate::resp::{value, write};
use crate::topology::ShardIndex;

const INVALID_CURSOR: &str = "ERR invalid cursor";
/// Bits of a cursor that tell the shard's position.
const POSITION_BITS: u32 = 12;
const _: () = assert!(SHARDS_MAX == 1 << POSITION_BITS);

/// A SCAN that waits for a shard's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// Where the shard stands among the names in order.
    position: usize,
}

/// Asks the shard that the cursor names.
pub(super) fn begin(args: &Args<'_>, around: Around<'_>) -> Step {
    let cursor = args.get(1).and_then(read_cursor);
    let (position, cursor) = match cursor {
        None => return Step::error(INVALID_CURSOR),
        Some(cursor) if around.by_name.len() <= 1 => (0, cursor),
        Some(cursor) => {
            let position = cursor & ((1 << POSITION_BITS) - 1);
            (usize::try_from(position).unwrap_or(usize::MAX), cursor >> POSITION_BITS)
        }
    };
    let Some(shard) = around.by_name.get(position) else {
        return Step::error(INVALID_CURSOR);
    };
    let cursor = cursor.to_string();
    let words: Vec<&[u8]> = [b"SCAN", cursor.as_bytes()].into_iter().chain(args.from(2)).collect();
    let mut request = Vec::new();
    write::request(&mut request, words.into_iter());
    Step::Ask(Gather::Scan(Scan { position }), vec![Ask { shard: *shard, request }])
}

impl Scan {
    /// The shard's keys, and where the walk goes on.
    pub(super) fn join(self, answers: &[Answer], around: Around<'_>) -> Vec<u8> {
        let mut reply = Vec::new();
        let Some(answer) = answers.first() else {
            return reply;
        };
        if let Some(error) = refusal(answers, around) {
            return error;
        }
        let Some((cursor, keys)) = part(answer) else {
            write::error(&mut reply, MISFIT);
            return reply;
        };
        let Some(cursor) = self.next(cursor, around.by_name.len()) else {
            write::error(
                &mut reply,
                "ERR the shard's cursor is too large to carry the shard's name",
            );
            return reply;
        };
        let keys: Vec<&[u8]> = keys.filter(|key| shown(answer.shard, key, around)).collect();
        write::array_header(&mut reply, 2);
        write::bulk(&mut reply, cursor.to_string().as_bytes());
        write::array_header(&mut reply, keys.len());
        keys.iter().for_each(|key| reply.extend_from_slice(key));
        reply
    }

    /// The cursor behind a shard's `cursor`; 0 at the end of the last shard.
    fn next(self, cursor: u64, shards: usize) -> Option<u64> {
        if shards <= 1 {
            return Some(cursor);
        }
        let position = match cursor {
            0 if self.position + 1 >= shards => return Some(0),
            0 => self.position + 1,
            _ => self.position,
        };
        let shifted = cursor.checked_mul(1 << POSITION_BITS)?;
        Some(shifted | u64::try_from(position).ok()?)
    }
}

/// The cursor and the keys in a shard's reply.
fn part(answer: &Answer) -> Option<(u64, impl Iterator<Item = &[u8]>)> {
    let mut items = value::items(&answer.reply)?;
    let cursor = read_cursor(value::string(items.next()?)?)?;
    Some((cursor, value::items(items.next()?)?))
}

/// A cursor as Redis 7.0 takes it, which is as C's `strtoul` does: nothing is 0, and a sign is obeyed.
fn read_cursor(text: &[u8]) -> Option<u64> {
    let (is_negative, digits) = match text {
        [] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if is_negative { number.wrapping_neg() } else { number })
}

/// The shards by the order of their names.
pub(crate) fn by_name(names: &[String]) -> Vec<ShardIndex> {
    let mut order: Vec<(ShardIndex, &String)> = (0..).zip(names).collect();
    order.sort_by_key(|(_, name)| *name);
    order.into_iter().map(|(shard, _)| shard).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::test_support::{Pool, answers_of, key_on};
    use crate::resp::sample::Request;

    fn ask(pool: &Pool, words: &[&[u8]]) -> Result<(Scan, Ask), String> {
        let request = Request::new(words);
        match begin(&request.args(), pool.around()) {
            Step::Ask(Gather::Scan(scan), mut asks) => Ok((scan, asks.remove(0))),
            Step::Ask(..) => panic!("another command"),
            Step::Reply(reply) => Err(String::from_utf8(reply).unwrap()),
        }
    }

    #[test]
    fn a_cursor_is_read_as_redis_7_does() {
        let cases: &[(&[u8], Option<u64>)] = &[
            (b"0", Some(0)),
            (b"00", Some(0)),
            (b"", Some(0)),
            (b"+5", Some(5)),
            (b"-1", Some(u64::MAX)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b" 5", None),
            (b"5 ", None),
            (b"0x1", None),
            (b"-", None),
            (b"abc", None),
        ];
        for (text, expected) in cases {
            assert_eq!(read_cursor(text), *expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn the_walk_goes_by_the_order_of_names_and_ends() {
        // In the order of names: c is shard 1, m is shard 2, x is shard 0.
        let pool = Pool::new(&["x", "c", "m"]);
        let cases: &[(&str, ShardIndex, &str, &str)] = &[
            ("0", 1, "0", "7"),
            (&(7u64 << 12).to_string(), 1, "7", "0"),
            ("1", 2, "0", "0"),
            ("2", 0, "0", "4503599627370495"),
            (&((4_503_599_627_370_495u64 << 12) | 2).to_string(), 0, "4503599627370495", "0"),
        ];
        let nexts = [(7u64 << 12).to_string(), "1".into(), "2".into(), String::new(), "0".into()];
        for ((cursor, shard, own, answered), next) in cases.iter().zip(nexts) {
            let (scan, ask) = ask(&pool, &[b"scan", cursor.as_bytes(), b"COUNT", b"5"]).unwrap();
            let sent = format!(
                "*4\r\n$4\r\nSCAN\r\n${}\r\n{own}\r\n$5\r\nCOUNT\r\n$1\r\n5\r\n",
                own.len()
            );
            assert_eq!((ask.shard, String::from_utf8(ask.request).unwrap()), (*shard, sent));
            let reply = format!("*2\r\n${}\r\n{answered}\r\n*0\r\n", answered.len());
            let reply = scan.join(&answers_of(&[(*shard, reply.as_bytes())]), pool.around());
            let next = if next.is_empty() {
                ((4_503_599_627_370_495u64 << 12) | 2).to_string()
            } else {
                next
            };
            assert_eq!(
                String::from_utf8(reply).unwrap(),
                format!("*2\r\n${}\r\n{next}\r\n*0\r\n", next.len())
            );
        }
    }

    #[test]
    fn cursors_that_no_shard_gave_are_refused() {
        let pool = Pool::new(&["a", "b"]);
        for cursor in ["2", "4095", "x", "-1", "18446744073709551616"] {
            let refused = ask(&pool, &[b"SCAN", cursor.as_bytes()]).unwrap_err();
            assert_eq!(refused, "-ERR invalid cursor\r\n", "{cursor}");
        }
        let alone = Pool::new(&["a"]);
        let (_, sent) = ask(&alone, &[b"SCAN", b"-1"]).unwrap();
        assert!(sent.request.ends_with(b"18446744073709551615\r\n"), "one shard: its own cursors");
        let huge = u64::MAX.to_string();
        let reply = format!("*2\r\n${}\r\n{huge}\r\n*0\r\n", huge.len());
        let reply = Scan { position: 0 }.join(&answers_of(&[(0, reply.as_bytes())]), pool.around());
        assert!(reply.starts_with(b"-ERR the shard's cursor"));
    }

    #[test]
    fn hidden_and_foreign_keys_are_left_out() {
        let pool = Pool::new(&["a", "b"]);
        let (own, foreign) = (key_on(&pool, 0), key_on(&pool, 1));
        let beside = format!("{{{own}}}:sg:lease");
        let keys = [&own, &foreign, &beside].map(|key| format!("${}\r\n{key}\r\n", key.len()));
        let reply = format!("*2\r\n$1\r\n0\r\n*3\r\n{}", keys.concat());
        let reply = Scan { position: 0 }.join(&answers_of(&[(0, reply.as_bytes())]), pool.around());
        let expected = format!("*2\r\n$1\r\n1\r\n*1\r\n{}", keys[0]);
        assert_eq!(String::from_utf8(reply).unwrap(), expected);
    }

    #[test]
    fn replies_that_are_no_part_of_a_scan_are_an_error() {
        let pool = Pool::new(&["a", "b"]);
        for reply in
            ["+OK\r\n", "*1\r\n$1\r\n0\r\n", "*2\r\n$1\r\nx\r\n*0\r\n", "*2\r\n:0\r\n*0\r\n", ""]
        {
            let reply =
                Scan { position: 0 }.join(&answers_of(&[(0, reply.as_bytes())]), pool.around());
            assert!(reply.starts_with(b"-ERR a shard's reply"), "{}", reply.escape_ascii());
        }
    }
}
