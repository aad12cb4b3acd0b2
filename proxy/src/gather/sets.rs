//! SUNION, SINTER, SDIFF, SINTERCARD and ZINTERCARD over keys of several shards: joins of members alone.
//!
//! In: the keys with their shards. Out: one request per shard that leaves it the work on its own keys, and one set, or
//! its size, of the members that come back. SDIFF asks the first key's shard for the difference of its keys, and the
//! others for the union of theirs.
//! Invariants: no member comes twice; a key of a wrong type is the error that a server answers, whatever the others
//! hold. The order is free, as Redis has it.

use std::collections::HashSet;

use super::parts::{Keys, ask, by_shard, elements, error_of, too_much};
use super::{Answer, Around, Gather, MISFIT, Step};
use crate::resp::args::Args;
use crate::resp::request::parse_number;
use crate::resp::write;

const NEGATIVE_LIMIT: &str = "ERR LIMIT can't be negative";
const SYNTAX: &str = "ERR syntax error";

/// What becomes of the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sets {
    Union,
    Intersection,
    /// Of the first answer and the others.
    Difference,
    /// The size of the intersection, up to this much; 0 for no bound.
    Size(i64),
}

/// Asks each shard for the union, the intersection or the difference of its keys.
pub(super) fn begin(sets: Sets, args: &Args<'_>, keys: Keys<'_>) -> Step {
    let name = |first| match sets {
        Sets::Union => b"SUNION",
        Sets::Intersection | Sets::Size(_) => b"SINTER".as_slice(),
        Sets::Difference if first => b"SDIFF",
        Sets::Difference => b"SUNION",
    };
    let groups = by_shard(args, keys).into_iter().enumerate();
    let asks = groups
        .map(|(number, (shard, own))| ask(shard, &[&[name(number == 0)], own.as_slice()].concat()));
    Step::Ask(Gather::Sets(sets), asks.collect())
}

/// SINTERCARD, whose options a server reads before it looks at the keys.
pub(super) fn begin_sintercard(args: &Args<'_>, keys: Keys<'_>) -> Step {
    match limit(args, keys) {
        Ok(limit) => begin(Sets::Size(limit), args, keys),
        Err(text) => Step::error(text),
    }
}

/// ZINTERCARD, whose options a server reads after it looked at the keys: the shards are asked even if they are wrong,
/// and then with the same options, so that they word the error.
pub(super) fn begin_zintercard(args: &Args<'_>, keys: Keys<'_>) -> Step {
    let limit = limit(args, keys);
    let options: Vec<&[u8]> = args.from(2 + keys.0.len()).collect();
    let (name, options) = match limit {
        Ok(_) => (b"ZINTER".as_slice(), [].as_slice()),
        Err(_) => (b"ZINTERCARD".as_slice(), options.as_slice()),
    };
    let asks = by_shard(args, keys).into_iter().map(|(shard, own)| {
        let count = own.len().to_string();
        ask(shard, &[&[name, count.as_bytes()], own.as_slice(), options].concat())
    });
    Step::Ask(Gather::Sets(Sets::Size(limit.unwrap_or(0))), asks.collect())
}

/// The number behind LIMIT, the last one; 0 without.
fn limit(args: &Args<'_>, (keys, _): Keys<'_>) -> Result<i64, &'static str> {
    let mut limit = 0;
    let mut options = args.from(2 + keys.len());
    while let Some(word) = options.next() {
        let value = options.next().filter(|_| word.eq_ignore_ascii_case(b"LIMIT"));
        limit = parse_number(value.ok_or(SYNTAX)?).filter(|n| *n >= 0).ok_or(NEGATIVE_LIMIT)?;
    }
    Ok(limit)
}

impl Sets {
    /// One set of all answers.
    pub(super) fn join(self, answers: &[Answer], around: Around<'_>) -> Step {
        if let Some(error) = error_of(answers) {
            return Step::Reply(error.to_vec());
        }
        if let Some(error) = too_much(answers) {
            return Step::error(&error);
        }
        let read: Option<Vec<Vec<&[u8]>>> =
            answers.iter().map(|answer| elements(&answer.reply)).collect();
        let Some(sets) = read else {
            return Step::error(MISFIT);
        };
        let members = match self {
            Sets::Union => union(&sets),
            Sets::Intersection | Sets::Size(_) => intersection(&sets),
            Sets::Difference => difference(&sets),
        };
        let mut reply = Vec::new();
        if let Sets::Size(limit) = self {
            let size = i64::try_from(members.len()).unwrap_or(i64::MAX);
            write::integer(&mut reply, if limit == 0 { size } else { size.min(limit) });
            return Step::Reply(reply);
        }
        write::set_header(&mut reply, around.protocol, members.len());
        members.iter().for_each(|member| reply.extend_from_slice(member));
        Step::Reply(reply)
    }
}

fn union<'a>(sets: &[Vec<&'a [u8]>]) -> Vec<&'a [u8]> {
    let mut seen = HashSet::new();
    sets.iter().flatten().copied().filter(|member| seen.insert(*member)).collect()
}

fn intersection<'a>(sets: &[Vec<&'a [u8]>]) -> Vec<&'a [u8]> {
    let mut by_size: Vec<&Vec<&[u8]>> = sets.iter().collect();
    by_size.sort_by_key(|set| set.len());
    let mut by_size = by_size.into_iter();
    let mut members = by_size.next().cloned().unwrap_or_default();
    for set in by_size {
        let kept: HashSet<&[u8]> = members.into_iter().collect();
        members = set.iter().copied().filter(|member| kept.contains(member)).collect();
    }
    members
}

fn difference<'a>(sets: &[Vec<&'a [u8]>]) -> Vec<&'a [u8]> {
    let Some((first, others)) = sets.split_first() else {
        return Vec::new();
    };
    let taken: HashSet<&[u8]> = others.iter().flatten().copied().collect();
    first.iter().copied().filter(|member| !taken.contains(member)).collect()
}
