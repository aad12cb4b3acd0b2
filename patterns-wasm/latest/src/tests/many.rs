//! LATEST.PUSH: one item into many lists, each with its own outcome.
//!
//! Lists beyond one piece of a call, lists that cannot take the item, fewer than `keep` items by the caller's wish, and what
//! it refuses before anything is written.

use sluicegate_plugin::reply::Reply;

use super::{gateways, texts};

#[test]
fn item_reaches_every_list_and_those_that_cannot_take_it_say_so_in_their_place() {
    let mut world = gateways(r#"{"keep":3,"slack":1}"#, 1);
    let keys: Vec<String> = (0..250).map(|number| format!("k{number}")).collect();
    world.redis.run(&["SET", "k120", "text"]);
    for item in 0..6 {
        let item = item.to_string();
        let words = ["LATEST.PUSH", "3", &item].into_iter().chain(keys.iter().map(String::as_str));
        let reply = world.ask(item.len() % 2, 1, &words.collect::<Vec<_>>());
        let Some(Reply::Array(rows)) = reply else { panic!("{reply:?}") };
        let length = (item.parse::<i64>().unwrap() + 1).min(3);
        for (number, row) in rows.iter().enumerate() {
            if number == 120 {
                let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
                assert_eq!(*row, Reply::Error(wrong.into()));
            } else {
                assert_eq!(*row, Reply::Int(length), "list {number}");
            }
        }
    }
    for key in ["k0", "k99", "k100", "k249"] {
        let shown = world.ask(0, 1, &["LRANGE", key, "0", "-1"]);
        assert_eq!(texts(shown.as_ref()), ["5", "4", "3"]);
    }
    assert!(world.complaints().is_empty(), "{:?}", world.complaints());
}

#[test]
fn fewer_than_keep_are_left_at_once_and_unique_items_are_there_once() {
    let mut world = gateways(r#"{"keep":5}"#, 1);
    for item in ["1", "2", "3"] {
        assert!(world.ask(0, 1, &["LATEST.PUSH", "2", item, "k"]).is_some());
    }
    assert_eq!(texts(Some(&world.redis.run(&["LRANGE", "k", "0", "-1"]))), ["3", "2"]);
    let mut world = gateways(r#"{"keep":5,"unique":true}"#, 1);
    for (item, length) in [("1", 1), ("2", 2), ("1", 2)] {
        let reply = world.ask(0, 1, &["LATEST.PUSH", "5", item, "k"]);
        assert_eq!(reply, Some(Reply::Array(vec![Reply::Int(length)])));
    }
    assert_eq!(texts(Some(&world.redis.run(&["LRANGE", "k", "0", "-1"]))), ["1", "2"]);
}

#[test]
fn arguments_that_make_no_sense_are_errors_and_nothing_is_pushed() {
    let mut world = gateways(r#"{"keep":3}"#, 1);
    let bound = "ERR latest: LATEST.PUSH n must be from 1 to the binding's keep";
    let cases = [
        ("LATEST.PUSH 0 a k", bound),
        ("LATEST.PUSH -1 a k", bound),
        ("LATEST.PUSH 4 a k", bound),
        ("LATEST.PUSH x a k", "ERR value is not an integer or out of range"),
        ("LATEST.PUSH 3 a", "ERR wrong number of arguments for 'latest.push' command"),
    ];
    for (line, wanted) in cases {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(world.ask(0, 1, &words), Some(Reply::Error(wanted.into())), "{line}");
    }
    let keys: Vec<String> = (0..10_001).map(|number| format!("k{number}")).collect();
    let words = ["LATEST.PUSH", "3", "a"].into_iter().chain(keys.iter().map(String::as_str));
    let refused = "ERR latest: LATEST.PUSH takes at most 10000 keys in one call";
    let reply = world.ask(0, 1, &words.collect::<Vec<_>>());
    assert_eq!(reply, Some(Reply::Error(refused.into())));
    assert_eq!(world.redis.run(&["EXISTS", "k", "k0"]), Reply::Int(0));
}
