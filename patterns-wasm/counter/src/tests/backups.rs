//! A backup that is told by DIRTY and ACK has, once it has asked until nothing came, every counter's value.
//!
//! The database here keeps a value and a version per key and takes only higher versions, as docs/patterns.md says. Its
//! worker dies at random between asking, writing and acknowledging; shards lose counters, which are then restored from it.

use std::collections::BTreeMap;

use sluicegate_plugin::harness::interleave::explore;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::support::gateways;

const CONFIG: &str = r#"{"backup":"views:saved"}"#;

type Database = BTreeMap<String, (i64, i64)>;

fn ask(world: &mut World, worker: usize, line: &str) -> Reply {
    world.ask(worker, 1, &line.split(' ').collect::<Vec<_>>()).expect("a reply")
}

/// What is to be backed up: key, value, version.
fn dirty(world: &mut World, count: usize) -> Vec<(String, i64, i64)> {
    let reply = ask(world, 0, &format!("COUNTER.DIRTY {count}"));
    let Reply::Array(rows) = reply else { panic!("{reply:?}") };
    let triple = |row: &[Reply]| {
        let key = String::from_utf8(row[0].bytes().unwrap().to_vec()).unwrap();
        (key, row[1].int().unwrap(), row[2].int().unwrap())
    };
    rows.chunks(3).map(triple).collect()
}

fn save(database: &mut Database, (key, value, version): &(String, i64, i64)) {
    let known = database.entry(key.clone()).or_insert((0, 0));
    if *version > known.1 {
        *known = (*value, *version);
    }
}

/// One round of the worker; it may die after any of its steps.
fn back_up(world: &mut World, database: &mut Database, may_die: bool) {
    for triple in dirty(world, 5) {
        if may_die && world.next_random().is_multiple_of(4) {
            return;
        }
        save(database, &triple);
        if may_die && world.next_random().is_multiple_of(4) {
            return;
        }
        ask(world, 1, &format!("COUNTER.ACK {} {}", triple.0, triple.2));
    }
}

#[test]
fn database_has_every_value_once_nothing_is_dirty() {
    for seed in 0..40 {
        let mut world = gateways(CONFIG, seed);
        let mut database = Database::new();
        // What the database and the increments that it cannot have lost come to.
        let mut values: BTreeMap<String, i64> = BTreeMap::new();
        for _ in 0..400 {
            let key = format!("views:{}", world.next_random() % 6);
            let worker = usize::try_from(world.next_random() % 2).unwrap();
            match world.next_random() % 10 {
                0..5 => {
                    *values.entry(key.clone()).or_default() += 1;
                    let reply = ask(&mut world, worker, &format!("COUNTER.INCR {key}"));
                    let Reply::Array(parts) = reply else { panic!("{reply:?}") };
                    if !parts[1].is_null() {
                        let (base, version) = database.get(&key).copied().unwrap_or((0, 0));
                        let line = format!("COUNTER.RESTORE {key} {base} {version}");
                        assert_eq!(ask(&mut world, worker, &line), Reply::Int(values[&key]));
                    }
                }
                5 => {
                    ask(&mut world, worker, &format!("SET {key} 7"));
                    values.insert(key, 7);
                }
                6 => {
                    // Its shard loses the counter: what the database lacks is gone. A SET may come before a restore.
                    world.redis.run(&["DEL", &key, &format!("{{{key}}}:sg:restore")]);
                    values.insert(key.clone(), database.get(&key).map_or(0, |(value, _)| *value));
                }
                _ => back_up(&mut world, &mut database, true),
            }
            world.advance(1);
        }
        for _ in 0..10 {
            back_up(&mut world, &mut database, false);
        }
        assert_eq!(dirty(&mut world, 100), [], "seed {seed}");
        for (key, value) in &values {
            let (saved, version) = database.get(key).copied().unwrap_or((0, 0));
            assert_eq!(saved, *value, "seed {seed}: {key}");
            // One that was lost last is restored now; on the others this changes nothing.
            let line = format!("COUNTER.RESTORE {key} {saved} {version}");
            assert_eq!(ask(&mut world, 0, &line), Reply::Int(*value), "seed {seed}: {key}");
        }
        assert!(world.complaints().is_empty(), "seed {seed}: {:?}", world.complaints());
    }
}

#[test]
fn counter_without_a_base_is_never_handed_out_and_one_that_is_gone_leaves_the_list() {
    let mut world = gateways(CONFIG, 1);
    ask(&mut world, 0, "INCR views:a");
    assert_eq!(dirty(&mut world, 10), []);
    assert_eq!(ask(&mut world, 0, "COUNTER.RESTORE views:a 100 5"), Reply::Int(101));
    let handed = dirty(&mut world, 10);
    assert_eq!((handed[0].0.as_str(), handed[0].1), ("views:a", 101));
    let version = handed[0].2;
    assert!(version > 5);
    // A restore alone is what the backup has.
    ask(&mut world, 0, "COUNTER.RESTORE views:b 100 5");
    assert_eq!(dirty(&mut world, 10).len(), 1);
    assert_eq!(ask(&mut world, 0, "COUNTER.ACK views:a 5"), Reply::Int(0), "another version");
    ask(&mut world, 0, "INCR views:a");
    let late = format!("COUNTER.ACK views:a {version}");
    assert_eq!(ask(&mut world, 0, &late), Reply::Int(0), "it has changed");
    assert_eq!(dirty(&mut world, 10), [("views:a".into(), 102, version + 1)]);
    ask(&mut world, 0, "DEL views:a");
    assert_eq!(dirty(&mut world, 10), []);
    assert_eq!(world.redis.run(&["ZCARD", "{views:saved}:sg:dirty"]), Reply::Int(0));
    for (line, wanted) in [
        ("COUNTER.DIRTY 0", "ERR counter: COUNTER.DIRTY count must be from 1 to 1000"),
        ("COUNTER.DIRTY x", "ERR value is not an integer or out of range"),
        ("COUNTER.ACK views:a x", "ERR value is not an integer or out of range"),
    ] {
        assert_eq!(ask(&mut world, 0, line), Reply::Error(wanted.into()), "{line}");
    }
    let mut without = gateways("", 1);
    let hint = "ERR counter: set 'backup' in the config of this binding";
    assert_eq!(ask(&mut without, 0, "COUNTER.DIRTY"), Reply::Error(hint.into()));
}

#[test]
fn increment_beside_an_acknowledgement_stays_on_the_list_in_every_order() {
    let explored = explore(100_000, |order| {
        let mut world = gateways(CONFIG, 1);
        ask(&mut world, 0, "SET views:a 10");
        let handed = dirty(&mut world, 10);
        world.follow(order);
        let version = handed[0].2.to_string();
        world.send(0, 2, &["INCR", "views:a"]);
        world.send(1, 3, &["COUNTER.ACK", "views:a", &version]);
        world.send(0, 4, &["COUNTER.ACK", "views:a", &version]);
        world.run();
        let listed = world.redis.run(&["ZCARD", "{views:saved}:sg:dirty"]);
        assert_eq!(listed, Reply::Int(1));
    });
    assert!(explored.complete, "{} orders", explored.orders);
}
