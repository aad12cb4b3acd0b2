//! A world for the plugin, with its scripts in Rust.
//!
//! They must say what the Lua texts say; the end-to-end tests run the Lua itself on a real server. The shard's clock here
//! has whole milliseconds.

use sluicegate_plugin::harness::redis::FakeRedis;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use crate::{PLUGIN, throttle, window};

/// Gateways with so many workers each.
pub(super) fn gateways(workers: &[usize], seed: u64) -> World {
    let mut world = World::of_gateways(&PLUGIN, "", workers, seed);
    world.redis.add_script(window::RELEASE, release);
    world.redis.add_script(throttle::STEP, step);
    world
}

fn release(redis: &mut FakeRedis, keys: &[Vec<u8>], argv: &[Vec<u8>]) -> Reply {
    let holder = redis.execute(&[b"GET".to_vec(), keys[0].clone()]);
    if holder.bytes() == Some(argv[0].as_slice()) {
        return redis.execute(&[b"DEL".to_vec(), keys[0].clone()]);
    }
    if matches!(holder, Reply::Error(_)) { holder } else { Reply::Int(0) }
}

fn step(redis: &mut FakeRedis, keys: &[Vec<u8>], argv: &[Vec<u8>]) -> Reply {
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().parse::<f64>().unwrap();
    let tat = match redis.execute(&[b"GET".to_vec(), keys[0].clone()]) {
        Reply::Null => 0.0,
        Reply::Bulk(bytes) => number(&bytes),
        other => return other,
    };
    let now = redis.now_ms as f64 * 1000.0;
    let (increment, tolerance) = (number(&argv[0]) / 1000.0, number(&argv[1]) / 1000.0);
    let mut ahead = (tat - now).max(0.0);
    let limited = ahead + increment > tolerance + 1.0;
    if !limited && increment > 0.0 {
        ahead += increment;
        let (tat, ms) = (format!("{:.2}", now + ahead), format!("{:.0}", (ahead / 1000.0).ceil()));
        let set = ["SET", &String::from_utf8(keys[0].clone()).unwrap(), &tat, "PX", &ms];
        assert_eq!(redis.run(&set), Reply::ok());
    }
    let ahead_ns = format!("{:.0}", (ahead * 1000.0).floor()).parse().unwrap();
    Reply::Array(vec![Reply::Int(i64::from(limited)), Reply::Int(ahead_ns)])
}

/// The text of a reply that is a string; `None` for null.
pub(super) fn text(reply: Option<Reply>) -> Option<String> {
    match reply.expect("a reply") {
        Reply::Null => None,
        other => Some(String::from_utf8(other.bytes().expect("a string").to_vec()).unwrap()),
    }
}
