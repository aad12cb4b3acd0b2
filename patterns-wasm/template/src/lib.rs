//! A plugin with one hook and one command of its own.
//!
//! A hooked `GET` answers the value in upper case; a key without a value goes the ordinary way. `MY-PLUGIN.HELLO key`
//! greets with the value of a key. The tests below run it without a gateway: `sluicegate plugin test`.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::Result;
use sluicegate_plugin::plugin::NoConfig;
use sluicegate_plugin::reply::Reply;

async fn get(cx: Cx, args: Args) -> Result<Reply> {
    let found = cx.call(cmd("GET").arg(args.key())).await?;
    match found.bytes() {
        Some(value) => Ok(Reply::bulk(value.to_ascii_uppercase())),
        None => cx.pass(),
    }
}

async fn hello(cx: Cx, args: Args) -> Result<Reply> {
    let found = cx.call(cmd("GET").arg(args.key())).await?;
    let name = found.bytes().unwrap_or(b"nobody");
    Ok(Reply::bulk([b"Hello, ", name].concat()))
}

sluicegate_plugin::plugin! {
    name: "my-plugin",
    version: "0.1.0",
    config: NoConfig,
    about: "no keys",
    hooks: ["GET" => get],
    commands: ["MY-PLUGIN.HELLO" => hello { arity: 2, keys: (1, 1, 1), flags: ["readonly"] }],
    tasks: [],
    capabilities: { commands: ["GET"], wait: false, background: false, shared_bytes: 0 },
    metrics: [],
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_plugin::harness::world::World;

    #[test]
    fn get_answers_in_upper_case_and_hello_greets() {
        let mut world = World::new(&PLUGIN, "{}", 1, 1);
        world.redis.run(&["SET", "hello:1", "ada"]);
        let mut ask = |words: &[&str]| world.ask(0, 1, words).expect("a reply");
        assert_eq!(ask(&["GET", "hello:1"]), Reply::bulk("ADA"));
        assert_eq!(ask(&["GET", "hello:2"]), Reply::Null);
        assert_eq!(ask(&["MY-PLUGIN.HELLO", "hello:1"]), Reply::bulk("Hello, ada"));
        assert_eq!(ask(&["MY-PLUGIN.HELLO", "hello:2"]), Reply::bulk("Hello, nobody"));
    }
}
