//! Native tests: what is refused, and that no key is written without an end.
//!
//! `rules` by table, in both modes and inside MULTI; `ends` asks the guard and a plain server the same at random, and then how
//! long the key lives, and lets writers meet in every order. `tests/it/guard.rs` runs the scripts on real servers.

mod ends;
mod rules;

use sluicegate_plugin::harness::redis::FakeRedis;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use crate::{PLUGIN, expire};

/// Two gateways with a worker each.
fn gateways(config: &str, seed: u64) -> World {
    let mut world = World::of_gateways(&PLUGIN, config, &[1, 1], seed);
    world.redis.add_script(expire::WRITE, write);
    world
}

/// What the Lua text in `expire` says.
fn write(redis: &mut FakeRedis, keys: &[Vec<u8>], argv: &[Vec<u8>]) -> Reply {
    let mut words = vec![argv[1].clone(), keys[0].clone()];
    words.extend_from_slice(&argv[2..]);
    let reply = redis.execute(&words);
    if matches!(reply, Reply::Error(_)) {
        return reply;
    }
    if redis.execute(&[b"PTTL".to_vec(), keys[0].clone()]) == Reply::Int(-1) {
        redis.execute(&[b"PEXPIRE".to_vec(), keys[0].clone(), argv[0].clone()]);
    }
    reply
}
