//! Plugins that work together: two bindings of one plugin, a chain of two on one command, a counter that feeds a board.
//!
//! The pattern `counter` counts and sends a hooked ZADD; the pattern `board`, bound behind it, spreads that over several keys.
//! Neither knows of the other. Clients count at once through both workers; what the boards show at rest must be exactly
//! what was counted, wherever the shards keep it.

use std::collections::BTreeMap;

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::InProcess;
use sluicegate_tests::load::Load;
use sluicegate_tests::plugins::{
    Entry, PluginFile, await_binding, binding_rows, built, client_of_each_worker, variant,
    yaml_with,
};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::rng::Rng;
use sluicegate_tests::value::Value;

const WORKERS: usize = 2;
const CLIENTS: usize = 8;
const MEMBERS: usize = 20;
const COUNTED_BY_EACH: usize = 300;

/// Two counters that feed two boards, of 4 parts and of 1.
const BINDINGS: [&str; 4] = [
    "{use: counter, keys: [\"jobs:*\"], may_touch: [\"board:*\"], config: {feed: {board: \"board:jobs\", counters: \"jobs:{member}\"}}}",
    "{use: counter, keys: [\"talks:*\"], may_touch: [\"board:*\"], config: {feed: {board: \"board:talks\", counters: \"talks:{member}\"}}}",
    "{use: board, keys: [\"board:jobs*\"], config: {parts: 4}}",
    "{use: board, keys: [\"board:talks*\"], config: {parts: 1}}",
];
const KINDS: [(&str, usize); 2] = [("jobs", 4), ("talks", 1)];

fn start(shards: &[RealServer], counter: &std::path::Path) -> InProcess {
    let board = built("board");
    let plugins = [
        Entry { name: "counter", file: counter, settings: &[] },
        Entry { name: "board", file: &board, settings: &[] },
    ];
    InProcess::start(&yaml_with(shards, &plugins, &BINDINGS))
}

/// What a board shows, best first.
fn top(client: &mut Client, kind: &str) -> Vec<(String, i64)> {
    let Value::Array(flat) = client.line(&format!("BOARD.TOP board:{kind} 100")) else {
        panic!("BOARD.TOP of {kind}")
    };
    let row = |row: &[Value]| (row[0].text(), row[1].text().parse().expect("a whole score"));
    flat.chunks_exact(2).map(row).collect()
}

/// Counts at random, and looks at the board now and then: nobody is on it twice, and it is in order.
fn count(client: &mut Client, seed: usize) -> BTreeMap<String, i64> {
    let mut rng = Rng::from_env(seed as u64);
    let mut counted = BTreeMap::new();
    for round in 0..COUNTED_BY_EACH {
        let (kind, _) = KINDS[rng.below(KINDS.len())];
        let (key, by) = (format!("{kind}:{}", rng.below(MEMBERS)), rng.between(1, 3));
        let reply = match by {
            1 => client.command(&["INCR", &key]),
            more => client.command(&["INCRBY", &key, &more.to_string()]),
        };
        *counted.entry(key.clone()).or_default() += by;
        assert!(
            matches!(reply, Value::Integer(count) if count >= counted[&key]),
            "{key}: {reply:?}"
        );
        if round % 50 == 0 {
            let rows = top(client, kind);
            assert!(rows.is_sorted_by(|a, b| a.1 >= b.1), "{rows:?}");
            let members: std::collections::BTreeSet<_> = rows.iter().map(|row| &row.0).collect();
            assert_eq!(members.len(), rows.len(), "{rows:?}");
        }
    }
    counted
}

/// Lets all clients count at once; what they have counted in all.
fn count_together(gateway: &InProcess) -> BTreeMap<String, i64> {
    let parts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|seed| {
                let mut client = gateway.client();
                scope.spawn(move || count(&mut client, seed))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a client")).collect::<Vec<_>>()
    });
    let mut all = BTreeMap::new();
    for (key, by) in parts.into_iter().flatten() {
        *all.entry(key).or_default() += by;
    }
    all
}

#[test]
fn counters_feed_the_board_that_another_plugin_spreads_and_it_shows_every_count() {
    let shards = RealServer::start_many(3);
    let gateway = start(&shards, &built("counter"));
    let counted = count_together(&gateway);
    let mut client = gateway.client();
    for (kind, parts) in KINDS {
        let of_kind = counted.iter().filter_map(|(key, count)| {
            let (own, member) = key.split_once(':').expect("kind and member");
            (own == kind).then(|| (member.to_owned(), *count))
        });
        let wanted: BTreeMap<String, i64> = of_kind.collect();
        let rows = top(&mut client, kind);
        assert_eq!(rows.iter().cloned().collect::<BTreeMap<_, _>>(), wanted, "{kind}");
        assert_eq!(rows.len(), wanted.len(), "{kind}");
        let card = client.line(&format!("ZCARD board:{kind}"));
        assert_eq!(card, Value::Integer(wanted.len() as i64), "{kind}");
        // The keys on the shards: one for each part, and none with the board's own name.
        let mut keys: Vec<String> = Vec::new();
        for shard in &shards {
            let Value::Array(found) = shard.client().line(&format!("KEYS {{board:{kind}#*")) else {
                panic!("KEYS")
            };
            keys.extend(found.iter().map(Value::text));
        }
        keys.sort();
        let part = |part| format!("{{board:{kind}#{part}/{parts}}}:sg:board");
        let wanted: Vec<String> = (0..parts).map(part).collect();
        assert_eq!(keys, wanted, "{kind}");
    }
    let rows = binding_rows(&mut client);
    assert!(
        rows.iter().all(|row| row.number("crashes") == 0 && row.number("denied") == 0),
        "{rows:?}"
    );
}

#[test]
fn two_bindings_of_one_plugin_keep_their_configs_also_when_it_is_swapped() {
    let shards = RealServer::start_many(2);
    let file = PluginFile::copy_of("counter");
    let gateway = start(&shards, file.path());
    let mut watchers = client_of_each_worker(gateway.address(), WORKERS);
    let clients = (0..4).map(|_| gateway.client()).collect();
    let load = Load::start(clients, |client: &mut Client, user, round| {
        for (kind, _) in KINDS {
            let reply = client.line(&format!("INCR {kind}:{user}"));
            assert_eq!(reply, Value::Integer(round as i64 + 1), "{kind}");
            // No board has a member of the other counter, and this one's count is there.
            let row = (user.to_string(), round as i64 + 1);
            assert!(top(client, kind).contains(&row), "{kind}: {row:?}");
        }
    });
    for swap in 0..3 {
        let old = binding_rows(&mut watchers[0]);
        let good = std::fs::read(built("counter")).expect("a plugin");
        file.replace(&variant(&good, &format!("swap {swap}")));
        for binding in [0, 1] {
            let before = old[binding].number("generation");
            await_binding(&mut watchers, binding, "the new file", |row| {
                row.number("generation") > before
            });
        }
        load.await_round();
    }
    load.finish();
    // The hook of each binding fed its own board only.
    let mut client = gateway.client();
    for (kind, _) in KINDS {
        let members: Vec<String> = top(&mut client, kind).into_iter().map(|row| row.0).collect();
        assert_eq!(members.len(), 4, "{kind}: {members:?}");
    }
}

#[test]
fn command_goes_through_a_chain_of_plugins_and_each_does_its_part() {
    const READS: usize = 100;
    let shards = RealServer::start_many(2);
    let files = ["pass", "probe", "cache"].map(|name| (name, built(name)));
    let plugins = files.each_ref().map(|(name, file)| Entry { name, file, settings: &[] });
    // GET: `pass` lets it go on, `probe` sends a hooked GET of its own and adds a plus, `cache` answers that one.
    let bindings = [
        "{use: pass, keys: [\"chain:*\"]}",
        "{use: probe, keys: [\"chain:*\"]}",
        "{use: cache, keys: [\"chain:*\"], config: {grace: 1000s}}",
    ];
    let gateway = InProcess::start(&yaml_with(&shards, &plugins, &bindings));
    let mut watchers = client_of_each_worker(gateway.address(), WORKERS);
    std::thread::scope(|scope| {
        for user in 0..CLIENTS {
            let mut client = gateway.client();
            scope.spawn(move || {
                let key = format!("chain:{user}");
                for round in 0..READS {
                    let value = round.to_string();
                    assert_eq!(client.command(&["SETEX", &key, "100", &value]), Value::ok());
                    let read = client.command(&["GET", &key]);
                    assert_eq!(read, Value::bulk(format!("{value}+")), "{key}");
                }
            });
        }
    });
    // The cache took the SETEX: the shard keeps its value longer than the client asked.
    let kept = shards.iter().map(|shard| shard.client().line("TTL chain:0"));
    let kept: Vec<Value> = kept.filter(|ttl| *ttl != Value::Integer(-2)).collect();
    assert!(matches!(kept[..], [Value::Integer(1_000..=1_100)]), "{kept:?}");
    // And each GET was a call of each of the three, each SETEX of the cache alone.
    let mut calls = [0; 3];
    for watcher in &mut watchers {
        for (sum, row) in calls.iter_mut().zip(binding_rows(watcher)) {
            *sum += row.number("calls");
        }
    }
    let reads = (CLIENTS * READS) as u64;
    assert_eq!(calls, [reads, reads, 2 * reads]);
}
