//! A counter that feeds a board, for the tests of the gateway.
//!
//! A hooked `INCR` or `INCRBY` counts in Redis as it came, then sends a *hooked* `ZADD <board> GT <count> <member>`, the
//! member being what follows the last `:` of the counter's key. So the bindings behind it see the `ZADD`, and the one
//! that the board has takes it; this plugin knows nothing of that one. The client gets its count once the board has
//! it. `GT` because two counts may overtake each other on their way. Config: `board`, the key of the board.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::config::Fields;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::plugin;
use sluicegate_plugin::reply::Reply;

/// What an operator says of a binding.
#[derive(Debug)]
struct Config {
    board: String,
}

impl plugin::Config for Config {
    fn read(fields: &mut Fields) -> std::result::Result<Self, String> {
        let board = fields.text("board", "")?;
        if board.is_empty() {
            return Err(String::from("board: write the key of the board that is fed"));
        }
        Ok(Self { board })
    }
}

async fn count(cx: Cx, args: Args) -> Result<Reply> {
    let same =
        args.from(1).fold(cmd(if args.len() == 2 { "INCR" } else { "INCRBY" }), |c, a| c.arg(a));
    let reply = cx.call(same).await?;
    let Some(count) = reply.int() else {
        return Err(Error::new("the counter answered no number"));
    };
    let member = args.key().rsplit(|byte| *byte == b':').next().unwrap_or_default();
    let config = cx.config::<Config>()?;
    let feed = cmd("ZADD").arg(&*config.board).arg("GT").arg(count).arg(member);
    if let Err(error) = cx.call(feed.hooked()).await {
        cx.log(3, &error.text);
    }
    Ok(reply)
}

sluicegate_plugin::plugin! {
    name: "feeder",
    version: "1.0.0",
    config: Config,
    about: "board: the key of the board that is fed",
    hooks: ["INCR" => count, "INCRBY" => count],
    commands: [],
    tasks: [],
    capabilities: { commands: ["INCR", "INCRBY", "ZADD"], wait: false, background: false, shared_bytes: 0 },
    metrics: [],
}
