//! The `counter` pattern's guarantee, over two gateways and three shards: no increment is lost or doubled, and a base counts once.
//!
//! Without a ttl every command is asked here and of one plain Redis, and the replies are compared to the byte: the scripts run
//! on real servers. Then many clients count, load bases and restore them, some twice, while gateways die and the plugin is
//! swapped: in the end each value lies between what was acknowledged and that with what has an unknown outcome. A worker that
//! backs up meanwhile ends up with every value.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use sluicegate_tests::load::Load;
use sluicegate_tests::pattern_site::{PatternSite, Roaming};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::rng::Rng;
use sluicegate_tests::value::Value;

const CLIENTS: usize = 100;
const COUNTERS: usize = 20;
const BINDING: &str = "{use: counter, keys: [\"views:*\"], config: {restore_lease: 300ms}}";

fn command(rng: &mut Rng) -> String {
    let key = format!("views:{}", rng.below(3));
    let number =
        *rng.pick(&[&"1", &"-1", &"7", &"40", &"9223372036854775807", &"-9223372036854775808"]);
    let ms = *rng.pick(&[&"100000", &"200000", &"0", &"-5"]);
    let condition = *rng.pick(&[&"", &" NX", &" XX", &" GET", &" NX GET", &" XX GET"]);
    let end = *rng.pick(&[&"", &" KEEPTTL", &" PX 500000", &" EX 200", &" EXAT 99999999999"]);
    match rng.below(24) {
        0..4 => format!("INCR {key}"),
        4 => format!("INCRBY {key} {number}"),
        5 => format!("DECR {key}"),
        6 => format!("DECRBY {key} {number}"),
        7..10 => format!("GET {key}"),
        10 => format!("MGET views:0 {key} views:none views:1"),
        11 => format!("SET {key} {number}{condition}{end}"),
        12 => format!("SETEX {key} 200 5"),
        13 => format!("PSETEX {key} {ms} 6"),
        14 => format!("SETNX {key} 8"),
        15 => format!("GETSET {key} 9"),
        16 => format!("GETDEL {key}"),
        17 => format!("PEXPIRE {key} {ms}"),
        18 => format!("TTL {key}"),
        19 => format!("PERSIST {key}"),
        20 => format!("DEL {key}"),
        21 => format!("EXISTS {key} views:none"),
        22 => format!("INCRBY {key} x"),
        _ => format!("TYPE {key}"),
    }
}

#[test]
fn every_command_answers_as_one_redis_does() {
    let site = PatternSite::start("counter", &[BINDING]);
    let plain = RealServer::start();
    for hello in ["HELLO 2", "HELLO 3"] {
        let mut rng = Rng::from_env(1);
        let mut clients = site.clients(2);
        let mut oracle = plain.client();
        for client in clients.iter_mut().chain([&mut oracle]) {
            client.line(hello);
            client.line("FLUSHALL");
        }
        for step in 0..4_000 {
            let line = command(&mut rng);
            let client = &mut clients[rng.below(2)];
            let wanted = oracle.line(&line);
            let what = format!("{hello}, step {step}: {line}");
            if rng.one_in(4) {
                client.also("MULTI").also(&line).also("EXEC");
                assert_eq!(client.reply(), Value::ok(), "{what}");
                let queued = client.reply();
                assert!(queued == Value::Simple(b"QUEUED".to_vec()), "{what}: {queued:?}");
                match client.reply() {
                    // What cannot be right is refused before it is carried out.
                    Value::Error(_) => assert!(wanted.is_error(""), "{what} in MULTI"),
                    reply => assert_eq!(reply, Value::Array(vec![wanted]), "{what} in MULTI"),
                }
            } else {
                assert_eq!(client.line(&line), wanted, "{what}");
            }
        }
    }
}

#[test]
fn several_counters_are_read_inside_multi() {
    let site = PatternSite::start("counter", &[BINDING]);
    let mut client = site.client(0);
    client.line("INCR views:{x}:1");
    client.line("RPUSH views:{x}:list a");
    let shard = &site.shards[site.shard_of("views:{x}:1")];
    assert_eq!(shard.client().line("SET views:{x}:old 7"), Value::ok());
    let values = [Value::bulk("2"), Value::bulk("7"), Value::Null, Value::Null];
    client.also("MULTI").also("INCR views:{x}:1");
    client.also("MGET views:{x}:1 views:{x}:old views:{x}:list views:{x}:none").send(&["EXEC"]);
    (0..3).for_each(|_| drop(client.reply()));
    let wanted = vec![Value::Integer(2), Value::Array(values.to_vec())];
    assert_eq!(client.reply(), Value::Array(wanted));
    // A transaction that only reads may ask every shard: each piece is the plugin's.
    let keys: Vec<String> = (0..20).map(|number| format!("views:{number}")).collect();
    for (number, key) in keys.iter().enumerate() {
        client.command(&["INCRBY", key, &number.to_string()]);
    }
    client
        .also("MULTI")
        .also(&format!("MGET {}", keys.join(" ")))
        .also("GET views:7")
        .send(&["EXEC"]);
    (0..3).for_each(|_| drop(client.reply()));
    let values = (0..20).map(|number| Value::bulk(number.to_string())).collect();
    assert_eq!(client.reply(), Value::Array(vec![Value::Array(values), Value::bulk("7")]));
}

/// What is known of one counter.
#[derive(Debug, Default)]
struct Known {
    acknowledged: AtomicI64,
    unknown: AtomicI64,
    restored: AtomicI64,
}

struct Crowd {
    counters: Vec<Known>,
}

fn base(counter: usize) -> i64 {
    10_000 * (counter as i64 + 1)
}

impl Crowd {
    fn new() -> Arc<Crowd> {
        Arc::new(Crowd { counters: (0..COUNTERS).map(|_| Known::default()).collect() })
    }

    fn round(&self, client: &mut Roaming, user: usize, round: usize) {
        let number = (user + round) % COUNTERS;
        let (key, known) = (format!("views:page:{number}"), &self.counters[number]);
        let plain = round.is_multiple_of(3);
        let name = if plain { "INCR" } else { "COUNTER.INCR" };
        match client.command(&[name, &key]) {
            Some(Value::Integer(_)) if plain => {
                known.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            Some(Value::Array(parts)) if !plain => {
                known.acknowledged.fetch_add(1, Ordering::SeqCst);
                assert!(matches!(parts[0], Value::Integer(_)), "{parts:?}");
                // Some who are asked to load the base never do; some do it twice.
                if parts[1] != Value::Null && !user.is_multiple_of(3) {
                    let base = base(number).to_string();
                    for _ in 0..1 + user % 2 {
                        let reply = client.command(&["COUNTER.RESTORE", &key, &base, "5"]);
                        if reply.is_some_and(|reply| matches!(reply, Value::Integer(_))) {
                            known.restored.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            }
            Some(other) => panic!("{other:?}"),
            None => {
                known.unknown.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

#[test]
fn sums_hold_while_gateways_die_and_the_plugin_is_swapped() {
    let mut site = PatternSite::start("counter", &[BINDING]);
    let crowd = Crowd::new();
    let work = Arc::clone(&crowd);
    let load = Load::start(site.roaming(CLIENTS), move |client, user, round| {
        work.round(client, user, round);
    });
    for round in 0..4 {
        load.await_round();
        if round % 2 == 0 {
            site.kill_gateway(round / 2);
            load.await_round();
            site.replace_gateway(round / 2);
        } else {
            site.swap(&format!("counter {round}"));
        }
    }
    load.await_round();
    load.finish();
    let mut client = site.client(0);
    for (number, known) in crowd.counters.iter().enumerate() {
        let key = format!("views:page:{number}");
        let acknowledged = known.acknowledged.load(Ordering::SeqCst);
        let unknown = known.unknown.load(Ordering::SeqCst);
        // Whoever is late with the base changes nothing.
        let base = base(number);
        let reply = client.command(&["COUNTER.RESTORE", &key, &base.to_string(), "5"]);
        let Value::Integer(value) = reply else { panic!("{reply:?}") };
        let least = base + acknowledged;
        assert!((least..=least + unknown).contains(&value), "{key}: {value}, {known:?}");
        assert!(acknowledged > 0, "{key}: {known:?}");
        assert_eq!(client.command(&["GET", &key]), Value::bulk(value.to_string()));
    }
    let restored: i64 =
        crowd.counters.iter().map(|known| known.restored.load(Ordering::SeqCst)).sum();
    assert!(restored > 0, "nobody has loaded a base");
}

/// A database that is told of counters: per key a value and its version, of which it takes only higher ones.
type Database = Mutex<HashMap<String, (i64, i64)>>;

fn saved(database: &Database, key: &str) -> (i64, i64) {
    let known = database.lock().expect("no thread has failed");
    known.get(key).copied().unwrap_or((0, 0))
}

/// One round of the worker that backs up; gives how many it was handed. The connection may break anywhere.
fn back_up(client: &mut Roaming, database: &Database) -> Option<usize> {
    let Value::Array(rows) = client.command(&["COUNTER.DIRTY", "60"])? else { return None };
    for row in rows.chunks(3) {
        let [key, Value::Integer(value), Value::Integer(version)] = row else { panic!("{row:?}") };
        let mut known = database.lock().expect("no thread has failed");
        let slot = known.entry(key.text()).or_insert((0, 0));
        if *version > slot.1 {
            *slot = (*value, *version);
        }
        drop(known);
        client.command(&["COUNTER.ACK", &key.text(), &version.to_string()])?;
    }
    Some(rows.len() / 3)
}

fn restore(client: &mut Roaming, database: &Database, key: &str) -> Option<Value> {
    let (base, version) = saved(database, key);
    client.command(&["COUNTER.RESTORE", key, &base.to_string(), &version.to_string()])
}

#[test]
fn backup_has_every_value_once_nothing_is_dirty_whatever_died_meanwhile() {
    let binding = "{use: counter, keys: [\"views:*\"], config: {restore_lease: 300ms, backup: \"views:saved\"}}";
    let mut site = PatternSite::start("counter", &[binding]);
    let database: Arc<Database> = Arc::default();
    let known = Arc::clone(&database);
    let load = Load::start(site.roaming(40), move |client, user, round| {
        let key = format!("views:page:{}", (user + round) % COUNTERS);
        if user == 0 {
            back_up(client, &known);
        } else if let Some(Value::Array(parts)) = client.command(&["COUNTER.INCR", &key])
            && parts[1] != Value::Null
        {
            restore(client, &known, &key);
        }
    });
    for round in 0..3 {
        load.await_round();
        site.kill_gateway(round % 2);
        load.await_round();
        site.replace_gateway(round % 2);
        site.swap(&format!("backup {round}"));
        site.shards[round].kill();
        load.await_round();
        let key = site.key_on(round);
        site.revive_shard(round, &key);
    }
    load.await_round();
    load.finish();
    let mut client = site.roaming(1).remove(0);
    let keys: Vec<String> = (0..COUNTERS).map(|number| format!("views:page:{number}")).collect();
    for key in &keys {
        restore(&mut client, &database, key);
    }
    while back_up(&mut client, &database) != Some(0) {}
    for key in &keys {
        let (value, _) = saved(&database, key);
        assert!(value > 0, "{key}");
        assert_eq!(client.command(&["GET", key]), Some(Value::bulk(value.to_string())), "{key}");
    }
    // The registries are no keys of the application.
    let Some(Value::Array(page)) = client.command(&["SCAN", "0", "COUNT", "1000"]) else {
        panic!("no page")
    };
    let Value::Array(shown) = &page[1] else { panic!("no keys") };
    assert!(shown.iter().all(|key| !key.text().contains(":sg:")), "{shown:?}");
}

/// `[value, token]` of COUNTER.INCR.
fn told(reply: Value) -> (i64, Option<String>) {
    match reply {
        Value::Array(parts) => match &parts[..] {
            [Value::Integer(value), Value::Null] => (*value, None),
            [Value::Integer(value), token] => (*value, Some(token.text())),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn counter_that_its_shard_has_lost_is_restored_and_loses_only_what_was_not_backed_up() {
    let mut site = PatternSite::start("counter", &[BINDING]);
    let mut clients = site.clients(2);
    let key = "views:page:1";
    for count in 1..=30 {
        assert_eq!(clients[count % 2].command(&["INCR", key]), Value::Integer(count as i64));
    }
    // The backup has 25 of them.
    let shard = site.shard_of(key);
    site.lose_shard(shard, key);
    let (value, token) = told(clients[0].command(&["COUNTER.INCR", key]));
    assert_eq!(value, 1);
    assert!(token.is_some(), "this caller is to load the base");
    assert_eq!(told(clients[1].command(&["COUNTER.INCR", key])), (2, None));
    assert_eq!(clients[0].command(&["COUNTER.RESTORE", key, "25", "1"]), Value::Integer(27));
    assert_eq!(clients[1].command(&["COUNTER.RESTORE", key, "25", "1"]), Value::Integer(27));
    assert_eq!(told(clients[1].command(&["COUNTER.INCR", key])), (28, None));
}

#[test]
fn fixed_and_sliding_ends_are_there_from_the_first_increment_on() {
    for (mode, bounds) in [("fixed", 1..=50_000), ("sliding", 50_001..=100_000)] {
        let binding =
            format!("{{use: counter, keys: [\"views:*\"], config: {{ttl: 100s, expire: {mode}}}}}");
        let site = PatternSite::start("counter", &[&binding]);
        let mut client = site.client(0);
        assert_eq!(client.line("INCR views:a"), Value::Integer(1));
        let Value::Integer(ms) = client.line("PTTL views:a") else { panic!("no PTTL") };
        assert!((50_001..=100_000).contains(&ms), "{mode}: {ms}");
        // As if half of its time were over.
        let shard = &site.shards[site.shard_of("views:a")];
        assert_eq!(shard.client().line("PEXPIRE views:a 50000"), Value::Integer(1));
        client.line("MULTI");
        client.line("INCRBY views:a 4");
        assert_eq!(client.line("EXEC"), Value::Array(vec![Value::Integer(5)]));
        let Value::Integer(ms) = client.line("PTTL views:a") else { panic!("no PTTL") };
        assert!(bounds.contains(&ms), "{mode}: {ms}");
    }
}
