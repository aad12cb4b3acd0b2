//! SET and its relatives: a value that is known, so that nobody has to load a base for it.
//!
//! A value that is no integer is refused: the counter would be lost. Without an end of its own a value gets the binding's
//! `ttl`. Commands that make no sense on a counter are refused with what to use instead.

use sluicegate_plugin::args::{Args, parse_int};
use sluicegate_plugin::command::{beside, cmd};
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;

use crate::config::Config;
use crate::counters::Counter;
use crate::feed::feed;
use crate::scripts;

/// What a SET says beyond its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Options {
    /// `NX`, `XX` or empty.
    condition: &'static str,
    /// `PX`, `PXAT`, `KEEPTTL` or empty.
    end: &'static str,
    end_ms: i64,
    gives_old: bool,
}

const PLAIN: Options = Options { condition: "", end: "", end_ms: 0, gives_old: false };

/// `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT t | PXAT t | KEEPTTL]`
pub async fn set(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() < 3 {
        return cx.pass();
    }
    let options = read(&args)?;
    let (stored, old) = store(&cx, &args, 2, options).await?;
    Ok(match (options.gives_old, stored) {
        (true, _) => old,
        (false, true) => Reply::ok(),
        (false, false) => Reply::Null,
    })
}

/// `SETEX key s value`, `PSETEX key ms value`
pub async fn setex(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 4 {
        return cx.pass();
    }
    let (name, factor) = if args.is(0, "PSETEX") { ("psetex", 1) } else { ("setex", 1000) };
    let end_ms = end_ms(args.get(2)?, factor).ok_or_else(|| bad_end(name))?;
    store(&cx, &args, 3, Options { end: "PX", end_ms, ..PLAIN }).await?;
    Ok(Reply::ok())
}

/// `SETNX key value`
pub async fn setnx(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 3 {
        return cx.pass();
    }
    let (stored, _) = store(&cx, &args, 2, Options { condition: "NX", ..PLAIN }).await?;
    Ok(Reply::Int(i64::from(stored)))
}

/// `GETSET key value`
pub async fn getset(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 3 {
        return cx.pass();
    }
    store(&cx, &args, 2, PLAIN).await.map(|(_, old)| old)
}

/// `GETDEL key`
pub async fn getdel(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 2 {
        return cx.pass();
    }
    let config = cx.config::<Config>()?;
    let counter = Counter::of(&cx, &config, args.key());
    cx.single(cmd("EVAL").arg(scripts::TAKE).arg(1).arg(&*counter.key).typed()).await
}

/// Any other command on strings.
pub async fn refuse(_cx: Cx, args: Args) -> Result<Reply> {
    let name = String::from_utf8_lossy(args.name()).to_ascii_lowercase();
    Err(Error::new(
        ["counter: '", &name, "' is not for a counter; use INCRBY, GET or SET"].concat(),
    ))
}

async fn store(cx: &Cx, args: &Args, value: usize, options: Options) -> Result<(bool, Reply)> {
    let config = cx.config::<Config>()?;
    let value: i64 = args.get(value)?;
    let counter = Counter::to_write(cx, &config, args.key())?;
    let set = cmd("EVAL").arg(scripts::SET).arg(2).arg(&*counter.key);
    let set = set.arg(beside(&counter.key, "restore")).arg(value);
    // A value sets the end anew, whatever the mode: `sliding` says so.
    let set = match counter.window {
        Some(_) => counter.add_end(set, &config),
        None => set.arg(i64::from(config.ttl.ms())).arg("sliding"),
    };
    let set = set.arg(options.condition).arg(options.end).arg(options.end_ms);
    let set = set.arg(&*config.registry());
    let (stored, old): (bool, Reply) = cx.single(set.typed()).await?;
    if stored {
        feed(cx, &config, &counter, value).await;
    }
    Ok((stored, old))
}

/// Reads the options of SET.
fn read(args: &Args) -> Result<Options> {
    let mut options = PLAIN;
    let mut at = 3;
    while at < args.len() {
        let condition = if args.is(at, "NX") { "NX" } else { "XX" };
        if (args.is(at, "NX") || args.is(at, "XX")) && options.condition.is_empty() {
            options.condition = condition;
        } else if args.is(at, "GET") {
            options.gives_old = true;
        } else if !options.end.is_empty() {
            return Err(Error::syntax());
        } else if args.is(at, "KEEPTTL") {
            options.end = "KEEPTTL";
        } else {
            let (end, factor) = match args.bytes(at).to_ascii_uppercase().as_slice() {
                b"EX" => ("PX", 1000),
                b"PX" => ("PX", 1),
                b"EXAT" => ("PXAT", 1000),
                b"PXAT" => ("PXAT", 1),
                _ => return Err(Error::syntax()),
            };
            at += 1;
            if at >= args.len() {
                return Err(Error::syntax());
            }
            let number = parse_int(args.bytes(at)).ok_or_else(Error::not_an_integer)?;
            options.end_ms = end_ms(number, factor).ok_or_else(|| bad_end("set"))?;
            options.end = end;
        }
        at += 1;
    }
    Ok(options)
}

/// An end in milliseconds; `None` when Redis would refuse it.
fn end_ms(number: i64, factor: i64) -> Option<i64> {
    // Redis adds the present time to it.
    const MOST_MS: i64 = i64::MAX / 2;
    number.checked_mul(factor).filter(|ms| (1..=MOST_MS).contains(ms))
}

fn bad_end(command: &str) -> Error {
    Error::new(["invalid expire time in '", command, "' command"].concat())
}
