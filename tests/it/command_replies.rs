//! COMMAND and its subcommands tell of the gateway what Redis 7.0 tells of itself, where both have the same facts.
//!
//! Every command that the gateway carries out and Redis 7.0 has is asked for by name, at both, over RESP2 and RESP3, and
//! the replies are compared byte by byte; so are the keys of many requests. What is refused must be told nowhere.
//! Where the table is the union of two servers a row may differ from Redis 7.0's: those are listed here.

use std::collections::BTreeSet;

use sluicegate::command::CommandSpec;
use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::plugins::{Entry, built, yaml_with};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;

/// Commands whose row is not Redis 7.0's: Valkey 9 has changed arity, flags, categories, tips or keys.
const OTHER_ROWS: &[&str] = &[
    "client|caching",
    "client|getname",
    "client|getredir",
    "client|id",
    "client|no-evict",
    "client|reply",
    "client|setname",
    "command|getkeys",
    "command|getkeysandflags",
    "config|resetstat",
    "config|rewrite",
    "georadius",
    "georadiusbymember",
    "latency|reset",
    "memory|malloc-stats",
    "memory|purge",
    "msetnx",
    "multi",
    "randomkey",
    "scan",
    "script|exists",
    "script|flush",
    "select",
    "sinterstore",
    "wait",
    "watch",
    "zrank",
    "zrevrank",
];

/// Requests beside those of getkeys.txt: errors, and flags that depend on the arguments.
const REQUESTS: &str = "
SET a b | SET a b GET | set a b NX get | SET a b EX 10 KEEPTTL | SETRANGE a 1 b | GETDEL a | GETEX a | RESTORE a 0 b
BITFIELD a | BITFIELD a GET u8 0 | BITFIELD a SET u8 0 1 | BITFIELD a OVERFLOW SAT GET u8 0 INCRBY u8 0 1
BITFIELD a GET u8 | BITFIELD a nonsense | SPUBLISH a b | SUBSCRIBE a | PUBLISH a b | MIGRATE h 1 a 0 10
OBJECT HELP a b | OBJECT nosuch a | OBJECT encoding | FLUSHALL x | CONFIG GET a
CLIENT id | CLIENT nosuch | nosuch a | GET a b | GET | PING | MSET a 1 b | ZUNIONSTORE d 1 a | EVAL x 1 | EVAL x y a
XGROUP CREATE a b c | PFCOUNT a b | DEBUG OBJECT a | SINTERCARD 2 a | SORT a BY b GET c STORE d | LCS a b
";

/// All commands and subcommands of the table.
fn every_spec() -> Vec<&'static CommandSpec> {
    let all = sluicegate::command::all().iter();
    all.flat_map(|spec| std::iter::once(spec).chain(&spec.subcommands)).collect()
}

/// What COMMAND LIST says.
fn listed(client: &mut Client) -> BTreeSet<String> {
    let Value::Array(names) = client.line("COMMAND LIST") else {
        panic!("COMMAND LIST is no array");
    };
    names.iter().map(Value::text).collect()
}

fn speak(client: &mut Client, protocol: u8) {
    if protocol == 3 {
        assert!(matches!(client.line("HELLO 3"), Value::Map(_)));
    }
}

fn bytes(client: &mut Client, line: &str) -> (Vec<u8>, Value) {
    client.send(&line.split(' ').collect::<Vec<_>>());
    client.next_reply().expect("a reply")
}

/// The reply to COMMAND INFO or DOCS of one container, without its subcommands, which each server orders as it likes.
fn without_subcommands(reply: Value) -> Value {
    let is_head = |value: &Value| value.text() == "subcommands";
    match reply {
        Value::Array(items) if items.len() == 10 => Value::Array(items[..9].to_vec()),
        Value::Array(items) => {
            let end = items.iter().position(is_head).unwrap_or(items.len());
            Value::Array(items[..end].iter().cloned().map(without_subcommands).collect())
        }
        Value::Map(pairs) => {
            let kept = pairs.into_iter().filter(|(key, _)| !is_head(key));
            Value::Map(kept.map(|(key, value)| (key, without_subcommands(value))).collect())
        }
        other => other,
    }
}

#[test]
fn rows_and_docs_are_those_of_redis() {
    let plain = RealServer::start();
    let gateway = InProcess::start(&yaml_over(&RealServer::start_many(1), &[]));
    let mut compared = 0;
    for protocol in [2, 3] {
        let (mut ours, mut theirs) = (gateway.client(), plain.client());
        let names = listed(&mut ours);
        speak(&mut ours, protocol);
        speak(&mut theirs, protocol);
        let mut other_rows = Vec::new();
        let both = every_spec().into_iter().filter(|s| s.row.redis && names.contains(&s.name));
        for spec in both {
            let name = &spec.name;
            for asked in ["INFO", "DOCS"] {
                let line = format!("COMMAND {asked} {name}");
                let (ours, theirs) = (bytes(&mut ours, &line), bytes(&mut theirs, &line));
                let same = match spec.subcommands.is_empty() {
                    true => ours.0 == theirs.0,
                    false => {
                        without_subcommands(ours.1.clone()) == without_subcommands(theirs.1.clone())
                    }
                };
                if asked == "INFO" && !same {
                    other_rows.push(name.as_str());
                } else {
                    assert!(same, "{line}, RESP{protocol}\nours:   {ours:?}\ntheirs: {theirs:?}");
                }
                compared += 1;
            }
        }
        assert_eq!(other_rows, OTHER_ROWS, "RESP{protocol}");
    }
    assert!(compared > 900, "only {compared} replies were compared");
}

#[test]
fn keys_and_their_flags_are_those_of_redis() {
    let plain = RealServer::start();
    let gateway = InProcess::start(&yaml_over(&RealServer::start_many(1), &[]));
    let recorded = include_str!("../../proxy/src/command/getkeys.txt");
    let recorded = recorded.lines().filter_map(|line| line.split_once(" =>"));
    let recorded = recorded.map(|(request, _)| request).filter(|request| !request.starts_with('#'));
    let requests: Vec<&str> = recorded
        .chain(REQUESTS.split(['|', '\n']).map(str::trim))
        .filter(|r| !r.is_empty())
        .collect();
    assert!(requests.len() > 110, "only {} requests", requests.len());
    for protocol in [2, 3] {
        let (mut ours, mut theirs) = (gateway.client(), plain.client());
        speak(&mut ours, protocol);
        speak(&mut theirs, protocol);
        for request in &requests {
            for asked in ["GETKEYS", "GETKEYSANDFLAGS"] {
                let line = format!("COMMAND {asked} {request}");
                let (ours, theirs) = (bytes(&mut ours, &line), bytes(&mut theirs, &line));
                // A command that Valkey has added, and a flag that it has put right.
                let newer = theirs.1.is_error("ERR Invalid command") && !request.contains("nosuch");
                let put_right = asked == "GETKEYSANDFLAGS" && request.starts_with("SINTERSTORE");
                assert!(
                    newer || put_right || ours.0 == theirs.0,
                    "{line}\nours:   {ours:?}\ntheirs: {theirs:?}"
                );
            }
        }
    }
}

#[test]
fn lists_and_errors_are_those_of_redis() {
    let plain = RealServer::start();
    let gateway = InProcess::start(&yaml_over(&RealServer::start_many(1), &[]));
    let (mut ours, mut theirs) = (gateway.client(), plain.client());
    for line in [
        "COMMAND LIST FILTERBY ACLCAT geo",
        "COMMAND LIST FILTERBY ACLCAT BitMap",
        "COMMAND LIST FILTERBY ACLCAT nosuch",
        "COMMAND LIST filterby pattern geo*",
        "COMMAND LIST FILTERBY PATTERN xinfo|*",
        "COMMAND LIST FILTERBY MODULE nosuch",
        "COMMAND LIST FILTERBY MODULE",
        "COMMAND LIST FILTERBY nosuch x",
        "COMMAND LIST x",
        "COMMAND LIST FILTERBY PATTERN a FILTERBY PATTERN b",
        "COMMAND INFO",
        "COMMAND COUNT x",
        "COMMAND nosuch",
        "COMMAND GETKEYS",
        "COMMAND DOCS nosuch get|x",
        "COMMAND INFO nosuch get|x",
        "OBJECT HELP",
        "XINFO HELP",
        "XGROUP HELP",
        "CLUSTER HELP",
    ] {
        let (ours, theirs) = (ours.line(line), theirs.line(line));
        if line == "COMMAND INFO" {
            assert!(
                matches!((ours, theirs), (Value::Array(a), Value::Array(b)) if a.len() * 2 > b.len())
            );
        } else {
            let (ours, theirs) = if line.ends_with("HELP") {
                (ours, theirs)
            } else {
                (ours.sorted(), theirs.sorted())
            };
            assert_eq!(ours, theirs, "{line}");
        }
    }
}

#[test]
fn what_is_refused_is_told_nowhere() {
    let gateway = InProcess::start(&yaml_over(&RealServer::start_many(1), &[]));
    let mut client = gateway.client();
    let names = listed(&mut client);
    let count = client.line("COMMAND COUNT");
    assert_eq!(count, Value::Integer(names.iter().filter(|n| !n.contains('|')).count() as i64));
    for name in ["get", "client|id", "command|docs", "multi", "dbsize"] {
        assert!(names.contains(name), "{name} is not listed");
    }
    let docs = client.line("COMMAND DOCS");
    let rows = client.line("COMMAND");
    let told = format!("{docs:?}{rows:?}");
    for name in ["shutdown", "debug", "acl|setuser", "cluster", "module|load", "swapdb"] {
        assert!(!names.contains(name), "{name} is listed");
        assert!(!told.contains(&format!("${name},")), "{name} is told");
        assert_eq!(client.line(&format!("COMMAND INFO {name}")), Value::Array(vec![Value::Null]));
        assert_eq!(client.line(&format!("COMMAND DOCS {name}")), Value::Array(vec![]));
    }
}

#[test]
fn a_plugins_own_command_is_told_like_one_of_a_module() {
    let servers = RealServer::start_many(1);
    let file = built("cache");
    let cache = Entry { name: "cache", file: &file, settings: &[] };
    let binding = r#"{use: cache, keys: ["cache:*"], config: {grace: 20s, lease: 2s, wait: 1s}}"#;
    let gateway = InProcess::start(&yaml_with(&servers, &[cache], &[binding]));
    let mut client = gateway.client();
    let names = listed(&mut client);
    assert!(names.contains("cache.stats"), "{names:?}");
    let count = client.line("COMMAND COUNT");
    assert_eq!(count, Value::Integer(names.iter().filter(|n| !n.contains('|')).count() as i64));
    let own = ["ack", "dirty", "fill", "get", "release", "stats"];
    let own = own.map(|name| Value::bulk(format!("cache.{name}")));
    let listed = client.line("COMMAND LIST FILTERBY MODULE cache").sorted();
    assert_eq!(listed, Value::Array(own.to_vec()));
    let Value::Array(rows) = client.line("COMMAND INFO Cache.Stats") else { panic!("no rows") };
    assert!(matches!(&rows[0], Value::Array(row) if row[1] == Value::Integer(1)), "{rows:?}");
    let docs = client.line("COMMAND DOCS cache.stats");
    assert!(matches!(&docs, Value::Array(docs) if docs[0].text() == "cache.stats"), "{docs:?}");
    let keys = client.line("COMMAND GETKEYS CACHE.STATS x");
    assert!(keys.is_error("ERR The command has no key arguments"), "{keys:?}");
}
