//! What a backup is to be told: COUNTER.DIRTY hands out what has changed, COUNTER.ACK takes it off the list.
//!
//! Each shard has a registry of its own: written by the script that changes the counter, and thus never behind it. A counter
//! stays in it until the version that was handed out is acknowledged and still stands: values are absolute, each is handed
//! out at least once, and one that has changed meanwhile is handed out again.

use std::rc::Rc;

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::{beside, cmd};
use sluicegate_plugin::commands::eval;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::request::Typed;

use crate::config::{Config, REGISTRY};
use crate::counters::Counter;
use crate::scripts;

const COUNT: i64 = 100;
/// Most counters of one COUNTER.DIRTY.
const COUNT_MAX: i64 = 1_000;
/// Commands of one piece.
const PIECE: usize = 100;

/// `COUNTER.DIRTY [count]`: key, value and version of up to so many counters, those first that have waited longest.
pub async fn dirty(cx: Cx, args: Args) -> Result<Reply> {
    let config = with_backup(&cx)?;
    let count = match args.len() {
        1 => COUNT,
        2 => args.get(1)?,
        _ => return Err(Error::arity("counter.dirty")),
    };
    if !(1..=COUNT_MAX).contains(&count) {
        return Err(Error::new("counter: COUNTER.DIRTY count must be from 1 to 1000"));
    }
    let shards = i64::from(cx.shards()).max(1);
    // The same part of each; who asks again until nothing comes gets all.
    let last = (count + shards - 1) / shards - 1;
    let (mut keys, mut fault, mut answered) = (Vec::<Vec<u8>>::new(), None, false);
    let numbers: Vec<u16> = (0..cx.shards()).collect();
    for piece in numbers.chunks(PIECE) {
        let oldest = piece.iter().map(|shard| {
            let range = cmd("ZRANGE").arg(beside(config.backup.as_bytes(), REGISTRY));
            range.arg(0).arg(last).to_shard(*shard).typed::<Vec<Vec<u8>>>().result()
        });
        for found in cx.pipeline(oldest.collect::<Vec<_>>()).await? {
            answered |= found.is_ok();
            match found {
                Ok(found) => keys.extend(found),
                Err(error) => fault = Some(error),
            }
        }
    }
    // A shard that is down does not keep the others from their backup.
    if let (false, Some(error)) = (answered, fault) {
        return Err(error);
    }
    keys.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    let mut triples = Vec::with_capacity(keys.len() * 3);
    for piece in keys.chunks(PIECE) {
        let reads = piece.iter().map(|key| cmd("HMGET").arg(key).arg("n").arg("v").result());
        let rows = cx.pipeline(reads.collect::<Vec<_>>()).await?;
        let mut gone = Vec::new();
        for (key, row) in piece.iter().zip(rows) {
            match row.and_then(Reply::to::<(Option<i64>, Option<i64>)>) {
                Ok((Some(value), Some(version))) => {
                    triples.push(Reply::bulk(key.as_slice()));
                    triples.extend([Reply::Int(value), Reply::Int(version)]);
                }
                _ => gone.push(acked(&config, key, -1).result()),
            }
        }
        // Ended, deleted or replaced past the gateway: nothing is left to back up.
        if !gone.is_empty() {
            cx.pipeline(gone).await?;
        }
    }
    Ok(Reply::Array(triples))
}

/// `COUNTER.ACK key version`: 1 if the counter still has that version, and is now off the list.
pub async fn ack(cx: Cx, args: Args) -> Result<bool> {
    let config = with_backup(&cx)?;
    let counter = Counter::of(&cx, &config, args.key());
    cx.call(acked(&config, &counter.key, args.get(2)?).typed()).await
}

fn acked(config: &Config, key: &[u8], version: i64) -> Typed<Reply> {
    eval(scripts::ACK, [key]).arg(version).arg(&*config.registry())
}

fn with_backup(cx: &Cx) -> Result<Rc<Config>> {
    let config = cx.config::<Config>()?;
    if config.backup.is_empty() {
        return Err(Error::new("counter: set 'backup' in the config of this binding"));
    }
    Ok(config)
}
