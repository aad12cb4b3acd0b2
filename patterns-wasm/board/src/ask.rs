//! Asking parts: all at once, and inside MULTI as one transaction.
//!
//! Comes in: commands to parts. Goes out: their replies in order. Inside MULTI the commands take the client's place in its
//! transaction; the gateway refuses that when the parts lie on several shards, which a hash tag in the board's key avoids.

use sluicegate_plugin::convert::FromReply;
use sluicegate_plugin::cx::{Cx, Kind};
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::request::Typed;

/// Commands of one batch.
const BATCH: usize = 100;

/// Sends all and reads all replies; the first error is the result.
pub async fn all<T: FromReply>(cx: &Cx, commands: Vec<Typed<T>>) -> Result<Vec<T>> {
    if cx.kind() == Kind::InMulti {
        return cx.transaction(commands).await;
    }
    let mut replies = Vec::with_capacity(commands.len());
    let mut commands = commands.into_iter();
    loop {
        let batch: Vec<Typed<T>> = commands.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(replies);
        }
        replies.extend(cx.pipeline(batch).await?);
    }
}

/// Refuses, inside MULTI, what needs a reply before it can go on.
pub fn outside_multi(cx: &Cx, command: &str) -> Result<()> {
    if cx.kind() == Kind::InMulti {
        let parts = "' asks the board's parts twice, which cannot be inside MULTI; send it outside, or set 'parts: 1'";
        return Err(Error::new(["board: '", command, parts].concat()));
    }
    Ok(())
}

/// The command's name in lower case.
pub fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

/// A score as a shard gave it, as a number in RESP3 and a text in RESP2.
pub fn score(reply: Reply) -> Reply {
    match reply {
        Reply::Bulk(text) => match String::from_utf8(text) {
            Ok(text) => Reply::Double(text),
            Err(other) => Reply::Bulk(other.into_bytes()),
        },
        reply => reply,
    }
}
