//! LCS of two values on two shards.
//!
//! In: the two keys with their shards, and the options. Out: requests for the bytes of each value, then the longest
//! common subsequence, its length or its ranges, as Redis finds them: where there are several, the same one. All is
//! asked in one round, so that no later command of the client comes between.
//! Invariants: of a value at most one byte more than `LCS_VALUE_BYTES_MAX` is fetched, and the product of the lengths
//! is at most `LCS_CELLS_MAX`; as on a server, a value that is no string is the error before any fault of the options.

use super::parts::{Keys, ask, each_key, error_of, text};
use super::{Answer, Around, Gather, MISFIT, Step};
use crate::limits::{LCS_CELLS_MAX, LCS_VALUE_BYTES_MAX};
use crate::resp::args::Args;
use crate::resp::request::parse_number;
use crate::resp::value;
use crate::resp::write::{self, Protocol};

const NOT_STRINGS: &str = "ERR The specified keys must contain string values";
const BOTH: &str = "ERR If you want both the length and indexes, please just use IDX.";
const SYNTAX: &str = "ERR syntax error";
const NOT_INTEGER: &str = "ERR value is not an integer or out of range";

/// LCS, which waits for the values.
#[derive(Debug)]
pub struct Lcs(Result<Options, &'static str>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Options {
    length: bool,
    ranges: bool,
    with_lengths: bool,
    shortest: i64,
}

/// Where a common run of bytes is: its first byte in either value, and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: usize,
    second: usize,
    len: usize,
}

/// The common subsequence.
#[derive(Debug, Default, PartialEq, Eq)]
struct Common {
    bytes: Vec<u8>,
    /// From the last run to the first.
    runs: Vec<Run>,
}

/// Asks for the values.
pub(super) fn begin(args: &Args<'_>, keys: Keys<'_>) -> Step {
    let last = LCS_VALUE_BYTES_MAX.to_string();
    let asks = each_key(args, keys)
        .map(|(shard, key)| ask(shard, &[b"GETRANGE", key, b"0", last.as_bytes()]));
    Step::Ask(Gather::Lcs(Lcs(Options::read(args))), asks.collect())
}

impl Options {
    fn read(args: &Args<'_>) -> Result<Options, &'static str> {
        let mut options = Options::default();
        let mut words = args.from(3);
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"IDX") {
                options.ranges = true;
            } else if word.eq_ignore_ascii_case(b"LEN") {
                options.length = true;
            } else if word.eq_ignore_ascii_case(b"WITHMATCHLEN") {
                options.with_lengths = true;
            } else if word.eq_ignore_ascii_case(b"MINMATCHLEN") {
                let number = words.next().ok_or(SYNTAX)?;
                options.shortest = parse_number(number).ok_or(NOT_INTEGER)?;
            } else {
                return Err(SYNTAX);
            }
        }
        if options.ranges && options.length { Err(BOTH) } else { Ok(options) }
    }
}

impl Lcs {
    /// The reply to the values.
    pub(super) fn join(self, answers: &[Answer], around: Around<'_>) -> Step {
        if let Some(error) = error_of(answers) {
            let is_type =
                value::error_text(error).is_some_and(|text| text.starts_with(b"WRONGTYPE"));
            return if is_type { Step::error(NOT_STRINGS) } else { Step::Reply(error.to_vec()) };
        }
        let options = match self.0 {
            Ok(options) => options,
            Err(fault) => return Step::error(fault),
        };
        let [first, second] = answers else {
            return Step::error(MISFIT);
        };
        match (text(&first.reply), text(&second.reply)) {
            (Some(a), Some(b)) if is_too_long(a, b) => Step::error(&too_long()),
            (Some(a), Some(b)) => Step::Reply(options.reply(a, b, around.protocol)),
            _ => Step::error(MISFIT),
        }
    }
}

fn is_too_long(a: &[u8], b: &[u8]) -> bool {
    a.len().max(b.len()) > LCS_VALUE_BYTES_MAX || a.len() * b.len() > LCS_CELLS_MAX
}

fn too_long() -> String {
    format!(
        "CROSSSHARD the keys live on two shards and their values are too long to be compared by the gateway (at most \
         {LCS_VALUE_BYTES_MAX} bytes each, and {LCS_CELLS_MAX} for the product of their lengths); give them one hash \
         tag, as in {{x}}:a and {{x}}:b"
    )
}

impl Options {
    fn reply(self, a: &[u8], b: &[u8], protocol: Protocol) -> Vec<u8> {
        let common = common(a, b);
        let length = i64::try_from(common.bytes.len()).unwrap_or(i64::MAX);
        let mut reply = Vec::new();
        if self.length {
            write::integer(&mut reply, length);
        } else if self.ranges {
            write::map_header(&mut reply, protocol, 2);
            write::bulk(&mut reply, b"matches");
            let is_long = |run: &&Run| i64::try_from(run.len).is_ok_and(|len| len >= self.shortest);
            let runs: Vec<&Run> = common.runs.iter().filter(is_long).collect();
            write::array_header(&mut reply, runs.len());
            runs.into_iter().for_each(|run| run.write(self.with_lengths, &mut reply));
            write::bulk(&mut reply, b"len");
            write::integer(&mut reply, length);
        } else {
            write::bulk(&mut reply, &common.bytes);
        }
        reply
    }
}

impl Run {
    fn write(self, with_length: bool, reply: &mut Vec<u8>) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        write::array_header(reply, 2 + usize::from(with_length));
        for start in [self.first, self.second] {
            write::array_header(reply, 2);
            write::integer(reply, number(start));
            write::integer(reply, number(start + self.len - 1));
        }
        if with_length {
            write::integer(reply, number(self.len));
        }
    }
}

/// The longest common subsequence by the table of all prefixes, walked back from its end as Redis does. Of the table
/// only one bit per cell is kept: whether the way back goes up.
fn common(a: &[u8], b: &[u8]) -> Common {
    let width = b.len();
    let mut goes_up = vec![false; a.len() * width];
    let mut above = vec![0u32; width + 1];
    for (byte, ups) in a.iter().zip(goes_up.chunks_mut(width.max(1))) {
        let (mut diagonal, mut left) = (0, 0);
        for ((other, up), cell) in b.iter().zip(ups).zip(above.iter_mut().skip(1)) {
            let over = *cell;
            let value = if byte == other { diagonal + 1 } else { over.max(left) };
            *up = over > left;
            (*cell, diagonal, left) = (value, over, value);
        }
    }
    let mut found = Common::default();
    let (mut i, mut j) = (a.len(), b.len());
    let mut run: Option<Run> = None;
    while let (Some(last), Some(other)) = (before(a, i), before(b, j)) {
        if last != other {
            found.runs.extend(run.take());
            let up = goes_up.get((i - 1) * width + j - 1).is_some_and(|up| *up);
            if up {
                i -= 1
            } else {
                j -= 1
            }
            continue;
        }
        found.bytes.push(last);
        (i, j) = (i - 1, j - 1);
        // Two matches in a row are one run: the way back went to the byte before in both values.
        run = Some(Run { first: i, second: j, len: 1 + run.map_or(0, |run| run.len) });
    }
    found.runs.extend(run);
    found.bytes.reverse();
    found
}

fn before(bytes: &[u8], end: usize) -> Option<u8> {
    bytes.get(end.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(a: &str, b: &str) -> (String, Vec<(usize, usize, usize)>) {
        let Common { bytes, runs } = common(a.as_bytes(), b.as_bytes());
        let runs = runs.iter().map(|run| (run.first, run.second, run.len)).collect();
        (String::from_utf8(bytes).unwrap(), runs)
    }

    /// Answered by redis-server 7.0.15.
    #[test]
    fn the_common_subsequence_is_the_one_that_a_server_finds() {
        for (a, b, due, due_runs) in [
            ("ohmytext", "mynewtext", "mytext", vec![(4, 5, 4), (2, 0, 2)]),
            ("", "abc", "", vec![]),
            ("abc", "", "", vec![]),
            ("abc", "abc", "abc", vec![(0, 0, 3)]),
            ("ab", "ba", "b", vec![(1, 0, 1)]),
        ] {
            assert_eq!(runs(a, b), (due.to_owned(), due_runs), "{a} {b}");
        }
    }
}
