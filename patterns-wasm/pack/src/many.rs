//! Several keys: MGET by one HMGET for each bucket, the others by a step for each key.
//!
//! Comes in: keys of any buckets and shards. Goes out: their replies in the order of the keys. Inside MULTI every key is a step of
//! its own: reads may lie on several shards, writes on one.

use std::collections::HashMap;

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::convert::FromReply;
use sluicegate_plugin::cx::{Cx, Kind};
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::request::Typed;

use crate::adopt::adopt;
use crate::bucket::Packed;
use crate::config::Config;
use crate::scripts;
use crate::write::store;

/// Commands of one batch.
const BATCH: usize = 100;
/// Most keys of one command inside MULTI.
const KEYS_IN_MULTI: usize = 1_000;

/// `MGET key...`
pub async fn mget(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() < 2 {
        return cx.pass();
    }
    let config = cx.config::<Config>()?;
    let keys = packed(&config, args.from(1))?;
    let get = |packed: &Packed<'_>| packed.question(scripts::GET).typed();
    if cx.kind() == Kind::InMulti {
        return Ok(Reply::Array(all(&cx, keys.iter().map(get).collect()).await?));
    }
    let mut buckets: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (place, packed) in keys.iter().enumerate() {
        buckets.entry(&packed.bucket).or_default().push(place);
    }
    let buckets: Vec<(&[u8], Vec<usize>)> = buckets.into_iter().collect();
    let fields = |(bucket, places): &(&[u8], Vec<usize>)| -> Typed<Vec<Reply>> {
        let fields = places.iter().filter_map(|place| keys.get(*place)).map(|packed| packed.field);
        cmd("HMGET").arg(*bucket).args(fields).typed()
    };
    let found = all(&cx, buckets.iter().map(fields).collect()).await?;
    let mut values = vec![Reply::Null; keys.len()];
    let places = buckets.iter().flat_map(|(_, places)| places);
    for (place, value) in places.zip(found.into_iter().flatten()) {
        if let Some(slot) = values.get_mut(*place) {
            *slot = value;
        }
    }
    // Plain ones, and those that are just being moved.
    let missing: Vec<usize> = values
        .iter()
        .enumerate()
        .filter(|(_, value)| value.is_null())
        .map(|(place, _)| place)
        .collect();
    let others: Vec<&Packed<'_>> = missing.iter().filter_map(|place| keys.get(*place)).collect();
    for packed in &others {
        adopt(&cx, &config, packed).await?;
    }
    let found: Vec<Reply> = all(&cx, others.into_iter().map(get).collect()).await?;
    for (place, value) in missing.iter().zip(found) {
        if let Some(slot) = values.get_mut(*place) {
            *slot = value;
        }
    }
    Ok(Reply::Array(values))
}

/// `MSET key value...`
pub async fn mset(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() < 3 || args.len().is_multiple_of(2) {
        return cx.pass();
    }
    let config = cx.config::<Config>()?;
    let keys = packed(&config, args.from(1).step_by(2))?;
    let values = args.from(2).step_by(2);
    let stores = keys.iter().zip(values).map(|(packed, value)| store(packed, value));
    all(&cx, stores.collect()).await?;
    Ok(Reply::ok())
}

/// `EXISTS key...`, `TOUCH key...`
pub async fn count(cx: Cx, args: Args) -> Result<Reply> {
    let name = if args.is(0, "TOUCH") { "TOUCH" } else { "EXISTS" };
    let ask = |packed: &Packed<'_>| packed.question(scripts::READ).arg(name).typed();
    sum(cx, args, true, ask).await
}

/// `DEL key...`, `UNLINK key...`
pub async fn delete(cx: Cx, args: Args) -> Result<Reply> {
    sum(cx, args, true, |packed| packed.script(scripts::DELETE).typed()).await
}

async fn sum(
    cx: Cx,
    args: Args,
    adopts: bool,
    ask: impl Fn(&Packed<'_>) -> Typed<i64>,
) -> Result<Reply> {
    if args.len() < 2 {
        return cx.pass();
    }
    let config = cx.config::<Config>()?;
    let keys = packed(&config, args.from(1))?;
    if adopts {
        for packed in &keys {
            adopt(&cx, &config, packed).await?;
        }
    }
    let counts = all(&cx, keys.iter().map(ask).collect()).await?;
    Ok(Reply::Int(counts.iter().sum()))
}

fn packed<'a>(config: &Config, keys: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Packed<'a>>> {
    keys.map(|key| Packed::of(config, key)).collect()
}

/// Sends all and reads all replies; inside MULTI as one transaction.
async fn all<T: FromReply>(cx: &Cx, commands: Vec<Typed<T>>) -> Result<Vec<T>> {
    if cx.kind() == Kind::InMulti {
        if commands.len() > KEYS_IN_MULTI {
            return Err(Error::new("pack: at most 1000 keys of one command inside MULTI"));
        }
        return cx.transaction(commands).await;
    }
    let mut replies = Vec::with_capacity(commands.len());
    let mut commands = commands.into_iter();
    loop {
        let batch: Vec<Typed<T>> = commands.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(replies);
        }
        replies.extend(cx.pipeline(batch).await?);
    }
}
