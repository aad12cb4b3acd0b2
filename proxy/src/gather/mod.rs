//! Commands that ask several shards, in one round or in more, and make one reply of what they say.
//!
//! ```text
//!   begin(command, args) ──► Step::Ask(gather, asks) ──► every ask is answered ──► gather.go_on(answers) ─┐
//!                        └─► Step::Reply(bytes)                     ▲ Step::Ask ◄──────────────────────────┤
//!                                                                   Step::Reply ◄──────────────────────────┘
//! ```
//! In: a command with its arguments, the placement, and the whole reply of each shard that was asked. Out: what to ask
//! next, or the one reply. A shard that could not be asked answers with the gateway's own error, like any other.
//! Invariants: what is asked is answered in the order of asking; no input panics; no I/O, no session state.
//! Split commands with one part per shard and no second round are `route::split` and `join`.

pub mod everywhere;
pub mod sets;

use crate::command::rule::{JoinedCommand, ShardsCommand};
use crate::gather::everywhere::Everywhere;
use crate::gather::sets::Sets;
use crate::resp::args::Args;
use crate::resp::write::Protocol;
use crate::topology::{ShardIndex, Topology};

/// One request to one shard.
#[derive(Debug, PartialEq, Eq)]
pub struct Ask {
    pub shard: ShardIndex,
    /// The encoded request.
    pub request: Vec<u8>,
}

/// What a shard said to one request.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub shard: ShardIndex,
    /// The whole reply.
    pub reply: Vec<u8>,
}

/// What holds for every round.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    pub topology: &'a Topology,
    /// Names of the pool's shards, by index.
    pub shard_names: &'a [String],
    /// The protocol of the session, and so of every reply.
    pub protocol: Protocol,
    /// A number drawn by chance for this round.
    pub random: u64,
}

/// What is to be done next.
#[derive(Debug)]
pub enum Step {
    /// Ask these, and go on with their answers.
    Ask(Gather, Vec<Ask>),
    /// This is the reply.
    Reply(Vec<u8>),
}

/// A command between two rounds.
#[derive(Debug)]
pub enum Gather {
    /// The same request to every shard.
    Everywhere(Everywhere),
    /// SUNION and its like.
    Sets(Sets),
}

/// Begins a command that asks shards and has no keys.
pub fn begin(command: ShardsCommand, args: &Args<'_>, around: Around<'_>) -> Step {
    match command {
        ShardsCommand::Dbsize => everywhere::begin(Everywhere::Sum, args, around),
    }
}

/// Begins a command that reads keys of several shards: `keys` are the numbers of the arguments that are keys, and the
/// shard of each.
pub fn join(
    command: JoinedCommand,
    args: &Args<'_>,
    keys: (&[u32], &[ShardIndex]),
    around: Around<'_>,
) -> Step {
    match command {
        JoinedCommand::Sunion => sets::begin(args, keys, around),
    }
}

impl Gather {
    /// Goes on with the answers to what was asked, in the order of asking.
    pub fn go_on(self, answers: &[Answer], around: Around<'_>) -> Step {
        match self {
            Gather::Everywhere(rule) => Step::Reply(rule.join(answers, around)),
            Gather::Sets(sets) => Step::Reply(sets.join(answers, around)),
        }
    }
}

/// The shards of a pool.
pub(crate) fn every_shard(topology: &Topology) -> impl Iterator<Item = ShardIndex> + use<> {
    0..u16::try_from(topology.len()).unwrap_or(u16::MAX)
}

/// The first error among the answers, whole.
pub(crate) fn first_error(answers: &[Answer]) -> Option<&[u8]> {
    answers
        .iter()
        .map(|answer| answer.reply.as_slice())
        .find(|reply| matches!(reply.first(), Some(b'-' | b'!')))
}
