//! The `guard` pattern: what is refused, that no key lives for ever, and deletion by pattern beside traffic.
//!
//! On Redis and Valkey the replies under `default_ttl` are those of a plain server, to the byte, in RESP2 and RESP3 and inside MULTI.
//! Hundreds of clients write while a gateway is killed, the plugin is swapped and a shard comes back empty: no key is without an
//! end at any moment. GUARD.UNLINK removes what was there when it began, and nothing else.

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::InProcess;
use sluicegate_tests::load::Load;
use sluicegate_tests::pattern_site::{PatternSite, Roaming};
use sluicegate_tests::plugins::{Entry, binding_rows, built, yaml_with};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::rng::Rng;
use sluicegate_tests::value::Value;

const CLIENTS: usize = 200;
const ENDS: &str = "{use: guard, keys: [\"*\"], config: {default_ttl: 1h}}";

fn pick<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.below(of.len())]
}

fn command(rng: &mut Rng) -> String {
    let (number, other) = (rng.below(4), rng.below(9));
    match rng.below(26) {
        0 => format!("SET s{number} {other}"),
        1 => format!(
            "SET s{number} {other} {}",
            pick(rng, &["NX", "XX", "GET", "NX GET", "KEEPTTL"])
        ),
        2 => format!("SET s{number} v EX {}", pick(rng, &["900", "0", "x"])),
        3 => format!("SETEX s{number} 900 v"),
        4 => format!("SETNX s{number} {other}"),
        5 => format!("MSET s{number} 1 t{other} 2"),
        6 => format!("APPEND s{number} 1"),
        7 => format!("{} s{number}", pick(rng, &["INCR", "DECR", "GET", "DEL"])),
        8 => format!("INCRBY s{number} {}", pick(rng, &["3", "x", "9223372036854775807"])),
        9 => format!("INCRBYFLOAT s{number} 0.1"),
        10 => format!("GETSET s{number} {other}"),
        11 => format!("SETRANGE s{number} 2 xy"),
        12 => format!("SETBIT s{number} {other} 1"),
        13 => format!("BITFIELD s{number} INCRBY u8 0 5 GET u4 0"),
        14 => format!("HSET h{number} f{other} v g w"),
        15 => format!("HINCRBYFLOAT h{number} n 1.5"),
        16 => format!("HSETNX h{number} f{other} v"),
        17 => format!("LPUSH l{number} a b"),
        18 => format!("RPUSH {}{number} c", pick(rng, &["l", "s"])),
        19 => format!("SADD set{number} a{other} b"),
        20 => format!(
            "ZADD z{number} {} a {other} b",
            pick(rng, &["1", "2.5", "CH 3", "NX 1", "GT 2"])
        ),
        21 => format!("ZADD z{number} INCR 0.1 a"),
        22 => format!("ZINCRBY z{number} 0.1 a"),
        23 => format!("GEOADD g{number} 13.4 52.5 berlin"),
        24 => format!("PFADD p{number} a{other}"),
        _ => format!("XADD x{number} 1-{} f v", rng.below(60)),
    }
}

fn same_as_plain(site: &PatternSite, plain: &RealServer, steps: usize) {
    for hello in ["HELLO 2", "HELLO 3"] {
        let mut rng = Rng::from_env(1);
        let (mut client, mut oracle) = (site.client(0), plain.client());
        for client in [&mut client, &mut oracle] {
            client.line(hello);
        }
        for shard in site.shards.iter().chain([plain]) {
            shard.client().line("FLUSHALL");
        }
        for step in 0..steps {
            let line = command(&mut rng);
            let what = format!("{hello}, step {step}: {line}");
            let wanted = oracle.line(&line);
            // A mistake would spoil the transaction when it is queued.
            if rng.one_in(3) && !wanted.is_error("") && !line.starts_with("MSET") {
                client.also("MULTI").also(&line).also("EXEC");
                assert_eq!(client.reply(), Value::ok(), "{what}");
                assert_eq!(client.reply(), Value::Simple(b"QUEUED".to_vec()), "{what}");
                assert_eq!(client.reply(), Value::Array(vec![wanted]), "{what} in MULTI");
            } else {
                assert_eq!(client.line(&line), wanted, "{what}");
            }
        }
        assert_eq!(immortal(site), Vec::<String>::new());
    }
}

/// Keys without an end.
fn immortal(site: &PatternSite) -> Vec<String> {
    let mut found = Vec::new();
    for shard in &site.shards {
        let mut client = shard.client();
        let Value::Array(keys) = client.line("KEYS *") else { panic!("no keys") };
        for key in keys {
            if client.command(&["PTTL", &key.text()]) == Value::Integer(-1) {
                found.push(key.text());
            }
        }
    }
    found
}

#[test]
fn replies_are_a_plain_servers_and_every_key_has_an_end() {
    same_as_plain(&PatternSite::start("guard", &[ENDS]), &RealServer::start(), 2_000);
    let Some(plain) = RealServer::start_valkey() else { return };
    let shards = (0..3).map(|_| plain.start_alike(&[])).collect();
    same_as_plain(&PatternSite::over(shards, "guard", &[ENDS]), &plain, 800);
}

fn write(client: &mut Roaming, user: usize, round: usize) {
    let lines = [
        format!("INCR count:{}", user % 40),
        format!("SET value:{user}:{} v", round % 30),
        format!("HSET hash:{} f{round} v", user % 40),
        format!("RPUSH list:{user} {round}"),
        format!("SET value:{user}:{} v KEEPTTL", round % 30),
        format!("DEL list:{user}"),
    ];
    let words: Vec<&str> = lines[round % lines.len()].split(' ').collect();
    client.command(&words);
}

#[test]
fn no_key_lives_for_ever_while_gateways_and_shards_die() {
    let mut site = PatternSite::start("guard", &[ENDS]);
    let load = Load::start(site.roaming(CLIENTS), write);
    for round in 0..4 {
        load.await_round();
        if round % 2 == 0 {
            site.kill_gateway(round / 2);
            // What the dead gateway has sent is on the shards now.
            assert_eq!(immortal(&site), Vec::<String>::new());
            load.await_round();
            site.replace_gateway(round / 2);
        } else {
            site.swap(&format!("guard {round}"));
        }
    }
    site.shards[0].kill();
    load.await_round();
    let key = site.key_on(0);
    site.revive_shard(0, &key);
    load.await_round();
    load.finish();
    assert_eq!(immortal(&site), Vec::<String>::new());
}

/// A gateway with a guard in front of counters and caches, that may scan.
fn guarded(shards: &[RealServer], config: &str) -> InProcess {
    let files = ["guard", "counter", "cache"].map(built);
    let granted = ["grant: {commands: [EVAL, SET, SCAN, UNLINK], wait: true, shared_bytes: 1KiB}"];
    let plugins = [
        Entry { name: "guard", file: &files[0], settings: &granted },
        Entry { name: "counter", file: &files[1], settings: &[] },
        Entry { name: "cache", file: &files[2], settings: &[] },
    ];
    let guard = format!("{{use: guard, keys: [\"*\"], config: {{{config}}}}}");
    let bindings =
        ["{use: counter, keys: [\"views:*\"]}", "{use: cache, keys: [\"cache:*\"]}", &guard];
    InProcess::start(&yaml_with(shards, &plugins, &bindings))
}

#[test]
fn what_walks_or_empties_every_shard_is_refused_and_other_patterns_keep_their_keys() {
    let shards = RealServer::start_many(3);
    let gateway = guarded(
        &shards,
        "deny: [keys, flushall, flushdb, hgetall], default_ttl: 1h, max_value: 1KiB",
    );
    let mut client = gateway.client();
    for (line, instead) in [
        ("KEYS *", "use SCAN"),
        ("FLUSHALL", "use GUARD.UNLINK"),
        ("FLUSHDB ASYNC", "use GUARD.UNLINK"),
        ("HGETALL h", "use HMGET or HSCAN"),
    ] {
        let reply = client.line(line);
        assert!(reply.is_error("ERR guard: '") && reply.text().contains(instead), "{reply:?}");
        client.also("MULTI").also(line).also("EXEC");
        let replies = [client.reply(), client.reply(), client.reply()];
        // What asks every shard no transaction can do, guarded or not.
        let is_refused = replies[2].is_error("EXECABORT");
        let why = format!("{replies:?}");
        assert!(is_refused || why.contains("refused here"), "{line}: {why}");
    }
    assert!(client.command(&["SET", "big", &"v".repeat(1_025)]).is_error("ERR guard: 'set'"));
    // The patterns before it know best: a counter without an end of its own, a cached value with its grace.
    assert_eq!(client.line("INCR views:1"), Value::Integer(1));
    client.line("SETEX cache:1 100 v");
    assert_eq!(client.line("TTL views:1"), Value::Integer(-1));
    assert_eq!(client.line("GET cache:1"), Value::bulk("v"));
    client.line("SET plain v");
    let Value::Integer(seconds) = client.line("TTL plain") else { panic!("no integer") };
    assert!((3_590..=3_600).contains(&seconds));
    let rows = binding_rows(&mut client);
    assert!(rows.iter().all(|row| row.number("crashes") == 0), "{rows:?}");
}

/// Unlinks by pattern until the cursor is 0; how many keys.
fn unlink_all(client: &mut Client, pattern: &str) -> i64 {
    let (mut cursor, mut gone) = ("0".to_owned(), 0);
    loop {
        let reply = client.command(&["GUARD.UNLINK", pattern, &cursor]);
        let Value::Array(row) = &reply else { panic!("{reply:?}") };
        let Value::Integer(count) = row[1] else { panic!("{reply:?}") };
        (cursor, gone) = (row[0].text(), gone + count);
        if cursor == "0" {
            return gone;
        }
    }
}

#[test]
fn unlink_by_pattern_removes_what_was_there_and_nothing_else_while_clients_go_on() {
    let shards = RealServer::start_many(3);
    let gateway = guarded(&shards, "");
    let mut client = gateway.client();
    for piece in 0..50 {
        let mut words = vec!["MSET".to_owned()];
        for number in 0..400 {
            let prefix = if number % 4 == 0 { "keep" } else { "old" };
            words.extend([format!("{prefix}:{piece}:{number}"), "v".to_owned()]);
        }
        assert_eq!(client.command(&words), Value::ok());
    }
    let clients = (0..8).map(|_| gateway.client()).collect();
    let load = Load::start(clients, |client: &mut Client, user, round| {
        let key = format!("keep:{}:{}", round % 50, (user * 4) % 400);
        assert_eq!(client.command(&["GET", &key]), Value::bulk("v"));
        client.command(&["SET", &format!("new:{user}:{}", round % 100), "v"]);
    });
    load.await_round();
    assert_eq!(unlink_all(&mut client, "old:*"), 15_000);
    load.await_round();
    load.finish();
    let count = |pattern: &str| -> usize {
        let keys = shards.iter().map(|shard| shard.client().line(&format!("KEYS {pattern}")));
        keys.map(|keys| if let Value::Array(keys) = keys { keys.len() } else { 0 }).sum()
    };
    assert_eq!((count("old:*"), count("keep:*")), (0, 5_000));
    assert!(count("new:*") > 0);
    // Without the grant it says what is missing.
    let file = built("guard");
    let plugins = [Entry { name: "guard", file: &file, settings: &[] }];
    let gateway = InProcess::start(&yaml_with(&shards, &plugins, &["{use: guard, keys: [\"*\"]}"]));
    let reply = gateway.client().line("GUARD.UNLINK keep:*");
    assert!(reply.is_error("") && reply.text().contains("grant.commands"), "{reply:?}");
}
