//! Values that must reach a database: what it ends up with, whatever meets.
//!
//! The database takes what CACHE.DIRTY hands out and acknowledges it. Once nothing is dirty it must have the last value that was
//! written, or none where the last was a deletion, and never one that a leader brought from it.

use std::collections::BTreeMap;

use sluicegate_plugin::harness::interleave::explore;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::support::{text, world_with};

const CONFIG: &str = r#"{"dirty":true,"backup":"k:b","wait":"0ms","grace":"20s"}"#;

/// Values with their versions.
type Database = BTreeMap<String, (i64, Option<String>)>;

/// One round of the worker that writes to the database; whether there was anything.
fn back_up(world: &mut World, database: &mut Database) -> bool {
    let Some(Reply::Array(triples)) = world.ask(1, 99, &["CACHE.DIRTY", "3"]) else {
        panic!("no triples")
    };
    for triple in triples.chunks(3) {
        let (key, version) = (text(&triple[0]).unwrap(), triple[2].int().unwrap());
        let row = database.entry(key.clone()).or_default();
        if row.0 < version {
            *row = (version, text(&triple[1]));
        }
        world.ask(0, 98, &["CACHE.ACK", &key, &version.to_string()]);
    }
    !triples.is_empty()
}

#[test]
fn database_has_the_last_write_of_every_key_and_no_fill() {
    for seed in 0..40 {
        let mut world = world_with(CONFIG, 2, seed);
        let (mut database, mut last) = (Database::new(), BTreeMap::new());
        for step in 1..=200 {
            let key = format!("k{}", world.next_random() % 5);
            let value = step.to_string();
            let line = match world.next_random() % 9 {
                0 => format!("SET {key} {value}"),
                1 => format!("SETEX {key} 2 {value}"),
                2 => format!("PSETEX {key} 900 {value}"),
                3 => format!("SET {key} {value} PX 5000"),
                4 => format!("MSET {key} {value}"),
                5 => format!("DEL {key}"),
                6 => format!("EXPIRE {key} 0"),
                _ => format!("GET {key}"),
            };
            let words: Vec<&str> = line.split(' ').collect();
            let reply = if world.next_random().is_multiple_of(3) && words[0] != "GET" {
                let ticket = world.multi(0, step, &[&words]);
                world.run();
                let Some(Reply::Array(rows)) = world.reply(ticket) else { panic!("no rows") };
                rows.first().cloned()
            } else {
                world.ask(0, step, &words)
            };
            match (words[0], reply) {
                // This reader was told to compute: its SET is a fill.
                ("GET", Some(Reply::Null)) => {
                    world.ask(0, step, &["SETEX", &key, "9", "from the database"]);
                }
                ("GET", _) | ("EXPIRE", Some(Reply::Int(0))) => {}
                ("DEL" | "EXPIRE", _) => drop(last.insert(key, None)),
                (_, Some(Reply::Simple(_))) => drop(last.insert(key, Some(value))),
                (_, reply) => panic!("{line}: {reply:?}"),
            }
            if world.next_random().is_multiple_of(7) {
                back_up(&mut world, &mut database);
            }
            let ms = world.next_random() % 400;
            world.advance(ms);
        }
        while back_up(&mut world, &mut database) {}
        let values: BTreeMap<String, Option<String>> =
            database.into_iter().map(|(key, (_, value))| (key, value)).collect();
        assert_eq!(values, last, "seed {seed}");
        assert!(world.complaints().is_empty(), "{:?}", world.complaints());
    }
}

#[test]
fn acknowledgement_of_an_older_value_leaves_the_newer_dirty_in_every_order() {
    let explored = explore(20_000, |order| {
        let mut world = world_with(CONFIG, 2, 1);
        world.ask(0, 1, &["SET", "k1", "old"]);
        let Some(Reply::Array(triple)) = world.ask(1, 2, &["CACHE.DIRTY"]) else { panic!("none") };
        let version = triple[2].int().unwrap().to_string();
        world.follow(order);
        world.send(0, 1, &["SET", "k1", "new"]);
        world.send(1, 2, &["CACHE.ACK", "k1", &version]);
        world.send(0, 3, &["DEL", "k2"]);
        world.run();
        let mut database = Database::new();
        while back_up(&mut world, &mut database) {}
        assert_eq!(database["k1"].1.as_deref(), Some("new"));
        assert_eq!(database["k2"].1, None);
    });
    assert!(explored.complete || explored.orders >= 20_000, "{} orders", explored.orders);
}

#[test]
fn what_would_not_reach_the_database_is_refused_and_other_bindings_know_nothing_of_it() {
    let mut world = world_with(CONFIG, 1, 1);
    for (line, part) in [
        ("APPEND k1 x", "cache: 'append' would not reach the database"),
        ("INCR k1", "use SET, SETEX, MSET and DEL"),
        ("SET k1 v NX", "cache: SET with NX, GET or KEEPTTL is not for 'dirty: true'"),
        ("CACHE.DIRTY 0", "cache: CACHE.DIRTY count must be from 1 to 1000"),
        ("CACHE.ACK k1 x", "value is not an integer"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let reply = world.ask(0, 1, &words);
        assert!(
            matches!(&reply, Some(Reply::Error(text)) if text.contains(part)),
            "{line}: {reply:?}"
        );
    }
    assert_eq!(world.redis.run(&["EXISTS", "k1"]), Reply::Int(0));
    let mut world = world_with("", 1, 1);
    assert_eq!(world.ask(0, 1, &["APPEND", "k1", "x"]), Some(Reply::Int(1)));
    let wanted = "ERR cache: set 'dirty: true' and 'backup' in the config of this binding";
    assert_eq!(world.ask(0, 1, &["CACHE.DIRTY"]), Some(Reply::Error(wanted.into())));
}
