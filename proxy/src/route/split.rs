//! A command with many keys, cut into one request per shard.
//!
//! In: the arguments of MGET, MSET, DEL, UNLINK, EXISTS or TOUCH and the shard of each key. Out: parts, each a
//! complete request for one shard with the places of its keys in the original. Keys keep their order within a
//! shard, and a key that is named twice is sent twice, so that the sum of the parts counts as one server would.
//! Invariants: every key is in exactly one part; a part holds at most `SPLIT_PART_KEYS_MAX` keys and, but for a
//! single larger key and value, `SPLIT_PART_BYTES_MAX` bytes. Several parts of one shard are in order and go one
//! after another.

use crate::command::rule::JoinRule;
use crate::limits::{SPLIT_PART_BYTES_MAX, SPLIT_PART_KEYS_MAX};
use crate::resp::args::Args;
use crate::resp::write;
use crate::topology::ShardIndex;

/// One part per shard, or several where one would be too large.
#[derive(Debug, PartialEq, Eq)]
pub struct Split {
    /// How the replies become one.
    pub rule: JoinRule,
    /// Whether parts change data: then an error says that other parts may have been applied.
    pub is_write: bool,
    /// Number of keys of the original request.
    pub keys: usize,
    pub parts: Vec<Part>,
}

/// A request for one shard.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    pub shard: ShardIndex,
    /// The encoded request.
    pub request: Vec<u8>,
    /// For each of its keys, in order: its number among the keys of the original request, from 0.
    pub positions: Vec<u32>,
}

/// A part whose keys are still being gathered.
struct Open {
    shard: ShardIndex,
    bytes: usize,
    positions: Vec<u32>,
}

impl Split {
    /// Cuts `args`; `shards` holds the shard of each key in order.
    pub fn new(rule: JoinRule, is_write: bool, args: &Args<'_>, shards: &[ShardIndex]) -> Split {
        let width = width(rule);
        let mut open: Vec<Open> = Vec::new();
        // By shard: which of `open` takes its next key.
        let mut last: Vec<Option<usize>> = Vec::new();
        for (position, shard) in (0u32..).zip(shards) {
            let bytes: usize = arguments(args, position, width).map(<[u8]>::len).sum();
            let slot = usize::from(*shard);
            if last.len() <= slot {
                last.resize(slot + 1, None);
            }
            let current = last
                .get(slot)
                .copied()
                .flatten()
                .filter(|part| open.get(*part).is_some_and(|part| part.has_room(bytes)));
            let part = current.unwrap_or_else(|| {
                open.push(Open { shard: *shard, bytes: 0, positions: Vec::new() });
                open.len() - 1
            });
            if let Some(last) = last.get_mut(slot) {
                *last = Some(part);
            }
            if let Some(part) = open.get_mut(part) {
                part.bytes += bytes;
                part.positions.push(position);
            }
        }
        let parts = open.into_iter().map(|part| part.encode(args, width)).collect();
        Split { rule, is_write, keys: shards.len(), parts }
    }
}

impl Open {
    fn has_room(&self, bytes: usize) -> bool {
        self.positions.len() < SPLIT_PART_KEYS_MAX
            && self.bytes.saturating_add(bytes) <= SPLIT_PART_BYTES_MAX
    }

    fn encode(self, args: &Args<'_>, width: usize) -> Part {
        // Room for the heads: "$" and at most nine digits and two line ends per argument.
        let heads = 16 * (self.positions.len() * width + 1);
        let mut request = Vec::with_capacity(self.bytes + args.name().len() + heads);
        write::array_header(&mut request, self.positions.len() * width + 1);
        write::bulk(&mut request, args.name());
        for position in &self.positions {
            for argument in arguments(args, *position, width) {
                write::bulk(&mut request, argument);
            }
        }
        Part { shard: self.shard, request, positions: self.positions }
    }
}

/// Arguments per key: MSET's keys come with values.
pub fn width(rule: JoinRule) -> usize {
    match rule {
        JoinRule::Ok => 2,
        JoinRule::Elements | JoinRule::Sum => 1,
    }
}

/// The key at `position` and what belongs to it.
fn arguments<'a>(
    args: &Args<'a>,
    position: u32,
    width: usize,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let args = *args;
    let first = 1 + position as usize * width;
    (first..first + width).map(move |at| args.get(at).unwrap_or_default())
}
