//! Two and three clients at once on one list, in every order of deliveries.
//!
//! A reader sees the newest items without a gap, never more than `keep`; a pop takes the last that is shown and
//! nothing hidden comes up behind it. What is stored in the end is what the shard's own order of pushes says.

use sluicegate_plugin::harness::interleave::explore;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::{gateways, texts};

const CONFIG: &str = r#"{"keep":3,"slack":1}"#;

/// A list of as many as may be stored: `3 2 1`, and `0`, which is not shown.
fn full() -> World {
    let mut world = gateways(CONFIG, 1);
    world.redis.run(&["RPUSH", "k", "3", "2", "1", "0"]);
    world
}

/// Whether these are the newest of some moment: pushes are `a` and `b`, in either order, before `3 2 1`.
fn is_newest(shown: &[String]) -> bool {
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    ["321", "a321", "b321", "ba321", "ab321"].iter().any(|all| {
        let all: Vec<String> = all.chars().take(3).map(String::from).collect();
        all == shown
    })
}

#[test]
fn reader_between_two_pushes_sees_the_newest_three_in_every_order() {
    let explored = explore(200_000, |order| {
        let mut world = full();
        world.follow(order);
        world.send(0, 1, &["LPUSH", "k", "a"]);
        world.send(1, 2, &["LPUSH", "k", "b"]);
        let read = world.send(1, 3, &["LRANGE", "k", "0", "-1"]);
        world.run();
        let shown = texts(world.reply(read));
        assert!(is_newest(&shown), "{shown:?}");
        let stored = texts(Some(&world.redis.run(&["LRANGE", "k", "0", "-1"])));
        assert!(["ab3", "ba3"].contains(&stored[..3].concat().as_str()), "{stored:?}");
        assert!(stored.len() <= 4, "{stored:?}");
    });
    assert!(explored.complete, "{} orders", explored.orders);
}

#[test]
fn pop_from_the_tail_takes_the_last_that_is_shown_in_every_order() {
    let explored = explore(200_000, |order| {
        let mut world = full();
        world.follow(order);
        world.send(0, 1, &["LPUSH", "k", "a"]);
        let popped = world.send(1, 2, &["RPOP", "k"]);
        let read = world.send(0, 3, &["LRANGE", "k", "0", "-1"]);
        world.run();
        let popped = world.reply(popped).cloned();
        assert!([Some(Reply::bulk("1")), Some(Reply::bulk("2"))].contains(&popped), "{popped:?}");
        let shown = texts(world.reply(read)).concat();
        // Before both, after one, after both in either order.
        let pushed_first = ["321", "a32", "a3"].contains(&shown.as_str());
        let popped_first = ["321", "32", "a32"].contains(&shown.as_str());
        assert!(pushed_first || popped_first, "{shown}");
        let stored = texts(Some(&world.redis.run(&["LRANGE", "k", "0", "-1"]))).concat();
        assert!(["a3", "a32"].contains(&stored.as_str()), "{stored}");
    });
    assert!(explored.complete, "{} orders", explored.orders);
}
