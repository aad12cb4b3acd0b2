//! An end for every key that is written: `default_ttl`.
//!
//! The end is given in the same step as the write, so that no crash leaves a key for ever. A key that has an end keeps it, and
//! so does what the client says itself. SET carries its end; any other write is a script that adds it where none is. Without
//! `default_ttl` a write that keeps to the rules goes on as it came.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::{Cx, Kind};
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::request::Typed;

use crate::Count;
use crate::config::Config;
use crate::rules::{check, name};

/// A write, and its end `ARGV[1]` in milliseconds if the key has none: `ARGV[2]` is the command, then its arguments behind `KEYS[1]`.
pub const WRITE: &str = "local r=redis.pcall(ARGV[2],KEYS[1],unpack(ARGV,3)) \
if type(r)=='table' and r.err then return r end \
if redis.call('PTTL',KEYS[1])==-1 then redis.call('PEXPIRE',KEYS[1],ARGV[1]) end return r";

/// Lua's own bound, with some room.
const ARGUMENTS_MAX: usize = 7_000;
/// Keys of one piece of an MSET.
const PIECE: usize = 100;
/// Most keys of an MSET inside MULTI.
const KEYS_IN_MULTI: usize = 1_000;

/// `SET key value [options]`
pub async fn set(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    if args.len() < 3 {
        return cx.pass();
    }
    check(&cx, &config, "set", args.key(), [args.bytes(2)].into_iter())?;
    let has_end = (3..args.len())
        .any(|at| ["EX", "PX", "EXAT", "PXAT"].iter().any(|option| args.is(at, option)));
    if config.default_ttl.ms() == 0 || has_end {
        return cx.pass();
    }
    cx.metric_add(Count::Expiring as u32, 1);
    if (3..args.len()).any(|at| args.is(at, "KEEPTTL")) {
        return cx.single(script(&config, "SET", &args)).await;
    }
    let set = cmd("SET").args(args.from(1)).arg("PX").arg(i64::from(config.default_ttl.ms()));
    cx.single(set.typed()).await
}

/// `MSET key value...`: each pair as by a SET of its own.
pub async fn mset(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    if args.len() < 3 || args.len().is_multiple_of(2) {
        return cx.pass();
    }
    let pairs: Vec<(&[u8], &[u8])> =
        (1..args.len()).step_by(2).map(|at| (args.bytes(at), args.bytes(at + 1))).collect();
    for (key, value) in &pairs {
        check(&cx, &config, "mset", key, [*value].into_iter())?;
    }
    if config.default_ttl.ms() == 0 {
        return cx.pass();
    }
    let ttl_ms = i64::from(config.default_ttl.ms());
    let set = |(key, value): &(&[u8], &[u8])| -> Typed<Reply> {
        cmd("SET").arg(*key).arg(*value).arg("PX").arg(ttl_ms).typed()
    };
    cx.metric_add(Count::Expiring as u32, i64::try_from(pairs.len()).unwrap_or(i64::MAX));
    if cx.kind() == Kind::InMulti {
        if pairs.len() > KEYS_IN_MULTI {
            return Err(Error::new("guard: MSET inside MULTI takes at most 1000 keys"));
        }
        cx.transaction(pairs.iter().map(set).collect::<Vec<_>>()).await?;
        return Ok(Reply::ok());
    }
    for piece in pairs.chunks(PIECE) {
        cx.pipeline(piece.iter().map(set).collect::<Vec<_>>()).await?;
    }
    Ok(Reply::ok())
}

/// `SETEX key s value`, `PSETEX key ms value`: only the rules.
pub async fn with_end(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    check(&cx, &config, &name(&args), args.key(), args.from(3))?;
    cx.pass()
}

/// Any other write that may create its key.
pub async fn write(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    let name = name(&args);
    if args.len() < 2 {
        return cx.pass();
    }
    check(&cx, &config, &name, args.key(), args.rest())?;
    if config.default_ttl.ms() == 0 {
        return cx.pass();
    }
    if args.len() > ARGUMENTS_MAX {
        let text = "' with default_ttl takes at most 7000 arguments; send several";
        return Err(Error::new(["guard: '", &name, text].concat()));
    }
    cx.metric_add(Count::Expiring as u32, 1);
    let reply = cx.single(script(&config, &name, &args)).await?;
    let is_score = name == "zincrby" || (name == "zadd" && args.rest().any(is_incr));
    Ok(match (reply, is_score) {
        // Scripts give scores as text; a client of RESP3 gets a number.
        (Reply::Bulk(text), true) => Reply::Double(String::from_utf8_lossy(&text).into_owned()),
        (reply, _) => reply,
    })
}

fn is_incr(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"INCR")
}

fn script(config: &Config, name: &str, args: &Args) -> Typed<Reply> {
    let write = cmd("EVAL").arg(WRITE).arg(1).arg(args.key());
    write.arg(i64::from(config.default_ttl.ms())).arg(name).args(args.rest()).typed()
}
