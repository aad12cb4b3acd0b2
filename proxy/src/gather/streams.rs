//! XREAD over streams of several shards, without BLOCK.
//!
//! In: the request and the shards of its streams. Out: one XREAD per stream with the same options, and the entries of
//! all in the order of the request. Faults of options and ids are the shards' to word, the first stream's first.
//! Invariants: a stream without new entries has no place in the reply; without any the reply is no value.

use super::parts::{Keys, ask};
use super::{Answer, Around, Gather, MISFIT, Step};
use crate::resp::args::Args;
use crate::resp::value;
use crate::resp::write::{self, Protocol};

/// XREAD, which waits for the entries.
#[derive(Debug)]
pub struct Streams;

/// Asks for the entries of each stream.
pub(super) fn begin(args: &Args<'_>, (keys, shards): Keys<'_>) -> Step {
    let first = keys.first().map_or(0, |at| *at as usize);
    // XREAD, its options and the word STREAMS.
    let head: Vec<&[u8]> = args.from(0).take(first).collect();
    let asks = keys.iter().zip(shards).map(|(at, shard)| {
        let at = *at as usize;
        let of_stream = [at, at + keys.len()].map(|at| args.get(at).unwrap_or_default());
        ask(*shard, &[head.as_slice(), &of_stream].concat())
    });
    Step::Ask(Gather::Streams(Streams), asks.collect())
}

impl Streams {
    /// The entries of all streams.
    pub(super) fn join(self, answers: &[Answer], around: Around<'_>) -> Step {
        let mut found: Vec<&[u8]> = Vec::new();
        for Answer { reply, .. } in answers {
            let head = value::head(reply);
            match head.map(|head| (head.kind, head.number(), head.len)) {
                Some((b'-' | b'!', ..)) => return Step::Reply(reply.clone()),
                Some((b'_', ..) | (b'*', Some(-1), _)) => {}
                Some((b'*' | b'%', Some(1), len)) => found.extend(reply.get(len..)),
                _ => return Step::error(MISFIT),
            }
        }
        let mut reply = Vec::new();
        match around.protocol {
            _ if found.is_empty() => write::null_array(&mut reply, around.protocol),
            Protocol::Resp2 => write::array_header(&mut reply, found.len()),
            Protocol::Resp3 => write::map_header(&mut reply, Protocol::Resp3, found.len()),
        }
        found.into_iter().for_each(|entries| reply.extend_from_slice(entries));
        Step::Reply(reply)
    }
}
