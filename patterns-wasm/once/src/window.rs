//! One success per window: `ONCE key seconds` and `ONCE.RELEASE key token`.
//!
//! The key holds the winner's token and ends with the window, so `TTL key` says how much of it is left and `DEL key` ends it
//! by hand. A caller whose reply is lost has used the window: it is never given twice.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::commands::eval;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};

use crate::Count;

/// Ends a window if it is still the token's. The error of a key of another type is Redis's own.
pub const RELEASE: &str = "local v=redis.pcall('GET',KEYS[1]) \
if v==ARGV[1] then return redis.call('DEL',KEYS[1]) end \
if type(v)=='table' then return v end return 0";

/// `ONCE key seconds`: a token for the first caller of a window, nil for the others.
pub async fn once(cx: Cx, args: Args) -> Result<Option<String>> {
    let seconds: i64 = args.get(2)?;
    if seconds <= 0 || seconds.checked_mul(1000).is_none() {
        return Err(Error::new("invalid expire time in 'once' command"));
    }
    let token = token(&cx);
    // GET, so that a key of another type is an error and not a window that somebody has.
    let take = cmd("SET").arg(args.key()).arg(&*token).arg("NX").arg("GET").arg("EX").arg(seconds);
    let holder: Option<Vec<u8>> = cx.call(take.typed()).await?;
    if holder.is_some() {
        cx.metric_add(Count::Refused as u32, 1);
        return Ok(None);
    }
    cx.metric_add(Count::Granted as u32, 1);
    Ok(Some(token))
}

/// `ONCE.RELEASE key token`: gives the window back, so that another caller may have it; whether it was still the token's.
pub async fn release(cx: Cx, args: Args) -> Result<bool> {
    let released = cx.call(eval(RELEASE, [args.key()]).arg(args.bytes(2)).typed()).await?;
    if released {
        cx.metric_add(Count::Released as u32, 1);
    }
    Ok(released)
}

/// 128 random bits as 32 hexadecimal digits.
fn token(cx: &Cx) -> String {
    let bytes = [cx.random(), cx.random()].map(u64::to_be_bytes).concat();
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect()
}
