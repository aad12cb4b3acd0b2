//! GUARD.UNLINK: deletes by pattern, in steps that hold nobody up.
//!
//! Like SCAN it answers a cursor, so that a gateway that dies, or a client that stops, costs nothing: begin again. Each step scans one
//! shard a little, unlinks what it found and pauses; a call does some of them. Every key that was there at the beginning
//! and stays is found, as SCAN promises.

use sluicegate_plugin::args::{Args, parse_int};
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;

/// Keys that a shard looks at in one step.
const SCANNED: i64 = 200;
/// Keys of one batch.
const BATCH: usize = 100;
/// Steps of one call, and the pause between two.
const STEPS: usize = 50;
const PAUSE_MS: u32 = 2;

/// `GUARD.UNLINK pattern [cursor]`: the next cursor, `0` at the end, and how many keys were unlinked by this call.
pub async fn unlink(cx: Cx, args: Args) -> Result<Reply> {
    let pattern = args.bytes(1);
    if pattern.first().is_none_or(|byte| b"*?[\\".contains(byte)) {
        return Err(Error::new(
            "guard: GUARD.UNLINK pattern must begin with a letter of the keys it is for",
        ));
    }
    let (mut shard, mut cursor) = match args.len() {
        2 => (0, Vec::from(b"0")),
        3 => read(args.bytes(2))?,
        _ => return Err(Error::arity("guard.unlink")),
    };
    let mut gone = 0;
    for _ in 0..STEPS {
        if shard >= cx.shards() {
            break;
        }
        let scan = cmd("SCAN").arg(&cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(SCANNED);
        let (next, keys): (Vec<u8>, Vec<Vec<u8>>) = cx.call(scan.to_shard(shard).typed()).await?;
        for batch in keys.chunks(BATCH) {
            let unlink =
                batch.iter().map(|key| cmd("UNLINK").arg(key).to_shard(shard).typed::<i64>());
            gone += cx.pipeline(unlink.collect::<Vec<_>>()).await?.into_iter().sum::<i64>();
        }
        cursor = next;
        if cursor == b"0" {
            shard += 1;
        }
        cx.sleep(PAUSE_MS).await?;
    }
    let next = match shard >= cx.shards() {
        true => Vec::from(b"0"),
        false => [shard.to_string().as_bytes(), b"-", &cursor].concat(),
    };
    Ok(Reply::Array(vec![Reply::Bulk(next), Reply::Int(gone)]))
}

/// A cursor: the shard's number, and its own cursor.
fn read(text: &[u8]) -> Result<(u16, Vec<u8>)> {
    if text == b"0" {
        return Ok((0, Vec::from(b"0")));
    }
    let at = text.iter().position(|byte| *byte == b'-');
    let parts = at.and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?)));
    let shard = parts.and_then(|(shard, _)| parse_int(shard)).and_then(|n| u16::try_from(n).ok());
    match (shard, parts) {
        (Some(shard), Some((_, cursor))) if cursor.iter().all(u8::is_ascii_digit) => {
            Ok((shard, cursor.to_vec()))
        }
        _ => {
            Err(Error::new("guard: GUARD.UNLINK cursor must be 0, or what the last call answered"))
        }
    }
}
