//! Commands over the whole key space: SCAN, KEYS, DBSIZE, RANDOMKEY, FLUSHALL and their like over real shards.
//!
//! What is expected is what one server would say of all keys together. Each test has servers and a gateway of its own;
//! one of three shards is a Valkey where this machine has one. Keys that no client may see (beside others, on a shard
//! that does not own them) are put on the shards directly.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use sluicegate_tests::client::{Client, request};
use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::rng::Rng;
use sluicegate_tests::tools::find_or_skip;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

/// Three shards: two Redis servers and, where there is one, a Valkey.
fn mixed_shards() -> Vec<RealServer> {
    let third = RealServer::start_valkey().unwrap_or_else(RealServer::start);
    let mut shards = RealServer::start_many(2);
    shards.push(third);
    shards
}

fn start() -> (Vec<RealServer>, InProcess) {
    let shards = mixed_shards();
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    (shards, gateway)
}

/// Writes `count` keys through the gateway and gives their names.
fn fill(client: &mut Client, prefix: &str, count: usize) -> BTreeSet<String> {
    let keys: BTreeSet<String> = (0..count).map(|number| format!("{prefix}:{number}")).collect();
    for chunk in keys.iter().collect::<Vec<_>>().chunks(500) {
        let mut words = vec!["MSET"];
        chunk.iter().for_each(|key| words.extend([key.as_str(), "v"]));
        assert_eq!(client.command(&words), Value::ok());
    }
    keys
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().map(Value::text).collect(),
        other => panic!("no array: {other:?}"),
    }
}

/// One page: the next cursor and its keys.
fn page(client: &mut Client, cursor: &str, options: &[&str]) -> (String, Vec<String>) {
    let reply = client.command(&[&["SCAN", cursor], options].concat());
    match &reply {
        Value::Array(parts) if parts.len() == 2 => (parts[0].text(), texts(&parts[1])),
        other => panic!("no page: {other:?}"),
    }
}

/// A whole walk, each key as often as it came. Every cursor but the last is not 0 and below 2^53.
fn walk(client: &mut Client, options: &[&str]) -> Vec<String> {
    let mut cursor = "0".to_owned();
    let mut seen = Vec::new();
    for _ in 0..100_000 {
        let (next, keys) = page(client, &cursor, options);
        seen.extend(keys);
        if next == "0" {
            return seen;
        }
        assert!(next.parse::<u64>().expect("a number") < 1 << 53, "{next}");
        cursor = next;
    }
    panic!("the walk does not end");
}

fn set(keys: Vec<String>) -> BTreeSet<String> {
    keys.into_iter().collect()
}

#[test]
fn scan_sees_every_key_whatever_the_count_the_pattern_and_the_type() {
    let (shards, gateway) = start();
    let mut client = gateway.client();
    let keys = fill(&mut client, "user", 3000);
    for number in 0..50 {
        client.command(&["RPUSH", &format!("list:{number}"), "x"]);
    }
    let lists: BTreeSet<String> = (0..50).map(|number| format!("list:{number}")).collect();
    let all: BTreeSet<String> = keys.union(&lists).cloned().collect();
    for count in ["1", "7", "100", "1000000"] {
        assert_eq!(set(walk(&mut client, &["COUNT", count])), all, "COUNT {count}");
    }
    assert_eq!(set(walk(&mut client, &[])), all);
    assert_eq!(set(walk(&mut client, &["TYPE", "list", "COUNT", "50"])), lists);
    let some: BTreeSet<String> =
        keys.iter().filter(|key| key.starts_with("user:29")).cloned().collect();
    assert_eq!(set(walk(&mut client, &["match", "user:29*"])), some);
    assert_eq!(set(texts(&client.command(&["KEYS", "user:29*"]))), some);
    assert_eq!(set(texts(&client.command(&["KEYS", "*"]))), all);
    assert_eq!(client.line("DBSIZE"), Value::Integer(3050));
    for shard in &shards {
        assert!(shard.client().line("DBSIZE") > Value::Integer(500), "every shard has its part");
    }
}

#[test]
fn scan_sees_every_key_that_stays_while_others_come_and_go() {
    let (_shards, gateway) = start();
    let mut client = gateway.client();
    let stays = fill(&mut client, "stays", 2000);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (mut client, mut rng) = (gateway.client(), Rng::from_env(7));
            let mut rounds = 0;
            while !is_over.load(Ordering::Relaxed) {
                // Tables grow and shrink, so that the shards' own cursors move under the walk.
                let grow = rounds % 40 < 20;
                let names: Vec<String> =
                    (0..200).map(|_| format!("goes:{}", rng.below(20_000))).collect();
                let mut batch = Vec::new();
                for name in &names {
                    match grow {
                        true => batch.extend(request(&["SET", name, "v"])),
                        false => batch.extend(request(&["DEL", name])),
                    }
                }
                client.send_raw(&batch);
                names.iter().for_each(|_| assert!(client.next_reply().is_some()));
                rounds += 1;
            }
            rounds
        });
        for number in 0..12 {
            let count = if number % 3 == 0 { "10" } else { "100" };
            // A walk over growing tables ends, since each shard's does.
            let seen = set(walk(&mut client, &["COUNT", count]));
            let missing: Vec<&String> = stays.difference(&seen).collect();
            assert!(missing.is_empty(), "walk {number} missed {missing:?}");
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(writer.join().expect("writer") > 0);
    });
}

#[test]
fn scan_goes_on_over_another_connection_and_after_a_shard_was_away() {
    let shards = RealServer::start_many(2);
    let gateway = InProcess::start(&yaml_over(&shards, &["timeout: 300ms"]));
    let keys = fill(&mut gateway.client(), "k", 400);
    let mut seen = BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        // A client, and often a worker, of its own for each page.
        let (next, found) = page(&mut gateway.client(), &cursor, &["COUNT", "20"]);
        seen.extend(found);
        cursor = next;
        if cursor == "0" {
            break;
        }
        // The place of shard-1 is 1.
        if cursor.parse::<u64>().expect("a number") & 0xfff == 1 && seen.len() < keys.len() {
            shards[1].pause();
            let reply = gateway.client().command(&["SCAN", &cursor]);
            assert!(reply.is_error("ERR shard 'shard-1'"), "{reply:?}");
            shards[1].resume();
            eventually_true("the shard to answer again", || {
                !gateway.client().command(&["SCAN", &cursor]).is_error("ERR ")
            });
        }
    }
    assert_eq!(seen, keys);
}

#[test]
fn wrong_cursors_and_options_are_refused_in_redis_words() {
    let (shards, gateway) = start();
    let (mut client, mut plain) = (gateway.client(), shards[0].client());
    fill(&mut client, "k", 10);
    for line in [
        "SCAN abc",
        "SCAN 18446744073709551616",
        "SCAN abc COUNT x",
        "SCAN 0 FOO",
        "SCAN 0 COUNT",
        "SCAN 0 COUNT abc",
        "SCAN 0 COUNT 0",
        "SCAN 0 COUNT -3",
        "SCAN 0 MATCH",
        "SCAN",
        "FLUSHALL NOW",
        "FLUSHDB ASYNC SYNC",
        "KEYS",
        "KEYS a b",
        "DBSIZE x",
        "RANDOMKEY x",
        "BGSAVE x",
        "LASTSAVE x",
    ] {
        let (ours, theirs) = (client.line(line), plain.line(line));
        assert_eq!(ours, theirs, "{line}");
        assert!(matches!(ours, Value::Error(_)), "{line}: {ours:?}");
    }
    for cursor in ["3", "4095", &((77u64 << 12) | 3).to_string(), "-1"] {
        let reply = client.command(&["SCAN", cursor]);
        assert_eq!(reply, Value::Error(b"ERR invalid cursor".to_vec()), "{cursor}");
    }
    assert_eq!(client.line("DBSIZE"), Value::Integer(10), "nothing was emptied");
}

#[test]
fn hidden_and_foreign_keys_are_not_shown_but_counted() {
    let (shards, gateway) = start();
    let mut client = gateway.client();
    let keys = fill(&mut client, "k", 90);
    for shard in &shards {
        let mut direct = shard.client();
        for key in &keys {
            // On two of three shards it is foreign; beside its own owner it is a plugin's.
            if direct.command(&["EXISTS", key]) == Value::Integer(0) {
                direct.command(&["SET", key, "stale"]);
            }
            direct.command(&["SET", &format!("{{{key}}}:sg:lease"), "x"]);
        }
    }
    let mut seen = walk(&mut client, &["COUNT", "1000"]);
    seen.sort();
    assert_eq!(seen, keys.iter().cloned().collect::<Vec<_>>(), "each once");
    assert_eq!(set(texts(&client.command(&["KEYS", "*"]))), keys);
    assert_eq!(client.line("DBSIZE"), Value::Integer(90 * 6));
    for _ in 0..100 {
        let key = client.line("RANDOMKEY").text();
        assert!(keys.contains(&key), "{key}");
    }
}

#[test]
fn random_key_draws_every_shard_by_its_number_of_keys() {
    let (shards, gateway) = start();
    let mut client = gateway.client();
    assert_eq!(client.line("RANDOMKEY"), Value::Null, "there is no key");
    let keys = fill(&mut client, "k", 300);
    let mut drawn: BTreeMap<usize, usize> = BTreeMap::new();
    let mut homes: BTreeMap<String, usize> = BTreeMap::new();
    for (number, shard) in shards.iter().enumerate() {
        homes.extend(texts(&shard.client().line("KEYS *")).into_iter().map(|key| (key, number)));
    }
    let draws = 3000;
    client.send_raw(&request(&["RANDOMKEY"]).repeat(draws));
    for _ in 0..draws {
        let key = client.reply().text();
        assert!(keys.contains(&key), "{key}");
        *drawn.entry(homes[&key]).or_default() += 1;
    }
    for number in 0..shards.len() {
        let share = homes.values().filter(|home| **home == number).count();
        let expected = draws * share / keys.len();
        let found = drawn.get(&number).copied().unwrap_or(0);
        // Ten times the deviation that chance gives: it fails when the weights are wrong, not by bad luck.
        let slack = 10 * expected.isqrt();
        assert!(found.abs_diff(expected) < slack, "shard {number}: {found}, not {expected}");
    }
    client.send_raw(
        &[request(&["RANDOMKEY"]), request(&["FLUSHALL"]), request(&["RANDOMKEY"])].concat(),
    );
    assert!(keys.contains(&client.reply().text()), "what follows in a pipeline comes after");
    assert_eq!((client.reply(), client.reply()), (Value::ok(), Value::Null));
}

#[test]
fn flush_with_a_shard_down_names_who_did_it_and_who_did_not() {
    let mut shards = mixed_shards();
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let mut client = gateway.client();
    fill(&mut client, "k", 60);
    assert_eq!(client.line("FLUSHDB ASYNC"), Value::ok());
    assert_eq!(client.line("DBSIZE"), Value::Integer(0));
    fill(&mut client, "k", 60);
    assert_eq!(client.line("flushall sync"), Value::ok());
    fill(&mut client, "k", 60);
    shards[1].kill();
    eventually_true("the gateway to see that the shard is gone", || {
        client.line("DBSIZE").is_error("ERR shard 'shard-1'")
    });
    // A wrong option is refused first, so nothing is emptied.
    assert_eq!(client.line("FLUSHALL NOW"), Value::Error(b"ERR syntax error".to_vec()));
    assert!(shards[0].client().line("DBSIZE") > Value::Integer(0));
    let reply = client.line("FLUSHALL");
    let expected = "ERR FLUSHALL done on 'shard-0', 'shard-2'; not on 'shard-1': shard 'shard-1' (";
    assert!(reply.is_error(expected), "{reply:?}");
    for number in [0, 2] {
        assert_eq!(shards[number].client().line("DBSIZE"), Value::Integer(0));
    }
    for line in ["KEYS *", "RANDOMKEY", "LASTSAVE", "SLOWLOG LEN"] {
        assert!(client.line(line).is_error("ERR shard 'shard-1' ("), "{line}");
    }
}

#[test]
fn commands_to_every_shard_give_one_reply() {
    let (shards, gateway) = start();
    let mut client = gateway.client();
    for shard in &shards {
        shard.client().line("CONFIG SET slowlog-log-slower-than 0");
    }
    fill(&mut client, "k", 60);
    assert!(client.line("SLOWLOG LEN") >= Value::Integer(3));
    for shard in &shards {
        shard.client().line("CONFIG SET slowlog-log-slower-than -1");
    }
    assert_eq!(client.line("SLOWLOG RESET"), Value::ok());
    assert_eq!(client.line("SLOWLOG LEN"), Value::Integer(0));
    assert_eq!(client.line("LATENCY RESET"), Value::Integer(0));
    assert_eq!(client.line("MEMORY PURGE"), Value::ok());
    assert_eq!(client.line("CONFIG RESETSTAT"), Value::ok());
    let refused = client.line("CONFIG REWRITE");
    assert!(refused.is_error("ERR The server is running without a config file"), "{refused:?}");
    let times = shards.iter().map(|shard| shard.client().line("LASTSAVE"));
    assert_eq!(Some(client.line("LASTSAVE")), times.min());
}

#[test]
fn redis_cli_walks_the_key_space() {
    let Some(redis_cli) = find_or_skip("redis-cli", "key_space by redis-cli") else { return };
    let (_shards, gateway) = start();
    let mut client = gateway.client();
    let keys = fill(&mut client, "k", 500);
    client.command(&["SET", "big", &"x".repeat(10_000)]);
    client.command(&["RPUSH", "list", "a", "b", "c"]);
    let run = |options: &[&str]| {
        let port = gateway.address().port().to_string();
        let output = Command::new(&redis_cli)
            .args(["-h", "127.0.0.1", "-p", &port])
            .args(options)
            .stdin(Stdio::null())
            .output()
            .expect("run redis-cli");
        assert!(output.status.success(), "{options:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let scanned: BTreeSet<String> =
        run(&["--scan", "--pattern", "k:*"]).lines().map(str::to_owned).collect();
    assert_eq!(scanned, keys);
    let report = run(&["--bigkeys"]);
    assert!(report.contains("Sampled 502 keys in the keyspace!"), "{report}");
    assert!(report.contains("\"big\"") && report.contains("10000 bytes"), "{report}");
}
