//! A world for the plugin, with its scripts in Rust.
//!
//! They must say what the Lua texts in `scripts` say; the end-to-end tests run the Lua itself on a real server.
//! Each is written with the fake server's own commands, in the order of the text.

use sluicegate_plugin::args::parse_int;
use sluicegate_plugin::harness::redis::FakeRedis;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use crate::{PLUGIN, scripts};

/// Two gateways with a worker each.
pub(super) fn gateways(config: &str, seed: u64) -> World {
    let mut world = World::of_gateways(&PLUGIN, config, &[1, 1], seed);
    world.redis.add_script(scripts::WRITE, write);
    world.redis.add_script(scripts::EXPIRE, expire);
    world.redis.add_script(scripts::RANK, rank);
    world.redis.add_script(scripts::PLACE, place);
    world.redis.add_script(scripts::ROLL_UP, roll_up);
    world
}

/// The texts of an array of strings.
pub(super) fn texts(reply: Option<&Reply>) -> Vec<String> {
    let Some(Reply::Array(rows)) = reply else { panic!("no array: {reply:?}") };
    let text = |row: &Reply| String::from_utf8(row.bytes().expect("a string").to_vec()).unwrap();
    rows.iter().map(text).collect()
}

type Words = [Vec<u8>];

fn call(redis: &mut FakeRedis, words: &[&[u8]]) -> Reply {
    let words: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
    redis.execute(&words)
}

fn number(text: &[u8]) -> i64 {
    parse_int(text).expect("an integer")
}

fn write(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    let mut words = vec![argv[1].as_slice(), &keys[0]];
    words.extend(argv[2..].iter().map(Vec::as_slice));
    let reply = call(redis, &words);
    if matches!(reply, Reply::Error(_)) {
        return reply;
    }
    let end = match argv[0].is_empty() {
        true => call(redis, &[b"GET", &keys[1]]),
        false => Reply::Bulk(argv[0].clone()),
    };
    if let (Some(end), Reply::Int(-1)) = (end.bytes(), call(redis, &[b"PTTL", &keys[0]])) {
        call(redis, &[b"PEXPIREAT", &keys[0], end]);
    }
    reply
}

fn expire(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    let now = i64::try_from(redis.now_ms).unwrap();
    let at = number(&argv[1]) + if argv[0] == b"in" { now } else { 0 };
    let has = call(redis, &[b"EXISTS", &keys[0]]);
    let known = call(redis, &[b"GET", &keys[1]]).bytes().map(number);
    if has == Reply::Int(0) && argv[3] == b"1" {
        return Reply::Int(0);
    }
    let refused = match argv[2].as_slice() {
        b"NX" => known.is_some(),
        b"XX" => known.is_none(),
        b"GT" => known.is_none_or(|known| at <= known),
        b"LT" => known.is_some_and(|known| at >= known),
        _ => false,
    };
    if refused {
        return Reply::Int(0);
    }
    if at <= now {
        call(redis, &[b"DEL", &keys[0], &keys[1]]);
        return has;
    }
    let at = at.to_string();
    call(redis, &[b"SET", &keys[1], at.as_bytes(), b"PXAT", at.as_bytes()]);
    if has == Reply::Int(1) {
        call(redis, &[b"PEXPIREAT", &keys[0], at.as_bytes()]);
    }
    has
}

fn rank(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    let score = call(redis, &[b"ZSCORE", &keys[0], &argv[0]]);
    if score.is_null() {
        return score;
    }
    Reply::Array(vec![call(redis, &[&argv[1], &keys[0], &argv[0]]), score])
}

fn place(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    let (score, member, backward) = (&argv[0], &argv[1], argv[2] == b"1");
    let open = [b"(", score.as_slice()].concat();
    let (from, to) = if backward { (&open[..], &b"+inf"[..]) } else { (&b"-inf"[..], &open[..]) };
    let mut low = call(redis, &[b"ZCOUNT", &keys[0], from, to]).int().unwrap();
    let ties = call(redis, &[b"ZCOUNT", &keys[0], score, score]).int().unwrap();
    let mut high = low + ties;
    let command: &[u8] = if backward { b"ZREVRANGE" } else { b"ZRANGE" };
    while low < high {
        let half = (low + high) / 2;
        let at = half.to_string();
        let other = call(redis, &[command, &keys[0], at.as_bytes(), at.as_bytes()]);
        let Reply::Array(other) = other else { panic!("{other:?}") };
        let other = other[0].bytes().unwrap();
        if (backward && member.as_slice() < other) || (!backward && other < member.as_slice()) {
            low = half + 1;
        } else {
            high = half;
        }
    }
    Reply::Int(low)
}

fn roll_up(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    let roll = keys[0].as_slice();
    if call(redis, &[b"EXISTS", roll]) == Reply::Int(0) {
        let count = (keys.len() - 1).to_string();
        let mut words = vec![&b"ZUNIONSTORE"[..], roll, count.as_bytes()];
        words.extend(keys[1..].iter().map(Vec::as_slice));
        words.extend([&b"AGGREGATE"[..], &argv[2]]);
        call(redis, &words);
        call(redis, &[b"PEXPIRE", roll, &argv[0]]);
    }
    call(redis, &[b"ZREVRANGE", roll, b"0", &argv[1], b"WITHSCORES"])
}
