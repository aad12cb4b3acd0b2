//! Two and three clients at once on one key, in every order of deliveries.
//!
//! A key that moves between its bucket and its plain form is never missed by a reader, an acknowledged write is never lost, and an
//! increment is counted once. What is read is what some order of the commands would have given.

use sluicegate_plugin::harness::interleave::explore;
use sluicegate_plugin::reply::Reply;

use super::{CONFIG, gateways};

#[test]
fn key_that_moves_between_its_places_is_never_missed() {
    for reader in [&["GET", "k1"][..], &["MGET", "k1", "k2"]] {
        let explored = explore(200_000, |order| {
            let mut world = gateways(CONFIG, 1);
            world.ask(0, 9, &["SET", "k1", "old"]);
            world.follow(order);
            world.send(0, 1, &["SET", "k1", "mid", "PX", "9000"]);
            world.send(0, 1, &["SET", "k1", "new"]);
            let read = world.send(1, 2, reader);
            world.run();
            let told = match world.reply(read).cloned() {
                Some(Reply::Array(rows)) => rows.into_iter().next(),
                reply => reply,
            };
            let known = ["old", "mid", "new"].map(|value| Some(Reply::bulk(value)));
            assert!(known.contains(&told), "{told:?}");
        });
        assert!(explored.complete, "{} orders", explored.orders);
    }
}

#[test]
fn increments_and_ends_meet_and_none_is_lost() {
    let explored = explore(200_000, |order| {
        let mut world = gateways(CONFIG, 1);
        world.ask(0, 9, &["SET", "k1", "10"]);
        world.follow(order);
        let sums =
            [world.send(0, 1, &["INCRBY", "k1", "1"]), world.send(1, 2, &["INCRBY", "k1", "2"])];
        let expire = world.send(1, 3, &["PEXPIRE", "k1", "5000"]);
        world.run();
        assert_eq!(world.reply(expire), Some(&Reply::Int(1)));
        let sums: Vec<i64> = sums.iter().filter_map(|t| world.reply(*t)?.int()).collect();
        assert!(sums == [11, 13] || sums == [13, 12], "{sums:?}");
        assert_eq!(world.ask(0, 9, &["GET", "k1"]), Some(Reply::bulk("13")));
        assert_eq!(world.redis.run(&["PTTL", "k1"]), Reply::Int(5_000));
    });
    assert!(explored.complete, "{} orders", explored.orders);
}

#[test]
fn key_is_adopted_once_whoever_asks() {
    let explored = explore(20_000, |order| {
        let mut world = gateways(r#"{"prefix":"k","buckets":3,"adopt":true}"#, 1);
        world.redis.run(&["SET", "k1", "10"]);
        world.follow(order);
        let sum = world.send(0, 1, &["INCR", "k1"]);
        let read = world.send(1, 2, &["GET", "k1"]);
        world.run();
        world.advance(50);
        assert_eq!(world.reply(sum), Some(&Reply::Int(11)));
        let read = world.reply(read).cloned();
        assert!([Some(Reply::bulk("10")), Some(Reply::bulk("11"))].contains(&read), "{read:?}");
        assert_eq!(world.redis.run(&["EXISTS", "k1"]), Reply::Int(0), "packed");
    });
    assert!(explored.orders > 10, "{} orders", explored.orders);
}
