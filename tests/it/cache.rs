//! The cache pattern's guarantee, with two gateways over the same shards and hundreds of clients.
//!
//! One recompute per expiry, nobody waits while there is an old value, nobody gets one that is too old, and a leader
//! that goes away is followed at once. Leases and waits are far longer than any test's deadline, so that only what is
//! claimed can end a wait: a fill, a hand-over, or `wait_behind`. Values are ended by their own soft TTL of some
//! milliseconds; that it is over is read from PTTL. `cache_herd` holds the same with clients that run freely.

use sluicegate_tests::client::{Client, request};
use sluicegate_tests::gateway::InProcess;
use sluicegate_tests::herd::{connect, nils, replies, send_all, take_first_answered};
use sluicegate_tests::plugins::{Entry, binding_rows, built, client_of_each_worker, yaml_with};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::{eventually, eventually_true};

use crate::clients::run_redis_py;

const CLIENTS: usize = 500;
const EXPIRIES: usize = 20;
const WORKERS: usize = 2;
const KEY: &str = "cache:page";

/// Nothing here ends by itself within a test.
const PATIENT: &str = "grace: 600s, lease: 600s, wait: 60s, poll: 200ms";

/// Two gateways over three shards; the gateways end first.
pub struct Site {
    pub gateways: Vec<InProcess>,
    pub shards: Vec<RealServer>,
}

impl Site {
    /// `settings` are the cache binding's config.
    pub fn start(settings: &str) -> Site {
        let shards = RealServer::start_many(3);
        let file = built("cache");
        let plugins = [Entry { name: "cache", file: &file, settings: &[] }];
        let binding = format!("{{use: cache, keys: [\"cache:*\"], config: {{{settings}}}}}");
        let yaml = yaml_with(&shards, &plugins, &[&binding]);
        let gateways = (0..2).map(|_| InProcess::start(&yaml)).collect();
        Site { gateways, shards }
    }

    fn client(&self, gateway: usize) -> Client {
        self.gateways[gateway].client()
    }
}

/// Writes a value whose soft TTL is over a moment later.
fn store_short(client: &mut Client, key: &str, value: &str) {
    let reply = client.command(&["PSETEX", key, "5", value]);
    assert_eq!(reply, Value::ok());
}

/// Waits until the soft TTL is over; the value is kept for the grace.
fn await_stale(client: &mut Client, key: &str) {
    eventually_true("the soft TTL to end", || client.command(&["PTTL", key]) == Value::Integer(0));
}

fn stale(site: &Site, key: &str, value: &str) {
    let mut client = site.client(0);
    store_short(&mut client, key, value);
    await_stale(&mut client, key);
}

#[test]
fn value_that_expires_is_computed_once_while_all_others_get_the_old_one_at_once() {
    let site = Site::start(PATIENT);
    let mut clients = connect(&site.gateways, CLIENTS);
    store_short(&mut clients[0], KEY, "0");
    for expiry in 0..EXPIRIES {
        let watcher = expiry * 7 % CLIENTS;
        await_stale(&mut clients[watcher], KEY);
        send_all(&mut clients, &["GET", KEY]);
        // All are answered before anybody computes: who waited for the new value would wait for ever.
        let replies = replies(&mut clients);
        let leaders = nils(&replies);
        assert_eq!(leaders.len(), 1, "expiry {expiry}: {leaders:?}");
        let old = Value::bulk(expiry.to_string());
        let others = replies.iter().filter(|reply| **reply != Value::Null);
        for reply in others {
            assert_eq!(*reply, old, "expiry {expiry}");
        }
        let new = (expiry + 1).to_string();
        store_short(&mut clients[leaders[0]], KEY, &new);
    }
}

#[test]
fn missing_value_is_computed_once_and_all_who_wait_get_it() {
    let site = Site::start(PATIENT);
    let mut clients = connect(&site.gateways, CLIENTS);
    for round in 0..3 {
        let key = format!("cache:missing:{round}");
        send_all(&mut clients, &["GET", &key]);
        let mut leader = take_first_answered(&mut clients);
        assert_eq!(leader.reply(), Value::Null);
        let set = leader.command(&["SETEX", &key, "100", "new"]);
        assert_eq!(set, Value::ok());
        // Through the leader's gateway they are woken, through the other one they see it when they look again.
        for reply in replies(&mut clients) {
            assert_eq!(reply, Value::bulk("new"));
        }
        clients.push(leader);
    }
}

#[test]
fn waiter_on_another_worker_is_woken_by_the_fill() {
    // Nobody looks again by himself: only the notice can end the wait.
    let site = Site::start("grace: 600s, lease: 600s, wait: 600s, poll: 600s");
    let mut workers = client_of_each_worker(site.gateways[0].address(), WORKERS);
    let mut watchers = client_of_each_worker(site.gateways[0].address(), WORKERS);
    for round in 0..20 {
        let key = format!("cache:other-worker:{round}");
        let (leading, waiting) = (round % WORKERS, (round + 1) % WORKERS);
        assert_eq!(workers[leading].command(&["GET", &key]), Value::Null);
        workers[waiting].send(&["GET", &key]);
        let begun = i64::try_from(round / WORKERS + 1).expect("a small number");
        eventually_true("the read to wait", || stat(&mut watchers[waiting], "waits") == begun);
        let set = workers[leading].command(&["SET", &key, "value"]);
        assert_eq!(set, Value::ok());
        assert_eq!(workers[waiting].reply(), Value::bulk("value"));
    }
}

/// How the client of a leader asks.
#[derive(Debug, Clone, Copy)]
enum Asking {
    Plainly,
    InMulti,
}

fn lead(client: &mut Client, key: &str, asking: Asking) {
    let reply = match asking {
        Asking::Plainly => client.command(&["GET", key]),
        Asking::InMulti => transaction(client, &[&["GET", key]]).swap_remove(0),
    };
    assert_eq!(reply, Value::Null, "{asking:?}");
}

#[test]
fn leader_whose_connection_closes_is_followed_before_its_lease_ends() {
    let site = Site::start(PATIENT);
    for (round, asking) in [Asking::Plainly, Asking::InMulti].into_iter().enumerate() {
        for gateway in 0..2 {
            let old = format!("cache:old:{round}:{gateway}");
            stale(&site, &old, "old");
            let mut leader = site.client(gateway);
            lead(&mut leader, &old, asking);
            let mut other = site.client(1);
            assert_eq!(other.command(&["GET", &old]), Value::bulk("old"));
            drop(leader);
            eventually_true("another client to be told to compute", || {
                other.command(&["GET", &old]) == Value::Null
            });

            let missing = format!("cache:missing:{round}:{gateway}");
            let mut leader = site.client(gateway);
            lead(&mut leader, &missing, asking);
            let mut waiters = connect(&site.gateways, 8);
            send_all(&mut waiters, &["GET", &missing]);
            drop(leader);
            let mut next = take_first_answered(&mut waiters);
            assert_eq!(next.reply(), Value::Null, "{asking:?}");
            let set = next.command(&["SETEX", &missing, "100", "new"]);
            assert_eq!(set, Value::ok());
            for reply in replies(&mut waiters) {
                assert_eq!(reply, Value::bulk("new"), "{asking:?}");
            }
        }
    }
}

#[test]
fn leader_that_shares_its_connection_is_followed_when_that_closes() {
    let site = Site::start(PATIENT);
    let mut shared = site.client(0);
    // The second reads on the leader's own session and gets nothing before `wait_behind`.
    shared.send_raw(&[request(&["GET", KEY]), request(&["GET", KEY])].concat());
    assert_eq!((shared.reply(), shared.reply()), (Value::Null, Value::Null));
    let mut other = site.client(1);
    other.send(&["GET", KEY]);
    drop(shared);
    assert_eq!(other.reply(), Value::Null);
}

/// What one of many users of a shared connection asks for, and what it wants to hear.
fn pipeline_of_users(users: usize, key: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for user in 0..users {
        bytes.extend(request(&["GET", key]));
        if user % 10 == 0 {
            bytes.extend(request(&["ECHO", &format!("user {user}")]));
            bytes.extend(request(&["GET", &format!("plain:{user}")]));
        }
    }
    bytes
}

/// Reads the replies to `pipeline_of_users`; checks those of the other commands and gives those of GET `key`.
fn replies_of_users(client: &mut Client, users: usize) -> Vec<Value> {
    let mut gets = Vec::new();
    for user in 0..users {
        gets.push(client.reply());
        if user % 10 == 0 {
            assert_eq!(client.reply(), Value::bulk(format!("user {user}")));
            assert_eq!(client.reply(), Value::bulk(format!("value {user}")));
        }
    }
    gets
}

fn store_plain_keys(client: &mut Client, users: usize) {
    for user in (0..users).step_by(10) {
        let set = client.command(&["SET", &format!("plain:{user}"), &format!("value {user}")]);
        assert_eq!(set, Value::ok());
    }
}

#[test]
fn users_of_one_connection_per_gateway_share_one_recompute_and_nobody_stands_still() {
    let site = Site::start(PATIENT);
    let users = CLIENTS / 2;
    let mut connections = connect(&site.gateways, 2);
    store_plain_keys(&mut connections[0], users);
    store_short(&mut connections[0], KEY, "0");
    let bytes = pipeline_of_users(users, KEY);
    for expiry in 0..EXPIRIES {
        await_stale(&mut connections[expiry % 2], KEY);
        for connection in &mut connections {
            connection.send_raw(&bytes);
        }
        let mut leading = None;
        for (place, connection) in connections.iter_mut().enumerate() {
            for reply in replies_of_users(connection, users) {
                if reply == Value::Null {
                    assert_eq!(leading.replace(place), None, "two were told to compute");
                } else {
                    assert_eq!(reply, Value::bulk(expiry.to_string()));
                }
            }
        }
        let leader = &mut connections[leading.expect("one is told to compute")];
        store_short(leader, KEY, &(expiry + 1).to_string());
    }
}

#[test]
fn missing_value_on_a_shared_connection_holds_nobody_up_longer_than_wait_behind() {
    // `wait` is longer than the test may take: what comes behind a waiting GET is answered only because it gives up.
    let site = Site::start(&format!("{PATIENT}, wait_behind: 20ms"));
    let users = CLIENTS / 2;
    let mut connections = connect(&site.gateways, 2);
    store_plain_keys(&mut connections[0], users);
    let bytes = [pipeline_of_users(users, KEY), request(&["PING"])].concat();
    for connection in &mut connections {
        connection.send_raw(&bytes);
    }
    for connection in &mut connections {
        let gets = replies_of_users(connection, users);
        assert_eq!(nils(&gets).len(), users, "nobody has computed it");
        assert_eq!(connection.reply().text(), "PONG");
    }
}

#[test]
fn fill_behind_a_waiting_read_of_the_same_connection_wakes_it() {
    let site = Site::start(&format!("{PATIENT}, wait_behind: 600s"));
    let mut shared = site.client(0);
    for round in 0..10 {
        let key = format!("cache:shared:{round}");
        let commands: [&[&str]; 6] = [
            &["GET", &key],
            &["GET", &key],
            &["GET", &key],
            &["SETEX", &key, "100", "new"],
            &["GET", &key],
            &["PING"],
        ];
        let bytes: Vec<u8> = commands.iter().flat_map(|args| request(args)).collect();
        shared.send_raw(&bytes);
        assert_eq!(shared.reply(), Value::Null, "the first computes");
        for what in ["waits", "waits too"] {
            assert_eq!(shared.reply(), Value::bulk("new"), "{what}");
        }
        assert_eq!(shared.reply(), Value::ok());
        assert_eq!(shared.reply(), Value::bulk("new"));
        assert_eq!(shared.reply().text(), "PONG");
    }
}

/// Sends a MULTI pipeline as redis-py's `pipeline()` does, all in one write.
fn send_transaction(client: &mut Client, commands: &[&[&str]]) {
    let mut bytes = request(&["MULTI"]);
    for args in commands {
        bytes.extend(request(args));
    }
    bytes.extend(request(&["EXEC"]));
    client.send_raw(&bytes);
}

/// EXEC's array.
fn exec_reply(client: &mut Client, commands: usize) -> Vec<Value> {
    assert_eq!(client.reply(), Value::ok());
    for _ in 0..commands {
        assert_eq!(client.reply().text(), "QUEUED");
    }
    match client.reply() {
        Value::Array(items) => items,
        other => panic!("EXEC answered {other:?}"),
    }
}

fn transaction(client: &mut Client, commands: &[&[&str]]) -> Vec<Value> {
    send_transaction(client, commands);
    exec_reply(client, commands.len())
}

#[test]
fn clients_with_multi_pipelines_share_one_recompute_per_expiry() {
    let site = Site::start(PATIENT);
    let mut clients = connect(&site.gateways, CLIENTS);
    let fill = |client: &mut Client, value: usize| {
        let value = value.to_string();
        let stored = transaction(client, &[&["PSETEX", KEY, "5", &value]]);
        assert_eq!(stored, [Value::ok()]);
    };
    fill(&mut clients[0], 0);
    for expiry in 0..EXPIRIES {
        await_stale(&mut clients[expiry], KEY);
        let read: [&[&str]; 2] = [&["GET", KEY], &["TTL", KEY]];
        for client in &mut clients {
            send_transaction(client, &read);
        }
        let mut leaders = Vec::new();
        for (place, client) in clients.iter_mut().enumerate() {
            let found = exec_reply(client, read.len());
            assert_eq!(found[1], Value::Integer(0), "TTL in the grace");
            if found[0] == Value::Null {
                leaders.push(place);
            } else {
                assert_eq!(found[0], Value::bulk(expiry.to_string()));
            }
        }
        assert_eq!(leaders.len(), 1, "expiry {expiry}: {leaders:?}");
        fill(&mut clients[leaders[0]], expiry + 1);
    }
}

#[test]
fn fill_inside_multi_ends_the_lease_and_wakes_those_who_wait() {
    let site = Site::start("grace: 600s, lease: 600s, wait: 600s, poll: 600s");
    let mut leader = site.client(0);
    lead(&mut leader, KEY, Asking::InMulti);
    let mut waiter = site.client(0);
    let mut watchers = client_of_each_worker(site.gateways[0].address(), WORKERS);
    waiter.send(&["GET", KEY]);
    eventually_true("the read to wait", || {
        watchers.iter_mut().any(|watcher| stat(watcher, "waits") > 0)
    });
    let commands: [&[&str]; 3] = [&["SETEX", KEY, "100", "new"], &["TTL", KEY], &["GET", KEY]];
    let done = transaction(&mut leader, &commands);
    let expected = [Value::ok(), Value::Integer(100), Value::bulk("new")];
    assert_eq!(done, expected, "SETEX, TTL and GET in one transaction");
    assert_eq!(waiter.reply(), Value::bulk("new"));
    let stored = eventually("the shard that holds the key", || {
        let ttl = |shard: &RealServer| shard.client().command(&["TTL", KEY]);
        let found = site.shards.iter().map(ttl);
        found.into_iter().find(|ttl| *ttl > Value::Integer(0))
    });
    assert!(stored > Value::Integer(650), "soft TTL and grace: {stored:?}");
}

#[test]
fn redis_py_programs_with_default_pipelines_share_one_recompute_per_expiry() {
    let site = Site::start(PATIENT);
    let port = |gateway: &InProcess| gateway.address().port().to_string();
    let ports: Vec<String> = site.gateways.iter().map(port).collect();
    for protocol in ["2", "3"] {
        run_redis_py("redis_py_cache.py", &[protocol, &ports[0], &ports[1]]);
    }
}

/// A count of CACHE.STATS, of this client's worker.
pub fn stat(client: &mut Client, name: &str) -> i64 {
    let Value::Map(rows) = client.line("CACHE.STATS").paired() else {
        panic!("CACHE.STATS is no map");
    };
    let row = rows.into_iter().find(|(key, _)| key.text() == name);
    match row {
        Some((_, Value::Integer(count))) => count,
        other => panic!("{name} in CACHE.STATS: {other:?}"),
    }
}

/// The cache with the limits that an operator has who sets none, but those in `limits`.
fn cache_with(shards: &[RealServer], limits: &str) -> InProcess {
    let file = built("cache");
    let limits = format!("limits: {{{limits}}}");
    let settings = [limits.as_str()];
    let cache = Entry { name: "cache", file: &file, settings: &settings };
    InProcess::start(&yaml_with(shards, &[cache], &["{use: cache, keys: [\"cache:*\"]}"]))
}

#[test]
fn large_values_are_answered_or_refused_by_name_and_other_keys_go_on() {
    let shards = RealServer::start_many(1);
    let gateway = cache_with(&shards, "call_timeout: 60s");
    let mut client = gateway.client();
    let mut shard = shards[0].client();
    assert_eq!(client.command(&["SETEX", "cache:small", "60", "v"]), Value::ok());
    for bytes in [1_100_000, 3_900_000, 5_000_000, 20_000_000] {
        let key = format!("cache:{bytes}");
        let value = vec![b'v'; bytes];
        let setex: [&[u8]; 4] = [b"SETEX", key.as_bytes(), b"60", &value];
        for _ in 0..6 {
            let stored = client.command(&setex);
            if bytes <= 4 << 20 {
                assert_eq!(stored, Value::ok(), "{bytes}");
            } else {
                let named = "PLUGINERR cache: request larger than limits.request (4194304 bytes)";
                assert_eq!(stored, Value::Error(named.into()), "{bytes}");
            }
            assert_eq!(client.command(&["GET", "cache:small"]), Value::bulk("v"));
        }
        assert_eq!(shard.command(&setex), Value::ok());
        for _ in 0..6 {
            assert!(client.command(&["GET", &key]) == Value::bulk(&value), "{bytes}");
            assert_eq!(client.command(&["GET", "cache:small"]), Value::bulk("v"));
        }
        // Within its grace (20 s) it is stale: one reader computes, the others get it at once.
        assert_eq!(shard.command(&["EXPIRE", &key, "10"]), Value::Integer(1));
        assert_eq!(client.command(&["GET", &key]), Value::Null, "{bytes}");
        assert!(client.command(&["GET", &key]) == Value::bulk(&value), "{bytes}");
    }
    let row = binding_rows(&mut client).swap_remove(0);
    assert_eq!((row.number("crashes"), row.fields["state"].as_str()), (0, "up"), "{row:?}");
}

#[test]
fn operator_who_gives_the_cache_more_room_stores_larger_values() {
    let shards = RealServer::start_many(1);
    let gateway = cache_with(&shards, "request: 8MiB, reply: 6MiB, memory: 32MiB");
    let mut client = gateway.client();
    let value = vec![b'v'; 5_000_000];
    for round in 0..6 {
        let key = format!("cache:{round}");
        let stored = client.command(&[&b"SETEX"[..], key.as_bytes(), b"60", &value]);
        assert_eq!(stored, Value::ok());
        assert!(client.command(&["GET", &key]) == Value::bulk(&value));
    }
    let row = binding_rows(&mut client).swap_remove(0);
    assert_eq!((row.number("crashes"), row.fields["state"].as_str()), (0, "up"), "{row:?}");
}
