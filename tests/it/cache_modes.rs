//! The `cache` pattern's leases while gateways die: one leader per key, by connection and by token, one key or many at once.
//!
//! Two gateways over three shards. A leader that is overtaken by a deletion or a newer write has its fill refused, on Redis and on
//! Valkey. Then two hundred clients read, by GET, MGET and CACHE.GET, while a gateway is killed, the plugin is swapped and
//! a shard comes back empty: no two compute a value at the same time, but once for each loss of a shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sluicegate_tests::client::Client;
use sluicegate_tests::load::Load;
use sluicegate_tests::pattern_site::{PatternSite, Roaming};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

const CLIENTS: usize = 200;
const KEYS: usize = 12;
/// `error`: nil is only ever told to who leads.
const HERD: &str = "grace: 60s, lease: 5s, wait: 1s, on_wait_timeout: error";

fn binding(mode: &str, settings: &str) -> String {
    format!("{{use: cache, keys: [\"cache:*\"], config: {{lease_mode: {mode}, {settings}}}}}")
}

/// A leader, then something else, then its fill: whether it was taken.
fn fills_after(site: &PatternSite, mode: &str, number: usize, between: &[&str]) -> bool {
    let key = format!("cache:late:{mode}:{number}");
    let (mut leader, mut other) = (site.client(0), site.client(1));
    let token = lead(&mut leader, mode, &key);
    for line in between {
        let reply = other.line(&line.replace("KEY", &key));
        assert!(!reply.is_error(""), "{line}: {reply:?}");
    }
    match token {
        Some(token) => {
            // From another connection, of another gateway.
            other.command(&["CACHE.FILL", &key, &token, "60", "mine"]);
        }
        None => assert_eq!(leader.command(&["SETEX", &key, "60", "mine"]), Value::ok()),
    }
    site.client(1).command(&["GET", &key]) == Value::bulk("mine")
}

fn lead(client: &mut Client, mode: &str, key: &str) -> Option<String> {
    if mode != "token" {
        assert_eq!(client.command(&["GET", key]), Value::Null);
        return None;
    }
    let Value::Array(row) = client.command(&["CACHE.GET", key]) else { panic!("no row") };
    assert_eq!(row[0], Value::Null);
    Some(row[1].text())
}

#[test]
fn fill_that_was_overtaken_is_refused_where_its_leader_is_known() {
    let redis = || RealServer::start_many(3);
    let mut kinds = vec![redis()];
    match (0..3).map(|_| RealServer::start_valkey()).collect::<Option<Vec<_>>>() {
        Some(servers) => kinds.push(servers),
        None => eprintln!("SKIPPED fill_that_was_overtaken on Valkey: no valkey-server"),
    }
    for shards in kinds {
        let mut shards = Some(shards);
        for mode in ["conn", "token", "key"] {
            let shards = shards.take().unwrap_or_else(redis);
            let settings = "grace: 600s, lease: 600s, wait: 0ms";
            let site = PatternSite::over(shards, "cache", &[&binding(mode, settings)]);
            for (number, (between, is_taken)) in [
                (&[][..], true),
                (&["DEL KEY"][..], false),
                (&["UNLINK cache:none KEY"], false),
                (&["SETEX KEY 60 newer"], false),
                (&["MSET KEY newer"], false),
                (&["SET KEY newer NX"], false),
                (&["EXPIRE KEY 0"], false),
                (&["DEL KEY", "GET KEY"], false),
                (&["TTL KEY", "SET KEY x XX"], true),
            ]
            .into_iter()
            .enumerate()
            {
                let taken = fills_after(&site, mode, number, between);
                assert_eq!(taken, is_taken || mode == "key", "{mode}: {between:?}");
            }
        }
    }
}

#[test]
fn mget_reads_keys_of_all_shards_and_each_missing_one_has_one_leader() {
    let site =
        PatternSite::start("cache", &[&binding("key", "grace: 600s, lease: 600s, wait: 5s")]);
    let keys: Vec<String> = (0..200).map(|number| format!("cache:many:{number}")).collect();
    let mget: Vec<&str> = std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
    let (mut first, mut second) = (site.client(0), site.client(1));
    assert_eq!(first.command(&mget), Value::Array(vec![Value::Null; 200]), "it leads all");
    second.send(&mget);
    let mut words = vec!["MSET".to_owned()];
    words.extend(keys.iter().flat_map(|key| [key.clone(), format!("v {key}")]));
    assert_eq!(first.command(&words), Value::ok());
    let values: Vec<Value> = keys.iter().map(|key| Value::bulk(format!("v {key}"))).collect();
    assert_eq!(second.reply(), Value::Array(values.clone()), "it has waited");
    // Other keys, of no binding and of other types, in the same command; and inside MULTI.
    second.line("SET plain text");
    second.line("LPUSH cache:list item");
    let mixed = ["MGET", "plain", &keys[7], "cache:list", "none"];
    let wanted = [Value::bulk("text"), values[7].clone(), Value::Null, Value::Null];
    assert_eq!(second.command(&mixed), Value::Array(wanted.to_vec()));
    second.also("MULTI").also(&mget.join(" ")).also("EXEC");
    let replies = [second.reply(), second.reply(), second.reply()];
    assert!(replies[2] == Value::Array(vec![Value::Array(values)]), "inside MULTI");
}

#[test]
fn dear_value_is_led_before_its_end_while_all_others_have_it() {
    let settings = "early_refresh: 10, grace: 600s, lease: 600s";
    let site = PatternSite::start("cache", &[&binding("key", settings)]);
    let mut leader = site.client(0);
    // What a recompute takes is measured: here as long as this takes, some 100 ms.
    assert_eq!(leader.line("GET cache:dear"), Value::Null);
    let begun = std::time::Instant::now();
    eventually_true("some time to pass", || begun.elapsed().as_millis() > 100);
    leader.line("PSETEX cache:dear 20000 v");
    let mut led = false;
    eventually_true("somebody to be drawn", || {
        led = leader.line("GET cache:dear") == Value::Null;
        led
    });
    let Value::Integer(left_ms) = leader.line("PTTL cache:dear") else { panic!("no integer") };
    assert!(left_ms > 0, "before its end");
    for gateway in 0..2 {
        assert_eq!(site.client(gateway).line("GET cache:dear"), Value::bulk("v"));
    }
}

/// Who computes what.
#[derive(Default)]
struct Crowd {
    busy: Vec<AtomicBool>,
    computed: AtomicUsize,
    overlaps: AtomicUsize,
}

impl Crowd {
    fn new() -> Arc<Crowd> {
        let busy = (0..KEYS).map(|_| AtomicBool::new(false)).collect();
        Arc::new(Crowd { busy, ..Crowd::default() })
    }

    /// This client computes: nobody else may. Values are fresh for some milliseconds only.
    fn compute(&self, client: &mut Roaming, number: usize, token: Option<&str>) {
        if self.busy[number].swap(true, Ordering::SeqCst) {
            self.overlaps.fetch_add(1, Ordering::SeqCst);
        }
        let value = self.computed.fetch_add(1, Ordering::SeqCst).to_string();
        let key = key(number);
        // Before its reply the next may lead already.
        self.busy[number].store(false, Ordering::SeqCst);
        let _ = match token {
            Some(token) => client.command(&["CACHE.FILL", &key, token, "1", &value]),
            None => client.command(&["PSETEX", &key, "40", &value]),
        };
    }

    fn round(&self, client: &mut Roaming, user: usize, round: usize, mode: &str) {
        let number = (user + round) % KEYS;
        match (mode, round % 3) {
            ("token", _) => {
                let reply = client.command(&["CACHE.GET", &key(number)]);
                if let Some(Value::Array(row)) = reply
                    && row[1] != Value::Null
                {
                    self.compute(client, number, Some(&row[1].text()));
                }
            }
            (_, 0) => {
                let numbers = [number, (number + 1) % KEYS, (number + 5) % KEYS];
                let words = ["MGET".to_owned()].into_iter().chain(numbers.map(key));
                let Some(Value::Array(rows)) = client.command(&words.collect::<Vec<_>>()) else {
                    return;
                };
                for (row, number) in rows.iter().zip(numbers) {
                    if *row == Value::Null {
                        self.compute(client, number, None);
                    }
                }
            }
            _ => {
                if client.command(&["GET", &key(number)]) == Some(Value::Null) {
                    self.compute(client, number, None);
                }
            }
        }
    }
}

fn key(number: usize) -> String {
    format!("cache:herd:{number}")
}

fn herd(mode: &'static str) {
    let mut site = PatternSite::start("cache", &[&binding(mode, HERD)]);
    let crowd = Crowd::new();
    let work = Arc::clone(&crowd);
    let load = Load::start(site.roaming(CLIENTS), move |client, user, round| {
        work.round(client, user, round, mode);
    });
    load.await_round();
    site.kill_gateway(0);
    load.await_round();
    site.replace_gateway(0);
    load.await_round();
    site.swap(mode);
    load.await_round();
    site.kill_gateway(1);
    load.await_round();
    site.replace_gateway(1);
    load.await_round();
    let computed = crowd.computed.load(Ordering::SeqCst);
    assert_eq!(crowd.overlaps.load(Ordering::SeqCst), 0, "of {computed} computations");
    assert!(computed >= KEYS, "{computed}");
    // The leases on a shard that is lost are lost with it: one more leader for each of its keys.
    for shard in 0..3 {
        site.shards[shard].kill();
        load.await_round();
        let key = site.key_on(shard);
        site.revive_shard(shard, &key);
        load.await_round();
    }
    load.finish();
    let overlaps = crowd.overlaps.load(Ordering::SeqCst);
    assert!(overlaps <= KEYS, "{overlaps} of {}", crowd.computed.load(Ordering::SeqCst));
}

#[test]
fn herd_of_gets_and_mgets_has_one_leader_while_gateways_die() {
    herd("key");
}

#[test]
fn herd_that_is_known_by_its_connections_has_one_leader_while_gateways_die() {
    herd("conn");
}

#[test]
fn herd_that_is_known_by_tokens_has_one_leader_while_gateways_die() {
    herd("token");
}
