//! Writing: SET and its relatives fill the value, EXPIRE and PERSIST move its end.
//!
//! A fill stores the value with grace, ends the lease whoever has it (mode `key`), and hands the value to those who
//! wait. The commands of a fill go to one shard in their order; the notice leaves only after the shard has answered.
//! What cannot be read here goes on as it came, so that the shard gives its own error.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::{Command, cmd};
use sluicegate_plugin::cx::{Cx, Kind};
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;

use crate::config::{Config, LeaseMode};
use crate::dirty::{self, Note};
use crate::early;
use crate::lease;
use crate::notice;
use crate::stats::{self, Count};
use crate::ttl::{self, Expire};

/// `SET key value [options]`
pub async fn set(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    let (key, value) = (args.key(), args.bytes(2));
    let cap_ms = config.cap_ms(value);
    let Some(set) = ttl::read_set(&args, config.grace_ms(), cx.now_ms(), cap_ms) else {
        return cx.pass();
    };
    let notice =
        if set.expiry.is_past(cx.now_ms()) { notice::GONE.to_vec() } else { notice::filled(value) };
    if set.may_fill() && is_fill(&cx, &config, key) {
        let end = set.expiry.words(config.grace_ms(), cx.now_ms()).unwrap_or_default();
        return fill(&cx, &config, key, value, &end, &notice).await;
    }
    let reply = if config.dirty {
        if !set.is_plain && !set.may_fill() {
            // A stale value is not what a condition means, and the notes know nothing of that.
            return Err(Error::new("cache: SET with NX, GET or KEEPTTL is not for 'dirty: true'"));
        }
        let words = [&b"SET"[..]].into_iter().chain(set.words.iter().map(Vec::as_slice));
        let write = dirty::write(&cx, &config, key, Note::Value(value), set.told, words);
        cx.single(write.typed()).await?
    } else if set.is_plain {
        with_void(&cx, &config, key, set.command.clone()).await?
    } else {
        cx.single(set.command.clone().typed()).await?
    };
    if !set.was_stored(&reply) {
        return Ok(reply);
    }
    ended(&cx, &config, key, &notice, reply)
}

/// `SETEX key s value`, `PSETEX key ms value`
pub async fn setex(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    let (key, value) = (args.key(), args.bytes(3));
    let Some(hard_ms) = ttl::read_setex(&args, config.grace_ms(), config.cap_ms(value)) else {
        return cx.pass();
    };
    let notice = notice::filled(value);
    if is_fill(&cx, &config, key) {
        let end = [b"PX".to_vec(), hard_ms.to_string().into_bytes()];
        return fill(&cx, &config, key, value, &end, &notice).await;
    }
    let reply = if config.dirty {
        let hard_ms = hard_ms.to_string();
        let words = [&b"PSETEX"[..], hard_ms.as_bytes(), value];
        let write = dirty::write(&cx, &config, key, Note::Value(value), "any", words);
        cx.single(write.typed()).await?
    } else {
        with_void(&cx, &config, key, cmd("PSETEX").arg(key).arg(hard_ms).arg(value)).await?
    };
    ended(&cx, &config, key, &notice, reply)
}

/// Whether this write comes from whom the lease was given to, in mode `conn`. Inside MULTI every write is an ordinary one.
pub fn is_fill(cx: &Cx, config: &Config, key: &[u8]) -> bool {
    cx.kind() != Kind::InMulti && lease::has_led(cx, config, key)
}

/// The leader's write: stored while its lease stands. One that comes too late is answered as if it had come before what has
/// overtaken it, since a cache may lose any value.
pub async fn fill(
    cx: &Cx,
    config: &Config,
    key: &[u8],
    value: &[u8],
    end: &[Vec<u8>],
    notice: &[u8],
) -> Result<Reply> {
    lease::forget(cx, config, key);
    let words = [&b"SET"[..], value].into_iter().chain(end.iter().map(Vec::as_slice));
    if cx.call(lease::fill(key, lease::token(cx, config).as_bytes(), words)).await? {
        return ended(cx, config, key, notice, Reply::ok());
    }
    stats::count(cx, config, Count::Refused);
    lease::unwatch(cx, key)?;
    Ok(Reply::ok())
}

/// EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT
pub async fn expire(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    let key = args.key();
    match ttl::read_expire(&args, config.grace_ms(), cx.now_ms()) {
        None => cx.pass(),
        Some(Expire::Delete) => {
            // As it came: with NX, XX, GT or LT the shard may still refuse.
            let name = String::from_utf8_lossy(args.name()).into_owned();
            if config.dirty {
                let words = [name.as_bytes()].into_iter().chain(args.from(2));
                let write = dirty::write(&cx, &config, key, Note::Gone, "one", words);
                let reply = cx.single(write.typed()).await?;
                return gone(&cx, key, reply);
            }
            let reply = with_void(&cx, &config, key, cmd(&name).args(args.from(1))).await?;
            gone(&cx, key, reply)
        }
        Some(Expire::Shifted(command)) => cx.single(command.typed()).await,
    }
}

/// `PERSIST key`
pub async fn persist(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    if args.len() != 2 {
        return cx.pass();
    }
    cx.single(ttl::persist(args.key(), config.grace_ms()).typed()).await
}

/// Task: the session of these keys' leader has closed.
pub async fn release(cx: Cx, args: Args) -> Result<()> {
    let config = cx.config::<Config>()?;
    let token = lease::token(&cx, &config);
    let keys: Vec<&[u8]> = args.from(0).collect();
    // Each key takes up to two operations of a batch of at most 128.
    for some in keys.chunks(50) {
        let releases = some.iter().map(|key| lease::release(key, &token).result());
        let released = cx.pipeline(releases.collect::<Vec<_>>()).await?;
        for (key, released) in some.iter().zip(released) {
            if released? {
                stats::count(&cx, &config, Count::HandedOn);
                cx.notify(key, notice::GONE);
            }
        }
    }
    Ok(())
}

/// Runs one command and ends the lease behind it. Where fills are checked, in one step: one between the two would overwrite what
/// is newer.
async fn with_void(cx: &Cx, config: &Config, key: &[u8], command: Command) -> Result<Reply> {
    if cx.kind() == Kind::InMulti || config.lease_mode != LeaseMode::Key {
        let batch = (command.to_key(key), lease::void(key).result());
        return cx.transaction(batch).await.map(|(reply, _)| reply);
    }
    let reply = cx.call(command);
    cx.send(lease::void(key));
    reply.await
}

/// After a fill: tells those who wait.
pub fn ended(cx: &Cx, config: &Config, key: &[u8], notice: &[u8], reply: Reply) -> Result<Reply> {
    stats::count(cx, config, Count::Fill);
    early::end(cx, config, key);
    cx.notify(key, notice);
    lease::unwatch(cx, key)?;
    Ok(reply)
}

/// After a deletion: tells those who wait that somebody has to compute.
pub fn gone(cx: &Cx, key: &[u8], reply: Reply) -> Result<Reply> {
    cx.notify(key, notice::GONE);
    lease::unwatch(cx, key)?;
    Ok(reply)
}
