//! Reading: GET, GETEX, TTL and their relatives.
//!
//! A fresh value is one GET and PTTL; what is not fresh is competed for (`compete`). Inside MULTI one script does the same
//! without waiting. A value that is too large to come here is judged by its TTL alone, and its GET goes on as it came; a
//! fresh one may be drawn for an early refresh (`early`).

use std::rc::Rc;

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::commands::pttl;
use sluicegate_plugin::cx::{Cx, Kind};
use sluicegate_plugin::error::{ErrorKind, Result};
use sluicegate_plugin::reply::Reply;

use crate::compete::{
    Ended, Found, Look, compete, compete_for_large, leads, look, refresh_early, too_large,
};
use crate::config::Config;
use crate::lease::{self, Asker};
use crate::stats::{self, Count};
use crate::ttl::{self, Expiry, Life};

/// `GET key`
pub async fn get(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 2 {
        return cx.pass();
    }
    let config = cx.config::<Config>()?;
    if cx.kind() == Kind::InMulti {
        return get_in_multi(&cx, &config, args.key(), Expiry::None).await;
    }
    let Look { found, life, pttl } = look(&cx, &config, args.key()).await?;
    match (found, life) {
        (Found::Large, life) => compete_for_large(&cx, &config, args.key(), life).await,
        (Found::Here(value), Life::Fresh) => {
            if config.early_refresh > 0.0 {
                let asker = Asker::session(&cx, &config);
                let drawn = refresh_early(&cx, &config, args.key(), &asker, pttl).await?;
                if let Some(ended) = drawn {
                    return Ok(ended.told());
                }
            }
            stats::count(&cx, &config, Count::Hit);
            Ok(value)
        }
        (Found::Here(_), Life::Missing | Life::Stale) => {
            let asker = Asker::session(&cx, &config);
            let ended = compete(&cx, &config, args.key(), &asker, config.wait.ms()).await?;
            Ok(ended.told())
        }
    }
}

/// `GETEX key [option]`: a stale value is not made fresh by it, as an expired one could not be; one that was waited for is
/// given its end.
pub async fn getex(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    let (key, now_ms) = (args.key(), cx.now_ms());
    let Some(expiry) = ttl::read_getex(&args) else {
        return cx.pass();
    };
    let Some(command) = ttl::getex(key, expiry, config.grace_ms(), now_ms) else {
        return cx.pass();
    };
    if cx.kind() == Kind::InMulti {
        return get_in_multi(&cx, &config, key, expiry).await;
    }
    let Look { found, life, .. } = look(&cx, &config, key).await?;
    let ended = match (found, life) {
        (Found::Here(value), Life::Fresh) => {
            stats::count(&cx, &config, Count::Hit);
            Ended::fresh(value)
        }
        (Found::Here(_), Life::Missing | Life::Stale) => {
            let asker = Asker::session(&cx, &config);
            match compete(&cx, &config, key, &asker, config.wait.ms()).await {
                Err(error) if error.kind == ErrorKind::Pass && expiry != Expiry::None => {
                    return Err(too_large());
                }
                ended => ended?,
            }
        }
        (Found::Large, _) if expiry == Expiry::None => {
            return compete_for_large(&cx, &config, key, life).await;
        }
        // Its time could be moved here, but the value not be given.
        (Found::Large, _) => return Err(too_large()),
    };
    if ended.is_fresh && expiry != Expiry::None {
        return cx.call(command).await;
    }
    Ok(ended.told())
}

/// TTL, PTTL.
pub async fn ttl(cx: Cx, args: Args) -> Result<i64> {
    if args.len() != 2 {
        return cx.pass();
    }
    let config = cx.config::<Config>()?;
    let stored = cx.single(pttl(args.key())).await?;
    Ok(ttl::soft_ttl(stored, config.grace_ms(), args.is(0, "TTL")))
}

/// EXPIRETIME, PEXPIRETIME.
pub async fn expiretime(cx: Cx, args: Args) -> Result<i64> {
    if args.len() != 2 {
        return cx.pass();
    }
    let config = cx.config::<Config>()?;
    let stored = cx.single(cmd("PEXPIRETIME").arg(args.key()).typed()).await?;
    Ok(ttl::soft_expiretime(stored, config.grace_ms(), args.is(0, "EXPIRETIME")))
}

async fn get_in_multi(cx: &Cx, config: &Rc<Config>, key: &[u8], expiry: Expiry) -> Result<Reply> {
    let asker = Asker::session(cx, config);
    let read = lease::read(key, &asker, config);
    let Some(read) = expiry.append(read, config.grace_ms(), cx.now_ms()) else {
        return cx.pass();
    };
    let (value, won): (Reply, bool) = cx.single(read.typed()).await?;
    if won {
        leads(cx, config, key, &asker)?;
    } else if !value.is_null() {
        stats::count(cx, config, Count::Hit);
    }
    Ok(value)
}
