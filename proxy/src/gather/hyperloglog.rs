//! PFCOUNT over keys of several shards.
//!
//! In: the keys with their shards. Out: requests for the bytes of each key, then the number of different elements of
//! all, computed as `hyperloglog.c` of Redis 7.0 does (Ertl's estimator), so that it is the number that one server
//! would answer.
//! Invariants: faults are found in the order of the keys and in the servers' words; a missing key counts as empty.

use super::parts::{Keys, ask, each_key, text};
use super::{Answer, Gather, MISFIT, Step};
use crate::resp::args::Args;
use crate::resp::value;
use crate::resp::write;

const INVALID: &str = "WRONGTYPE Key is not a valid HyperLogLog string value.";
const CORRUPT: &str = "INVALIDOBJ Corrupted HLL object detected";
const REGISTERS: usize = 1 << 14;
/// Bits of a hash that are not the number of its register.
const HASH_BITS: usize = 50;
const HEADER_BYTES: usize = 16;
const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS * 6 / 8;
/// Number of the last byte that is asked for, one past the longest value that can be sound.
const LAST_BYTE: &[u8] = b"16400";

/// PFCOUNT, which waits for the bytes of its keys.
#[derive(Debug)]
pub struct Count;

/// Why the bytes of a key are no HyperLogLog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Invalid,
    Corrupt,
}

/// Asks for the bytes of each key, and whether it is there.
pub(super) fn begin(args: &Args<'_>, keys: Keys<'_>) -> Step {
    let asks = each_key(args, keys).flat_map(|(shard, key)| {
        [ask(shard, &[b"EXISTS", key]), ask(shard, &[b"GETRANGE", key, b"0", LAST_BYTE])]
    });
    Step::Ask(Gather::Count(Count), asks.collect())
}

impl Count {
    /// The number of elements.
    pub(super) fn join(self, answers: &[Answer]) -> Step {
        let mut registers = vec![0u8; REGISTERS];
        let (pairs, _) = answers.as_chunks::<2>();
        for [exists, bytes] in pairs {
            if let Some(error) = [exists, bytes]
                .into_iter()
                .find(|answer| value::error_text(&answer.reply).is_some())
            {
                return Step::Reply(error.reply.clone());
            }
            let Some(bytes) = text(&bytes.reply) else {
                return Step::error(MISFIT);
            };
            if bytes.is_empty() && exists.reply == b":0\r\n" {
                continue;
            }
            match merge(bytes, &mut registers) {
                Ok(()) => {}
                Err(Fault::Invalid) => return Step::error(INVALID),
                Err(Fault::Corrupt) => return Step::error(CORRUPT),
            }
        }
        let mut reply = Vec::new();
        write::integer(&mut reply, estimate(&registers));
        Step::Reply(reply)
    }
}

/// Raises each register to the one of `bytes`.
fn merge(bytes: &[u8], registers: &mut [u8]) -> Result<(), Fault> {
    let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or(Fault::Invalid)?;
    match header {
        [b'H', b'Y', b'L', b'L', 0, ..] if bytes.len() == DENSE_BYTES => {
            dense(body, registers);
            Ok(())
        }
        [b'H', b'Y', b'L', b'L', 1, ..] => sparse(body, registers).ok_or(Fault::Corrupt),
        _ => Err(Fault::Invalid),
    }
}

/// Four registers of six bits in three bytes, the lowest bits first.
fn dense(body: &[u8], registers: &mut [u8]) {
    let (threes, _) = body.as_chunks::<3>();
    let (fours, _) = registers.as_chunks_mut::<4>();
    for ([a, b, c], four) in threes.iter().zip(fours) {
        let found = [a & 63, a >> 6 | (b & 15) << 2, b >> 4 | (c & 3) << 4, c >> 2];
        for (register, value) in four.iter_mut().zip(found) {
            *register = value.max(*register);
        }
    }
}

/// Runs of registers of one value: `00nnnnnn` and `01nnnnnn nnnnnnnn` for zeros, `1vvvvvnn` for others. `None` when they
/// are not as many as the registers.
fn sparse(body: &[u8], registers: &mut [u8]) -> Option<()> {
    let mut bytes = body.iter().copied();
    let mut at = 0;
    while let Some(byte) = bytes.next() {
        let (len, value) = match byte >> 6 {
            0 => (usize::from(byte & 63) + 1, 0),
            1 => (usize::from(byte & 63) << 8 | usize::from(bytes.next()?), 0),
            _ => (usize::from(byte & 3) + 1, (byte >> 2 & 31) + 1),
        };
        let len = if byte >> 6 == 1 { len + 1 } else { len };
        let run = registers.get_mut(at..at + len)?;
        run.iter_mut().for_each(|register| *register = value.max(*register));
        at += len;
    }
    (at == REGISTERS).then_some(())
}

/// How many different elements these registers have seen, by Otmar Ertl's estimator (arXiv:1702.01284).
fn estimate(registers: &[u8]) -> i64 {
    /// 0.5 / ln(2).
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    let mut counts = [0u32; 64];
    for register in registers {
        if let Some(count) = counts.get_mut(usize::from(*register)) {
            *count += 1;
        }
    }
    let count = |value: usize| f64::from(counts.get(value).copied().unwrap_or_default());
    #[expect(clippy::cast_precision_loss, reason = "16384 is exact")]
    let all = REGISTERS as f64;
    let mut z = all * tau((all - count(HASH_BITS + 1)) / all);
    for value in (1..=HASH_BITS).rev() {
        z = (z + count(value)) * 0.5;
    }
    z += all * sigma(count(0) / all);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast of a double holds to the bounds of the number"
    )]
    let rounded = (ALPHA * all * all / z).round() as i64;
    rounded
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(encoding: u8) -> Vec<u8> {
        [b"HYLL".as_slice(), &[encoding], &[0; 11]].concat()
    }

    #[test]
    fn both_forms_are_read_and_the_larger_register_stays() {
        let mut registers = vec![0; REGISTERS];
        // 16380 zeros, then 3, 3, 3, 1.
        let sparse = [header(1), vec![0x40 | 0x3f, 0xfb, 0x80 | 2 << 2 | 2, 0x80]].concat();
        assert_eq!(merge(&sparse, &mut registers), Ok(()));
        assert_eq!(registers[16379..], [0, 3, 3, 3, 1]);
        let mut dense = header(0);
        dense.resize(DENSE_BYTES - 3, 0);
        // 1, 2, 3, 50 from the lowest bits on.
        dense.extend([1 | 2 << 6, 3 << 4, 50 << 2]);
        assert_eq!(merge(&dense, &mut registers), Ok(()));
        assert_eq!(registers[16379..], [0, 3, 3, 3, 50]);
    }

    #[test]
    fn what_is_no_hyperloglog_is_refused() {
        for (bytes, due) in [
            (b"".to_vec(), Fault::Invalid),
            (b"a string of some length".to_vec(), Fault::Invalid),
            (header(2), Fault::Invalid),
            (header(0), Fault::Invalid),
            (header(1), Fault::Corrupt),
            ([header(1), vec![0x7f, 0xfe]].concat(), Fault::Corrupt),
            ([header(1), vec![0x7f, 0xff, 0x00]].concat(), Fault::Corrupt),
            ([header(1), vec![0x7f]].concat(), Fault::Corrupt),
        ] {
            assert_eq!(merge(&bytes, &mut vec![0; REGISTERS]), Err(due), "{bytes:?}");
        }
        assert_eq!(merge(&[header(1), vec![0x7f, 0xff]].concat(), &mut vec![0; REGISTERS]), Ok(()));
    }

    #[test]
    fn nothing_is_counted_as_none_and_one_register_as_one() {
        let mut registers = vec![0; REGISTERS];
        assert_eq!(estimate(&registers), 0);
        registers[7] = 2;
        assert_eq!(estimate(&registers), 1);
        registers.fill(51);
        assert_eq!(estimate(&registers), i64::MAX);
    }
}
