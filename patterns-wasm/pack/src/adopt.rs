//! Keys that were there before the binding: brought into their buckets when somebody asks for them.
//!
//! Such a key lies where its own name hashes to, which may or may not be the bucket's shard; the token of a lock that lies on the
//! bucket's shard tells. Its value is stored by the bucket first, unless somebody has written there by then, and taken away behind
//! that: a gateway that dies between leaves it in both places, and the next question ends that. Only with `adopt: true`.

use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::{Cx, Kind};
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;

use crate::ADOPTED;
use crate::bucket::Packed;
use crate::config::Config;
use crate::scripts;

/// How often a key that another adopts is asked for again, and the pause between.
const TRIES: usize = 200;
const PAUSE_MS: u32 = 10;

/// Brings `packed` in, if it is elsewhere. Inside MULTI nothing can be asked first.
pub async fn adopt(cx: &Cx, config: &Config, packed: &Packed<'_>) -> Result<()> {
    if !config.adopt || cx.kind() == Kind::InMulti {
        return Ok(());
    }
    let lock = [packed.bucket.as_slice(), b"/", packed.field].concat();
    let token = cx.random().to_string();
    for _ in 0..TRIES {
        let settle = packed.script(scripts::SETTLE).arg(&lock).arg(&token);
        let settled: i64 = cx.call(settle.typed()).await?;
        if settled >= 0 {
            let adopted = bring_in(cx, packed, settled == 1, (&lock, &token)).await;
            cx.call(packed.script(scripts::UNLOCK).arg(&lock).arg(&token)).await?;
            return adopted;
        }
        cx.sleep(PAUSE_MS).await?;
    }
    Err(Error::new("pack: the key is being adopted by another; try again"))
}

/// From where the key's own name hashes to, if that is another shard.
async fn bring_in(
    cx: &Cx,
    packed: &Packed<'_>,
    is_there: bool,
    (lock, token): (&[u8], &str),
) -> Result<()> {
    let look = cmd("EVAL_RO").arg(scripts::LOOK).arg(1).arg(packed.key).arg(lock).arg(token);
    let Some((value, pttl)) = cx.call(look.typed::<Option<(Vec<u8>, i64)>>()).await? else {
        return Ok(());
    };
    if !is_there && pttl != 0 {
        let adopt = packed.script(scripts::ADOPT).arg(&value).arg(pttl).arg(lock).arg(token);
        if !cx.call(adopt.typed::<bool>()).await? {
            return Err(Error::new("pack: the key could not be adopted in time; try again"));
        }
        cx.metric_add(ADOPTED, 1);
    }
    let leave = cmd("EVAL").arg(scripts::LEAVE).arg(1).arg(packed.key).arg(&value);
    cx.call(leave.typed::<Reply>()).await?;
    Ok(())
}
