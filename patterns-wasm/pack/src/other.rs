//! Every other command on strings: run by the server itself, on the key made plain for that step.
//!
//! So its reply, its errors and what it does to the value and its end are the server's own. What has no end afterwards is packed
//! again; what got one stays plain. What would need a key of another kind, or two keys, is refused.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;

use crate::adopt::adopt;
use crate::bucket::place;
use crate::scripts;

/// Lua's own bound, with some room.
const ARGUMENTS_MAX: usize = 7_000;

/// A command on one string.
pub async fn run(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() < 2 {
        return cx.pass();
    }
    let name = name(&args);
    if args.len() > ARGUMENTS_MAX {
        let text = "' on a packed key takes at most 7000 arguments";
        return Err(Error::new(["pack: '", &name, text].concat()));
    }
    let (config, packed) = place(&cx, args.key())?;
    adopt(&cx, &config, &packed).await?;
    cx.single(packed.script(scripts::RUN).arg(&name).args(args.rest()).typed()).await
}

/// What a packed key is not for.
pub async fn refuse(_cx: Cx, args: Args) -> Result<Reply> {
    let text = "' is not for a packed key: this binding's keys hold strings, each in its bucket";
    Err(Error::new(["pack: '", &name(&args), text].concat()))
}

fn name(args: &Args) -> String {
    String::from_utf8_lossy(args.name()).to_ascii_lowercase()
}
