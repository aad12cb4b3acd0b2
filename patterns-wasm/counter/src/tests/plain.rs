//! Without a ttl a counter answers every command as a plain Redis string that holds an integer does.
//!
//! The oracle is a server of its own that is asked the same. Commands, values and ends are drawn by a seed, outside and
//! inside of MULTI, over two gateways; some keys are plain strings or of other types when the plugin meets them.

use sluicegate_plugin::harness::redis::FakeRedis;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::support::gateways;

const KEYS: [&str; 3] = ["a", "b", "c"];

fn below(world: &mut World, end: u64) -> usize {
    usize::try_from(world.next_random() % end).unwrap()
}

fn command(world: &mut World) -> String {
    let key = KEYS[below(world, 3)];
    let number = ["1", "-1", "7", "0", "9223372036854775807", "-9223372036854775808", "x", "1.5"];
    let number = number[below(world, 40).min(7)];
    let ms = ["100", "2000", "0", "-5"][below(world, 12).min(3)];
    let condition = ["", " NX", " XX", " GET", " NX GET", " XX GET"][below(world, 6)];
    let end = ["", " KEEPTTL", " PX 500", " EX 2"][below(world, 4)];
    match world.next_random() % 24 {
        0..4 => format!("INCR {key}"),
        4 => format!("INCRBY {key} {number}"),
        5 => format!("DECR {key}"),
        6 => format!("DECRBY {key} {number}"),
        7..10 => format!("GET {key}"),
        10 => format!("MGET a {key} none b"),
        11 => format!("SET {key} {}{condition}{end}", number.replace('x', "3").replace("1.5", "4")),
        12 => format!("SETEX {key} 2 5"),
        13 => format!("PSETEX {key} {ms} 6"),
        14 => format!("SETNX {key} 8"),
        15 => format!("GETSET {key} 9"),
        16 => format!("GETDEL {key}"),
        17 => format!("PEXPIRE {key} {ms}"),
        18 => format!("TTL {key}"),
        19 => format!("PTTL {key}"),
        20 => format!("PERSIST {key}"),
        21 => format!("DEL {key}"),
        22 => format!("EXISTS {key} none"),
        _ => format!("TYPE {key}"),
    }
}

/// The fake server words this error of PSETEX as that of SET.
fn worded(reply: Reply, line: &str) -> Reply {
    match reply {
        Reply::Error(text) if line.starts_with("PSETEX") => {
            Reply::Error(text.replace("'set'", "'psetex'"))
        }
        other => other,
    }
}

#[test]
fn counter_answers_as_a_plain_string_does() {
    for seed in 0..40 {
        let mut world = gateways("", seed);
        let mut plain = FakeRedis::at(world.now_ms);
        for step in 0..500 {
            let line = command(&mut world);
            let words: Vec<&str> = line.split(' ').collect();
            let worker = below(&mut world, 2);
            let in_multi = world.next_random().is_multiple_of(3);
            plain.now_ms = world.now_ms;
            let wanted = worded(plain.run(&words), &line);
            let what = format!("seed {seed}, step {step}: {line}");
            if in_multi {
                let ticket = world.multi(worker, 1, &[&words]);
                world.run();
                // What cannot be right is refused when it is queued: then there is no array.
                match world.reply(ticket).cloned() {
                    Some(Reply::Array(rows)) => assert_eq!(rows, [wanted], "{what} in MULTI"),
                    other => {
                        assert!(matches!(other, Some(Reply::Error(_))), "{what}: {other:?}");
                        assert!(matches!(wanted, Reply::Error(_)), "{what}: {other:?}");
                    }
                }
            } else {
                assert_eq!(world.ask(worker, 1, &words), Some(wanted), "{what}");
            }
            if world.next_random().is_multiple_of(9) {
                let ms = world.next_random() % 900;
                world.advance(ms);
            }
        }
        assert!(world.complaints().is_empty(), "seed {seed}: {:?}", world.complaints());
    }
}

#[test]
fn strings_that_are_there_already_become_counters_with_their_end_and_other_types_stay() {
    let mut world = gateways("", 1);
    for line in ["SET old 41 PX 5000", "SET text abc", "RPUSH list a", "HSET hash f 1"] {
        world.redis.run(&line.split(' ').collect::<Vec<_>>());
    }
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    let no_integer = "ERR value is not an integer or out of range";
    let cases = [
        ("GET old", Reply::bulk("41")),
        ("INCR old", Reply::Int(42)),
        ("PTTL old", Reply::Int(5000)),
        ("GET old", Reply::bulk("42")),
        ("INCR text", Reply::Error(no_integer.into())),
        ("GET text", Reply::bulk("abc")),
        ("INCR list", Reply::Error(wrong.into())),
        ("GET list", Reply::Error(wrong.into())),
        ("INCR hash", Reply::Error(wrong.into())),
        ("SET hash 1", Reply::Error(wrong.into())),
        (
            "MGET old text list none",
            Reply::Array(vec![Reply::bulk("42"), Reply::bulk("abc"), Reply::Null, Reply::Null]),
        ),
        ("COUNTER.INCR old", Reply::Array(vec![Reply::Int(43), Reply::Null])),
    ];
    for (line, wanted) in cases {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(world.ask(0, 1, &words), Some(wanted), "{line}");
    }
    assert_eq!(world.redis.run(&["GET", "text"]), Reply::bulk("abc"));
    assert_eq!(world.redis.run(&["HLEN", "hash"]), Reply::Int(1));
    assert_eq!(world.redis.run(&["LLEN", "list"]), Reply::Int(1));
}

#[test]
fn what_makes_no_sense_on_a_counter_is_refused_with_what_to_use_and_changes_nothing() {
    let mut world = gateways("", 1);
    assert_eq!(world.ask(0, 1, &["INCR", "a"]), Some(Reply::Int(1)));
    let hint =
        |name: &str| format!("ERR counter: '{name}' is not for a counter; use INCRBY, GET or SET");
    let cases = [
        ("APPEND a 1", hint("append")),
        ("INCRBYFLOAT a 1.5", hint("incrbyfloat")),
        ("SET a x", "ERR value is not an integer or out of range".into()),
        ("SET a 1 EX 0", "ERR invalid expire time in 'set' command".into()),
        ("SET a 1 EX", "ERR syntax error".into()),
        ("SET a 1 NX XX", "ERR syntax error".into()),
        ("SET a 1 EX 1 PX 1", "ERR syntax error".into()),
        ("SETEX a 0 1", "ERR invalid expire time in 'setex' command".into()),
        ("INCRBY a 9223372036854775807", "ERR increment or decrement would overflow".into()),
        ("DECRBY a -9223372036854775808", "ERR decrement would overflow".into()),
    ];
    for (line, wanted) in cases {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(world.ask(0, 1, &words), Some(Reply::Error(wanted)), "{line}");
    }
    assert_eq!(world.ask(0, 1, &["GET", "a"]), Some(Reply::bulk("1")));
}
