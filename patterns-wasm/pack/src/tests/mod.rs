//! Native tests: packed strings against plain ones.
//!
//! `model` asks both the same at random, and looks that no key is in two places; `orders` lets commands on one key meet in every
//! order of deliveries. Here are the scripts in Rust; `tests/it/pack.rs` runs the Lua itself on real servers.

mod model;
mod orders;

use sluicegate_plugin::harness::redis::FakeRedis;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use crate::{PLUGIN, scripts};

const CONFIG: &str = r#"{"prefix":"k","buckets":3}"#;

/// Two gateways with a worker each.
fn gateways(config: &str, seed: u64) -> World {
    let mut world = World::of_gateways(&PLUGIN, config, &[1, 1], seed);
    world.redis.add_script(scripts::GET, get);
    world.redis.add_script(scripts::READ, read);
    world.redis.add_script(scripts::STORE, store);
    world.redis.add_script(scripts::DELETE, delete);
    world.redis.add_script(scripts::RUN, run);
    world.redis.add_script(scripts::SETTLE, settle);
    world.redis.add_script(scripts::LOOK, |_, _, _| Reply::Null);
    world.redis.add_script(scripts::UNLOCK, unlock);
    world
}

type Words = [Vec<u8>];

fn call(redis: &mut FakeRedis, words: &[&[u8]]) -> Reply {
    let words: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
    redis.execute(&words)
}

fn get(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    let packed = call(redis, &[b"HGET", &keys[0], &argv[1]]);
    if packed.is_null() { call(redis, &[b"GET", &argv[0]]) } else { packed }
}

fn read(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    let packed = call(redis, &[b"HGET", &keys[0], &argv[1]]);
    let Some(value) = packed.bytes() else { return call(redis, &[&argv[2], &argv[0]]) };
    match argv[2].as_slice() {
        b"STRLEN" => Reply::Int(i64::try_from(value.len()).unwrap()),
        b"TYPE" => Reply::Simple("string".into()),
        b"EXISTS" | b"TOUCH" => Reply::Int(1),
        _ => Reply::Int(-1),
    }
}

fn store(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    call(redis, &[b"HSET", &keys[0], &argv[1], &argv[2]]);
    call(redis, &[b"DEL", &argv[0]]);
    Reply::ok()
}

fn delete(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    let packed = call(redis, &[b"HDEL", &keys[0], &argv[1]]);
    let plain = call(redis, &[b"DEL", &argv[0]]);
    Reply::Int(i64::from(packed == Reply::Int(1) || plain == Reply::Int(1)))
}

fn run(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    let (bucket, key, field) = (&keys[0], &argv[0], &argv[1]);
    let packed = call(redis, &[b"HGET", bucket, field]);
    if let Some(value) = packed.bytes() {
        call(redis, &[b"SET", key, value]);
    }
    let mut words = vec![argv[2].as_slice(), key];
    words.extend(argv[3..].iter().map(Vec::as_slice));
    let reply = call(redis, &words);
    let left = call(redis, &[b"PTTL", key]);
    match (call(redis, &[b"GET", key]).bytes(), left) {
        (Some(value), Reply::Int(-1)) => {
            call(redis, &[b"HSET", bucket, field, value]);
            call(redis, &[b"DEL", key]);
        }
        _ if !packed.is_null() => drop(call(redis, &[b"HDEL", bucket, field])),
        _ => {}
    }
    reply
}

fn settle(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    if call(redis, &[b"SET", &argv[2], &argv[3], b"NX", b"PX", b"5000"]).is_null() {
        return Reply::Int(-1);
    }
    if call(redis, &[b"HEXISTS", &keys[0], &argv[1]]) == Reply::Int(1) {
        return Reply::Int(1);
    }
    let plain = call(redis, &[b"GET", &argv[0]]);
    let Some(value) = plain.bytes() else { return Reply::Int(0) };
    if call(redis, &[b"PTTL", &argv[0]]) == Reply::Int(-1) {
        call(redis, &[b"HSET", &keys[0], &argv[1], value]);
        call(redis, &[b"DEL", &argv[0]]);
    }
    Reply::Int(1)
}

fn unlock(redis: &mut FakeRedis, _: &Words, argv: &Words) -> Reply {
    if call(redis, &[b"GET", &argv[2]]).bytes() == Some(argv[3].as_slice()) {
        return call(redis, &[b"DEL", &argv[2]]);
    }
    Reply::Int(0)
}
