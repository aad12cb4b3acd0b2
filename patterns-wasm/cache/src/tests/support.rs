//! A world for the cache plugin: its two scripts in Rust, and short ways to look at the shard.
//!
//! Nothing here decides anything: it only opens worlds and reads replies.
//! The scripts here must say what the Lua texts in `lease` say; the end-to-end tests run the Lua itself on a real server.

use sluicegate_plugin::harness::redis::FakeRedis;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use crate::{PLUGIN, lease};

pub(super) const CONFIG: &str =
    r#"{"grace":"20s","lease":"2s","wait":"1s","wait_behind":"20ms","poll":"50ms"}"#;

pub(super) fn world(workers: usize, seed: u64) -> World {
    world_with(CONFIG, workers, seed)
}

pub(super) fn world_with(config: &str, workers: usize, seed: u64) -> World {
    let mut world = World::new(&PLUGIN, config, workers, seed);
    world.redis.add_script(lease::RELEASE, release);
    world.redis.add_script(lease::READ, read);
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
        return Reply::Array(vec![value, Reply::Int(0)]);
    }
    let take = words([b"SET", &keys[1], &argv[1], b"NX", b"PX", &argv[2]]);
    if redis.execute(&take) == Reply::ok() {
        return Reply::Array(vec![Reply::Null, Reply::Int(1)]);
    }
    Reply::Array(vec![value, Reply::Int(0)])
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
