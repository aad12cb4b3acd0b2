//! What the harness's gateway refuses, bounds and ends is what the real one does.
//!
//! Two small plugins, one with the capability `background` and one without, asked in a `World`. What a pattern promises is
//! tested with the pattern; here only what the harness itself decides: grants, time, closed sessions.

use crate::args::Args;
use crate::command::cmd;
use crate::commands::{get, set};
use crate::cx::{Cx, Kind};
use crate::error::Result;
use crate::harness::world::World;
use crate::reply::Reply;

async fn later(cx: Cx, args: Args) -> Result<()> {
    cx.background("begun");
    cx.call(set(args.key(), "done")).await
}

async fn sleeps(cx: Cx, args: Args) -> Result<()> {
    cx.sleep(args.get(2)?).await?;
    cx.call(set(args.key(), "slept")).await
}

async fn writes(cx: Cx, args: Args) -> Result<()> {
    cx.call(set(args.key(), "1")).await?;
    cx.call(set(args.key(), "2")).await
}

async fn keeps(cx: Cx, args: Args) -> bool {
    cx.shared_set(args.key(), args.bytes(2), 0)
}

async fn watches(cx: Cx, args: Args) -> Result<()> {
    cx.spawn("watcher", &[args.key()])
}

async fn watcher(cx: Cx, args: Args) -> Result<()> {
    if cx.kind() == Kind::SessionClosed {
        return cx.call(cmd("DEL").arg(args.bytes(0))).await.map(drop);
    }
    cx.watch_session("watcher", args.bytes(0))
}

async fn reads(cx: Cx, args: Args) -> Result<Option<Vec<u8>>> {
    cx.call(get(args.key())).await
}

mod plain {
    use super::{keeps, later, reads, sleeps, watcher, watches, writes};

    crate::plugin! {
        name: "plain",
        version: "1.0.0",
        hooks: ["GET" => reads],
        commands: [
            "LATER" => later, "SLEEPS" => sleeps, "WRITES" => writes, "KEEPS" => keeps, "WATCHES" => watches,
        ],
        tasks: ["watcher" => watcher],
        capabilities: { commands: ["GET", "SET", "DEL"], wait: true, shared_bytes: 200 },
    }
}

mod busy {
    use super::{later, watcher, watches};

    crate::plugin! {
        name: "busy",
        version: "1.0.0",
        commands: ["LATER" => later, "WATCHES" => watches],
        tasks: ["watcher" => watcher],
        capabilities: { commands: ["SET", "DEL"], background: true },
    }
}

fn plain() -> World {
    World::new(&plain::PLUGIN, "", 1, 1)
}

fn value(world: &mut World, key: &str) -> Reply {
    world.redis.run(&["GET", key])
}

#[test]
fn work_after_the_reply_needs_the_background_capability() {
    let mut world = plain();
    assert_eq!(world.ask(0, 1, &["LATER", "k"]), Some(Reply::bulk("begun")));
    assert_eq!(value(&mut world, "k"), Reply::Null);
    let denied = |line: &String| line.contains("background is not granted");
    assert!(world.complaints().iter().any(denied), "{:?}", world.complaints());

    let mut world = World::new(&busy::PLUGIN, "", 1, 1);
    assert_eq!(world.ask(0, 1, &["LATER", "k"]), Some(Reply::bulk("begun")));
    assert_eq!(value(&mut world, "k"), Reply::bulk("done"));
}

#[test]
fn call_ends_when_its_time_is_over() {
    let mut world = plain();
    let slow = world.send(0, 1, &["SLEEPS", "k", "2001"]);
    let quick = world.send(0, 2, &["SLEEPS", "l", "1999"]);
    world.advance(5_000);
    let text = "PLUGINTIMEOUT plain: the call took too long";
    assert_eq!(world.reply(slow), Some(&Reply::Error(text.into())));
    assert_eq!(world.reply(quick), Some(&Reply::ok()));
    assert_eq!(
        (value(&mut world, "k"), value(&mut world, "l")),
        (Reply::Null, Reply::bulk("slept"))
    );
    assert_eq!(world.live(), 0);
    world.call_timeout_ms = 5_000;
    let slow = world.send(0, 1, &["SLEEPS", "k", "2001"]);
    world.advance(5_000);
    assert_eq!(world.reply(slow), Some(&Reply::ok()));
}

#[test]
fn shared_memory_has_the_bound_of_the_manifest() {
    let mut world = plain();
    let mut keep = |key: &str, value: &str| world.ask(0, 1, &["KEEPS", key, value]);
    let (yes, no) = (Some(Reply::Int(1)), Some(Reply::Int(0)));
    assert_eq!(keep("a", &"x".repeat(136)), no);
    assert_eq!(keep("a", &"x".repeat(135)), yes);
    assert_eq!(keep("b", "y"), no);
    assert_eq!(keep("a", "x"), yes);
    assert_eq!(keep("b", "y"), yes);
}

#[test]
fn own_command_inside_multi_discards_the_transaction() {
    let mut world = plain();
    let ticket = world.multi(0, 1, &[&["SET", "k", "v"], &["KEEPS", "a", "x"]]);
    world.run();
    let Some(Reply::Error(text)) = world.reply(ticket) else { panic!("no error") };
    assert!(text.starts_with("EXECABORT"), "{text}");
    assert_eq!(value(&mut world, "k"), Reply::Null);
}

#[test]
fn closing_ends_calls_that_only_wait_and_no_others() {
    let mut world = plain();
    world.send(0, 1, &["SLEEPS", "k", "100"]);
    world.send(0, 1, &["WRITES", "l"]);
    world.close(0, 1);
    assert_eq!(world.live(), 1);
    world.advance(1_000);
    assert_eq!((value(&mut world, "k"), value(&mut world, "l")), (Reply::Null, Reply::bulk("2")));
    assert_eq!(world.live(), 0);
}

#[test]
fn spawned_task_may_watch_the_session_that_it_was_spawned_for() {
    let mut world = World::new(&busy::PLUGIN, "", 1, 1);
    world.redis.run(&["SET", "k", "v"]);
    assert_eq!(world.ask(0, 1, &["WATCHES", "k"]), Some(Reply::ok()));
    assert_eq!(value(&mut world, "k"), Reply::bulk("v"));
    world.close(0, 1);
    world.run();
    assert_eq!(value(&mut world, "k"), Reply::Null);
}
