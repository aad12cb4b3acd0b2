//! Writing: SET and its relatives fill the value, EXPIRE and PERSIST move its end, DEL takes it away.
//!
//! A fill stores the value with grace, ends the lease whoever has it (mode `key`), and hands the value to those who
//! wait. The commands of a fill go to one shard in their order; the notice leaves only after the shard has answered.
//! What cannot be read here goes on as it came, so that the shard gives its own error.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::{Command, cmd};
use sluicegate_plugin::cx::{Cx, Kind};
use sluicegate_plugin::error::Result;
use sluicegate_plugin::reply::Reply;

use crate::config::Config;
use crate::lease;
use crate::notice;
use crate::stats::{self, Count};
use crate::ttl::{self, Condition, Expire};

/// `SET key value [options]`
pub async fn set(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    let Some(set) = ttl::read_set(&args, config.grace_ms(), cx.now_ms()) else {
        return cx.pass();
    };
    let (key, value) = (args.key(), args.bytes(2));
    let notice =
        if set.expiry.is_past(cx.now_ms()) { notice::GONE.to_vec() } else { notice::filled(value) };
    if set.condition == Condition::Always {
        let reply = with_void(&cx, key, set.command).await?;
        return ended(&cx, &config, key, &notice, reply);
    }
    // It may not be stored, and only a fill ends the lease.
    let reply = cx.single::<Reply>(set.command.clone().typed()).await?;
    if !set.was_stored(&reply) {
        return Ok(reply);
    }
    if cx.kind() == Kind::InMulti {
        cx.spawn("void", &[key])?;
    } else {
        cx.send(lease::void(key));
    }
    ended(&cx, &config, key, &notice, reply)
}

/// `SETEX key s value`, `PSETEX key ms value`
pub async fn setex(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    let Some(command) = ttl::read_setex(&args, config.grace_ms()) else {
        return cx.pass();
    };
    let reply = with_void(&cx, args.key(), command).await?;
    let notice = notice::filled(args.bytes(3));
    ended(&cx, &config, args.key(), &notice, reply)
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
            let reply = with_void(&cx, key, cmd(&name).args(args.from(1))).await?;
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

/// `DEL key`, `UNLINK key`. With several keys the gateway's own way deletes them; their leases end by themselves.
pub async fn del(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 2 {
        return cx.pass();
    }
    let name = if args.is(0, "UNLINK") { "UNLINK" } else { "DEL" };
    let reply = with_void(&cx, args.key(), cmd(name).arg(args.key())).await?;
    gone(&cx, args.key(), reply)
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

/// Task: ends the lease of a value that was filled inside MULTI under a condition.
pub async fn void(cx: Cx, args: Args) -> Result<bool> {
    cx.call(lease::void(args.bytes(0))).await
}

/// Runs one command and ends the lease behind it.
async fn with_void(cx: &Cx, key: &[u8], command: Command) -> Result<Reply> {
    if cx.kind() == Kind::InMulti {
        let batch = (command.to_key(key), lease::void(key).result());
        return cx.transaction(batch).await.map(|(reply, _)| reply);
    }
    let reply = cx.call(command);
    cx.send(lease::void(key));
    reply.await
}

/// After a fill: tells those who wait.
fn ended(cx: &Cx, config: &Config, key: &[u8], notice: &[u8], reply: Reply) -> Result<Reply> {
    stats::count(cx, config, Count::Fill);
    cx.notify(key, notice);
    lease::unwatch(cx, key)?;
    Ok(reply)
}

/// After a deletion: tells those who wait that somebody has to compute.
fn gone(cx: &Cx, key: &[u8], reply: Reply) -> Result<Reply> {
    cx.notify(key, notice::GONE);
    lease::unwatch(cx, key)?;
    Ok(reply)
}
