//! Writing: pushes that trim now and then, and everything else on a list that was trimmed first.
//!
//! A push answers the length that is shown. Its trim is a command of its own, sent behind it without waiting: it keeps the
//! newest whatever was pushed meanwhile, and readers never see what it takes away. Inside MULTI, where the length is not
//! known in time, and with `slack: 0` both go in one transaction.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::{Command, cmd};
use sluicegate_plugin::cx::{Cx, Kind};
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;

use crate::TRIMS;
use crate::config::Config;

/// Most items of one push with `unique`: each is one more command of its transaction.
const UNIQUE_MAX: usize = 1_000;

/// `LPUSH key item...`, `LPUSHX key item...`
pub async fn lpush(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    if args.len() < 3 {
        return cx.pass();
    }
    if config.unique {
        return push_unique(&cx, &config, &args).await;
    }
    let push = as_it_came(&args);
    if config.is_exact() || cx.kind() == Kind::InMulti {
        let batch = (push.to_key(args.key()), trim(args.key(), config.keep()));
        let (pushed, _) = cx.transaction(batch).await?;
        return Ok(shown(pushed, &config));
    }
    let pushed = cx.call(push).await?;
    trim_behind(&cx, &config, args.key(), &pushed);
    Ok(shown(pushed, &config))
}

async fn push_unique(cx: &Cx, config: &Config, args: &Args) -> Result<Reply> {
    if args.is(0, "LPUSHX") {
        return Err(Error::new("latest: LPUSHX is not for lists with unique; use LPUSH"));
    }
    let items: Vec<&[u8]> = args.from(2).collect();
    if items.len() > UNIQUE_MAX {
        return Err(Error::new("latest: with unique, LPUSH takes at most 1000 items"));
    }
    // Of an item that comes twice in one push, the later place is nearer to the head.
    let (mut last, mut batch) = (Vec::new(), Vec::new());
    for (place, item) in items.iter().enumerate() {
        if !items.get(place + 1..).unwrap_or_default().contains(item) {
            batch.push(remove(args.key(), item));
            last.push(*item);
        }
    }
    let pushed = batch.len();
    batch.push(cmd("LPUSH").arg(args.key()).args(last));
    batch.push(trim(args.key(), config.keep()));
    let mut rows = cx.transaction(batch).await?;
    Ok(shown(if pushed < rows.len() { rows.swap_remove(pushed) } else { Reply::Null }, config))
}

/// Any other command that changes a list, pops from it, or gives all that is stored: on what is shown.
pub async fn on_trimmed(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    let (key, keep) = (args.key(), config.keep());
    // A key of another type refuses both in the same words.
    let first = trim(key, keep).result();
    let batch = (first, as_it_came(&args), trim(key, keep).result());
    let (_, reply, _) = cx.transaction(batch).await?;
    let gives_length = args.is(0, "RPUSH") || args.is(0, "RPUSHX") || args.is(0, "LINSERT");
    Ok(if gives_length { shown(reply, &config) } else { reply })
}

/// The command that the client sent.
pub fn as_it_came(args: &Args) -> Command {
    cmd(&String::from_utf8_lossy(args.name()).to_ascii_uppercase()).args(args.from(1))
}

/// Takes every copy of an item out of a list.
pub fn remove(key: &[u8], item: &[u8]) -> Command {
    cmd("LREM").arg(key).arg(0).arg(item)
}

/// Leaves the newest items.
pub fn trim(key: &[u8], keep: i64) -> Command {
    cmd("LTRIM").arg(key).arg(0).arg(keep - 1)
}

/// After a push that made a list so long: trims it once it is too long. Nobody waits for that.
pub fn trim_behind(cx: &Cx, config: &Config, key: &[u8], length: &Reply) {
    if length.int().is_some_and(|length| length > config.longest()) {
        cx.metric_add(TRIMS, 1);
        cx.send(trim(key, config.keep()));
    }
}

/// A length as it is shown.
pub fn shown(reply: Reply, config: &Config) -> Reply {
    match reply {
        Reply::Int(length) => Reply::Int(length.min(config.keep())),
        other => other,
    }
}
