//! Counters that have a backup: COUNTER.INCR, COUNTER.MGET and COUNTER.RESTORE.
//!
//! Of all callers that meet a counter without a base one gets a token, per restore lease: it loads the base from the backup and
//! sends COUNTER.RESTORE. Increments that come meanwhile are counted and kept. The token says who was asked; RESTORE
//! needs none, since a base is added once, whoever sends it and however often.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::{Command, beside, cmd};
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;

use crate::Count;
use crate::config::Config;
use crate::counters::Counter;
use crate::feed::feed;
use crate::scripts;

/// Name of the lease beside its counter.
const LEASE: &str = "restore";
/// Keys of one piece of a COUNTER.MGET.
const PIECE: usize = 100;
/// Most keys of one COUNTER.MGET, so that it ends well within its steps.
const KEYS_MAX: usize = 10_000;

/// Beyond this not every integer is a number of the scripts.
const VERSION_MAX: i64 = 1 << 53;

/// `COUNTER.INCR key [by]`: `[value, token or nil]`.
pub async fn incr(cx: Cx, args: Args) -> Result<Reply> {
    let by = match args.len() {
        2 => 1,
        3 => args.get(2)?,
        _ => return Err(Error::arity("counter.incr")),
    };
    let (token, config) = (token(&cx), cx.config::<Config>()?);
    let counter = Counter::to_write(&cx, &config, args.key())?;
    let add = on_counter(&config, scripts::ADD, &counter, by).arg(&*token);
    let add = add.arg(i64::from(config.restore_lease.ms())).arg(&*config.registry());
    let (value, won): (Reply, bool) = cx.call(add.typed()).await?;
    if let Some(value) = value.int() {
        feed(&cx, &config, &counter, value).await;
    }
    Ok(told(&cx, token, (value, won)))
}

/// `COUNTER.MGET key...`: per key `[value or nil, token or nil]`, or its error.
pub async fn mget(cx: Cx, args: Args) -> Result<Reply> {
    let keys: Vec<&[u8]> = args.from(1).collect();
    if keys.len() > KEYS_MAX {
        return Err(Error::new("counter: COUNTER.MGET takes at most 10000 keys in one call"));
    }
    let config = cx.config::<Config>()?;
    let lease_ms = i64::from(config.restore_lease.ms());
    let mut rows = Vec::with_capacity(keys.len());
    for piece in keys.chunks(PIECE) {
        let tokens: Vec<String> = piece.iter().map(|_| token(&cx)).collect();
        let mut reads = Vec::with_capacity(piece.len());
        for (key, token) in piece.iter().zip(&tokens) {
            let counter = Counter::of(&cx, &config, key);
            let read = on_counter(&config, scripts::READ, &counter, 0).arg(&**token).arg(lease_ms);
            reads.push(read.typed::<(Reply, bool)>().result());
        }
        let read = cx.pipeline(reads).await?;
        rows.extend(read.into_iter().zip(tokens).map(|(row, token)| match row {
            Ok(row) => told(&cx, token, row),
            Err(error) => Reply::Error(error.text),
        }));
    }
    Ok(Reply::Array(rows))
}

/// `COUNTER.RESTORE key base version`: the value, with the base in it.
pub async fn restore(cx: Cx, args: Args) -> Result<i64> {
    let (base, version): (i64, i64) = (args.get(2)?, args.get(3)?);
    if !(0..=VERSION_MAX).contains(&version) {
        return Err(Error::new("counter: COUNTER.RESTORE version must be from 0 to 2^53"));
    }
    let config = cx.config::<Config>()?;
    let counter = Counter::to_write(&cx, &config, args.key())?;
    let restore = on_counter(&config, scripts::RESTORE, &counter, base).arg(version);
    let (value, added): (i64, bool) = cx.call(restore.arg(&*config.registry()).typed()).await?;
    if added {
        cx.metric_add(Count::Restore as u32, 1);
        feed(&cx, &config, &counter, value).await;
    }
    Ok(value)
}

/// A script on a counter and its lease, with its number and the binding's expiry.
fn on_counter(config: &Config, script: &str, counter: &Counter<'_>, number: i64) -> Command {
    let command = cmd("EVAL").arg(script).arg(2);
    let command = command.arg(&*counter.key).arg(beside(&counter.key, LEASE)).arg(number);
    counter.add_end(command, config)
}

fn told(cx: &Cx, token: String, (value, won): (Reply, bool)) -> Reply {
    if won {
        cx.metric_add(Count::Token as u32, 1);
    }
    let value = value.int().map_or(Reply::Null, Reply::Int);
    Reply::Array(vec![value, if won { Reply::bulk(token) } else { Reply::Null }])
}

/// 64 random bits as 16 hexadecimal digits.
fn token(cx: &Cx) -> String {
    let bytes = cx.random().to_be_bytes();
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect()
}
