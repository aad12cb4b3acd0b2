//! SUNION over keys of several shards.
//!
//! In: the keys with their shards. Out: one SUNION per shard of its keys, and one set of all members of their replies.
//! Invariants: no member comes twice; an error of any shard is the reply, whole. The order is free, as Redis has it.

use std::collections::HashSet;

use super::{Answer, Around, Ask, Gather, Step, first_error};
use crate::resp::args::Args;
use crate::resp::{value, write};
use crate::topology::ShardIndex;

/// What becomes of the members.
#[derive(Debug)]
pub struct Sets;

/// Asks each shard for the union of its keys.
pub(super) fn begin(
    args: &Args<'_>,
    (keys, shards): (&[u32], &[ShardIndex]),
    _around: Around<'_>,
) -> Step {
    let mut asked: Vec<ShardIndex> = shards.to_vec();
    asked.sort_unstable();
    asked.dedup();
    let ask = |shard| {
        let own = keys.iter().zip(shards).filter(|(_, owner)| **owner == shard);
        let words: Vec<&[u8]> = std::iter::once(b"SUNION".as_slice())
            .chain(own.filter_map(|(at, _)| args.get(*at as usize)))
            .collect();
        let mut request = Vec::new();
        write::request(&mut request, words.into_iter());
        Ask { shard, request }
    };
    Step::Ask(Gather::Sets(Sets), asked.into_iter().map(ask).collect())
}

impl Sets {
    /// The union of all answers.
    pub(super) fn join(self, answers: &[Answer], around: Around<'_>) -> Vec<u8> {
        if let Some(error) = first_error(answers) {
            return error.to_vec();
        }
        let mut seen = HashSet::new();
        let mut members = Vec::new();
        for answer in answers {
            let mut rest = value::head(&answer.reply)
                .and_then(|head| answer.reply.get(head.len..))
                .unwrap_or_default();
            while let Some(len) = value::value_len(rest) {
                let (member, behind) = rest.split_at_checked(len).unwrap_or((rest, &[]));
                if seen.insert(member) {
                    members.push(member);
                }
                rest = behind;
            }
        }
        let mut reply = Vec::new();
        write::set_header(&mut reply, around.protocol, members.len());
        for member in members {
            reply.extend_from_slice(member);
        }
        reply
    }
}
