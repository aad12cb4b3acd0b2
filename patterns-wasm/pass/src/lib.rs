//! The smallest plugin: every hooked command goes on as it came.
//!
//! It exists to measure what a hook costs, to test the way through the contract end to end, and to be read first by
//! somebody who writes a plugin. `PASS.ECHO key` shows a command of its own: it sends one GET and answers its reply.
//! It keeps no state and has no config.

use sluicegate_plugin::prelude::*;

async fn pass(cx: Cx, _args: Args) -> Result<Reply> {
    cx.pass()
}

async fn echo(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 2 {
        return Err(Error::arity("pass.echo"));
    }
    cx.call(cmd("GET").arg(args.key())).await
}

sluicegate_plugin::plugin! {
    name: "pass",
    version: "1.0.0",
    hooks: ["GET" => pass, "SET" => pass, "DEL" => pass, "INCR" => pass],
    commands: ["PASS.ECHO" => echo { arity: 2, keys: (1, 1, 1), flags: ["readonly"] }],
    capabilities: { commands: ["GET"] },
}
