//! A plugin with one hook and one command of its own.
//!
//! A hooked `GET` answers the value in upper case; a key without a value goes the ordinary way. `MY-PLUGIN.HELLO key`
//! greets with the value of a key. The tests below run it without a gateway: `sluicegate plugin test`.

use sluicegate_plugin::prelude::*;

async fn shout(cx: Cx, args: Args) -> Result<Reply> {
    match cx.call(get(args.key())).await? {
        Some(value) => Ok(Reply::bulk(value.to_ascii_uppercase())),
        None => cx.pass(),
    }
}

async fn hello(cx: Cx, args: Args) -> Result<Reply> {
    let name = cx.call(get(args.key())).await?.unwrap_or_else(|| b"nobody".to_vec());
    Ok(Reply::bulk([b"Hello, ", name.as_slice()].concat()))
}

sluicegate_plugin::plugin! {
    name: "my-plugin",
    version: "0.1.0",
    hooks: ["GET" => shout],
    commands: ["MY-PLUGIN.HELLO" => hello { arity: 2, keys: (1, 1, 1), flags: ["readonly"] }],
    capabilities: { commands: ["GET"] },
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
