//! By what a leader is known: fills that come too late, in each mode; tokens; early refresh; values that say nothing is there.
//!
//! In mode `key` a slow leader may write what a DEL meant to remove: that is shown too, so that the pages say why there are
//! others. The orders of a deletion, a leader's fill and another reader are all tried.

use sluicegate_plugin::harness::interleave::explore;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::support::{is_leased, text, world_with};

const NIL: Option<Reply> = Some(Reply::Null);

fn mode(name: &str) -> String {
    format!(r#"{{"lease_mode":"{name}","lease":"2s","wait":"1s"}}"#)
}

fn is_stored(world: &mut World, key: &str) -> bool {
    world.redis.run(&["EXISTS", key]) == Reply::Int(1)
}

/// Session 1 leads; then this happens; then it fills. Whether its value is there.
fn fills_after(config: &str, between: impl Fn(&mut World)) -> bool {
    let mut world = world_with(config, 2, 1);
    assert_eq!(world.ask(0, 1, &["GET", "k"]), NIL);
    between(&mut world);
    assert_eq!(world.ask(0, 1, &["SETEX", "k", "9", "mine"]), Some(Reply::ok()));
    text(&world.redis.run(&["GET", "k"])) == Some("mine".into())
}

#[test]
fn late_fill_is_refused_in_mode_conn_and_taken_in_mode_key() {
    let delete = |world: &mut World| {
        world.ask(1, 2, &["DEL", "k"]);
    };
    let write = |world: &mut World| {
        world.ask(1, 2, &["SETEX", "k", "9", "newer"]);
    };
    let other_leads = |world: &mut World| {
        world.advance(2_000);
        assert_eq!(world.ask(1, 2, &["GET", "k"]), NIL);
    };
    let slow = |world: &mut World| world.advance(5_000);
    let nothing = |_: &mut World| {};
    for (between, in_conn) in [
        (&delete as &dyn Fn(&mut World), false),
        (&write, false),
        (&other_leads, false),
        // Its time is over, but nobody else leads: its work is not lost.
        (&slow, true),
        (&nothing, true),
    ] {
        assert!(fills_after(&mode("key"), between));
        assert_eq!(fills_after(&mode("conn"), between), in_conn);
    }
    // Who was never told to compute writes as it likes.
    let mut world = world_with(&mode("conn"), 1, 1);
    world.ask(0, 1, &["SETEX", "k", "9", "v"]);
    world.ask(0, 2, &["DEL", "k"]);
    world.ask(0, 1, &["SETEX", "k", "9", "w"]);
    assert_eq!(world.ask(0, 2, &["GET", "k"]), Some(Reply::bulk("w")));
}

#[test]
fn deletion_in_flight_leaves_no_old_value_behind_in_any_order() {
    for name in ["conn", "token"] {
        let explored = explore(200_000, |order| {
            let mut world = world_with(&mode(name), 2, 1);
            let token = lead(&mut world, name);
            world.follow(order);
            fill(&mut world, &token);
            let deleted = world.send(1, 2, &["DEL", "k"]);
            world.run();
            // Before the fill, and the fill was refused; or after it.
            assert!(!is_stored(&mut world, "k"), "{name}: {:?}", world.reply(deleted));
            assert!(!is_leased(&mut world, "k"));
        });
        assert!(explored.complete, "{} orders", explored.orders);
    }
}

fn lead(world: &mut World, mode: &str) -> Option<String> {
    if mode == "conn" {
        assert_eq!(world.ask(0, 1, &["GET", "k"]), NIL);
        return None;
    }
    let Some(Reply::Array(row)) = world.ask(0, 1, &["CACHE.GET", "k"]) else { panic!("no row") };
    assert_eq!(row[0], Reply::Null);
    text(&row[1])
}

fn fill(world: &mut World, token: &Option<String>) {
    match token {
        None => world.send(0, 1, &["SETEX", "k", "9", "mine"]),
        Some(token) => world.send(0, 7, &["CACHE.FILL", "k", token, "9", "mine"]),
    };
}

#[test]
fn token_is_given_to_one_and_fills_once_from_any_connection() {
    let mut world = world_with(&mode("token"), 2, 1);
    let token = lead(&mut world, "token").expect("a token");
    let waits = world.send(1, 2, &["CACHE.GET", "k"]);
    let plain = world.send(0, 3, &["GET", "k"]);
    world.run();
    assert_eq!((world.reply(waits), world.reply(plain)), (None, None));
    let wrong = ["CACHE.FILL", "k", "0123", "9", "v"];
    assert_eq!(world.ask(0, 4, &wrong), Some(Reply::Int(0)));
    // The leader's connection may close: the token has nothing to do with it.
    world.close(0, 1);
    world.run();
    assert!(is_leased(&mut world, "k"));
    assert_eq!(world.ask(1, 5, &["CACHE.FILL", "k", &token, "9", "v"]), Some(Reply::Int(1)));
    let row = Reply::Array(vec![Reply::bulk("v"), Reply::Null]);
    assert_eq!((world.reply(waits), world.reply(plain)), (Some(&row), Some(&Reply::bulk("v"))));
    assert_eq!(world.redis.run(&["PTTL", "k"]), Reply::Int(29_000));
    assert_eq!(world.ask(1, 5, &["CACHE.FILL", "k", &token, "9", "w"]), Some(Reply::Int(0)));
    // Stale: one gets the token with the old value, all others the old value.
    world.advance(9_000);
    let Some(Reply::Array(row)) = world.ask(0, 1, &["CACHE.GET", "k"]) else { panic!("no row") };
    assert_eq!(row[0], Reply::bulk("v"));
    let next = text(&row[1]).expect("a token");
    let old = Reply::Array(vec![Reply::bulk("v"), Reply::Null]);
    assert_eq!(world.ask(1, 2, &["CACHE.GET", "k"]), Some(old));
    assert_eq!(world.ask(1, 2, &["CACHE.RELEASE", "k", "other"]), Some(Reply::Int(0)));
    assert_eq!(world.ask(1, 2, &["CACHE.RELEASE", "k", &next]), Some(Reply::Int(1)));
    assert!(lead_again(&mut world), "who comes next");
}

fn lead_again(world: &mut World) -> bool {
    let Some(Reply::Array(row)) = world.ask(0, 1, &["CACHE.GET", "k"]) else { panic!("no row") };
    !row[1].is_null()
}

#[test]
fn token_commands_say_what_is_wrong() {
    let mut world = world_with(&mode("token"), 1, 1);
    for (line, wanted) in [
        ("CACHE.FILL k t 0 v", "ERR invalid expire time in 'cache.fill' command"),
        ("CACHE.FILL k t -1 v", "ERR invalid expire time in 'cache.fill' command"),
        ("CACHE.FILL k t x v", "ERR value is not an integer or out of range"),
        ("CACHE.FILL k t 9223372036854775807 v", "ERR invalid expire time in 'cache.fill' command"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(world.ask(0, 1, &words), Some(Reply::Error(wanted.into())), "{line}");
    }
    let mut world = world_with(&mode("key"), 1, 1);
    let wanted = "ERR cache: set 'lease_mode: token' in the config of this binding";
    assert_eq!(world.ask(0, 1, &["CACHE.GET", "k"]), Some(Reply::Error(wanted.into())));
}

#[test]
fn three_readers_of_a_stale_value_have_one_leader_in_every_order_and_mode() {
    for name in ["key", "conn", "token"] {
        // The first of some hundred thousand.
        let explored = explore(5_000, |order| {
            let mut world = world_with(&mode(name), 3, 1);
            world.ask(0, 9, &["SETEX", "k", "1", "old"]);
            world.advance(1_000);
            world.follow(order);
            let readers =
                [0, 1, 2].map(|worker| world.send(worker, worker as u64 + 1, &["GET", "k"]));
            world.run();
            let led = readers.iter().filter(|ticket| world.reply(**ticket) == Some(&Reply::Null));
            assert_eq!(led.count(), 1, "{name}");
        });
        assert!(explored.orders >= 5_000 || explored.complete, "{} orders", explored.orders);
    }
}

#[test]
fn dear_value_is_computed_again_before_its_end_by_one_and_nobody_waits() {
    let mut world = world_with(r#"{"early_refresh":1.0,"lease":"2s","grace":"5s"}"#, 1, 3);
    // A recompute takes 500 ms: measured.
    assert_eq!(world.ask(0, 1, &["GET", "k"]), NIL);
    world.advance(500);
    world.ask(0, 1, &["SETEX", "k", "60", "v"]);
    // Far from its end nobody is told to compute.
    for reader in 0..2_000 {
        assert_eq!(world.ask(0, 10 + reader, &["GET", "k"]), Some(Reply::bulk("v")));
    }
    // At delta before the end some 37% draw it (here each lease is given back at once).
    world.advance(59_500);
    let mut drawn = 0;
    for reader in 0..2_000 {
        if world.ask(0, 10_000 + reader, &["GET", "k"]) == NIL {
            drawn += 1;
            assert!(is_leased(&mut world, "k"));
            assert_eq!(world.ask(0, 9, &["GET", "k"]), Some(Reply::bulk("v")), "beside the leader");
            world.close(0, 10_000 + reader);
            world.run();
        }
    }
    assert!((640..840).contains(&drawn), "{drawn} of 2000 drew");
    assert!(world.complaints().is_empty(), "{:?}", world.complaints());
}

#[test]
fn value_that_says_nothing_is_there_is_fresh_for_its_own_time() {
    let config = r#"{"grace":"20s","negative":{"values":["","null"],"ttl":"5s"}}"#;
    for (line, stored) in [
        ("SETEX k 60 null", 25_000),
        ("SETEX k 3 null", 23_000),
        ("SET k null", 25_000),
        ("SET k null EX 60", 25_000),
        ("SET k null KEEPTTL", 25_000),
        ("PSETEX k 60000 null", 25_000),
        ("SETEX k 60 nullx", 80_000),
        ("SET k v", -1),
    ] {
        let mut world = world_with(config, 1, 1);
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(world.ask(0, 1, &words), Some(Reply::ok()), "{line}");
        assert_eq!(world.redis.run(&["PTTL", "k"]), Reply::Int(stored), "{line}");
    }
    let mut world = world_with(config, 1, 1);
    world.ask(0, 1, &["SETEX", "k", "60", ""]);
    assert_eq!(world.redis.run(&["PTTL", "k"]), Reply::Int(25_000), "the empty value");
}
