//! A counter that feeds a board, for the tests of the gateway.
//!
//! A hooked `INCR` or `INCRBY` counts in Redis as it came, then sends a *hooked* `ZADD <board> GT <count> <member>`, the
//! member being what follows the last `:` of the counter's key. So the bindings behind it see the `ZADD`, and the one
//! that the board has takes it; this plugin knows nothing of that one. The client gets its count once the board has
//! it. `GT` because two counts may overtake each other on their way. Config: `board`, the key of the board.

use serde::Deserialize;
use sluicegate_plugin::config;
use sluicegate_plugin::prelude::*;

/// What an operator says of a binding.
#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    board: String,
}

impl config::Config for Settings {
    fn check(&mut self) -> std::result::Result<(), String> {
        if self.board.is_empty() {
            return Err(String::from("board: write the key of the board that is fed"));
        }
        Ok(())
    }
}

async fn count(cx: Cx, args: Args) -> Result<i64> {
    let name = if args.len() == 2 { "INCR" } else { "INCRBY" };
    let count = cx.call(cmd(name).args(args.from(1)).typed::<i64>()).await?;
    let member = args.key().rsplit(|byte| *byte == b':').next().unwrap_or_default();
    let settings = cx.config::<Settings>()?;
    let feed = cmd("ZADD").arg(&*settings.board).arg("GT").arg(count).arg(member);
    if let Err(error) = cx.call(feed.hooked()).await {
        cx.log(3, &error.text);
    }
    Ok(count)
}

sluicegate_plugin::plugin! {
    name: "feeder",
    version: "1.0.0",
    config: Settings,
    about: "board: the key of the board that is fed",
    hooks: ["INCR" => count, "INCRBY" => count],
    capabilities: { commands: ["INCR", "INCRBY", "ZADD"] },
}
