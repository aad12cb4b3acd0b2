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

pub mod config;
mod documents;
mod double;
pub mod everywhere;
mod hyperloglog;
pub mod info;
mod info_fields;
pub mod keys;
pub mod latency;
mod lcs;
mod modules;
mod parts;
pub mod random_key;
mod ranked;
pub mod scan;
pub mod scripts;
mod sets;
mod slowlog;
mod streams;
mod texts;

use crate::command::rule::{JoinedCommand, ShardsCommand};
use crate::gather::config::ConfigGet;
use crate::gather::documents::Documents;
use crate::gather::everywhere::Everywhere;
use crate::gather::hyperloglog::Count;
use crate::gather::info::Info;
use crate::gather::latency::Latency;
use crate::gather::lcs::Lcs;
use crate::gather::random_key::RandomKey;
use crate::gather::ranked::{Aggregate, Operation, Ranked, Spelled};
use crate::gather::scan::Scan;
use crate::gather::scripts::Scripts;
use crate::gather::sets::Sets;
use crate::gather::streams::Streams;
use crate::limits;
use crate::local::Facts;
use crate::plugin::beside;
use crate::resp::args::Args;
use crate::resp::value;
use crate::resp::write::{self, Protocol};
use crate::topology::{ShardIndex, Topology};

const MISFIT: &str = "ERR a shard's reply does not fit the request that it was sent";

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
    /// The shards in the order of their names.
    pub by_name: &'a [ShardIndex],
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
    Scan(Scan),
    Keys,
    /// SCRIPT and FUNCTION.
    Scripts(Scripts),
    RandomKey(RandomKey),
    ConfigGet(ConfigGet),
    Info(Info),
    /// The newest entries of all slow logs.
    Slowlog {
        count: usize,
    },
    Latency(Latency),
    Texts,
    Modules,
    /// SUNION and its like: members.
    Sets(Sets),
    /// ZUNION and its like: members with scores.
    Ranked(Ranked),
    /// ZUNION and its like, whose reply is there in two spellings.
    Spelled(Spelled),
    /// LCS.
    Lcs(Lcs),
    /// PFCOUNT.
    Count(Count),
    /// XREAD.
    Streams(Streams),
    /// JSON.MGET.
    Documents(Documents),
}

/// Begins a command that asks shards and has no keys.
pub fn begin(
    command: ShardsCommand,
    args: &Args<'_>,
    facts: &Facts<'_>,
    around: Around<'_>,
) -> Step {
    match command {
        ShardsCommand::Done | ShardsCommand::ScriptLoad | ShardsCommand::ScriptFlush => {
            everywhere::begin_done(args, around)
        }
        ShardsCommand::ScriptExists => scripts::begin(Scripts::Exists, args, around),
        ShardsCommand::ScriptShow => scripts::begin(Scripts::Show, args, around),
        ShardsCommand::Kill => scripts::begin(Scripts::Kill, args, around),
        ShardsCommand::FunctionStats => scripts::begin(Scripts::Stats, args, around),
        ShardsCommand::First => scripts::begin_first(args),
        ShardsCommand::Sum => everywhere::begin(Everywhere::Sum, args, around),
        ShardsCommand::Least => everywhere::begin(Everywhere::Least, args, around),
        ShardsCommand::Flush => everywhere::begin_flush(args, around),
        ShardsCommand::Scan => scan::begin(args, around),
        ShardsCommand::Keys => keys::begin(args, around),
        ShardsCommand::Randomkey => random_key::begin(around),
        ShardsCommand::ConfigGet => config::begin_get(args, facts, around),
        ShardsCommand::ConfigSet => config::begin_set(args, around),
        ShardsCommand::Info => info::begin(args, facts, around),
        // One shard: its own words are more exact than any that could be joined of them.
        ShardsCommand::Slowlog
        | ShardsCommand::LatencyLatest
        | ShardsCommand::LatencyHistory
        | ShardsCommand::LatencyHistogram
            if around.topology.len() == 1 =>
        {
            everywhere::begin_done(args, around)
        }
        ShardsCommand::Slowlog => slowlog::begin(args, around),
        ShardsCommand::LatencyLatest => latency::begin(Latency::Latest, args, around),
        ShardsCommand::LatencyHistory => latency::begin(Latency::History, args, around),
        ShardsCommand::LatencyHistogram => latency::begin(Latency::Histogram, args, around),
        ShardsCommand::Texts => texts::begin(args, around),
        ShardsCommand::ModuleList => modules::begin(args, around),
    }
}

/// Begins a command that reads keys of several shards: `keys` are the numbers of the arguments that are keys, and the
/// shard of each.
pub fn join(
    command: JoinedCommand,
    args: &Args<'_>,
    keys: (&[u32], &[ShardIndex]),
    _around: Around<'_>,
) -> Step {
    match command {
        JoinedCommand::JsonMget => documents::begin(args, keys),
        JoinedCommand::Lcs => lcs::begin(args, keys),
        JoinedCommand::Pfcount => hyperloglog::begin(args, keys),
        JoinedCommand::Sdiff => sets::begin(Sets::Difference, args, keys),
        JoinedCommand::Sinter => sets::begin(Sets::Intersection, args, keys),
        JoinedCommand::Sintercard => sets::begin_sintercard(args, keys),
        JoinedCommand::Sunion => sets::begin(Sets::Union, args, keys),
        JoinedCommand::Xread => streams::begin(args, keys),
        JoinedCommand::Zdiff => ranked::begin_difference(args, keys),
        JoinedCommand::Zinter => ranked::begin(Operation::Intersection(Aggregate::Sum), args, keys),
        JoinedCommand::Zintercard => sets::begin_zintercard(args, keys),
        JoinedCommand::Zunion => ranked::begin(Operation::Union(Aggregate::Sum), args, keys),
    }
}

impl Gather {
    /// Goes on with the answers to what was asked, in the order of asking.
    pub fn go_on(self, answers: &[Answer], around: Around<'_>) -> Step {
        match self {
            Gather::Everywhere(rule) => Step::Reply(rule.join(answers, around)),
            Gather::Scan(scan) => Step::Reply(scan.join(answers, around)),
            Gather::Keys => Step::Reply(keys::join(answers, around)),
            Gather::Scripts(rule) => Step::Reply(rule.join(answers, around)),
            Gather::RandomKey(random_key) => random_key.go_on(answers, around),
            Gather::ConfigGet(get) => get.go_on(answers, around),
            Gather::Info(info) => Step::Reply(info.join(answers, around)),
            Gather::Slowlog { count } => Step::Reply(slowlog::join(count, answers, around)),
            Gather::Latency(latency) => Step::Reply(latency.join(answers, around)),
            Gather::Texts => Step::Reply(texts::join(answers, around)),
            Gather::Modules => Step::Reply(modules::join(answers, around)),
            Gather::Sets(sets) => sets.join(answers, around),
            Gather::Ranked(ranked) => ranked.join(answers, around),
            Gather::Spelled(spelled) => Step::Reply(spelled.choose(answers)),
            Gather::Lcs(lcs) => lcs.join(answers, around),
            Gather::Count(count) => count.join(answers),
            Gather::Streams(streams) => streams.join(answers, around),
            Gather::Documents(documents) => documents.join(answers),
        }
    }

    /// Whether it may ask once more after the answers. Then the session's next request waits for its reply, or it would
    /// be carried out between two rounds.
    pub fn may_ask_again(&self) -> bool {
        match self {
            Gather::RandomKey(_) | Gather::ConfigGet(_) => true,
            Gather::Everywhere(_)
            | Gather::Scan(_)
            | Gather::Keys
            | Gather::Scripts(_)
            | Gather::Info(_)
            | Gather::Slowlog { .. }
            | Gather::Latency(_)
            | Gather::Texts
            | Gather::Modules
            | Gather::Sets(_)
            | Gather::Ranked(_)
            | Gather::Spelled(_)
            | Gather::Lcs(_)
            | Gather::Count(_)
            | Gather::Streams(_)
            | Gather::Documents(_) => false,
        }
    }

    /// How long it waits for answers at most, if less than any request; one that has not come then is empty.
    pub fn patience_ms(&self) -> Option<u64> {
        matches!(self, Gather::Info(_)).then_some(limits::INFO_WAIT_MS)
    }
}

impl Step {
    /// An error of the gateway's own; `text` starts with its code.
    pub(crate) fn error(text: &str) -> Step {
        let mut reply = Vec::new();
        write::error(&mut reply, text);
        Step::Reply(reply)
    }
}

impl<'a> Around<'a> {
    /// The name of a shard.
    pub(crate) fn shard_name(&self, shard: ShardIndex) -> &'a str {
        self.shard_names.get(usize::from(shard)).map_or("", String::as_str)
    }
}

/// Whether a key that `shard` named in a reply, as it stands there, is shown to clients: it belongs to that shard, and
/// no plugin keeps it beside another.
pub(crate) fn shown(shard: ShardIndex, reply: &[u8], around: Around<'_>) -> bool {
    value::string(reply)
        .is_some_and(|key| !beside::is_beside(key) && around.topology.may_hold(shard, key))
}

/// The shards of a pool.
pub(crate) fn every_shard(topology: &Topology) -> impl Iterator<Item = ShardIndex> + use<> {
    0..u16::try_from(topology.len()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod joined_tests;
#[cfg(test)]
mod test_support;
