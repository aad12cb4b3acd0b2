//! MGET and DEL of several keys: each key as by a command of its own.
//!
//! By hand in virtual time: fresh, stale, missing and wrong keys in one call, who leads and who waits, inside MULTI; then at
//! random beside single GETs. What is held: one leader per key, and nobody waits for somebody who waits for him.

use sluicegate_plugin::harness::interleave::explore;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::support::{gateways, is_leased, world};

fn items(words: &[Option<&str>]) -> Option<Reply> {
    Some(Reply::Array(words.iter().map(|word| word.map_or(Reply::Null, Reply::bulk)).collect()))
}

#[test]
fn fresh_stale_missing_and_wrong_keys_are_each_answered_as_by_a_get() {
    let mut world = world(2, 1);
    world.ask(0, 9, &["SETEX", "stale", "1", "old"]);
    world.ask(0, 9, &["SETEX", "led", "1", "old too"]);
    world.advance(1_000);
    world.ask(0, 9, &["SET", "fresh", "v"]);
    world.redis.run(&["LPUSH", "list", "item"]);
    assert_eq!(world.ask(1, 8, &["GET", "led"]), Some(Reply::Null), "session 8 leads this one");
    let words = ["MGET", "fresh", "stale", "none", "list", "led", "fresh"];
    let told = world.ask(0, 1, &words);
    assert_eq!(told, items(&[Some("v"), None, None, None, Some("old too"), Some("v")]));
    assert!(is_leased(&mut world, "stale") && is_leased(&mut world, "none"));
    // What the first leads, the next gets old; it waits for what is missing.
    let waits = world.send(1, 2, &["MGET", "stale", "none"]);
    world.run();
    assert_eq!(world.reply(waits), None);
    world.ask(0, 1, &["SETEX", "none", "9", "new"]);
    assert_eq!(world.reply(waits).cloned(), items(&[Some("old"), Some("new")]));
    assert!(world.complaints().is_empty(), "{:?}", world.complaints());
}

#[test]
fn reader_that_leads_one_key_waits_for_the_others_only_wait_behind() {
    let mut world = world(2, 1);
    assert_eq!(world.ask(0, 1, &["GET", "a"]), Some(Reply::Null));
    let begun_ms = world.now_ms;
    let both = world.send(1, 2, &["MGET", "a", "b"]);
    world.run();
    world.advance(20);
    assert_eq!(world.reply(both).cloned(), items(&[None, None]), "after wait_behind");
    assert!(world.now_ms - begun_ms <= 20);
    // Who leads nothing waits as long as a GET.
    let waits = world.send(0, 3, &["MGET", "b", "a"]);
    world.run();
    world.advance(900);
    assert_eq!(world.reply(waits), None);
    world.ask(1, 2, &["SETEX", "b", "9", "vb"]);
    world.ask(0, 1, &["SETEX", "a", "9", "va"]);
    assert_eq!(world.reply(waits).cloned(), items(&[Some("vb"), Some("va")]));
}

#[test]
fn hundreds_of_keys_are_read_in_pieces_and_filled_ones_reach_who_waits() {
    let mut world = world(2, 1);
    let keys: Vec<String> = (0..300).map(|number| format!("k{number}")).collect();
    for key in keys.iter().step_by(2) {
        world.ask(0, 9, &["SETEX", key, "60", "v"]);
    }
    let words: Vec<&str> = std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
    let leader = world.send(0, 1, &words);
    world.run();
    let Some(Reply::Array(rows)) = world.reply(leader) else { panic!("no reply at once") };
    assert_eq!(rows.iter().filter(|row| row.is_null()).count(), 150, "all that are missing");
    let waits = world.send(1, 2, &words);
    world.run();
    assert_eq!(world.reply(waits), None);
    for key in keys.iter().skip(1).step_by(2) {
        world.ask(0, 1, &["SETEX", key, "60", "v"]);
    }
    assert_eq!(world.reply(waits), Some(&Reply::Array(vec![Reply::bulk("v"); 300])));
    assert!(world.complaints().is_empty(), "{:?}", world.complaints());
}

#[test]
fn filled_through_another_gateway_are_found_within_the_wait() {
    let mut world = gateways(&[1, 1], 1);
    assert_eq!(world.ask(0, 1, &["MGET", "a", "b"]), items(&[None, None]));
    let waits = world.send(1, 2, &["MGET", "a", "b", "a"]);
    world.run();
    world.advance(300);
    assert_eq!(world.reply(waits), None);
    for key in ["a", "b"] {
        world.ask(0, 1, &["SETEX", key, "60", key]);
    }
    world.advance(100);
    assert_eq!(world.reply(waits).cloned(), items(&[Some("a"), Some("b"), Some("a")]));
}

#[test]
fn two_that_lead_each_others_keys_do_not_wait_for_each_other() {
    let explored = explore(20_000, |order| {
        let mut world = world(2, 1);
        world.follow(order);
        let begun_ms = world.now_ms;
        let told = [world.send(0, 1, &["MGET", "a", "b"]), world.send(1, 2, &["MGET", "b", "a"])];
        world.run();
        let led: usize = told
            .iter()
            .filter_map(|ticket| world.reply(*ticket))
            .map(|reply| match reply {
                Reply::Array(rows) => rows.len(),
                other => panic!("{other:?}"),
            })
            .sum();
        assert!(led >= 2, "nobody was told to compute");
        world.advance(1_000 - (world.now_ms - begun_ms));
        assert!(told.iter().all(|ticket| world.reply(*ticket).is_some()));
    });
    assert!(explored.orders > 100, "{} orders", explored.orders);
}

#[test]
fn inside_multi_an_mget_answers_what_is_stored_and_a_delete_ends_the_leases() {
    let mut world = world(1, 1);
    world.ask(0, 9, &["SETEX", "stale", "1", "old"]);
    world.advance(1_000);
    world.ask(0, 9, &["SET", "fresh", "v"]);
    world.redis.run(&["LPUSH", "list", "item"]);
    let ticket = world.multi(0, 1, &[&["MGET", "fresh", "stale", "none", "list"]]);
    world.run();
    let stored = items(&[Some("v"), Some("old"), None, None]).unwrap();
    assert_eq!(world.reply(ticket), Some(&Reply::Array(vec![stored])));
    assert!(!is_leased(&mut world, "stale"), "it leads nobody");
    assert_eq!(world.ask(0, 1, &["GET", "stale"]), Some(Reply::Null));
    let ticket = world.multi(0, 3, &[&["DEL", "fresh", "stale", "none"]]);
    world.run();
    assert_eq!(world.reply(ticket), Some(&Reply::Array(vec![Reply::Int(2)])));
    assert!(!is_leased(&mut world, "stale"));
}

fn delete_wakes(world: &mut World, words: &[&str]) {
    assert_eq!(world.ask(0, 1, &["GET", "a"]), Some(Reply::Null));
    let waits = world.send(1, 2, &["GET", "a"]);
    world.run();
    assert_eq!(world.reply(waits), None);
    world.ask(0, 9, &["SET", "b", "v"]);
    assert_eq!(world.ask(0, 3, words), Some(Reply::Int(1)));
    assert_eq!(world.reply(waits), Some(&Reply::Null), "the next leader");
}

#[test]
fn delete_of_several_keys_ends_their_leases_too() {
    for name in ["DEL", "UNLINK"] {
        delete_wakes(&mut world(2, 1), &[name, "b", "a", "c"]);
    }
}

#[test]
fn mset_fills_each_key_and_wakes_those_who_wait() {
    for in_multi in [false, true] {
        let mut world = world(2, 1);
        assert_eq!(world.ask(0, 1, &["MGET", "a", "b"]), items(&[None, None]));
        let waits = world.send(1, 2, &["GET", "b"]);
        world.run();
        let words = ["MSET", "a", "va", "b", "vb"];
        let ticket = match in_multi {
            false => world.send(0, 1, &words),
            true => world.multi(0, 1, &[&words]),
        };
        world.run();
        assert!(world.reply(ticket).is_some());
        assert_eq!(world.reply(waits), Some(&Reply::bulk("vb")));
        assert!(!is_leased(&mut world, "a") && !is_leased(&mut world, "b"));
        assert_eq!(world.ask(1, 3, &["MGET", "a", "b"]), items(&[Some("va"), Some("vb")]));
        assert_eq!(world.redis.run(&["PTTL", "a"]), Reply::Int(-1));
        assert!(world.complaints().is_empty(), "{:?}", world.complaints());
    }
}
