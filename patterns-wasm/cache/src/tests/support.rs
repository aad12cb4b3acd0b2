//! A world for the cache plugin: its scripts in Rust, and short ways to look at the shard.
//!
//! Nothing here decides anything: it only opens worlds and reads replies.
//! The scripts here must say what the Lua texts in `lease` say; the end-to-end tests run the Lua itself on a real server.

use sluicegate_plugin::harness::redis::FakeRedis;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use crate::{PLUGIN, dirty, lease, ttl};

pub(super) const CONFIG: &str =
    r#"{"grace":"20s","lease":"2s","wait":"1s","wait_behind":"20ms","poll":"50ms"}"#;

pub(super) fn world(workers: usize, seed: u64) -> World {
    world_with(CONFIG, workers, seed)
}

pub(super) fn world_with(config: &str, workers: usize, seed: u64) -> World {
    with_scripts(World::new(&PLUGIN, config, workers, seed))
}

/// Gateways with so many workers each.
pub(super) fn gateways(workers: &[usize], seed: u64) -> World {
    with_scripts(World::of_gateways(&PLUGIN, CONFIG, workers, seed))
}

fn with_scripts(mut world: World) -> World {
    world.redis.add_script(lease::RELEASE, release);
    world.redis.add_script(lease::READ, read);
    world.redis.add_script(lease::TAKE, take);
    world.redis.add_script(dirty::WRITE, write);
    world.redis.add_script(dirty::ACK, ack);
    world.redis.add_script(lease::FILL, fill);
    world.redis.add_script(ttl::UNLESS_STALE, unless_stale);
    world.redis.add_script(ttl::SET_IF, set_if);
    world
}

fn words<const N: usize>(words: [&[u8]; N]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

/// The lease as it is stored, cut into token and deadline.
fn lease(redis: &mut FakeRedis, key: &[u8]) -> Option<(Vec<u8>, Option<u64>)> {
    let stored = redis.execute(&words([b"GET", key])).bytes()?.to_vec();
    let text = String::from_utf8(stored).unwrap();
    Some(match text.split_once('@') {
        None => (text.into_bytes(), None),
        Some((token, deadline)) => (token.into(), deadline.parse().ok()),
    })
}

fn holder(redis: &mut FakeRedis, key: &[u8]) -> Option<Vec<u8>> {
    let (token, deadline) = lease(redis, key)?;
    deadline.is_none_or(|ms| ms > redis.now_ms).then_some(token)
}

fn number(text: &[u8]) -> u64 {
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

fn take_lease(redis: &mut FakeRedis, key: &[u8], [token, ms, kept]: [&[u8]; 3]) -> bool {
    if holder(redis, key).is_some() {
        return false;
    }
    let deadline = redis.now_ms + number(ms);
    let with_deadline = [token, b"@", deadline.to_string().as_bytes()].concat();
    let (value, ms) = if kept == b"0" { (token, ms) } else { (&with_deadline[..], kept) };
    redis.execute(&words([b"SET", key, value, b"PX", ms])) == Reply::ok()
}

fn take(redis: &mut FakeRedis, keys: &[Vec<u8>], argv: &[Vec<u8>]) -> Reply {
    let held = holder(redis, &keys[0]).map(Reply::Bulk);
    take_lease(redis, &keys[0], [&argv[0], &argv[1], &argv[2]]);
    held.unwrap_or(Reply::Null)
}

fn release(redis: &mut FakeRedis, keys: &[Vec<u8>], argv: &[Vec<u8>]) -> Reply {
    if lease(redis, &keys[0]).is_some_and(|(token, _)| token == argv[0]) {
        return redis.execute(&words([b"DEL", &keys[0]]));
    }
    Reply::Int(0)
}

fn fill(redis: &mut FakeRedis, keys: &[Vec<u8>], argv: &[Vec<u8>]) -> Reply {
    if lease(redis, &keys[1]).is_none_or(|(token, _)| token != argv[0]) {
        return Reply::Int(0);
    }
    let reply = redis.execute(&[&words([&argv[1], &keys[0]])[..], &argv[2..]].concat());
    match reply {
        Reply::Null => Reply::Int(0),
        Reply::Error(_) => reply,
        _ => {
            redis.execute(&words([b"DEL", &keys[1]]));
            Reply::Int(1)
        }
    }
}

fn read(redis: &mut FakeRedis, keys: &[Vec<u8>], argv: &[Vec<u8>]) -> Reply {
    let value = redis.execute(&words([b"GET", &keys[0]]));
    if matches!(value, Reply::Error(_)) {
        return value;
    }
    let pttl = redis.execute(&words([b"PTTL", &keys[0]])).int().unwrap();
    let grace = std::str::from_utf8(&argv[0]).unwrap().parse::<i64>().unwrap();
    let fresh = !value.is_null() && (pttl == -1 || pttl > grace);
    if fresh {
        if argv.len() > 4 {
            let getex = [&words([b"GETEX", &keys[0]])[..], &argv[4..]].concat();
            redis.execute(&getex);
        }
        return Reply::Array(vec![value, Reply::Int(0)]);
    }
    if take_lease(redis, &keys[1], [&argv[1], &argv[2], &argv[3]]) {
        return Reply::Array(vec![Reply::Null, Reply::Int(1)]);
    }
    Reply::Array(vec![value, Reply::Int(0)])
}

fn is_stale(redis: &mut FakeRedis, key: &[u8], grace: &[u8]) -> bool {
    let pttl = redis.execute(&words([b"PTTL", key])).int().unwrap();
    let grace = std::str::from_utf8(grace).unwrap().parse::<i64>().unwrap();
    (0..=grace).contains(&pttl)
}

fn unless_stale(redis: &mut FakeRedis, keys: &[Vec<u8>], argv: &[Vec<u8>]) -> Reply {
    if is_stale(redis, &keys[0], &argv[0]) {
        return Reply::Int(0);
    }
    redis.execute(&[&words([&argv[1], &keys[0]])[..], &argv[2..]].concat())
}

fn set_if(redis: &mut FakeRedis, keys: &[Vec<u8>], argv: &[Vec<u8>]) -> Reply {
    if argv[1] != b"fill" && is_stale(redis, &keys[0], &argv[0]) {
        if argv[1] == b"XX" {
            return Reply::Null;
        }
        redis.execute(&words([b"DEL", &keys[0]]));
    }
    let reply = redis.execute(&[&words([b"SET", &keys[0]])[..], &argv[3..]].concat());
    let is_error = matches!(reply, Reply::Error(_));
    if !is_error && (argv[2] == b"any" || (argv[2] == b"null") == reply.is_null()) {
        redis.execute(&words([b"DEL", &keys[1]]));
    }
    reply
}

fn write(redis: &mut FakeRedis, keys: &[Vec<u8>], argv: &[Vec<u8>]) -> Reply {
    let fill = lease(redis, &keys[1]).is_some_and(|(token, _)| token == argv[2]);
    let reply = redis.execute(&[&words([&argv[6], &keys[0]])[..], &argv[7..]].concat());
    let stored = match argv[5].as_slice() {
        b"any" => true,
        b"one" => reply == Reply::Int(1),
        told => (told == b"null") == reply.is_null(),
    };
    if !stored || matches!(reply, Reply::Error(_)) {
        return reply;
    }
    redis.execute(&words([b"DEL", &keys[1]]));
    let gone = argv[3] == b"del";
    if fill && !gone {
        return reply;
    }
    let known = redis.execute(&words([b"HGET", &argv[1], &keys[0]]));
    let version = known.bytes().map_or(0, |note| {
        let digits = note.iter().take_while(|byte| byte.is_ascii_digit()).count();
        number(&note[..digits]) + 1
    });
    // A shard's clock shows microseconds, in which it has done something else.
    let version = version.max(redis.now_ms * 1_000_000 + redis.commands).to_string();
    let mark: &[u8] = if gone { b"-" } else { b":" };
    let note = [version.as_bytes(), mark, &argv[4]].concat();
    redis.execute(&words([b"HSET", &argv[1], &keys[0], &note]));
    redis.execute(&words([b"ZADD", &argv[0], b"NX", version.as_bytes(), &keys[0]]));
    reply
}

fn ack(redis: &mut FakeRedis, keys: &[Vec<u8>], argv: &[Vec<u8>]) -> Reply {
    let known = redis.execute(&words([b"HGET", &argv[2], &keys[0]]));
    let stands = known.bytes().is_some_and(|note| {
        note.strip_prefix(argv[0].as_slice()).is_some_and(|rest| !rest[0].is_ascii_digit())
    });
    if stands {
        redis.execute(&words([b"HDEL", &argv[2], &keys[0]]));
        redis.execute(&words([b"ZREM", &argv[1], &keys[0]]));
    }
    Reply::Int(i64::from(stands))
}

/// Whether somebody holds the lease of `key`.
pub(super) fn is_leased(world: &mut World, key: &str) -> bool {
    let lease = format!("{{{key}}}:sg:lease");
    world.redis.run(&["EXISTS", &lease]) == Reply::Int(1)
}

/// The text of a reply that is a string; `None` for null.
pub(super) fn text(reply: &Reply) -> Option<String> {
    match reply {
        Reply::Null => None,
        other => Some(String::from_utf8(other.bytes().expect("a string").to_vec()).unwrap()),
    }
}
