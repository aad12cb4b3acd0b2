//! A counter's end: from its first increment, or from its last.
//!
//! It is set in the script that counts, so there is no counter without it; what the clients set themselves stays. The
//! clock is the world's. A counter that has ended begins anew, with a base to be loaded.

use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::support::gateways;

fn ttl(world: &mut World) -> i64 {
    world.redis.run(&["PTTL", "a"]).int().expect("a time")
}

#[test]
fn fixed_window_ends_after_its_first_increment_and_a_sliding_one_after_its_last() {
    for (mode, left, then) in [("fixed", 600, 1), ("sliding", 1_000, 4)] {
        let config = format!(r#"{{"ttl":"1s","expire":"{mode}"}}"#);
        let mut world = gateways(&config, 1);
        assert_eq!(world.ask(0, 1, &["INCR", "a"]), Some(Reply::Int(1)));
        assert_eq!(ttl(&mut world), 1_000, "{mode}");
        world.advance(400);
        assert_eq!(world.ask(1, 1, &["INCRBY", "a", "2"]), Some(Reply::Int(3)));
        assert_eq!(ttl(&mut world), left, "{mode}");
        world.advance(700);
        assert_eq!(world.ask(0, 1, &["INCR", "a"]), Some(Reply::Int(then)), "{mode}");
    }
}

#[test]
fn counter_without_an_end_gets_one_and_the_clients_own_end_stays() {
    let mut world = gateways(r#"{"ttl":"1s"}"#, 1);
    // An old counter that was left without an end.
    world.redis.run(&["SET", "a", "5"]);
    assert_eq!(world.ask(0, 1, &["INCR", "a"]), Some(Reply::Int(6)));
    assert_eq!(ttl(&mut world), 1_000);
    for (line, wanted_ms) in [
        ("SET a 7 EX 9", 9_000),
        ("INCR a", 9_000),
        ("SET a 7 KEEPTTL", 9_000),
        ("SET a 7", 1_000),
        ("SETEX a 5 7", 5_000),
        ("COUNTER.INCR a", 5_000),
    ] {
        world.ask(0, 1, &line.split(' ').collect::<Vec<_>>()).expect("a reply");
        assert_eq!(ttl(&mut world), wanted_ms, "{line}");
    }
    // Inside MULTI too.
    world.ask(0, 1, &["DEL", "a"]);
    world.multi(0, 1, &[&["INCR", "a"], &["GET", "a"]]);
    world.run();
    assert_eq!(world.last_reply(), Some(Reply::Array(vec![Reply::Int(1), Reply::bulk("1")])));
    assert_eq!(ttl(&mut world), 1_000);
}
