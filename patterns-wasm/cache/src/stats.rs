//! What CACHE.STATS answers: counts of this worker and binding.
//!
//! Kept in shared memory, so that they outlive instances; fresh reads are gathered first, because the fast path must not
//! pay for them. The same counts go to the gateway's metrics, which add up all workers.

use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::reply::Reply;

use crate::config::Config;

/// Things that are counted; the number is the place in the manifest's metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// A fresh value was answered.
    Hit = 0,
    /// A stale value was answered while another client computes.
    Stale = 1,
    /// A client was told to compute.
    Leader = 2,
    /// A reader had to wait.
    Wait = 3,
    /// A wait ended without a value.
    WaitTimeout = 4,
    /// A value was written.
    Fill = 5,
    /// A leader's session closed and its lease was given back.
    HandedOn = 6,
    /// A leader was told to compute before the value's end.
    Early = 7,
    /// A fill came too late: somebody else leads, or has written or deleted.
    Refused = 8,
}

/// Names in the order of `Count`.
pub const NAMES: [&str; 9] = [
    "hits",
    "stale",
    "leaders",
    "waits",
    "wait_timeouts",
    "fills",
    "handed_on",
    "early",
    "refused",
];

const KEY: &[u8] = b"stats";
/// Fresh reads gathered before they are written down.
const GATHER: u64 = 64;

/// Counts one.
pub fn count(cx: &Cx, config: &Config, what: Count) {
    if what == Count::Hit {
        let gathered = config.hits_pending.get() + 1;
        config.hits_pending.set(gathered);
        if gathered >= GATHER {
            write(cx, config, None);
        }
    } else {
        write(cx, config, Some(what));
    }
}

fn write(cx: &Cx, config: &Config, what: Option<Count>) {
    let mut counts = load(cx);
    let hits = config.hits_pending.take();
    if let Some(slot) = counts.first_mut() {
        *slot += hits;
    }
    if hits > 0 {
        cx.metric_add(0, i64::try_from(hits).unwrap_or(0));
    }
    if let Some(what) = what {
        if let Some(slot) = counts.get_mut(what as usize) {
            *slot += 1;
        }
        cx.metric_add(what as u32, 1);
    }
    let bytes: Vec<u8> = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
    cx.shared_set(KEY, &bytes, 0);
}

fn load(cx: &Cx) -> [u64; NAMES.len()] {
    let bytes = cx.shared_get(KEY).unwrap_or_default();
    let mut counts = [0; NAMES.len()];
    for (slot, word) in counts.iter_mut().zip(bytes.chunks_exact(8)) {
        *slot = word.try_into().map_or(0, u64::from_le_bytes);
    }
    counts
}

/// The answer to CACHE.STATS.
pub fn reply(cx: &Cx, config: &Config) -> Reply {
    write(cx, config, None);
    let counts = load(cx);
    let rows = NAMES.iter().zip(counts).flat_map(|(name, count)| {
        [Reply::bulk(*name), Reply::Int(i64::try_from(count).unwrap_or(i64::MAX))]
    });
    Reply::Map(rows.collect())
}
