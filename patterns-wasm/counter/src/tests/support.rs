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
    world.redis.add_script(scripts::ADD, add);
    world.redis.add_script(scripts::READ, read);
    world.redis.add_script(scripts::RESTORE, restore);
    world.redis.add_script(scripts::SET, set);
    world.redis.add_script(scripts::TAKE, take);
    world.redis.add_script(scripts::ACK, ack);
    world
}

type Words = [Vec<u8>];

/// A server with one script's keys and arguments.
struct Run<'a> {
    redis: &'a mut FakeRedis,
    keys: &'a Words,
    argv: &'a Words,
}

impl Run<'_> {
    fn call(&mut self, words: &[&[u8]]) -> Result<Reply, Reply> {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
        match self.redis.execute(&words) {
            error @ Reply::Error(_) => Err(error),
            reply => Ok(reply),
        }
    }

    fn is(&mut self, words: &[&[u8]]) -> bool {
        self.call(words) == Ok(Reply::Int(1))
    }

    fn arg(&self, number: usize) -> Vec<u8> {
        self.argv.get(number - 1).cloned().unwrap_or_default()
    }

    fn now(&self) -> Vec<u8> {
        (self.redis.now_ms * 1000).to_string().into_bytes()
    }

    /// The next version, or the first of a counter that was not there.
    fn change(&mut self, k: &[u8], was_there: bool) -> Result<(), Reply> {
        let now = self.now();
        let change = [&b"HSET"[..], k, b"v", &now];
        let next = [&b"HINCRBY"[..], k, b"v", b"1"];
        self.call(if was_there { &next } else { &change }).map(drop)
    }

    fn is_there(&mut self) -> bool {
        let k = self.keys[0].clone();
        self.is(&[b"EXISTS", &k])
    }

    fn open(&mut self) -> Result<Vec<u8>, Reply> {
        let now = self.now();
        let k = self.keys[0].clone();
        match self.call(&[b"TYPE", &k])?.bytes().unwrap() {
            b"none" => {}
            b"hash" if self.is(&[b"HEXISTS", &k, b"v"]) => {}
            b"hash" => {
                let text = "WRONGTYPE Operation against a key holding the wrong kind of value";
                return Err(Reply::Error(text.into()));
            }
            _ => {
                self.call(&[b"INCRBY", &k, b"0"])?;
                let text = self.call(&[b"GET", &k])?.bytes().unwrap().to_vec();
                let ms = self.call(&[b"PTTL", &k])?.int().unwrap();
                self.call(&[b"DEL", &k])?;
                self.call(&[b"HSET", &k, b"n", &text, b"b", &text, b"v", &now])?;
                if ms > 0 {
                    self.call(&[b"PEXPIRE", &k, ms.to_string().as_bytes()])?;
                }
            }
        }
        Ok(k)
    }

    fn expire(&mut self, k: &[u8]) -> Result<(), Reply> {
        let (ttl, mode) = (self.arg(2), self.arg(3));
        if mode == b"at" {
            if self.call(&[b"PTTL", k])?.int().unwrap() < 0 {
                self.call(&[b"PEXPIREAT", k, &ttl])?;
            }
            return Ok(());
        }
        if ttl == b"0" {
            return Ok(());
        }
        if mode == b"sliding" || self.call(&[b"PTTL", k])?.int().unwrap() < 0 {
            self.call(&[b"PEXPIRE", k, &ttl])?;
        }
        Ok(())
    }

    fn note(&mut self, k: &[u8], registry: usize) -> Result<(), Reply> {
        let (registry, now) = (self.arg(registry), self.now());
        if !registry.is_empty() {
            self.call(&[b"ZADD", &registry, b"NX", &now, k])?;
        }
        Ok(())
    }

    fn lease(&mut self, k: &[u8]) -> Result<Reply, Reply> {
        let (token, ms) = (self.arg(4), self.arg(5));
        let Some(lease) = self.keys.get(1).cloned() else {
            return Ok(Reply::Int(0));
        };
        let free = !self.is(&[b"HEXISTS", k, b"b"])
            && !self.call(&[b"SET", &lease, &token, b"NX", b"PX", &ms])?.is_null();
        Ok(Reply::Int(i64::from(free)))
    }
}

fn run(
    redis: &mut FakeRedis,
    keys: &Words,
    argv: &Words,
    script: impl FnOnce(&mut Run<'_>) -> Result<Reply, Reply>,
) -> Reply {
    script(&mut Run { redis, keys, argv }).unwrap_or_else(|error| error)
}

fn add(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    run(redis, keys, argv, |run| {
        let was_there = run.is_there();
        let (k, by) = (run.open()?, run.arg(1));
        run.call(&[b"HINCRBY", &k, b"n", &by])?;
        run.change(&k, was_there)?;
        run.expire(&k)?;
        let won = run.lease(&k)?;
        if run.is(&[b"HEXISTS", &k, b"b"]) {
            run.note(&k, 6)?;
        }
        Ok(Reply::Array(vec![run.call(&[b"HGET", &k, b"n"])?, won]))
    })
}

fn read(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    run(redis, keys, argv, |run| {
        let k = run.keys[0].clone();
        let kind = run.call(&[b"TYPE", &k])?;
        if ![Some(&b"hash"[..]), Some(b"none")].contains(&kind.bytes()) {
            return Ok(Reply::Array(vec![run.call(&[b"GET", &k])?, Reply::Int(0)]));
        }
        if kind.bytes() == Some(b"hash") {
            run.open()?;
        }
        let won = run.lease(&k)?;
        Ok(Reply::Array(vec![run.call(&[b"HGET", &k, b"n"])?, won]))
    })
}

fn restore(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    run(redis, keys, argv, |run| {
        let was_there = run.is_there();
        let (k, base, version) = (run.open()?, run.arg(1), run.arg(4));
        let is_new = !run.is(&[b"HEXISTS", &k, b"b"]);
        if is_new {
            run.call(&[b"HINCRBY", &k, b"n", &base])?;
            run.call(&[b"HSET", &k, b"b", &base])?;
            if was_there {
                let least = parse_int(&version).unwrap();
                if run.call(&[b"HGET", &k, b"v"])?.int().unwrap() <= least {
                    run.call(&[b"HSET", &k, b"v", (least + 1).to_string().as_bytes()])?;
                }
                run.note(&k, 5)?;
            } else {
                run.call(&[b"HSET", &k, b"v", &version])?;
            }
            run.expire(&k)?;
        }
        let lease = run.keys[1].clone();
        run.call(&[b"DEL", &lease])?;
        Ok(Reply::Array(vec![run.call(&[b"HGET", &k, b"n"])?, Reply::Int(i64::from(is_new))]))
    })
}

fn set(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    run(redis, keys, argv, |run| {
        let was_there = run.is_there();
        let (k, value, condition) = (run.open()?, run.arg(1), run.arg(4));
        let (end, end_ms) = (run.arg(5), run.arg(6));
        let old = run.call(&[b"HGET", &k, b"n"])?;
        if (condition == b"NX" && !old.is_null()) || (condition == b"XX" && old.is_null()) {
            return Ok(Reply::Array(vec![Reply::Int(0), old]));
        }
        run.call(&[b"HSET", &k, b"n", &value, b"b", &value])?;
        run.change(&k, was_there)?;
        match end.as_slice() {
            b"PX" => drop(run.call(&[b"PEXPIRE", &k, &end_ms])?),
            b"PXAT" => drop(run.call(&[b"PEXPIREAT", &k, &end_ms])?),
            b"KEEPTTL" => {}
            _ => {
                run.call(&[b"PERSIST", &k])?;
                run.expire(&k)?;
            }
        }
        run.note(&k, 7)?;
        let lease = run.keys[1].clone();
        run.call(&[b"DEL", &lease])?;
        Ok(Reply::Array(vec![Reply::Int(1), old]))
    })
}

fn take(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    run(redis, keys, argv, |run| {
        let k = run.open()?;
        let old = run.call(&[b"HGET", &k, b"n"])?;
        run.call(&[b"DEL", &k])?;
        Ok(old)
    })
}

fn ack(redis: &mut FakeRedis, keys: &Words, argv: &Words) -> Reply {
    run(redis, keys, argv, |run| {
        let (k, version, registry) = (run.keys[0].clone(), run.arg(1), run.arg(2));
        let kind = run.call(&[b"TYPE", &k])?;
        let is_hash = kind.bytes() == Some(b"hash");
        let stands = is_hash
            && run.call(&[b"HGET", &k, b"v"])?.bytes().is_some_and(|known| known == version);
        if stands || kind.bytes() == Some(b"none") {
            run.call(&[b"ZREM", &registry, &k])?;
        }
        Ok(Reply::Int(i64::from(stands)))
    })
}
