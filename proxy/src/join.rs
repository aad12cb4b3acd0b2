//! The replies of a split command's parts become one reply.
//!
//! In: the join rule, the key places of each part, and the raw reply of each part in any order. Out: one raw reply.
//! Numbers are added and OKs are counted as they come; only MGET keeps its replies, and copies their elements as bytes
//! into the order of the keys, so that it serves RESP2 and RESP3 alike.
//! Invariants: the result is there when every part has been filled once; an error of any part makes the whole an error,
//! and for writes the error says when other parts were applied. A reply that does not fit the rule is an error too.

use crate::command::rule::JoinRule;
use crate::resp::value;
use crate::resp::write;

/// A reply that is not of the form that was asked for.
pub const MISFIT: &[u8] =
    b"ERR a shard's reply does not fit the part of the request that it was sent";
/// How the gateway's own errors end where a command may have run.
pub const UNKNOWN: &[u8] = b"outcome unknown";
/// What is added to the error of a write that was carried out in part.
pub const APPLIED: &[u8] = b"; parts on other shards were applied";

/// A split command whose replies are coming in.
#[derive(Debug)]
pub struct Join {
    rule: JoinRule,
    is_write: bool,
    keys: usize,
    parts: Vec<Part>,
    missing: usize,
    /// Sum of the numbers so far.
    sum: i64,
    /// Text of the first error that came in.
    error: Option<Vec<u8>>,
    /// Parts that were answered without an error.
    succeeded: usize,
    kept_bytes: usize,
}

#[derive(Debug)]
struct Part {
    positions: Vec<u32>,
    filled: bool,
    /// Kept for `JoinRule::Elements` only.
    reply: Vec<u8>,
}

impl Join {
    /// `positions` holds, per part, the number of each of its keys among the `keys` keys of the whole.
    pub fn new(
        rule: JoinRule,
        is_write: bool,
        keys: usize,
        positions: impl Iterator<Item = Vec<u32>>,
    ) -> Join {
        let parts: Vec<Part> = positions
            .map(|positions| Part { positions, filled: false, reply: Vec::new() })
            .collect();
        Join {
            rule,
            is_write,
            keys,
            missing: parts.len(),
            parts,
            sum: 0,
            error: None,
            succeeded: 0,
            kept_bytes: 0,
        }
    }

    /// Whether every part has been filled.
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Bytes kept until the join is complete.
    pub fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Takes the complete reply of one part; says whether it was the last that was missing. The gateway's own errors
    /// (a shard that is down) come in as replies too. A part that has its reply keeps it.
    pub fn fill(&mut self, part: usize, reply: &[u8]) -> bool {
        let Some(slot) = self.parts.get_mut(part).filter(|slot| !slot.filled) else {
            return self.is_complete();
        };
        slot.filled = true;
        self.missing -= 1;
        match read(self.rule, slot.positions.len(), reply) {
            Ok(number) => {
                self.succeeded += 1;
                self.sum = self.sum.saturating_add(number);
                if self.rule == JoinRule::Elements {
                    slot.reply = reply.to_vec();
                    self.kept_bytes += reply.len();
                }
            }
            // Of a write, one part that may have been applied says more than one that was not.
            Err(text) if self.is_write && text.ends_with(UNKNOWN) => {
                self.error = Some(text.to_vec());
            }
            Err(text) => {
                self.error.get_or_insert_with(|| text.to_vec());
            }
        }
        self.is_complete()
    }

    /// The one reply. To be called once every part has been filled; parts that are not count as misfits.
    pub fn finish(mut self) -> Vec<u8> {
        if self.missing > 0 {
            self.error.get_or_insert_with(|| MISFIT.to_vec());
        }
        let mut out = Vec::new();
        match (&mut self.error, self.rule) {
            (Some(text), _) => {
                if self.is_write && self.succeeded > 0 {
                    text.extend_from_slice(APPLIED);
                }
                write::error_bytes(&mut out, text);
            }
            (None, JoinRule::Ok) => write::simple(&mut out, "OK"),
            (None, JoinRule::Sum) => write::integer(&mut out, self.sum),
            (None, JoinRule::Elements) => self.write_elements(&mut out),
        }
        out
    }

    fn write_elements(&self, out: &mut Vec<u8>) {
        let mut elements: Vec<&[u8]> = vec![&[]; self.keys];
        for part in &self.parts {
            let mut rest = body(&part.reply);
            for position in &part.positions {
                // `read` has seen that there are as many elements as keys.
                let len = value::value_len(rest).unwrap_or(rest.len());
                let (element, behind) = rest.split_at_checked(len).unwrap_or((rest, &[]));
                if let Some(place) = elements.get_mut(*position as usize) {
                    *place = element;
                }
                rest = behind;
            }
        }
        out.reserve(elements.iter().map(|element| element.len()).sum::<usize>() + 16);
        write::array_header(out, elements.len());
        for element in elements {
            out.extend_from_slice(element);
        }
    }
}

/// What a part's reply adds to the sum, or the text of its error.
fn read(rule: JoinRule, keys: usize, reply: &[u8]) -> Result<i64, &[u8]> {
    if let Some(text) = value::error_text(reply) {
        return Err(text);
    }
    let head = value::head(reply).ok_or(MISFIT)?;
    match (rule, head.kind) {
        (JoinRule::Ok, b'+') => Ok(0),
        (JoinRule::Sum, b':') => head.number().ok_or(MISFIT),
        (JoinRule::Elements, b'*') if has_elements(reply, keys) => Ok(0),
        (JoinRule::Ok | JoinRule::Sum | JoinRule::Elements, _) => Err(MISFIT),
    }
}

/// Whether `reply` is an array of exactly `count` whole elements.
fn has_elements(reply: &[u8], count: usize) -> bool {
    let announced = value::head(reply).and_then(|head| head.number());
    announced == i64::try_from(count).ok() && value::value_len(reply) == Some(reply.len())
}

/// A reply without its first line.
fn body(reply: &[u8]) -> &[u8] {
    value::head(reply).and_then(|head| reply.get(head.len..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills the parts in both orders and compares the result.
    fn check(rule: JoinRule, is_write: bool, parts: &[(&[u32], &str)], expected: &str) {
        let keys = parts.iter().map(|(positions, _)| positions.len()).sum();
        let forwards: Vec<usize> = (0..parts.len()).collect();
        let backwards: Vec<usize> = (0..parts.len()).rev().collect();
        for order in [forwards, backwards] {
            let positions = parts.iter().map(|(positions, _)| positions.to_vec());
            let mut join = Join::new(rule, is_write, keys, positions);
            for (filled, part) in order.iter().enumerate() {
                let last = join.fill(*part, parts[*part].1.as_bytes());
                assert_eq!(last, filled + 1 == parts.len());
            }
            let reply = join.finish();
            assert_eq!(String::from_utf8_lossy(&reply), expected, "order {order:?}");
        }
    }

    #[test]
    fn elements_come_in_the_order_of_the_keys() {
        check(
            JoinRule::Elements,
            false,
            &[(&[0, 2, 3], "*3\r\n$1\r\na\r\n$-1\r\n$4\r\nc\r\nc\r\n"), (&[1], "*1\r\n$0\r\n\r\n")],
            "*4\r\n$1\r\na\r\n$0\r\n\r\n$-1\r\n$4\r\nc\r\nc\r\n",
        );
    }

    #[test]
    fn elements_of_resp3_are_copied_as_they_are() {
        check(
            JoinRule::Elements,
            false,
            &[(&[1], "*1\r\n_\r\n"), (&[2, 0], "*2\r\n$1\r\na\r\n%1\r\n+x\r\n~1\r\n:1\r\n")],
            "*3\r\n%1\r\n+x\r\n~1\r\n:1\r\n_\r\n$1\r\na\r\n",
        );
    }

    #[test]
    fn numbers_are_added() {
        let parts: &[(&[u32], &str)] = &[(&[0], ":2\r\n"), (&[1, 3], ":0\r\n"), (&[2], ":1\r\n")];
        check(JoinRule::Sum, true, parts, ":3\r\n");
    }

    #[test]
    fn ok_needs_every_part() {
        check(JoinRule::Ok, true, &[(&[0], "+OK\r\n"), (&[1], "+OK\r\n")], "+OK\r\n");
    }

    #[test]
    fn an_error_of_a_read_is_the_whole_reply() {
        check(
            JoinRule::Elements,
            false,
            &[(&[0], "*1\r\n$1\r\na\r\n"), (&[1], "-LOADING wait\r\n")],
            "-LOADING wait\r\n",
        );
        check(
            JoinRule::Sum,
            false,
            &[(&[0], ":1\r\n"), (&[1], "!8\r\nERR deep\r\n")],
            "-ERR deep\r\n",
        );
    }

    #[test]
    fn an_error_of_a_write_says_whether_other_parts_were_applied() {
        check(
            JoinRule::Ok,
            true,
            &[(&[0], "+OK\r\n"), (&[1], "-ERR shard 'b' is down; not sent\r\n")],
            "-ERR shard 'b' is down; not sent; parts on other shards were applied\r\n",
        );
        check(
            JoinRule::Ok,
            true,
            &[
                (&[0], "-ERR shard 'a' is down; not sent\r\n"),
                (&[1], "-ERR shard 'b' closed the connection; outcome unknown\r\n"),
            ],
            "-ERR shard 'b' closed the connection; outcome unknown\r\n",
        );
        check(JoinRule::Sum, true, &[(&[0], "-OOM no\r\n"), (&[1], "-OOM no\r\n")], "-OOM no\r\n");
    }

    #[test]
    fn a_reply_that_does_not_fit_is_an_error() {
        let misfit = format!("-{}\r\n", String::from_utf8_lossy(MISFIT));
        for (rule, reply) in [
            (JoinRule::Elements, "*1\r\n$1\r\na\r\n"),
            (JoinRule::Elements, "*-1\r\n"),
            (JoinRule::Elements, "+OK\r\n"),
            (JoinRule::Elements, "*2\r\n:1\r\n"),
            (JoinRule::Sum, "+OK\r\n"),
            (JoinRule::Sum, ":\r\n"),
            (JoinRule::Ok, ":1\r\n"),
            (JoinRule::Ok, ""),
        ] {
            check(rule, false, &[(&[0, 1], reply)], &misfit);
        }
    }

    #[test]
    fn a_part_counts_once() {
        let mut join = Join::new(JoinRule::Sum, true, 2, [vec![0], vec![1]].into_iter());
        assert!(!join.fill(0, b":1\r\n"));
        assert!(!join.fill(0, b":1\r\n"));
        assert!(!join.fill(7, b":1\r\n"));
        assert!(join.fill(1, b":1\r\n"));
        assert_eq!(join.finish(), b":2\r\n");
    }
}
