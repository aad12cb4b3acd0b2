//! The same request to every shard, and one reply of their replies.
//!
//! In: the request as it came and what its rule says of the replies. Out: one request per shard, and the one reply.
//! Invariants: every shard is asked once; an error of any shard is the reply, whole.

use super::{Answer, Around, Ask, Gather, Step, every_shard, first_error};
use crate::resp::args::Args;
use crate::resp::{value, write};

const MISFIT: &str = "ERR a shard's reply does not fit the request that it was sent";

/// How the shards' replies become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Everywhere {
    /// The sum of the numbers.
    Sum,
}

/// Sends the request as it is to every shard.
pub(super) fn begin(rule: Everywhere, args: &Args<'_>, around: Around<'_>) -> Step {
    let ask = |shard| Ask { shard, request: args.raw().to_vec() };
    let asks = every_shard(around.topology).map(ask).collect();
    Step::Ask(Gather::Everywhere(rule), asks)
}

impl Everywhere {
    /// The one reply.
    pub(super) fn join(self, answers: &[Answer], _around: Around<'_>) -> Vec<u8> {
        if let Some(error) = first_error(answers) {
            return error.to_vec();
        }
        let mut reply = Vec::new();
        match self {
            Everywhere::Sum => {
                let number = |answer: &Answer| {
                    value::head(&answer.reply).filter(|head| head.kind == b':')?.number()
                };
                match answers
                    .iter()
                    .map(number)
                    .try_fold(0i64, |sum, n| Some(sum.saturating_add(n?)))
                {
                    Some(sum) => write::integer(&mut reply, sum),
                    None => write::error(&mut reply, MISFIT),
                }
            }
        }
        reply
    }
}
