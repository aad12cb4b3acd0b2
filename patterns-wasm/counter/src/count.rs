//! INCR, INCRBY, DECR, DECRBY: one script, whose expiry is in it.
//!
//! The reply is the value as Redis would give it. A counter without a base counts from 0 until its base is added; who
//! wants to be told of that uses COUNTER.INCR.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::cx::{Cx, Kind};
use sluicegate_plugin::error::{Error, Result};

use crate::config::Config;
use crate::counters::Counter;
use crate::feed::feed;
use crate::gather;

/// `INCR key`, `INCRBY key by`, `DECR key`, `DECRBY key by`
pub async fn change(cx: Cx, args: Args) -> Result<i64> {
    let config = cx.config::<Config>()?;
    let by = match (args.len(), args.is(0, "INCR"), args.is(0, "DECR")) {
        (2, true, _) => 1,
        (2, _, true) => -1,
        (3, false, false) => by(&args)?,
        _ => return cx.pass(),
    };
    let counter = Counter::to_write(&cx, &config, args.key())?;
    if config.gather.ms() > 0
        && cx.kind() != Kind::InMulti
        && let Some(value) = gather::add(&cx, &config, &counter, by).await?
    {
        return Ok(value);
    }
    let value = gather::send(&cx, &config, &counter, by).await?;
    feed(&cx, &config, &counter, value).await;
    Ok(value)
}

fn by(args: &Args) -> Result<i64> {
    let by: i64 = args.get(2)?;
    if args.is(0, "INCRBY") {
        return Ok(by);
    }
    by.checked_neg().ok_or_else(|| Error::new("decrement would overflow"))
}
