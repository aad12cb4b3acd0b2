//! Each rule by table: what is refused, in which words, and that nothing of it is written.
//!
//! In mode `report` the same goes on and is counted; inside MULTI the refusal stands in the command's place. What no rule is
//! against goes on as it came, which the count of the shard's commands shows.

use sluicegate_plugin::reply::Reply;

use super::gateways;
use crate::Count;

const RULES: &str = r#"{"deny":["keys","smembers"],"max_key":"8B","max_value":"4B","max_members":3,"prefixes":["app:","tmp:"]}"#;

const AGAINST: [(&str, &str, Count); 11] = [
    (
        "SMEMBERS app:s",
        "guard: 'smembers' is refused here: it gives the whole set; use SSCAN or SMISMEMBER",
        Count::Denied,
    ),
    ("SET app:12345 v", "guard: 'set': the key is longer than max_key, 8 bytes", Count::TooLarge),
    ("SET app:1 12345", "guard: 'set': a value is longer than max_value, 4 bytes", Count::TooLarge),
    (
        "SETEX app:1 9 12345",
        "guard: 'setex': a value is longer than max_value, 4 bytes",
        Count::TooLarge,
    ),
    (
        "MSET app:1 v app:2 12345",
        "guard: 'mset': a value is longer than max_value, 4 bytes",
        Count::TooLarge,
    ),
    (
        "HSET app:h f 12345",
        "guard: 'hset': a value is longer than max_value, 4 bytes",
        Count::TooLarge,
    ),
    (
        "SADD app:s a b c d",
        "guard: 'sadd': more than max_members, 3, in one command",
        Count::TooLarge,
    ),
    (
        "LPUSH app:l a b c d",
        "guard: 'lpush': more than max_members, 3, in one command",
        Count::TooLarge,
    ),
    ("SET user:1 v", "guard: 'set': the key must begin with one of app:, tmp:", Count::Outside),
    ("INCR n", "guard: 'incr': the key must begin with one of app:, tmp:", Count::Outside),
    (
        "MSET app:1 v n v",
        "guard: 'mset': the key must begin with one of app:, tmp:",
        Count::Outside,
    ),
];

#[test]
fn what_a_rule_is_against_is_refused_by_name_and_nothing_is_written() {
    for in_multi in [false, true] {
        let mut world = gateways(RULES, 1);
        for (line, text, count) in AGAINST {
            let words: Vec<&str> = line.split(' ').collect();
            let before = world.metric(count as u32);
            let wanted = Reply::Error(format!("ERR {text}"));
            if in_multi {
                let ticket = world.multi(0, 1, &[&words]);
                world.run();
                assert_eq!(world.reply(ticket), Some(&Reply::Array(vec![wanted])), "{line}");
            } else {
                assert_eq!(world.ask(0, 1, &words), Some(wanted), "{line}");
            }
            assert_eq!(world.metric(count as u32), before + 1, "{line}");
        }
        let keys =
            ["EXISTS", "app:12345", "app:1", "app:2", "app:h", "app:s", "app:l", "user:1", "n"];
        assert_eq!(world.redis.run(&keys), Reply::Int(0));
    }
}

#[test]
fn rules_that_are_tried_out_let_everything_go_on_and_count_it() {
    let config = RULES.replace('}', r#","mode":"report"}"#);
    let mut world = gateways(&config, 1);
    for (line, _, count) in AGAINST {
        let words: Vec<&str> = line.split(' ').collect();
        let before = world.metric(count as u32);
        let reply = world.ask(0, 1, &words);
        let is_refused = format!("{reply:?}").contains("guard:");
        assert!(!is_refused, "{line}: {reply:?}");
        assert_eq!(world.metric(count as u32), before + 1, "{line}");
    }
    assert_eq!(world.redis.run(&["GET", "user:1"]), Reply::bulk("v"));
}

#[test]
fn what_no_rule_is_against_goes_on_as_it_came() {
    let mut world = gateways(RULES, 1);
    for line in ["SET app:1 v", "SADD app:s a b c", "MSET app:2 v tmp:1 v", "HGETALL app:h", "KEYS"]
    {
        let words: Vec<&str> = line.split(' ').collect();
        let before = world.redis.commands;
        world.ask(0, 1, &words);
        let sent = if line == "KEYS" { 0 } else { 1 };
        assert!(world.redis.commands - before >= sent, "{line}");
    }
    assert_eq!(world.redis.run(&["PTTL", "app:1"]), Reply::Int(-1));
    // The shard's own error, for what makes no sense.
    let arity = Reply::Error("ERR wrong number of arguments for 'mset' command".into());
    assert_eq!(world.ask(0, 1, &["MSET", "app:1"]), Some(arity));
}

#[test]
fn unlink_says_what_is_wrong_with_its_arguments() {
    let mut world = gateways("", 1);
    let begin = "ERR guard: GUARD.UNLINK pattern must begin with a letter of the keys it is for";
    let cursor = "ERR guard: GUARD.UNLINK cursor must be 0, or what the last call answered";
    for (line, wanted) in [
        ("GUARD.UNLINK *", begin),
        ("GUARD.UNLINK ?x", begin),
        ("GUARD.UNLINK [a]x", begin),
        ("GUARD.UNLINK a* x", cursor),
        ("GUARD.UNLINK a* 1", cursor),
        ("GUARD.UNLINK a* 1-x", cursor),
        ("GUARD.UNLINK a* -1-0", cursor),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(world.ask(0, 1, &words), Some(Reply::Error(wanted.into())), "{line}");
    }
}
