//! SET: into the bucket, or with options by the server's own SET.
//!
//! A value without an end goes into its bucket, and its plain form away, in one step. Anything that a SET says beyond its value is
//! left to the server (`other`), on the key made plain.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::Result;
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::request::Typed;

use crate::bucket::{Packed, place};
use crate::{other, scripts};

/// `SET key value [options]`
pub async fn set(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 3 {
        return other::run(cx, args).await;
    }
    let (_, packed) = place(&cx, args.key())?;
    cx.single(store(&packed, args.bytes(2))).await
}

/// The step that stores a value.
pub fn store(packed: &Packed<'_>, value: &[u8]) -> Typed<Reply> {
    packed.script(scripts::STORE).arg(value).typed()
}
