//! Hot counters: increments that are gathered, and the values that their callers get.
//!
//! Values must be those of some order of the increments, each once, whatever the order of deliveries; nothing is
//! acknowledged that the shard has not counted. Commands on the shard are counted too, since that is what it is for.

use sluicegate_plugin::harness::interleave::explore;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::support::gateways;

const HOT: &str = r#"{"gather":"10ms","ttl":"1h"}"#;

fn values(world: &World, tickets: &[usize]) -> Vec<i64> {
    let value = |ticket: &usize| world.reply(*ticket).and_then(Reply::int).expect("a value");
    tickets.iter().map(value).collect()
}

#[test]
fn hundred_increments_are_one_on_the_shard_and_each_has_its_own_value() {
    let mut world = gateways(HOT, 1);
    assert_eq!(world.redis.run(&["SET", "a", "100"]), Reply::ok());
    let before = world.redis.commands;
    let tickets: Vec<usize> =
        (0..100).map(|user| world.send(0, user + 1, &["INCR", "a"])).collect();
    world.run();
    assert!(tickets.iter().all(|ticket| world.reply(*ticket).is_none()), "they wait");
    world.advance(10);
    assert_eq!(values(&world, &tickets), (101..=200).collect::<Vec<_>>());
    // The script: some ten commands, once.
    assert!(world.redis.commands - before < 25, "{}", world.redis.commands - before);
    assert_eq!(world.redis.run(&["PTTL", "a"]), Reply::Int(3_600_000));
    let again = world.send(0, 1, &["DECRBY", "a", "50"]);
    world.advance(10);
    assert_eq!(values(&world, &[again]), [150]);
    assert!(world.complaints().is_empty(), "{:?}", world.complaints());
}

#[test]
fn values_are_those_of_one_order_whatever_meets() {
    let explored = explore(200_000, |order| {
        let mut world = gateways(HOT, 1);
        world.follow(order);
        let tickets = [(0, 1, "1"), (0, 2, "2"), (1, 3, "4")]
            .map(|(worker, user, by)| world.send(worker, user, &["INCRBY", "a", by]));
        world.run();
        world.advance(10);
        world.run();
        let [a, b, c] = values(&world, &tickets)[..] else { panic!("three values") };
        assert_eq!(world.redis.run(&["HGET", "a", "n"]), Reply::bulk("7"));
        // Each is what some order of 1, 2 and 4 gives: prefix sums that end in its own.
        let orders = [[1, 2, 4], [1, 4, 2], [2, 1, 4], [2, 4, 1], [4, 1, 2], [4, 2, 1]];
        let fits = |order: &[i64; 3]| {
            let sums = [order[0], order[0] + order[1], 7];
            let of = |by: i64| sums[order.iter().position(|known| *known == by).unwrap()];
            (of(1), of(2), of(4)) == (a, b, c)
        };
        assert!(orders.iter().any(fits), "{a} {b} {c}");
    });
    assert!(explored.complete, "{} orders", explored.orders);
}

#[test]
fn fault_of_the_shard_reaches_all_who_were_gathered_and_nothing_is_counted() {
    let mut world = gateways(HOT, 1);
    world.redis.run(&["LPUSH", "a", "item"]);
    let tickets = [1, 2, 3].map(|user| world.send(0, user, &["INCR", "a"]));
    world.advance(10);
    for ticket in tickets {
        let Some(Reply::Error(text)) = world.reply(ticket) else { panic!("no error") };
        assert!(text.starts_with("WRONGTYPE"), "{text}");
    }
    world.redis.run(&["SET", "b", "9223372036854775806"]);
    let tickets = [1, 2].map(|user| world.send(0, user, &["INCR", "b"]));
    world.advance(10);
    let overflow = Reply::Error("ERR increment or decrement would overflow".into());
    assert!(tickets.iter().all(|ticket| world.reply(*ticket) == Some(&overflow)));
    assert_eq!(world.ask(0, 1, &["GET", "b"]), Some(Reply::bulk("9223372036854775806")));
}

#[test]
fn client_that_goes_away_leaves_the_others_theirs() {
    let mut world = gateways(HOT, 1);
    let tickets = [1, 2, 3].map(|user| world.send(0, user, &["INCR", "a"]));
    world.run();
    world.close(0, 1);
    world.advance(10);
    assert_eq!(values(&world, &tickets[1..]), [2, 3]);
    assert_eq!(world.redis.run(&["HGET", "a", "n"]), Reply::bulk("3"));
    // Inside MULTI and by COUNTER.INCR nothing is gathered.
    world.multi(0, 4, &[&["INCR", "a"]]);
    world.run();
    assert_eq!(world.last_reply(), Some(Reply::Array(vec![Reply::Int(4)])));
    let row = world.ask(0, 5, &["COUNTER.INCR", "a"]);
    assert!(matches!(row, Some(Reply::Array(row)) if row[0] == Reply::Int(5)));
}
