//! The `pack` pattern: packed strings answer as plain ones, over two gateways and three shards.
//!
//! Every command is asked here and on one plain Redis and Valkey, to the byte, in RESP2 and RESP3 and inside MULTI. Hundreds of
//! clients write and read their own keys while a gateway is killed, the plugin is swapped and a shard comes back empty: nothing
//! that was acknowledged is missed. Keys that were there before are adopted under traffic, and none is lost or comes back.

use std::sync::{Arc, Mutex};

use sluicegate_tests::gateway::InProcess;
use sluicegate_tests::load::Load;
use sluicegate_tests::pattern_site::{PatternSite, Roaming};
use sluicegate_tests::plugins::{Entry, built, yaml_with};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::rng::Rng;
use sluicegate_tests::value::Value;

const CLIENTS: usize = 200;
const BINDING: &str = "{use: pack, keys: [\"obj:*\"], config: {prefix: \"obj:\", buckets: 64}}";

fn pick<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.below(of.len())]
}

fn command(rng: &mut Rng) -> String {
    let (key, other) = (format!("obj:{}", rng.below(12)), format!("obj:{}", rng.below(12)));
    let value =
        pick(rng, &["1", "-7", "text", "a", "3.5", "0123456789012345678901234567890123456789"]);
    // Times far ahead, so that none passes between this and the oracle.
    let at = 4_000_000_000_u64 + rng.below(3) as u64;
    match rng.below(36) {
        0..4 => format!("SET {key} {value}"),
        4 => format!("SET {key} {value} EXAT {at}"),
        5 => format!(
            "SET {key} {value} {}",
            pick(rng, &["NX", "XX", "GET", "KEEPTTL", "NX GET", "EX 0"])
        ),
        6 => format!("MSET {key} {value} {other} b"),
        7..10 => format!("GET {key}"),
        10 => format!("MGET {key} {other} obj:none {key}"),
        11 => format!("SETNX {key} {value}"),
        12 => format!("GETSET {key} {value}"),
        13 => format!("GETDEL {key}"),
        14 => format!("GETEX {key} EXAT {at}"),
        15 => format!("GETEX {key} PERSIST"),
        16 => format!("APPEND {key} x"),
        17 => format!("STRLEN {key}"),
        18 => format!("SETRANGE {key} {} yy", pick(rng, &["0", "5", "-1"])),
        19 => format!("GETRANGE {key} {} {}", rng.between(-4, 4), rng.between(-4, 9)),
        20 => format!("INCR {key}"),
        21 => format!("DECRBY {key} {}", pick(rng, &["3", "x"])),
        22 => format!("INCRBYFLOAT {key} 0.1"),
        23 => format!("SETBIT {key} 7 1"),
        24 => format!("GETBIT {key} {}", rng.below(20)),
        25 => format!("BITCOUNT {key}"),
        26 => format!("BITFIELD {key} INCRBY u4 0 3"),
        27 => format!("DEL {key} {other}"),
        28 => format!("EXISTS {key} {other} {key}"),
        29 => format!("{} {key}", pick(rng, &["EXPIRETIME", "PEXPIRETIME", "TYPE", "TOUCH"])),
        30 => format!("EXPIREAT {key} {at} {}", pick(rng, &["NX", "XX", "GT", "LT"])),
        31 => format!("PERSIST {key}"),
        32 => format!("EXPIRE {key} {}", pick(rng, &["0", "-1", "x"])),
        33 => format!("UNLINK {key}"),
        34 => format!("SUBSTR {key} 0 2"),
        _ => format!("BITPOS {key} 1"),
    }
}

fn same_as_plain(site: &PatternSite, plain: &RealServer, steps: usize) {
    for hello in ["HELLO 2", "HELLO 3"] {
        let mut rng = Rng::from_env(1);
        let mut clients = site.clients(2);
        let mut oracle = plain.client();
        for client in clients.iter_mut().chain([&mut oracle]) {
            client.line(hello);
            client.line("FLUSHALL");
        }
        for step in 0..steps {
            let line = command(&mut rng);
            let client = &mut clients[rng.below(2)];
            let wanted = oracle.line(&line);
            let what = format!("{hello}, step {step}: {line}");
            let is_split =
                ["MSET", "DEL", "EXISTS", "MGET"].iter().any(|name| line.starts_with(name));
            if rng.one_in(3) && !is_split && !wanted.is_error("") {
                client.also("MULTI").also(&line).also("EXEC");
                assert_eq!(client.reply(), Value::ok(), "{what}");
                assert_eq!(client.reply(), Value::Simple(b"QUEUED".to_vec()), "{what}");
                assert_eq!(client.reply(), Value::Array(vec![wanted]), "{what} in MULTI");
            } else {
                assert_eq!(client.line(&line), wanted, "{what}");
            }
        }
        // MGET inside MULTI, over buckets of all shards.
        let keys: Vec<String> = (0..12).map(|number| format!("obj:{number}")).collect();
        let mget = format!("MGET {}", keys.join(" "));
        let wanted = oracle.line(&mget);
        clients[0].also("MULTI").also(&mget).also("EXEC");
        let replies = [clients[0].reply(), clients[0].reply(), clients[0].reply()];
        assert_eq!(replies[2], Value::Array(vec![wanted]));
    }
}

#[test]
fn every_command_answers_as_one_plain_server() {
    same_as_plain(&PatternSite::start("pack", &[BINDING]), &RealServer::start(), 3_000);
    let Some(plain) = RealServer::start_valkey() else { return };
    let shards = (0..3).map(|_| plain.start_alike(&[])).collect();
    same_as_plain(&PatternSite::over(shards, "pack", &[BINDING]), &plain, 1_000);
}

/// What one client knows of its keys: the last value that was acknowledged, and one that may be there.
#[derive(Default, Clone)]
struct Known {
    value: Option<String>,
    in_doubt: Vec<String>,
}

const OWN: usize = 4;

struct Crowd {
    known: Vec<Mutex<Vec<Known>>>,
}

impl Crowd {
    fn new() -> Arc<Crowd> {
        let of_client = || Mutex::new(vec![Known::default(); OWN]);
        Arc::new(Crowd { known: (0..CLIENTS).map(|_| of_client()).collect() })
    }

    fn round(&self, client: &mut Roaming, user: usize, round: usize, may_lose: bool) {
        let mut known = self.known[user].lock().expect("no thread has failed");
        let number = round % OWN;
        let (key, value) = (format!("obj:{user}:{number}"), format!("value {round}"));
        // Packed, then plain, then packed again.
        let reply = match round / OWN % 3 {
            0 => client.command(&["SET", &key, &value]),
            1 => client.command(&["SET", &key, &value, "EX", "9000"]),
            _ => client.command(&["MSET", &key, &value, &format!("obj:{user}:other"), "x"]),
        };
        match reply {
            Some(reply) if reply == Value::ok() => {
                known[number] = Known { value: Some(value), in_doubt: Vec::new() };
            }
            Some(Value::Error(_)) if may_lose => known[number].in_doubt.push(value),
            Some(other) => panic!("{other:?}"),
            None => known[number].in_doubt.push(value),
        }
        let keys: Vec<String> = (0..OWN).map(|number| format!("obj:{user}:{number}")).collect();
        let words: Vec<&str> =
            std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
        let Some(Value::Array(rows)) = client.command(&words) else { return };
        for (row, known) in rows.iter().zip(known.iter()) {
            let text = (*row != Value::Null).then(|| row.text());
            let is_known =
                text == known.value || text.is_some_and(|text| known.in_doubt.contains(&text));
            assert!(may_lose || is_known, "client {user}: {row:?}, known {:?}", known.value);
        }
    }
}

#[test]
fn acknowledged_values_are_there_while_gateways_die_and_the_plugin_is_swapped() {
    let mut site = PatternSite::start("pack", &[BINDING]);
    let crowd = Crowd::new();
    let work = Arc::clone(&crowd);
    let load = Load::start(site.roaming(CLIENTS), move |client, user, round| {
        work.round(client, user, round, false);
    });
    for round in 0..4 {
        load.await_round();
        if round % 2 == 0 {
            site.kill_gateway(round / 2);
            load.await_round();
            site.replace_gateway(round / 2);
        } else {
            site.swap(&format!("pack {round}"));
        }
    }
    load.await_round();
    load.finish();
}

#[test]
fn shard_that_comes_back_empty_loses_its_buckets_and_takes_new_ones() {
    let mut site = PatternSite::start("pack", &[BINDING]);
    let crowd = Crowd::new();
    let work = Arc::clone(&crowd);
    let load = Load::start(site.roaming(CLIENTS), move |client, user, round| {
        work.round(client, user, round, true);
    });
    for shard in 0..3 {
        load.await_round();
        site.shards[shard].kill();
        load.await_round();
        let key = site.key_on(shard);
        site.revive_shard(shard, &key);
    }
    load.await_round();
    load.finish();
    let mut client = site.client(0);
    for user in 0..CLIENTS {
        let key = format!("obj:{user}:0");
        assert_eq!(client.command(&["SET", &key, "new"]), Value::ok());
        assert_eq!(client.command(&["GET", &key]), Value::bulk("new"));
    }
}

#[test]
fn keys_that_were_there_are_adopted_under_traffic_and_deleted_ones_stay_away() {
    const KEYS: usize = 600;
    let shards = RealServer::start_many(3);
    let file = built("pack");
    let plugins = [Entry { name: "pack", file: &file, settings: &[] }];
    let before = InProcess::start(&yaml_with(
        &shards,
        &plugins,
        &["{use: pack, keys: [\"none:*\"], config: {prefix: \"none:\"}}"],
    ));
    let mut client = before.client();
    for number in 0..KEYS {
        let key = format!("obj:{number}");
        match number % 3 {
            0 => client.command(&["SET", &key, &number.to_string(), "EX", "9000"]),
            _ => client.command(&["SET", &key, &number.to_string()]),
        };
    }
    let binding =
        "{use: pack, keys: [\"obj:*\"], config: {prefix: \"obj:\", buckets: 64, adopt: true}}";
    let gateways: Vec<InProcess> =
        (0..2).map(|_| InProcess::start(&yaml_with(&shards, &plugins, &[binding]))).collect();
    std::thread::scope(|scope| {
        for user in 0..16 {
            let mut client = gateways[user % 2].client();
            scope.spawn(move || {
                let mut rng = Rng::from_env(user as u64);
                for _ in 0..KEYS {
                    let number = rng.below(KEYS);
                    let key = format!("obj:{number}");
                    // Every fourth key is deleted by somebody, every fourth counted.
                    let reply = match number % 4 {
                        0 => client.command(&["DEL", &key]),
                        1 => client.command(&["INCR", &key]),
                        _ => client.command(&["GET", &key]),
                    };
                    match (number % 4, reply) {
                        (0, Value::Integer(0 | 1)) => {}
                        (1, Value::Integer(sum)) => assert!(sum > number as i64, "{key}: {sum}"),
                        (2.., reply) => assert_eq!(reply, Value::bulk(number.to_string()), "{key}"),
                        (_, reply) => panic!("{key}: {reply:?}"),
                    }
                }
            });
        }
    });
    let mut client = gateways[1].client();
    for number in 0..KEYS {
        let key = format!("obj:{number}");
        if number % 4 == 0 {
            client.command(&["DEL", &key]);
            assert_eq!(client.command(&["GET", &key]), Value::Null, "{key} came back");
        } else {
            assert!(client.command(&["GET", &key]) != Value::Null, "{key} is lost");
            let Value::Integer(left) = client.command(&["TTL", &key]) else { panic!("no integer") };
            assert_eq!(left > 0, number % 3 == 0, "{key}: {left}");
        }
    }
    // Nothing is left at its old place: what is there has no end only as a bucket.
    let mut buckets = 0;
    for shard in &shards {
        let mut client = shard.client();
        let Value::Array(keys) = client.line("KEYS obj:*") else { panic!("no keys") };
        for key in keys {
            let is_bucket = client.command(&["TYPE", &key.text()]).text() == "hash";
            buckets += usize::from(is_bucket);
            let has_end = client.command(&["PTTL", &key.text()]) != Value::Integer(-1);
            assert!(is_bucket || has_end, "{}", key.text());
        }
    }
    assert!((40..=64).contains(&buckets), "{buckets}");
}
