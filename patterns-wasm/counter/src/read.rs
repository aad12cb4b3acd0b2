//! GET, MGET and TYPE: a counter is read as the string that it stands for.
//!
//! A counter is a hash; a plain string beside it in the same binding is one that nothing has changed yet, and is read as it is.
//! Inside MULTI, where a second look is not possible, one script reads either.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::commands::get as plain;
use sluicegate_plugin::cx::{Cx, Kind};
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::request::Typed;

use crate::config::Config;
use crate::counters::Counter;
use crate::scripts;

/// Keys of one piece of an MGET.
const PIECE: usize = 100;
/// Most keys of an MGET inside MULTI: each is a command of its transaction.
const KEYS_IN_MULTI: usize = 1_000;

/// `GET key`
pub async fn get(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 2 {
        return cx.pass();
    }
    let config = cx.config::<Config>()?;
    let counter = Counter::of(&cx, &config, args.key());
    if cx.kind() == Kind::InMulti {
        let (value, _): (Reply, i64) = cx.single(either(&counter.key)).await?;
        return Ok(value);
    }
    let row = cx.call(stored(&counter.key)).await?;
    // No hash: as it is, or Redis's error.
    if is_wrong_type(&row) { cx.call(cmd("GET").arg(&*counter.key)).await } else { row }
}

/// `MGET key...`: the keys of this binding.
pub async fn mget(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    let counters: Vec<Counter<'_>> =
        args.from(1).map(|key| Counter::of(&cx, &config, key)).collect();
    let keys: Vec<&[u8]> = counters.iter().map(|counter| &*counter.key).collect();
    if cx.kind() == Kind::InMulti {
        if keys.len() > KEYS_IN_MULTI {
            return Err(Error::new("counter: MGET inside MULTI takes at most 1000 keys"));
        }
        let reads = keys.iter().map(|key| either(key).result()).collect::<Vec<_>>();
        let rows = cx.transaction(reads).await?;
        let value = |row: Result<(Reply, i64)>| match row {
            Ok((value, _)) => Ok(value),
            // What is no string is null, as MGET has it.
            Err(error) if error.text.starts_with("WRONGTYPE") => Ok(Reply::Null),
            Err(error) => Err(error),
        };
        return Ok(Reply::Array(rows.into_iter().map(value).collect::<Result<_>>()?));
    }
    let mut values = Vec::with_capacity(keys.len());
    for piece in keys.chunks(PIECE) {
        let read = cx.pipeline(piece.iter().map(|key| stored(key)).collect::<Vec<_>>()).await?;
        let others: Vec<&[u8]> = piece
            .iter()
            .zip(&read)
            .filter(|(_, row)| is_wrong_type(row))
            .map(|(key, _)| *key)
            .collect();
        let mut others = cx
            .pipeline(others.iter().map(|key| plain(*key).result()).collect::<Vec<_>>())
            .await?
            .into_iter();
        for row in read {
            if is_wrong_type(&row) {
                // Nor is what is no string either.
                let value = others.next().and_then(Result::ok).flatten();
                values.push(value.map_or(Reply::Null, Reply::Bulk));
            } else {
                values.push(row?);
            }
        }
    }
    Ok(Reply::Array(values))
}

/// `TYPE key`: a counter is a string to its clients.
pub async fn type_of(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 2 {
        return cx.pass();
    }
    let config = cx.config::<Config>()?;
    let counter = Counter::of(&cx, &config, args.key());
    let found: Reply = cx.single(cmd("TYPE").arg(&*counter.key).typed()).await?;
    Ok(if found.bytes() == Some(b"hash") { Reply::Simple("string".into()) } else { found })
}

fn stored(key: &[u8]) -> Typed<Result<Reply>> {
    cmd("HGET").arg(key).arg("n").result()
}

fn either(key: &[u8]) -> Typed<(Reply, i64)> {
    // Declared to change nothing, so that a transaction that only reads may ask several shards.
    cmd("EVAL_RO").arg(scripts::READ).arg(1).arg(key).typed()
}

fn is_wrong_type(row: &Result<Reply>) -> bool {
    row.as_ref().is_err_and(|error| error.text.starts_with("WRONGTYPE"))
}
