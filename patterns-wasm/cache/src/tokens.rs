//! CACHE.GET, CACHE.FILL, CACHE.RELEASE: a leader that is known by a token, whatever connection it uses.
//!
//! For clients whose pools give each command another connection, and for many readers on one: the token goes with the work. A
//! fill is taken as long as nobody else leads and nobody has written or deleted the key since the token was given; so a
//! slow leader never writes what a DEL meant to remove.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;

use std::rc::Rc;

use crate::compete::{Ended, Found, Look, compete, look, refresh_early, too_large};
use crate::config::{Config, LeaseMode};
use crate::early;
use crate::lease::{self, Asker};
use crate::notice;
use crate::stats::{self, Count};
use crate::ttl::{self, Life};

/// `CACHE.GET key`: `[value or nil, token or nil]`. A token: this caller computes; the value beside it is the old one.
pub async fn get(cx: Cx, args: Args) -> Result<Reply> {
    let config = with_tokens(&cx)?;
    let (key, asker) = (args.key(), Asker::bearer(&cx));
    let Look { found, life, pttl } = look(&cx, &config, key).await?;
    let ended = match (found, life) {
        (Found::Large, _) => return Err(too_large()),
        (Found::Here(value), Life::Fresh) => {
            match refresh_early(&cx, &config, key, &asker, pttl).await? {
                Some(ended) => ended,
                None => {
                    stats::count(&cx, &config, Count::Hit);
                    Ended::fresh(value)
                }
            }
        }
        (Found::Here(_), Life::Missing | Life::Stale) => {
            compete(&cx, &config, key, &asker, config.wait.ms()).await?
        }
    };
    let token = if ended.leads { Reply::bulk(asker.token) } else { Reply::Null };
    Ok(Reply::Array(vec![ended.value, token]))
}

/// `CACHE.FILL key token seconds value`: 1 if it was stored, 0 if the token had lost its lease.
pub async fn fill(cx: Cx, args: Args) -> Result<bool> {
    let config = with_tokens(&cx)?;
    let (key, value) = (args.key(), args.bytes(4));
    let seconds: i64 = args.get(3)?;
    let Some(soft_ms) = seconds.checked_mul(1_000).filter(|ms| (1..=ttl::MOST_MS).contains(ms))
    else {
        return Err(Error::new("invalid expire time in 'cache.fill' command"));
    };
    let soft_ms = config.cap_ms(value).map_or(soft_ms, |cap_ms| soft_ms.min(i64::from(cap_ms)));
    let hard_ms = (soft_ms + i64::from(config.grace_ms())).to_string();
    let words = [&b"SET"[..], value, b"PX", hard_ms.as_bytes()];
    if !cx.call(lease::fill(key, args.bytes(2), words)).await? {
        stats::count(&cx, &config, Count::Refused);
        return Ok(false);
    }
    stats::count(&cx, &config, Count::Fill);
    early::end(&cx, &config, key);
    cx.notify(key, &notice::filled(value));
    Ok(true)
}

/// `CACHE.RELEASE key token`: 1 if the lease was the token's; the next reader computes.
pub async fn release(cx: Cx, args: Args) -> Result<bool> {
    with_tokens(&cx)?;
    let token = String::from_utf8_lossy(args.bytes(2)).into_owned();
    let released = cx.call(lease::release(args.key(), &token)).await?;
    if released {
        cx.notify(args.key(), notice::GONE);
    }
    Ok(released)
}

fn with_tokens(cx: &Cx) -> Result<Rc<Config>> {
    let config = cx.config::<Config>()?;
    if config.lease_mode != LeaseMode::Token {
        return Err(Error::new("cache: set 'lease_mode: token' in the config of this binding"));
    }
    Ok(config)
}
