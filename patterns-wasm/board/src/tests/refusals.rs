//! What makes no sense, and what a board does not do: errors, and nothing is written.
//!
//! Redis's own error where there is one, else one that names the pattern and what to use instead. A ZADD of many members
//! with one score that is none leaves all of them out.

use sluicegate_plugin::reply::Reply;

use super::support::gateways;

#[test]
fn arguments_that_make_no_sense_get_redis_errors_and_nothing_is_written() {
    let mut world = gateways(r#"{"parts":3}"#, 1);
    let float = "ERR value is not a valid float";
    let top = "ERR board: BOARD.TOP n must be from 1 to 10000";
    let cases = [
        ("ZADD k nan a", float),
        ("ZADD k x a", float),
        ("ZADD k 1 a 2 b 3 c 4 d nan e 6 f", float),
        ("ZADD k 1 a 2", "ERR syntax error"),
        ("ZADD k", "ERR wrong number of arguments for 'zadd' command"),
        ("ZADD k NX XX 1 a", "ERR XX and NX options at the same time are not compatible"),
        ("ZADD k GT LT 1 a", "ERR GT, LT, and/or NX options at the same time are not compatible"),
        ("ZADD k INCR 1 a 2 b", "ERR INCR option supports a single increment-element pair"),
        ("ZINCRBY k x a", float),
        ("ZINCRBY k nan a", float),
        ("ZCOUNT k a b", "ERR min or max is not a float"),
        ("ZRANGE k 0 x", "ERR value is not an integer or out of range"),
        ("ZRANGE k 0 1 NONSENSE", "ERR syntax error"),
        ("ZRANGE k a b BYLEX", "ERR board: BYLEX is not for a board; it orders by score"),
        ("BOARD.TOP k 0", top),
        ("BOARD.TOP k -1", top),
        ("BOARD.TOP k 10001", top),
        ("BOARD.AROUND k a -1", "ERR board: BOARD.AROUND n must be from 0 to 1000"),
        ("EXPIRE k 9223372036854775807", "ERR invalid expire time in 'expire' command"),
    ];
    for (line, wanted) in cases {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(world.ask(0, 1, &words), Some(Reply::Error(wanted.into())), "{line}");
    }
    assert_eq!(world.ask(0, 1, &["EXISTS", "k"]), Some(Reply::Int(0)));
    world.ask(0, 1, &["ZADD", "k", "inf", "a"]);
    let wanted = "ERR resulting score is not a number (NaN)";
    assert_eq!(world.ask(0, 1, &["ZINCRBY", "k", "-inf", "a"]), Some(Reply::Error(wanted.into())));
    assert_eq!(world.ask(0, 1, &["ZSCORE", "k", "a"]), Some(Reply::bulk("inf")));
}

#[test]
fn what_needs_all_parts_at_once_is_refused_with_what_to_use() {
    let mut world = gateways(r#"{"parts":3}"#, 1);
    world.ask(0, 1, &["ZADD", "k", "1", "a"]);
    for (line, part) in [
        ("ZPOPMIN k", "'zpopmin' needs all members in one place"),
        ("ZREMRANGEBYRANK k 0 -11", "use ZREMRANGEBYSCORE"),
        ("ZSCAN k 0", "use ZRANGE"),
        ("SORT k", "use ZRANGE with WITHSCORES"),
        ("SET k v", "'set' is not for a board: this binding's keys hold sorted sets only"),
        ("HSET k f v", "'hset' is not for a board"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let reply = world.ask(0, 1, &words);
        let Some(Reply::Error(text)) = &reply else { panic!("{line}: {reply:?}") };
        assert!(text.starts_with("ERR board: ") && text.contains(part), "{text}");
    }
    assert_eq!(world.ask(0, 1, &["ZSCORE", "k", "a"]), Some(Reply::bulk("1")));
}

#[test]
fn inside_multi_what_asks_twice_is_refused_but_on_one_part() {
    let ask = |config: &str, words: &[&str]| {
        let mut world = gateways(config, 1);
        world.ask(0, 1, &["ZADD", "k", "1", "a", "2", "b"]);
        let ticket = world.multi(0, 1, &[words]);
        world.run();
        world.reply(ticket).cloned()
    };
    for words in [&["ZREVRANK", "k", "a"][..], &["EXPIRE", "k", "10"]] {
        let reply = ask(r#"{"parts":3}"#, words);
        let text = format!("{reply:?}");
        assert!(
            text.contains("asks the board's parts twice") && text.contains("parts: 1"),
            "{text}"
        );
        let wanted = Some(Reply::Array(vec![Reply::Int(1)]));
        assert_eq!(ask(r#"{"parts":1}"#, words), wanted);
    }
}

#[test]
fn a_million_members_are_pieces_of_a_thousand() {
    let mut world = gateways(r#"{"parts":3}"#, 1);
    let members: Vec<String> = (0..20_000).map(|number| format!("m{number}")).collect();
    let words = ["ZADD", "k"].into_iter().chain(members.iter().flat_map(|member| ["1", member]));
    let before = world.redis.commands;
    assert_eq!(world.ask(0, 1, &words.collect::<Vec<_>>()), Some(Reply::Int(20_000)));
    // Some 7,000 a part: 7 pieces of each, each a script of four commands.
    assert!((21..=24).contains(&((world.redis.commands - before) / 4)), "pieces");
    assert_eq!(world.ask(0, 1, &["ZCARD", "k"]), Some(Reply::Int(20_000)));
}
