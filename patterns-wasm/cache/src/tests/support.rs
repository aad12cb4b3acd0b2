//! A world for the cache plugin: its scripts in Rust, and short ways to look at the shard.
//!
//! Nothing here decides anything: it only opens worlds and reads replies.
//! The scripts here must say what the Lua texts in `lease` say; the end-to-end tests run the Lua itself on a real server.

use sluicegate_plugin::harness::redis::FakeRedis;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use crate::{PLUGIN, lease, ttl};

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
    world.redis.add_script(ttl::UNLESS_STALE, unless_stale);
    world.redis.add_script(ttl::SET_IF, set_if);
    world
}

fn words<const N: usize>(words: [&[u8]; N]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

fn release(redis: &mut FakeRedis, keys: &[Vec<u8>], argv: &[Vec<u8>]) -> Reply {
    let holder = redis.execute(&words([b"GET", &keys[0]]));
    if holder.bytes() == Some(argv[0].as_slice()) {
        return redis.execute(&words([b"DEL", &keys[0]]));
    }
    Reply::Int(0)
}

fn read(redis: &mut FakeRedis, keys: &[Vec<u8>], argv: &[Vec<u8>]) -> Reply {
    let value = redis.execute(&words([b"GET", &keys[0]]));
    let pttl = redis.execute(&words([b"PTTL", &keys[0]])).int().unwrap();
    let grace = std::str::from_utf8(&argv[0]).unwrap().parse::<i64>().unwrap();
    let fresh = !value.is_null() && (pttl == -1 || pttl > grace);
    if fresh {
        if argv.len() > 3 {
            let getex = [&words([b"GETEX", &keys[0]])[..], &argv[3..]].concat();
            redis.execute(&getex);
        }
        return Reply::Array(vec![value, Reply::Int(0)]);
    }
    let take = words([b"SET", &keys[1], &argv[1], b"NX", b"PX", &argv[2]]);
    if redis.execute(&take) == Reply::ok() {
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
    if is_stale(redis, &keys[0], &argv[0]) {
        if argv[1] == b"XX" {
            return Reply::Null;
        }
        redis.execute(&words([b"DEL", &keys[0]]));
    }
    redis.execute(&[&words([b"SET", &keys[0]])[..], &argv[2..]].concat())
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
