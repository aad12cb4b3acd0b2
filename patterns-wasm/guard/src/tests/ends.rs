//! No key without an end: the replies are a plain server's, and the ends are the clients' own or the default.
//!
//! At random, inside MULTI too, on keys that have an end, that have none, and that are not there; then two and three writers and
//! an expiry in every order of deliveries.

use sluicegate_plugin::harness::interleave::explore;
use sluicegate_plugin::harness::redis::FakeRedis;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::gateways;

const TTL: &str = r#"{"default_ttl":"10s"}"#;

struct Draw<'a>(&'a mut World);

impl Draw<'_> {
    fn below(&mut self, end: u64) -> u64 {
        self.0.next_random() % end
    }

    fn line(&mut self) -> String {
        let key = format!("k{}", self.below(4));
        let other = format!("k{}", self.below(4));
        let ms = 500 + self.below(5_000);
        match self.below(24) {
            0 => format!("SET {key} v"),
            1 => format!("SET {key} 5 PX {ms}"),
            2 => format!("SET {key} v NX"),
            3 => format!("SET {key} v XX GET"),
            4 => format!("SET {key} 7 KEEPTTL"),
            5 => format!("SETEX {key} 3 v"),
            6 => format!("SETNX {key} v"),
            7 => format!("MSET {key} 1 {other}x 2"),
            8 => format!("APPEND {key} 1"),
            9 => format!("INCR {key}"),
            10 => format!("INCRBY {key} 3"),
            11 => format!("DECR {key}"),
            12 => format!("HSET {key}h f v"),
            13 => format!("HINCRBY {key}h n 2"),
            14 => format!("LPUSH {key}l a b"),
            15 => format!("RPUSH {key}l c"),
            16 => format!("ZADD {key}z 1 a 2 b"),
            17 => format!("ZADD {key}z INCR 1 a"),
            18 => format!("ZINCRBY {key}z 1.5 a"),
            19 => format!("LPUSH {key} wrong"),
            20 => format!("DEL {key}"),
            21 => format!("PEXPIRE {key} {ms}"),
            22 => format!("GET {key}"),
            _ => format!("SET {key} {} EX 0", self.below(9)),
        }
    }
}

#[test]
fn replies_are_a_plain_servers_and_every_written_key_has_an_end() {
    for seed in 0..60 {
        let mut world = gateways(TTL, seed);
        let mut plain = FakeRedis::at(world.now_ms);
        for step in 0..200 {
            let line = Draw(&mut world).line();
            let words: Vec<&str> = line.split(' ').collect();
            let what = format!("seed {seed}, step {step}: {line}");
            let wanted = plain.run(&words);
            // What the shard does next to a write: the same to the oracle.
            let is_error = matches!(wanted, Reply::Error(_));
            let is_write = !["GET", "DEL", "PEXPIRE", "SETEX"].contains(&words[0]);
            for key in words.iter().skip(1).take(if words[0] == "MSET" { 3 } else { 1 }).step_by(2)
            {
                if is_write && !is_error && plain.run(&["PTTL", key]) == Reply::Int(-1) {
                    plain.run(&["PEXPIRE", key, "10000"]);
                }
            }
            if world.next_random().is_multiple_of(3) {
                let ticket = world.multi(0, 1, &[&words]);
                world.run();
                assert_eq!(world.reply(ticket), Some(&Reply::Array(vec![wanted])), "{what}");
            } else {
                assert_eq!(world.ask(1, 1, &words), Some(wanted), "{what}");
            }
            for key in 0..4 {
                for kind in ["", "h", "l", "z", "x"] {
                    let words = ["PTTL", &format!("k{key}{kind}")];
                    let left = world.redis.run(&words);
                    assert_eq!(left, plain.run(&words), "{what}: {words:?}");
                    assert_ne!(left, Reply::Int(-1), "{what}: {words:?} lives for ever");
                }
            }
            let ms = world.next_random() % 300;
            world.advance(ms);
            plain.now_ms = world.now_ms;
        }
        assert!(world.complaints().is_empty(), "{:?}", world.complaints());
    }
}

#[test]
fn key_that_was_there_without_an_end_gets_one_with_its_next_write() {
    let mut world = gateways(TTL, 1);
    world.redis.run(&["RPUSH", "l", "old"]);
    assert_eq!(world.ask(0, 1, &["RPUSH", "l", "new"]), Some(Reply::Int(2)));
    assert_eq!(world.redis.run(&["PTTL", "l"]), Reply::Int(10_000));
    assert_eq!(world.metric(crate::Count::Expiring as u32), 1);
}

#[test]
fn no_key_lives_for_ever_in_any_order_of_writers() {
    for (lines, orders_max) in [
        (&["INCR k", "SET k 5"][..], 200_000),
        (&["INCR k", "DEL k", "SET k 5 XX KEEPTTL"], 200_000),
    ] {
        let explored = explore(orders_max, |order| {
            let mut world = gateways(TTL, 1);
            world.follow(order);
            for (user, line) in lines.iter().enumerate() {
                let words: Vec<&str> = line.split(' ').collect();
                world.send(user % 2, user as u64 + 1, &words);
            }
            world.run();
            assert_ne!(world.redis.run(&["PTTL", "k"]), Reply::Int(-1));
        });
        assert!(explored.complete, "{} orders", explored.orders);
    }
}
