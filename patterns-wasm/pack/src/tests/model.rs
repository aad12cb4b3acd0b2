//! Whatever a client asks of packed strings, the reply is that of plain ones.
//!
//! The oracle is a server of its own that is asked the same. With ends and without, inside MULTI and outside; after each step no
//! key is in its bucket and plain too, and what has no end is in its bucket.

use sluicegate_plugin::harness::redis::FakeRedis;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::{CONFIG, gateways};

struct Draw<'a>(&'a mut World);

impl Draw<'_> {
    fn below(&mut self, end: u64) -> u64 {
        self.0.next_random() % end
    }

    fn line(&mut self) -> String {
        let (key, other) = (format!("k{}", self.below(7)), format!("k{}", self.below(7)));
        let (value, ms) = (self.below(50), 300 + self.below(3_000));
        match self.below(30) {
            0..4 => format!("SET {key} {value}"),
            4 => format!("SET {key} {value} PX {ms}"),
            5 => format!("SET {key} {value} NX"),
            6 => format!("SET {key} {value} XX GET"),
            7 => format!("SET {key} {value} KEEPTTL"),
            8 => format!("PSETEX {key} {ms} {value}"),
            9 => format!("MSET {key} 1 {other} text"),
            10..13 => format!("GET {key}"),
            13 => format!("MGET {key} {other} knone {key}"),
            14 => format!("SETNX {key} {value}"),
            15 => format!("GETDEL {key}"),
            16 => format!("GETEX {key} PX {ms}"),
            17 => format!("GETEX {key} PERSIST"),
            18 => format!("APPEND {key} x"),
            19 => format!("STRLEN {key}"),
            20 => format!("INCRBY {key} {value}"),
            21 => format!("DECR {key}"),
            22 => format!("DEL {key} {other}"),
            23 => format!("EXISTS {key} {other} {key}"),
            24 => format!("PTTL {key}"),
            25 => format!("PEXPIRE {key} {ms}"),
            26 => format!("PERSIST {key}"),
            27 => format!("PEXPIRE {key} 0"),
            28 => format!("TYPE {key}"),
            _ => format!("SET {key} {value} EX nonsense"),
        }
    }
}

fn run(config: &str, seed: u64) {
    let mut world = gateways(config, seed);
    let mut plain = FakeRedis::at(world.now_ms);
    for step in 0..400 {
        let line = Draw(&mut world).line();
        let words: Vec<&str> = line.split(' ').collect();
        let wanted = plain.run(&words);
        let what = format!("{config}, seed {seed}, step {step}: {line}");
        let worker = usize::try_from(world.next_random() % 2).unwrap();
        if world.next_random().is_multiple_of(3) {
            let ticket = world.multi(worker, 1, &[&words]);
            world.run();
            assert_eq!(world.reply(ticket), Some(&Reply::Array(vec![wanted])), "{what} in MULTI");
        } else {
            assert_eq!(world.ask(worker, 1, &words), Some(wanted), "{what}");
        }
        for number in 0..7 {
            let key = format!("k{number}");
            let packed = (0..3).filter(|bucket| {
                let words = ["HEXISTS", &format!("k#{bucket}/3"), &number.to_string()];
                world.redis.run(&words) == Reply::Int(1)
            });
            let packed = packed.count();
            let has_end = matches!(plain.run(&["PTTL", &key]), Reply::Int(0..));
            let is_there = plain.run(&["EXISTS", &key]) == Reply::Int(1);
            assert_eq!(packed, usize::from(is_there && !has_end), "{what}: {key} in its bucket");
            let stored = world.redis.run(&["EXISTS", &key]);
            assert_eq!(stored, Reply::Int(i64::from(has_end)), "{what}: {key} plain");
        }
        if world.next_random().is_multiple_of(5) {
            let ms = world.next_random() % 500;
            world.advance(ms);
            plain.now_ms = world.now_ms;
        }
    }
    assert!(world.complaints().is_empty(), "{config}: {:?}", world.complaints());
}

#[test]
fn every_command_answers_as_on_plain_strings_and_no_key_is_in_two_places() {
    for seed in 0..40 {
        run(CONFIG, seed);
        run(r#"{"prefix":"k","buckets":3,"adopt":true}"#, seed);
    }
}

#[test]
fn hundreds_of_keys_are_read_by_one_command_for_each_bucket() {
    let mut world = gateways(CONFIG, 1);
    let keys: Vec<String> = (0..300).map(|number| format!("k{number}")).collect();
    for key in &keys {
        world.ask(0, 1, &["SET", key, key]);
    }
    let before = world.redis.commands;
    let words: Vec<&str> = std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
    let wanted = keys.iter().map(|key| Reply::bulk(key.as_str())).collect();
    assert_eq!(world.ask(1, 1, &words), Some(Reply::Array(wanted)));
    assert_eq!(world.redis.commands - before, 3);
}

#[test]
fn what_is_no_string_of_the_binding_is_refused_by_name() {
    let mut world = gateways(CONFIG, 1);
    for (line, part) in [
        ("LPUSH k1 a", "pack: 'lpush' is not for a packed key"),
        ("MSETNX k1 a", "pack: 'msetnx' is not for a packed key"),
        ("GET other", "pack: keys of this binding begin with 'k'"),
        ("INCRBY k1 x", "value is not an integer or out of range"),
        ("SET k1 v EX 0", "invalid expire time in 'set' command"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let reply = world.ask(0, 1, &words);
        let Some(Reply::Error(text)) = &reply else { panic!("{line}: {reply:?}") };
        assert!(text.contains(part), "{line}: {text}");
    }
    assert_eq!(world.ask(0, 1, &["EXISTS", "k1"]), Some(Reply::Int(0)));
}
