//! Whatever a client asks, the reply is that of a list which was trimmed to `keep` after every write.
//!
//! The oracle is a server of its own that is asked the same, and then LTRIM; lengths that it answers are cut to `keep`, since
//! it has not trimmed yet. Commands, arguments and whether they come inside MULTI are drawn by a seed.

use sluicegate_plugin::harness::redis::FakeRedis;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::gateways;

const KEYS: [&str; 2] = ["a", "b"];

struct Draw<'a>(&'a mut World);

impl Draw<'_> {
    fn below(&mut self, end: u64) -> u64 {
        self.0.next_random() % end
    }

    fn place(&mut self) -> String {
        (i64::try_from(self.below(14)).unwrap() - 7).to_string()
    }

    fn item(&mut self) -> String {
        format!("i{}", self.below(6))
    }

    fn command(&mut self, unique: bool) -> String {
        let key = KEYS[usize::try_from(self.below(2)).unwrap()];
        let (one, two) = (self.place(), self.place());
        let (item, other) = (self.item(), self.item());
        match self.below(22) {
            0..4 => format!("LPUSH {key} {item}"),
            4 => format!("LPUSH {key} {item} {other}"),
            5 if !unique => format!("LPUSHX {key} {item}"),
            5 | 6 => format!("RPUSH {key} {item} {other}"),
            7 => format!("RPUSHX {key} {item}"),
            8..11 => format!("LRANGE {key} {one} {two}"),
            11 => format!("LRANGE {key} 0 -1"),
            12 => format!("LLEN {key}"),
            13 => format!("LINDEX {key} {one}"),
            14 => format!("LPOS {key} {item} RANK {}", if one == "0" { "1" } else { &one }),
            15 => format!("LPOS {key} {item} COUNT {} MAXLEN {}", self.below(3), self.below(9)),
            16 => format!("RPOP {key}"),
            17 => format!("LPOP {key} {}", self.below(3)),
            18 => format!("LREM {key} {one} {item}"),
            19 => format!("LSET {key} {one} {item}"),
            20 => format!("LINSERT {key} BEFORE {item} {other}"),
            _ => format!("LTRIM {key} {one} {two}"),
        }
    }
}

/// What a list of exactly `keep` answers.
fn oracle(redis: &mut FakeRedis, words: &[&str], keep: i64, unique: bool) -> Reply {
    let key = words[1];
    let mut words = words.to_vec();
    if unique && words[0] == "LPUSH" {
        for item in words[2..].iter().copied() {
            redis.run(&["LREM", key, "0", item]);
        }
        // Of two copies in one push the one nearer to the head stays.
        if words.len() == 4 && words[2] == words[3] {
            words.pop();
        }
    }
    let reply = redis.run(&words);
    let last = (keep - 1).to_string();
    redis.run(&["LTRIM", key, "0", &last]);
    match (words[0], reply) {
        ("LPUSH" | "LPUSHX" | "RPUSH" | "RPUSHX" | "LINSERT", Reply::Int(length)) => {
            Reply::Int(length.min(keep))
        }
        (_, reply) => reply,
    }
}

fn run(config: &str, keep: i64, unique: bool, seed: u64) {
    let mut world = gateways(config, seed);
    let mut plain = FakeRedis::at(world.now_ms);
    for step in 0..600 {
        let line = Draw(&mut world).command(unique);
        let words: Vec<&str> = line.split(' ').collect();
        let worker = usize::try_from(world.next_random() % 2).unwrap();
        let wanted = oracle(&mut plain, &words, keep, unique);
        let what = format!("{config}, seed {seed}, step {step}: {line}");
        if world.next_random().is_multiple_of(3) {
            let ticket = world.multi(worker, 1, &[&words]);
            world.run();
            assert_eq!(world.reply(ticket), Some(&Reply::Array(vec![wanted])), "{what} in MULTI");
        } else {
            assert_eq!(world.ask(worker, 1, &words), Some(wanted), "{what}");
        }
    }
    assert!(world.complaints().is_empty(), "{config}: {:?}", world.complaints());
}

#[test]
fn every_command_answers_as_on_a_list_that_is_always_trimmed() {
    for (config, keep) in [
        (r#"{"keep":3,"slack":0}"#, 3),
        (r#"{"keep":3,"slack":2}"#, 3),
        (r#"{"keep":1,"slack":5}"#, 1),
        (r#"{"keep":5}"#, 5),
    ] {
        for seed in 0..20 {
            run(config, keep, false, seed);
        }
    }
}

#[test]
fn unique_items_move_to_the_head() {
    for (config, keep) in
        [(r#"{"keep":3,"slack":2,"unique":true}"#, 3), (r#"{"keep":5,"unique":true}"#, 5)]
    {
        for seed in 0..20 {
            run(config, keep, true, seed);
        }
    }
}

#[test]
fn trims_are_rare_and_the_stored_list_is_bounded() {
    let mut world = gateways(r#"{"keep":10,"slack":5}"#, 1);
    for item in 0..160 {
        let reply = world.ask(0, 1, &["LPUSH", "a", &item.to_string()]);
        assert_eq!(reply, Some(Reply::Int((item + 1).min(10))));
        let Reply::Int(stored) = world.redis.run(&["LLEN", "a"]) else { panic!("no length") };
        assert!(stored <= 16, "{stored} stored after {item}");
    }
    // 160 pushes, and one trim for each 6 beyond the first 10.
    assert_eq!(world.metric(crate::TRIMS), 25);
}

#[test]
fn keys_of_another_type_and_arguments_that_make_no_sense_get_redis_errors_and_stay() {
    let mut world = gateways(r#"{"keep":3}"#, 1);
    world.redis.run(&["SET", "text", "v"]);
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    let no_integer = "ERR value is not an integer or out of range";
    let cases = [
        ("LPUSH text a", wrong),
        ("RPUSH text a", wrong),
        ("LRANGE text 0 -1", wrong),
        ("LRANGE text 0 2", wrong),
        ("LLEN text", wrong),
        ("LINDEX text 9", wrong),
        ("LINDEX text -1", wrong),
        ("LPOS text a", wrong),
        ("RPOP text", wrong),
        ("LRANGE none x 1", no_integer),
        ("LINDEX none 1.5", no_integer),
        ("LTRIM none 0 x", no_integer),
        ("LSET none 0 x", "ERR no such key"),
    ];
    for (line, wanted) in cases {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(world.ask(0, 1, &words), Some(Reply::Error(wanted.into())), "{line}");
    }
    assert_eq!(world.redis.run(&["GET", "text"]), Reply::bulk("v"));
    assert_eq!(world.redis.run(&["EXISTS", "none"]), Reply::Int(0));
    let mut unique = gateways(r#"{"keep":3,"unique":true}"#, 1);
    let refused = "ERR latest: LPUSHX is not for lists with unique; use LPUSH";
    assert_eq!(unique.ask(0, 1, &["LPUSHX", "a", "b"]), Some(Reply::Error(refused.into())));
}
