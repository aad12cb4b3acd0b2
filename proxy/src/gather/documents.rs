//! JSON.MGET over documents of several shards.
//!
//! In: the keys with their shards, and the path behind them. Out: one JSON.MGET per shard, and the elements of all in
//! the order of the keys. An error of any shard is the reply, whole.

use super::parts::{Keys, ask, by_shard, elements, error_of};
use super::{Answer, Gather, MISFIT, Step};
use crate::resp::args::Args;
use crate::resp::write;
use crate::topology::ShardIndex;

/// JSON.MGET, which waits for the elements.
#[derive(Debug)]
pub struct Documents {
    /// By key: the shard that was asked for it.
    shards: Vec<ShardIndex>,
}

/// Asks each shard for the path in its documents.
pub(super) fn begin(args: &Args<'_>, keys: Keys<'_>) -> Step {
    let path = args.get(args.len() - 1).unwrap_or_default();
    let groups = by_shard(args, keys).into_iter();
    let asks = groups
        .map(|(shard, own)| ask(shard, &[&[args.name()], own.as_slice(), &[path]].concat()))
        .collect();
    Step::Ask(Gather::Documents(Documents { shards: keys.1.to_vec() }), asks)
}

impl Documents {
    /// The elements in the order of the keys.
    pub(super) fn join(self, answers: &[Answer]) -> Step {
        if let Some(error) = error_of(answers) {
            return Step::Reply(error.to_vec());
        }
        let mut reply = Vec::new();
        write::array_header(&mut reply, self.shards.len());
        let mut parts: Vec<_> = answers
            .iter()
            .map(|answer| (answer.shard, elements(&answer.reply).unwrap_or_default().into_iter()))
            .collect();
        for shard in self.shards {
            let part = parts.iter_mut().find(|(owner, _)| *owner == shard);
            match part.and_then(|(_, elements)| elements.next()) {
                Some(element) => reply.extend_from_slice(element),
                None => return Step::error(MISFIT),
            }
        }
        Step::Reply(reply)
    }
}
