//! Windows' counters, and boards that counters feed.
//!
//! The clock is the world's, moved over the windows' edges; the oracle is one map per window. A board must show what the counters
//! say once nothing is under way, in every order of two and three changes.

use std::collections::BTreeMap;

use sluicegate_plugin::harness::interleave::explore;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::window::Length;

use super::support::gateways;

const HOUR: u64 = 3_600_000;
const WINDOWS: &str = r#"{"window":"hour","keep":3}"#;

fn now(world: &World) -> String {
    Length::Hour.at(world.now_ms, 0).name()
}

fn ask(world: &mut World, line: &str) -> Reply {
    let words: Vec<&str> = line.split(' ').collect();
    world.ask(0, 1, &words).expect("a reply")
}

#[test]
fn each_hour_is_counted_by_itself_and_read_by_its_name() {
    for seed in 0..20 {
        let mut world = gateways(WINDOWS, seed);
        let mut counted: BTreeMap<(String, String), i64> = BTreeMap::new();
        let mut names = Vec::new();
        for number in 0..4 {
            if number > 0 {
                world.advance(HOUR);
            }
            names.insert(0, now(&world));
            for _ in 0..40 {
                let key = format!("k{}", world.next_random() % 3);
                let by = i64::try_from(world.next_random() % 9).unwrap() - 3;
                let count = counted.entry((key.clone(), names[0].clone())).or_default();
                *count += by;
                let wanted = *count;
                let line = format!("INCRBY {key} {by}");
                if world.next_random().is_multiple_of(4) {
                    let words: Vec<&str> = line.split(' ').collect();
                    let ticket = world.multi(0, 1, &[&words, &["GET", &key]]);
                    world.run();
                    let both = vec![Reply::Int(wanted), Reply::bulk(wanted.to_string())];
                    assert_eq!(world.reply(ticket), Some(&Reply::Array(both)));
                } else {
                    assert_eq!(ask(&mut world, &line), Reply::Int(wanted), "{line}");
                }
            }
        }
        for ((key, name), count) in &counted {
            let text = Reply::bulk(count.to_string());
            assert_eq!(ask(&mut world, &format!("GET {key}@{name}")), text);
        }
        let rows = names.iter().flat_map(|name| {
            let count = counted.get(&("k0".to_owned(), name.clone()));
            [Reply::bulk(name.as_str()), count.map_or(Reply::Null, |count| Reply::Int(*count))]
        });
        let wanted = Reply::Array(rows.collect());
        assert_eq!(ask(&mut world, "COUNTER.WINDOWS k0 4"), wanted, "seed {seed}");
        assert!(world.complaints().is_empty(), "{:?}", world.complaints());
    }
}

#[test]
fn windows_counter_ends_after_those_that_are_kept_and_takes_no_more() {
    let mut world = gateways(WINDOWS, 1);
    let first = now(&world);
    let into_hour = world.now_ms % HOUR;
    assert_eq!(ask(&mut world, "INCR k"), Reply::Int(1));
    assert_eq!(ask(&mut world, "SET k 5"), Reply::ok());
    let left_ms = Reply::Int(i64::try_from(4 * HOUR - into_hour).unwrap());
    assert_eq!(ask(&mut world, "PTTL k"), left_ms);
    assert_eq!(ask(&mut world, "EXISTS k k@2001010100 k"), Reply::Int(2));
    world.advance(3 * HOUR);
    assert_eq!(ask(&mut world, "GET k"), Reply::Null);
    assert_eq!(ask(&mut world, &format!("COUNTER.INCR k@{first}")).clone(), {
        Reply::Array(vec![Reply::Int(6), Reply::Null])
    });
    assert_eq!(ask(&mut world, &format!("TYPE k@{first}")), Reply::Simple("string".into()));
    world.advance(HOUR);
    assert_eq!(ask(&mut world, &format!("GET k@{first}")), Reply::Null);
    let ended = Reply::Error("ERR counter: that window has ended and is no longer kept".into());
    for line in ["INCR k@W", "SET k@W 1", "COUNTER.INCR k@W", "COUNTER.RESTORE k@W 5 5"] {
        assert_eq!(ask(&mut world, &line.replace('W', &first)), ended, "{line}");
    }
    assert_eq!(ask(&mut world, "INCR k"), Reply::Int(1));
    assert_eq!(ask(&mut world, "DEL k none"), Reply::Int(1));
    let text = "ERR counter: 'expire' is not for a window's counter: it ends by itself, 'keep' windows later";
    assert_eq!(ask(&mut world, "EXPIRE k 10"), Reply::Error(text.into()));
}

#[test]
fn windows_counters_are_restored_and_backed_up_by_their_names() {
    let mut world = gateways(r#"{"window":"hour","keep":3,"backup":"k:b"}"#, 1);
    let name = now(&world);
    let Reply::Array(row) = ask(&mut world, "COUNTER.INCR k") else { panic!("no row") };
    assert!(row[0] == Reply::Int(1) && !row[1].is_null(), "{row:?}");
    assert_eq!(ask(&mut world, "COUNTER.RESTORE k 10 7"), Reply::Int(11));
    let Reply::Array(dirty) = ask(&mut world, "COUNTER.DIRTY") else { panic!("no triples") };
    assert_eq!(dirty[..2], [Reply::bulk(format!("k@{name}")), Reply::Int(11)]);
    let version = dirty[2].int().unwrap();
    world.advance(HOUR);
    let line = format!("COUNTER.ACK k@{name} {version}");
    assert_eq!(ask(&mut world, &line), Reply::Int(1), "an hour later too");
    assert_eq!(ask(&mut world, "COUNTER.DIRTY"), Reply::Array(Vec::new()));
}

#[test]
fn without_windows_the_commands_on_keys_go_on_as_they_came() {
    let mut world = gateways(r#"{"ttl":"1m"}"#, 1);
    ask(&mut world, "INCR k@20260101");
    for (line, wanted) in [
        ("EXISTS k@20260101 k", Reply::Int(1)),
        ("PTTL k@20260101", Reply::Int(60_000)),
        ("EXPIRE k@20260101 5", Reply::Int(1)),
        ("PERSIST k@20260101", Reply::Int(1)),
        ("DEL k@20260101", Reply::Int(1)),
    ] {
        assert_eq!(ask(&mut world, line), wanted, "{line}");
    }
    let none = Reply::Error("ERR counter: set 'window' in the config of this binding".into());
    assert_eq!(ask(&mut world, "COUNTER.WINDOWS k 2"), none);
    let mut world = gateways(WINDOWS, 1);
    let bound = "ERR counter: COUNTER.WINDOWS n must be from 1 to keep + 1, which is 4";
    for line in ["COUNTER.WINDOWS k 0", "COUNTER.WINDOWS k 5"] {
        assert_eq!(ask(&mut world, line), Reply::Error(bound.into()));
    }
}

const FEED: &str = r#"{"feed":{"board":"top","counters":"job:{member}:views"}}"#;

#[test]
fn board_shows_every_kind_of_change() {
    let mut world = gateways(FEED, 1);
    for (line, score) in [
        ("INCR job:7:views", "1"),
        ("INCRBY job:7:views 4", "5"),
        ("COUNTER.INCR job:7:views 2", "7"),
        ("COUNTER.RESTORE job:7:views 100 3", "107"),
        ("SET job:7:views 200", "200"),
        // It only grows.
        ("DECRBY job:7:views 50", "200"),
        ("SET job:7:views 10 NX", "200"),
    ] {
        ask(&mut world, line);
        assert_eq!(world.redis.run(&["ZSCORE", "top", "7"]), Reply::bulk(score), "{line}");
    }
    ask(&mut world, "INCR other:7:views");
    assert_eq!(world.redis.run(&["ZCARD", "top"]), Reply::Int(1));
    // Inside MULTI the next change outside tells it.
    world.multi(0, 1, &[&["INCR", "job:8:views"]]);
    world.run();
    assert_eq!(world.redis.run(&["ZSCORE", "top", "8"]), Reply::Null);
    ask(&mut world, "INCR job:8:views");
    assert_eq!(world.redis.run(&["ZSCORE", "top", "8"]), Reply::bulk("2"));
    let mut world =
        gateways(r#"{"feed":{"board":"top","counters":"job:{member}","mode":"set"}}"#, 1);
    ask(&mut world, "INCRBY job:7 9");
    ask(&mut world, "DECRBY job:7 5");
    assert_eq!(world.redis.run(&["ZSCORE", "top", "7"]), Reply::bulk("4"));
    assert!(world.complaints().is_empty(), "{:?}", world.complaints());
}

#[test]
fn windows_feed_the_board_of_their_window() {
    let config = r#"{"window":"hour","feed":{"board":"top@{window}","counters":"job:{member}"}}"#;
    let mut world = gateways(config, 1);
    let first = now(&world);
    ask(&mut world, "INCRBY job:7 3");
    world.advance(HOUR);
    ask(&mut world, "INCR job:7");
    ask(&mut world, &format!("INCR job:7@{first}"));
    let score =
        |world: &mut World, name: &str| world.redis.run(&["ZSCORE", &format!("top@{name}"), "7"]);
    let second = now(&world);
    assert_eq!(score(&mut world, &first), Reply::bulk("4"));
    assert_eq!(score(&mut world, &second), Reply::bulk("1"));
}

#[test]
fn board_that_cannot_be_told_leaves_the_count_as_it_is() {
    let mut world = gateways(FEED, 1);
    world.redis.run(&["SET", "top", "no board"]);
    assert_eq!(ask(&mut world, "INCR job:7:views"), Reply::Int(1));
    assert_eq!(ask(&mut world, "INCR job:7:views"), Reply::Int(2));
    assert_eq!(world.metric(crate::Count::NotFed as u32), 2);
    world.redis.run(&["DEL", "top"]);
    ask(&mut world, "INCR job:7:views");
    assert_eq!(world.redis.run(&["ZSCORE", "top", "7"]), Reply::bulk("3"), "the next mends it");
}

#[test]
fn board_shows_the_sum_of_changes_that_overtake_each_other_in_every_order() {
    for changes in [&[1, 2][..], &[1, 2, 3]] {
        let explored = explore(200_000, |order| {
            let mut world = gateways(FEED, 1);
            world.follow(order);
            for (user, by) in changes.iter().enumerate() {
                let by = by.to_string();
                world.send(user % 2, user as u64 + 1, &["INCRBY", "job:7:views", &by]);
            }
            world.run();
            let sum = changes.iter().sum::<i32>().to_string();
            assert_eq!(world.redis.run(&["ZSCORE", "top", "7"]), Reply::bulk(sum));
        });
        assert!(explored.complete, "{} orders", explored.orders);
    }
}
