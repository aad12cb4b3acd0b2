//! GET, and what else is known of a packed key without its value.
//!
//! A packed value is one HGET; what is not in its bucket is asked for again in one step that sees both places, so that a key
//! which is just being moved is never missed. Inside MULTI that step is all.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::{Cx, Kind};
use sluicegate_plugin::error::Result;
use sluicegate_plugin::reply::Reply;

use crate::adopt::adopt;
use crate::bucket::place;
use crate::scripts;

/// `GET key`
pub async fn get(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 2 {
        return cx.pass();
    }
    let (config, packed) = place(&cx, args.key())?;
    if cx.kind() != Kind::InMulti {
        let found = cx.call(cmd("HGET").arg(&packed.bucket).arg(packed.field)).await?;
        if !found.is_null() {
            return Ok(found);
        }
        adopt(&cx, &config, &packed).await?;
    }
    cx.single(packed.question(scripts::GET).typed()).await
}

/// STRLEN, TYPE, TTL, PTTL, EXPIRETIME, PEXPIRETIME.
pub async fn read(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 2 {
        return cx.pass();
    }
    let (config, packed) = place(&cx, args.key())?;
    adopt(&cx, &config, &packed).await?;
    let name = String::from_utf8_lossy(args.name()).to_ascii_uppercase();
    cx.single(packed.question(scripts::READ).arg(&name).typed()).await
}
