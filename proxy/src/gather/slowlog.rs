//! SLOWLOG GET and COMMANDLOG GET over all shards: one list of what was slow anywhere, the newest first.
//!
//! In: how many entries are wanted, and each shard's entries. Out: the newest of all. An entry stays as its shard has
//! it but for two fields: its number carries the shard's place among the names, in the low 12 bits, as a SCAN cursor
//! does, so that it is the same in every answer and differs over the shards; and the client's name, which would be the
//! gateway's own, is the shard's name.

use super::everywhere::{ask_every_shard, refusal};
use super::{Answer, Around, Gather, MISFIT, Step};
use crate::limits::SHARDS_MAX;
use crate::resp::args::Args;
use crate::resp::request::parse_number;
use crate::resp::{value, write};

const BAD_COUNT: &str = "ERR count should be greater than or equal to -1";
/// Entries where the client does not say how many.
const DEFAULT_COUNT: usize = 10;
/// Where the client's name stands in an entry.
const CLIENT_NAME: usize = 5;

/// One entry of a shard.
struct Entry<'a> {
    time: i64,
    number: i64,
    shard_name: &'a str,
    fields: Vec<&'a [u8]>,
}

/// Asks every shard for as many entries as are wanted.
pub(super) fn begin(args: &Args<'_>, around: Around<'_>) -> Step {
    let count = match args.get(2).map(parse_number) {
        None => DEFAULT_COUNT,
        Some(Some(-1)) => usize::MAX,
        Some(Some(count)) if count >= 0 => usize::try_from(count).unwrap_or(usize::MAX),
        Some(_) => return Step::error(BAD_COUNT),
    };
    Step::Ask(Gather::Slowlog { count }, ask_every_shard(args.raw(), around))
}

/// The newest `count` entries.
pub(super) fn join(count: usize, answers: &[Answer], around: Around<'_>) -> Vec<u8> {
    if let Some(error) = refusal(answers, around) {
        return error;
    }
    let mut reply = Vec::new();
    let Some(mut entries) = entries(answers, around) else {
        write::error(&mut reply, MISFIT);
        return reply;
    };
    entries.sort_by_key(|entry| std::cmp::Reverse((entry.time, entry.number)));
    entries.truncate(count);
    write::array_header(&mut reply, entries.len());
    for entry in entries {
        write::array_header(&mut reply, entry.fields.len());
        write::integer(&mut reply, entry.number);
        for (index, field) in entry.fields.iter().enumerate().skip(1) {
            match index {
                CLIENT_NAME => write::bulk(&mut reply, entry.shard_name.as_bytes()),
                _ => reply.extend_from_slice(field),
            }
        }
    }
    reply
}

fn entries<'a>(answers: &'a [Answer], around: Around<'a>) -> Option<Vec<Entry<'a>>> {
    let mut entries = Vec::new();
    for answer in answers {
        let place = around.by_name.iter().position(|shard| *shard == answer.shard)?;
        for entry in value::items(&answer.reply)? {
            let fields: Vec<&[u8]> = value::items(entry)?.collect();
            let number = value::integer(fields.first()?)?;
            entries.push(Entry {
                time: value::integer(fields.get(1)?)?,
                number: number
                    .saturating_mul(i64::try_from(SHARDS_MAX).ok()?)
                    .saturating_add(i64::try_from(place).ok()?),
                shard_name: around.shard_name(answer.shard),
                fields,
            });
        }
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::test_support::{Pool, answers};
    use crate::resp::sample::Request;

    fn entry(number: i64, time: i64, name: &str) -> String {
        let name = format!("${}\r\n{name}\r\n", name.len());
        format!("*6\r\n:{number}\r\n:{time}\r\n:9\r\n*1\r\n$4\r\nKEYS\r\n$3\r\na:1\r\n{name}")
    }

    #[test]
    fn the_newest_of_all_come_first_and_say_their_shard() {
        // In the order of names: a is shard 1, b is shard 0.
        let pool = Pool::new(&["b", "a"]);
        let of_b = format!("*2\r\n{}{}", entry(1, 50, ""), entry(0, 30, ""));
        let of_a = format!("*2\r\n{}{}", entry(8, 50, ""), entry(7, 40, ""));
        let expected = [
            entry(8 << 12, 50, "a"),
            entry((1 << 12) + 1, 50, "b"),
            entry(7 << 12, 40, "a"),
            entry(1, 30, "b"),
        ];
        for (count, shown) in [(10, 4), (3, 3), (0, 0)] {
            let reply = join(count, &answers(&[&of_b, &of_a]), pool.around());
            let due = format!("*{shown}\r\n{}", expected[..shown].concat());
            assert_eq!(String::from_utf8(reply).unwrap(), due);
        }
        let broken = join(10, &answers(&["*1\r\n:1\r\n", "*0\r\n"]), pool.around());
        assert!(broken.starts_with(b"-ERR a shard's reply"));
    }

    #[test]
    fn the_count_is_ten_any_number_or_all() {
        let pool = Pool::new(&["a", "b"]);
        let cases: &[(&str, Option<usize>)] = &[
            ("SLOWLOG GET", Some(10)),
            ("SLOWLOG GET 3", Some(3)),
            ("SLOWLOG GET -1", Some(usize::MAX)),
            ("COMMANDLOG GET 5 slow", Some(5)),
            ("SLOWLOG GET -2", None),
            ("SLOWLOG GET x", None),
        ];
        for (words, expected) in cases {
            let request = Request::words(words);
            match (begin(&request.args(), pool.around()), expected) {
                (Step::Ask(Gather::Slowlog { count }, asks), Some(due)) => {
                    assert_eq!((count, asks.len()), (*due, 2), "{words}");
                }
                (Step::Reply(reply), None) => {
                    assert_eq!(reply, format!("-{BAD_COUNT}\r\n").as_bytes(), "{words}");
                }
                (other, _) => panic!("{words}: {other:?}"),
            }
        }
    }
}
