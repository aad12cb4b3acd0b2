//! What only bindings with windows do: COUNTER.WINDOWS, and the commands that are about a key whatever it holds.
//!
//! DEL, TTL and their like name a counter by the client's key, and its window's counter is what they mean. Without windows
//! they go on as they came. EXPIRE and PERSIST are refused there: a window's counter ends by itself.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::{Cx, Kind};
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::request::Typed;

use crate::config::Config;
use crate::counters::Counter;

/// Keys of one piece.
const PIECE: usize = 100;
/// Most keys of one command inside MULTI.
const KEYS_IN_MULTI: usize = 1_000;

/// `COUNTER.WINDOWS key n`: window and value of the last `n`, the newest first; nil where nothing was counted.
pub async fn windows(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    let count: u32 = args.get(2)?;
    let Some(last) = Counter::of(&cx, &config, args.key()).window else {
        return Err(Error::new("counter: set 'window' in the config of this binding"));
    };
    if !(1..=config.keep + 1).contains(&count) {
        let most = (config.keep + 1).to_string();
        let text = "counter: COUNTER.WINDOWS n must be from 1 to keep + 1, which is ";
        return Err(Error::new([text, &most].concat()));
    }
    let base = Counter::of(&cx, &config, args.key()).base;
    let counters: Vec<Counter<'_>> =
        (0..count).map(|back| Counter::in_window(base, last.before(back))).collect();
    let mut rows = Vec::with_capacity(counters.len() * 2);
    for piece in counters.chunks(PIECE) {
        let reads = piece.iter().map(|counter| cmd("HGET").arg(&*counter.key).arg("n").typed());
        let values: Vec<Option<i64>> = cx.pipeline(reads.collect::<Vec<_>>()).await?;
        for (counter, value) in piece.iter().zip(values) {
            let name = counter.window.map(|window| window.name()).unwrap_or_default();
            rows.extend([Reply::bulk(name), value.map_or(Reply::Null, Reply::Int)]);
        }
    }
    Ok(Reply::Array(rows))
}

/// DEL, UNLINK, EXISTS, TOUCH.
pub async fn count(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    if config.window.is_none() || args.len() < 2 {
        return cx.pass();
    }
    let name = name(&args);
    let ask =
        |key: &[u8]| -> Typed<i64> { cmd(&name).arg(&*Counter::of(&cx, &config, key).key).typed() };
    let keys: Vec<&[u8]> = args.from(1).collect();
    if cx.kind() == Kind::InMulti {
        if keys.len() > KEYS_IN_MULTI {
            return Err(Error::new("counter: at most 1000 keys of one command inside MULTI"));
        }
        let counts = cx.transaction(keys.iter().map(|key| ask(key)).collect::<Vec<_>>()).await?;
        return Ok(Reply::Int(counts.iter().sum()));
    }
    let mut sum = 0;
    for piece in keys.chunks(PIECE) {
        let counts = cx.pipeline(piece.iter().map(|key| ask(key)).collect::<Vec<_>>()).await?;
        sum += counts.iter().sum::<i64>();
    }
    Ok(Reply::Int(sum))
}

/// TTL, PTTL, EXPIRETIME, PEXPIRETIME.
pub async fn left(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    if config.window.is_none() || args.len() != 2 {
        return cx.pass();
    }
    let counter = Counter::of(&cx, &config, args.key());
    cx.single(cmd(&name(&args)).arg(&*counter.key).typed()).await
}

/// EXPIRE and its relatives, PERSIST.
pub async fn end(cx: Cx, args: Args) -> Result<Reply> {
    if cx.config::<Config>()?.window.is_none() {
        return cx.pass();
    }
    let text = "' is not for a window's counter: it ends by itself, 'keep' windows later";
    Err(Error::new(["counter: '", &name(&args).to_ascii_lowercase(), text].concat()))
}

fn name(args: &Args) -> String {
    String::from_utf8_lossy(args.name()).to_ascii_uppercase()
}
