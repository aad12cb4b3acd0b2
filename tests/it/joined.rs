//! Commands over keys of several shards, against one plain server that has the same keys.
//!
//! `same_as_redis` compares them at random; here is what chance does not reach: order within a pipeline, counts of
//! large HyperLogLogs, spelling of scores over either server, too much to join, a shard that is away, and that a pool
//! of one shard never says CROSSSHARD. Each test has servers and a gateway of its own.

use sluicegate_tests::client::{Client, request};
use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::rng::Rng;
use sluicegate_tests::value::Value;

/// One key on each shard.
fn keys_apart(gateway: &mut Client, shards: &[RealServer]) -> Vec<String> {
    let mut found: Vec<Option<String>> = vec![None; shards.len()];
    for number in 0..200 {
        let key = format!("key:{number}");
        assert_eq!(gateway.command(&["SET", &key, "v"]), Value::ok());
        for (shard, place) in shards.iter().zip(&mut found) {
            if shard.client().command(&["EXISTS", &key]) == Value::Integer(1) {
                place.get_or_insert_with(|| key.clone());
            }
        }
        assert_eq!(gateway.command(&["DEL", &key]), Value::Integer(1));
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    found.into_iter().map(|key| key.expect("a key on each shard")).collect()
}

/// Sends the lines as one pipeline to both and compares every reply.
fn same(gateway: &mut Client, plain: &mut Client, lines: &[String]) {
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        gateway.send(&words);
        plain.send(&words);
    }
    for line in lines {
        let (ours, theirs) =
            (gateway.next_reply().expect("a reply"), plain.next_reply().expect("a reply"));
        assert!(ours.0 == theirs.0, "{line}\ngateway: {:?}\nplain:   {:?}", ours.1, theirs.1);
    }
}

#[test]
fn a_joined_read_stands_between_the_writes_of_its_pipeline() {
    let shards = RealServer::start_many(3);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let plain = RealServer::start();
    let (mut ours, mut theirs) = (gateway.client(), plain.client());
    let keys = keys_apart(&mut ours, &shards);
    let (a, b) = (&keys[0], &keys[1]);
    let mut lines = Vec::new();
    for round in 0..50 {
        for (make, read) in [
            (
                ["SADD {k} {n}"].as_slice(),
                ["SINTERCARD 2 {a} {b}", "ZINTERCARD 2 {a} {b}"].as_slice(),
            ),
            (
                &["ZADD {k} {n} m{n}"],
                &["ZUNION 2 {a} {b} WITHSCORES", "ZDIFF 2 {a} {b} WITHSCORES"],
            ),
            (&["SET {k} text{n}"], &["LCS {a} {b} LEN", "LCS {a} {b} IDX"]),
            (&["PFADD {k} {n}"], &["PFCOUNT {a} {b}"]),
            (&["XADD {k} {n}-1 f v"], &["XREAD COUNT 2 STREAMS {a} {b} 0 0"]),
        ] {
            for step in 1..4 {
                for key in [a, b] {
                    let number = (round + step).to_string();
                    lines
                        .extend(make.iter().map(|l| l.replace("{k}", key).replace("{n}", &number)));
                    lines.extend(read.iter().map(|l| l.replace("{a}", a).replace("{b}", b)));
                }
            }
            lines.push(format!("DEL {a} {b}"));
        }
    }
    same(&mut ours, &mut theirs, &lines);
}

#[test]
fn counts_over_shards_are_those_of_one_server() {
    let shards = RealServer::start_many(3);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let plain = RealServer::start();
    let (mut ours, mut theirs) = (gateway.client(), plain.client());
    let mut rng = Rng::from_env(7);
    let keys: Vec<String> = (0..14).map(|number| format!("count:{number}")).collect();
    for (number, key) in keys.iter().enumerate() {
        // From none to some ten thousand elements: sparse and dense, and saturated corners in between.
        let mut left = if number == 0 { 0 } else { rng.below(1 << (number + 2)) };
        while left > 0 {
            let count = left.min(500);
            left -= count;
            let mut words = vec!["PFADD".to_owned(), key.clone()];
            words.extend((0..count).map(|_| rng.below(100_000).to_string()));
            let bytes = request(&words);
            ours.send_raw(&bytes);
            theirs.send_raw(&bytes);
            assert_eq!(ours.reply(), theirs.reply());
        }
    }
    for _ in 0..300 {
        let chosen: Vec<&str> = keys.iter().filter(|_| rng.one_in(3)).map(String::as_str).collect();
        if !chosen.is_empty() {
            let words = [&["PFCOUNT"], chosen.as_slice()].concat();
            assert_eq!(ours.command(&words), theirs.command(&words), "{words:?}");
        }
    }
}

fn check_spelling(shards: &[RealServer], plain: &RealServer) {
    let gateway = InProcess::start(&yaml_over(shards, &[]));
    let mut ours = gateway.client();
    let keys = keys_apart(&mut ours, shards);
    let (a, b) = (&keys[0], &keys[1]);
    let lines = [
        format!("ZADD {a} 0.30000000000000004 m 1 n"),
        format!("ZADD {b} 0.5 m 3 o"),
        // Neither score shows how its server prints 0.8.
        format!("ZUNION 2 {a} {b} WITHSCORES"),
        format!("ZINTER 2 {a} {b} WITHSCORES"),
        format!("ZINTER 2 {a} {b} WEIGHTS 0.1 0.1 WITHSCORES"),
        format!("ZUNION 2 {a} {b} WEIGHTS 0x10 1 WITHSCORES"),
    ];
    for protocol in ["HELLO 2", "HELLO 3"] {
        let (mut ours, mut theirs) = (gateway.client(), plain.client());
        assert!(matches!(ours.line(protocol), Value::Map(_) | Value::Array(_)));
        theirs.line(protocol);
        same(&mut ours, &mut theirs, &[format!("DEL {a} {b}")]);
        same(&mut ours, &mut theirs, &lines);
    }
}

#[test]
fn scores_are_spelled_as_the_shards_spell_them() {
    check_spelling(&RealServer::start_many(2), &RealServer::start());
    let valkeys: Option<Vec<RealServer>> = (0..3).map(|_| RealServer::start_valkey()).collect();
    if let Some(valkeys) = valkeys {
        let (plain, shards) = valkeys.split_last().expect("three servers");
        check_spelling(shards, plain);
    }
}

#[test]
fn sets_too_large_to_join_are_refused_and_the_session_goes_on() {
    let shards = RealServer::start_many(2);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let mut client = gateway.client();
    let keys = keys_apart(&mut client, &shards);
    for key in &keys {
        for chunk in 0..130 {
            let mut words = vec!["SADD".to_owned(), key.clone()];
            words.extend((0..2000).map(|number| (chunk * 2000 + number).to_string()));
            assert_eq!(client.command(&words), Value::Integer(2000));
        }
    }
    let refused = client.command(&["SUNION", &keys[0], &keys[1]]);
    assert!(refused.is_error("CROSSSHARD the keys live on several shards"), "{refused:?}");
    assert!(refused.text().contains("hash tag"), "{refused:?}");
    assert_eq!(client.command(&["SCARD", &keys[0]]), Value::Integer(260_000));
}

#[test]
fn a_shard_that_is_away_is_named_by_the_error() {
    let mut shards = RealServer::start_many(2);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let mut client = gateway.client();
    let keys = keys_apart(&mut client, &shards);
    shards[1].kill();
    for line in ["SUNION {a} {b}", "ZUNION 2 {a} {b}", "LCS {a} {b}", "PFCOUNT {a} {b}"] {
        let line = line.replace("{a}", &keys[0]).replace("{b}", &keys[1]);
        let reply = client.line(&line);
        assert!(reply.is_error("ERR shard 'shard-1'"), "{line}: {reply:?}");
    }
    assert_eq!(client.command(&["SUNION", &keys[0]]), Value::Array(Vec::new()));
}

/// Each command with several keys, `{a}` and `{b}`.
const SEVERAL_KEYS: &[&str] = &[
    "SUNION {a} {b}",
    "SINTER {a} {b}",
    "SDIFF {a} {b}",
    "SINTERCARD 2 {a} {b}",
    "ZUNION 2 {a} {b}",
    "ZINTER 2 {a} {b}",
    "ZDIFF 2 {a} {b}",
    "ZINTERCARD 2 {a} {b}",
    "LCS {a} {b}",
    "PFCOUNT {a} {b}",
    "XREAD STREAMS {a} {b} 0 0",
    "RENAME {a} {b}",
    "RENAMENX {a} {b}",
    "COPY {a} {b}",
    "SMOVE {a} {b} m",
    "LMOVE {a} {b} LEFT LEFT",
    "RPOPLPUSH {a} {b}",
    "LMPOP 2 {a} {b} LEFT",
    "ZMPOP 2 {a} {b} MIN",
    "BITOP AND {a} {a} {b}",
    "PFMERGE {a} {b}",
    "SINTERSTORE {a} {b}",
    "SUNIONSTORE {a} {b}",
    "SDIFFSTORE {a} {b}",
    "ZUNIONSTORE {a} 1 {b}",
    "ZINTERSTORE {a} 1 {b}",
    "ZDIFFSTORE {a} 1 {b}",
    "ZRANGESTORE {a} {b} 0 -1",
    "MSETNX {a} 1 {b} 2",
    "DEL {a} {b}",
    "SORT {a} STORE {b}",
    "SORT {a} BY w:* GET o:*",
    "SORT_RO {a} BY w:*",
    "GEOSEARCHSTORE {a} {b} FROMLONLAT 1 1 BYRADIUS 1 km",
    "GEORADIUS {a} 1 1 1 km STOREDIST {b}",
    "XREADGROUP GROUP g c STREAMS {a} {b} > >",
];

#[test]
fn one_key_twice_and_a_pool_of_one_shard_are_never_apart() {
    let plain = RealServer::start();
    let shards = RealServer::start_many(1);
    let one = InProcess::start(&yaml_over(&shards, &[]));
    let with = |a: &str, b: &str| -> Vec<String> {
        SEVERAL_KEYS.iter().map(|line| line.replace("{a}", a).replace("{b}", b)).collect()
    };
    same(&mut one.client(), &mut plain.client(), &with("first", "second"));

    let shards = RealServer::start_many(3);
    let three = InProcess::start(&yaml_over(&shards, &[]));
    let lines: Vec<String> =
        with("key", "key").into_iter().filter(|line| !line.contains('*')).collect();
    for value in ["SADD key m", "RPUSH key m", "SET key v", "PFADD key m", "ZADD key 1 m"] {
        let (mut ours, mut theirs) = (three.client(), plain.client());
        for line in &lines {
            let before = ["DEL key".to_owned(), value.to_owned(), line.clone()];
            same(&mut ours, &mut theirs, &before);
        }
    }
}
