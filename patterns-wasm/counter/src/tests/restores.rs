//! A base is added once, no increment is lost, and one caller per lease is told to load it.
//!
//! Clients of two gateways count, load and restore in an order that a seed gives, some of them twice and late; then two and
//! three of them at once in every order of deliveries.

use sluicegate_plugin::harness::interleave::explore;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::support::gateways;

/// `[value or nil, whether there is a token]`.
fn told(reply: &Reply) -> (Option<i64>, bool) {
    let Reply::Array(parts) = reply else { panic!("{reply:?}") };
    (parts[0].int(), !parts[1].is_null())
}

fn ask(world: &mut World, worker: usize, line: &str) -> Reply {
    world.ask(worker, 1, &line.split(' ').collect::<Vec<_>>()).expect("a reply")
}

#[test]
fn one_caller_per_lease_loads_the_base_and_all_increments_are_in_the_sum() {
    for seed in 0..40 {
        let mut world = gateways(r#"{"restore_lease":"1s"}"#, seed);
        let (mut counted, mut restored, mut leased_until_ms) = (0, false, 0);
        for step in 0..200 {
            let worker = usize::try_from(world.next_random() % 2).unwrap();
            let what = format!("seed {seed}, step {step}");
            let base = if restored { 1_000 } else { 0 };
            match world.next_random() % 8 {
                0 | 1 => {
                    counted += 2;
                    assert_eq!(ask(&mut world, worker, "INCRBY a 2"), Reply::Int(base + counted));
                }
                2 | 3 => {
                    counted += 1;
                    let due = !restored && world.now_ms >= leased_until_ms;
                    let got = told(&ask(&mut world, worker, "COUNTER.INCR a"));
                    assert_eq!(got, (Some(base + counted), due), "{what}");
                    leased_until_ms = if due { world.now_ms + 1_000 } else { leased_until_ms };
                }
                4 => {
                    let due = !restored && world.now_ms >= leased_until_ms;
                    let Reply::Array(rows) = ask(&mut world, worker, "COUNTER.MGET a") else {
                        panic!("no array")
                    };
                    let known = (restored || counted > 0).then_some(base + counted);
                    assert_eq!(told(&rows[0]), (known, due), "{what}");
                    leased_until_ms = if due { world.now_ms + 1_000 } else { leased_until_ms };
                }
                // Any number of times, also by those whose lease is long over.
                5 if step > 60 => {
                    restored = true;
                    let value = ask(&mut world, worker, "COUNTER.RESTORE a 1000 7");
                    assert_eq!(value, Reply::Int(1_000 + counted), "{what}");
                    leased_until_ms = 0;
                }
                6 => {
                    let value = ask(&mut world, worker, "GET a");
                    assert_eq!(value.int().unwrap_or(0), base + counted, "{what}");
                }
                _ => {
                    let ms = world.next_random() % 700;
                    world.advance(ms);
                }
            }
        }
        assert!(restored, "seed {seed}");
        assert_eq!(world.redis.run(&["HGET", "a", "b"]), Reply::bulk("1000"));
        assert!(world.complaints().is_empty(), "seed {seed}: {:?}", world.complaints());
    }
}

#[test]
fn increments_and_restores_at_once_are_all_counted_once_in_every_order() {
    let explored = explore(100_000, |order| {
        let mut world = gateways("", 1);
        world.follow(order);
        world.send(0, 1, &["INCR", "a"]);
        world.send(1, 2, &["COUNTER.RESTORE", "a", "100", "5"]);
        world.send(0, 3, &["COUNTER.RESTORE", "a", "100", "5"]);
        world.run();
        assert_eq!(world.redis.run(&["HGET", "a", "n"]), Reply::bulk("101"));
        // The backup has version 5; the increment goes on above it.
        assert!(world.redis.run(&["HGET", "a", "v"]).int() > Some(5));
    });
    assert!(explored.complete, "{} orders", explored.orders);
}

#[test]
fn of_callers_that_come_at_once_one_gets_the_token_in_every_order() {
    let explored = explore(100_000, |order| {
        let mut world = gateways("", 1);
        world.follow(order);
        let incr = ["COUNTER.INCR", "a"];
        let tickets = [world.send(0, 1, &incr), world.send(1, 2, &incr), world.send(0, 3, &incr)];
        world.run();
        let told = tickets.map(|ticket| told(world.reply(ticket).expect("a reply")));
        assert_eq!(told.iter().filter(|(_, token)| *token).count(), 1);
        let mut values = told.map(|(value, _)| value.expect("a value"));
        values.sort_unstable();
        assert_eq!(values, [1, 2, 3]);
    });
    assert!(explored.complete, "{} orders", explored.orders);
}

#[test]
fn value_that_is_set_needs_no_base() {
    let mut world = gateways("", 1);
    assert!(told(&ask(&mut world, 0, "COUNTER.INCR a")).1);
    assert_eq!(ask(&mut world, 0, "SET a 50"), Reply::ok());
    assert_eq!(told(&ask(&mut world, 1, "COUNTER.INCR a")), (Some(51), false));
    // The leader comes late: what was set stands.
    assert_eq!(ask(&mut world, 0, "COUNTER.RESTORE a 1000 1"), Reply::Int(51));
    // Taken away, it is to be loaded again, at once.
    assert_eq!(ask(&mut world, 0, "GETDEL a"), Reply::bulk("51"));
    assert_eq!(told(&ask(&mut world, 1, "COUNTER.INCR a")), (Some(1), true));
    let refused = "ERR counter: COUNTER.RESTORE version must be from 0 to 2^53";
    assert_eq!(ask(&mut world, 0, "COUNTER.RESTORE a 5 -1"), Reply::Error(refused.into()));
    let no_integer = "ERR value is not an integer or out of range";
    assert_eq!(ask(&mut world, 0, "COUNTER.RESTORE a x 1"), Reply::Error(no_integer.into()));
    assert_eq!(ask(&mut world, 0, "GET a"), Reply::bulk("1"));
}

#[test]
fn many_keys_are_read_in_one_call_and_one_that_is_no_counter_says_so_in_its_place() {
    let mut world = gateways("", 1);
    let keys: Vec<String> = (0..250).map(|number| format!("k{number}")).collect();
    world.redis.run(&["RPUSH", "k100", "x"]);
    world.redis.run(&["SET", "k200", "5"]);
    let words = ["COUNTER.MGET"].into_iter().chain(keys.iter().map(String::as_str));
    let Some(Reply::Array(rows)) = world.ask(0, 1, &words.collect::<Vec<_>>()) else {
        panic!("no array")
    };
    for (number, row) in rows.iter().enumerate() {
        match number {
            100 => assert!(matches!(row, Reply::Error(text) if text.starts_with("WRONGTYPE"))),
            200 => assert_eq!(told(row), (Some(5), false)),
            _ => assert_eq!(told(row), (None, true), "key {number}"),
        }
    }
}
