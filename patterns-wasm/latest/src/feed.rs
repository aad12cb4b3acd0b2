//! `LATEST.PUSH n item key...`: one item into many lists, wherever they lie.
//!
//! Lists are pushed to in pieces, each piece at once on all its shards. A list that fails does not stop the others: its place
//! in the reply is its error, so that the caller knows which to push to again. `n` may be less than the binding's `keep`:
//! then each list is left with its newest n in the same transaction.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::wait::join_all;

use crate::config::Config;
use crate::write::{remove, shown, trim, trim_behind};

/// Lists of one piece: its pushes and the trims of the piece before leave in one batch of at most 128 operations.
const PIECE: usize = 60;
/// Most lists of one call, so that it ends well within its steps.
const LISTS_MAX: usize = 10_000;

/// `LATEST.PUSH n item key...`: per key the length that is shown, or the error.
pub async fn push(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    let keep: i64 = args.get(1)?;
    if !(1..=config.keep()).contains(&keep) {
        return Err(Error::new("latest: LATEST.PUSH n must be from 1 to the binding's keep"));
    }
    let keys: Vec<&[u8]> = args.from(3).collect();
    if keys.is_empty() {
        return Err(Error::arity("latest.push"));
    }
    if keys.len() > LISTS_MAX {
        return Err(Error::new("latest: LATEST.PUSH takes at most 10000 keys in one call"));
    }
    let mut lengths = Vec::with_capacity(keys.len());
    for piece in keys.chunks(PIECE) {
        let pushes = piece.iter().map(|key| push_one(&cx, &config, keep, args.bytes(2), key));
        let pushed = join_all(pushes.collect::<Vec<_>>()).await;
        for (key, reply) in piece.iter().zip(pushed) {
            let reply = reply.unwrap_or_else(|error| Reply::Error(error.text));
            trim_behind(&cx, &config, key, &reply);
            let reply = shown(reply, &config);
            lengths.push(if let Reply::Int(length) = reply {
                Reply::Int(length.min(keep))
            } else {
                reply
            });
        }
    }
    Ok(Reply::Array(lengths))
}

async fn push_one(cx: &Cx, config: &Config, keep: i64, item: &[u8], key: &[u8]) -> Result<Reply> {
    let push = cmd("LPUSH").arg(key).arg(item);
    if config.unique {
        let batch = (remove(key, item), push, trim(key, keep));
        return cx.transaction(batch).await.map(|(_, pushed, _)| pushed);
    }
    if keep < config.keep() || config.is_exact() {
        return cx.transaction((push, trim(key, keep))).await.map(|(pushed, _)| pushed);
    }
    cx.call(push).await
}
