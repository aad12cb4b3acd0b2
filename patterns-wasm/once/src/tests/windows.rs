//! ONCE against its model: one holder per key until its window ends or its token is given back.
//!
//! Clients of two gateways ask, release with their own and others' tokens, and let time pass, in an order that a seed
//! gives; two and three at the same time are run in every order of deliveries.

use std::collections::BTreeMap;

use sluicegate_plugin::harness::interleave::explore;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::support::{gateways, text};

const KEYS: [&str; 3] = ["a", "b", "c"];

/// What is known of a key: who has it, and until when.
struct Held {
    token: String,
    until_ms: u64,
}

fn step(world: &mut World, model: &mut BTreeMap<&str, Held>, tokens: &mut Vec<String>) {
    let worker = usize::try_from(world.next_random() % 3).unwrap();
    let key = KEYS[usize::try_from(world.next_random() % 3).unwrap()];
    let now_ms = world.now_ms;
    model.retain(|_, held| held.until_ms > now_ms);
    match world.next_random() % 4 {
        0 | 1 => {
            let seconds = 1 + world.next_random() % 3;
            let given = text(world.ask(worker, 1, &["ONCE", key, &seconds.to_string()]));
            assert_eq!(given.is_some(), !model.contains_key(key), "{key} at {now_ms}");
            if let Some(token) = given {
                assert!(!tokens.contains(&token), "a token twice");
                tokens.push(token.clone());
                model.insert(key, Held { token, until_ms: now_ms + seconds * 1000 });
            }
        }
        2 => {
            let some = usize::try_from(world.next_random()).unwrap_or(0) % (tokens.len() + 1);
            let token = tokens.get(some).cloned().unwrap_or_else(|| "nobody's".into());
            let is_holders = model.get(key).is_some_and(|held| held.token == token);
            let released = world.ask(worker, 1, &["ONCE.RELEASE", key, &token]);
            assert_eq!(released, Some(Reply::Int(i64::from(is_holders))), "{key} at {now_ms}");
            if is_holders {
                model.remove(key);
            }
        }
        _ => {
            let ms = world.next_random() % 900;
            world.advance(ms);
        }
    }
}

#[test]
fn windows_are_those_of_the_model() {
    for seed in 0..30 {
        let (mut world, mut model, mut tokens) = (gateways(&[2, 1], seed), BTreeMap::new(), vec![]);
        for _ in 0..300 {
            step(&mut world, &mut model, &mut tokens);
        }
        assert!(tokens.len() > 20, "seed {seed}: {} windows", tokens.len());
        assert!(world.complaints().is_empty(), "seed {seed}: {:?}", world.complaints());
    }
}

#[test]
fn callers_at_the_same_time_get_one_token_in_every_order() {
    for callers in [2, 3] {
        let explored = explore(10_000, |order| {
            let mut world = gateways(&[1, 1], 1);
            world.follow(order);
            let tickets: Vec<_> = (0..callers)
                .map(|caller| world.send(caller % 2, 1 + caller as u64, &["ONCE", "k", "5"]))
                .collect();
            world.run();
            let replies = tickets.iter().map(|ticket| world.reply(*ticket).expect("a reply"));
            assert_eq!(replies.filter(|reply| !reply.is_null()).count(), 1);
        });
        assert!(explored.complete, "{} orders", explored.orders);
    }
}

#[test]
fn window_that_is_given_back_while_others_ask_goes_to_at_most_one_of_them() {
    let mut given = [0; 2];
    let explored = explore(100_000, |order| {
        let mut world = gateways(&[1, 1], 1);
        let token = text(world.ask(0, 1, &["ONCE", "k", "5"])).expect("a token");
        world.follow(order);
        world.send(0, 1, &["ONCE.RELEASE", "k", &token]);
        let asked = [world.send(1, 2, &["ONCE", "k", "5"]), world.send(1, 3, &["ONCE", "k", "5"])];
        world.run();
        let tokens = asked.map(|ticket| world.reply(ticket).expect("a reply").is_null());
        given[tokens.iter().filter(|is_null| !**is_null).count()] += 1;
    });
    assert!(explored.complete, "{} orders", explored.orders);
    assert!(given.iter().all(|count| *count > 0), "{given:?}");
}

#[test]
fn arguments_that_make_no_sense_are_errors_and_change_nothing() {
    let mut world = gateways(&[1], 1);
    let cases: [(&[&str], &str); 6] = [
        (&["ONCE", "k", "x"], "ERR value is not an integer or out of range"),
        (&["ONCE", "k", "0"], "ERR invalid expire time in 'once' command"),
        (&["ONCE", "k", "-1"], "ERR invalid expire time in 'once' command"),
        (&["ONCE", "k", "9223372036854775807"], "ERR invalid expire time in 'once' command"),
        (&["ONCE", "k", "1.5"], "ERR value is not an integer or out of range"),
        (&["ONCE", "k"], "ERR wrong number of arguments for 'once' command"),
    ];
    for (words, wanted) in cases {
        assert_eq!(world.ask(0, 1, words), Some(Reply::Error(wanted.into())), "{words:?}");
    }
    assert_eq!(world.redis.run(&["EXISTS", "k"]), Reply::Int(0));
}
