//! INCR, INCRBY, DECR, DECRBY: one script, whose expiry is in it.
//!
//! The reply is the value as Redis would give it. A counter without a base counts from 0 until its base is added; who
//! wants to be told of that uses COUNTER.INCR.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};

use crate::config::Config;
use crate::scripts;

/// `INCR key`, `INCRBY key by`, `DECR key`, `DECRBY key by`
pub async fn change(cx: Cx, args: Args) -> Result<i64> {
    let config = cx.config::<Config>()?;
    let by = match (args.len(), args.is(0, "INCR"), args.is(0, "DECR")) {
        (2, true, _) => 1,
        (2, _, true) => -1,
        (3, false, false) => by(&args)?,
        _ => return cx.pass(),
    };
    let add = cmd("EVAL").arg(scripts::ADD).arg(1).arg(args.key()).arg(by);
    let add = add.arg(i64::from(config.ttl.ms())).arg(config.expire_word());
    // No lease.
    let add = add.arg("").arg("").arg(&*config.registry());
    let (value, _): (i64, bool) = cx.single(add.typed()).await?;
    Ok(value)
}

fn by(args: &Args) -> Result<i64> {
    let by: i64 = args.get(2)?;
    if args.is(0, "INCRBY") {
        return Ok(by);
    }
    by.checked_neg().ok_or_else(|| Error::new("decrement would overflow"))
}
