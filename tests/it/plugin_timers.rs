//! Timers of plugins: once for the gateway in each interval, on after a swap, and only where they are granted.
//!
//! The guest `ticker`, of ABI 2.0.0 by hand, counts in a key of its config every 20 ms. A timer may be late, never early, so
//! the time that has passed bounds the count from above; that it goes on is awaited. A guest of ABI 1.0.0 runs beside it.

use std::time::Instant;

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::Process;
use sluicegate_tests::plugins::{
    Entry, PluginFile, await_binding, binding_rows, built, client_of_each_worker, variant,
    yaml_with,
};
use sluicegate_tests::real_server::{RealServer, free_port};
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

const WORKERS: usize = 2;
const EVERY_MS: u128 = 20;

fn start(shards: &[RealServer], plugins: &[Entry<'_>], bindings: &[&str]) -> Process {
    let listen = format!("127.0.0.1:{}", free_port());
    let yaml = yaml_with(shards, plugins, bindings).replace("127.0.0.1:0", &listen);
    Process::start(&yaml, listen.parse().expect("an address"))
}

fn ticks(shard: &mut Client, key: &str) -> u128 {
    match shard.command(&["GET", key]) {
        Value::Null => 0,
        value => value.text().parse().expect("a count"),
    }
}

fn await_ticks(shard: &mut Client, key: &str, more: u128) {
    let wanted = ticks(shard, key) + more;
    eventually_true("the timer to count on", || ticks(shard, key) >= wanted);
}

#[test]
fn timer_runs_once_for_the_gateway_and_binding_and_goes_on_after_a_swap() {
    let shards = RealServer::start_many(1);
    let mut shard = shards[0].client();
    let file = PluginFile::copy_of("misbehaving/ticker");
    let entry = Entry { name: "ticker", file: file.path(), settings: &[] };
    let keys = ["tick:1", "tick:2"];
    let bindings =
        keys.map(|key| format!("{{use: ticker, keys: [\"tick:*\"], config: {{key: \"{key}\"}}}}"));
    let begun = Instant::now();
    let gateway = start(&shards, &[entry], &bindings.each_ref().map(String::as_str));
    let mut watchers = client_of_each_worker(gateway.address(), WORKERS);
    let swaps = 3;
    for swap in 0..=swaps {
        keys.iter().for_each(|key| await_ticks(&mut shard, key, 20));
        if swap < swaps {
            let before = binding_rows(&mut watchers[0])[0].number("generation");
            let good = std::fs::read(built("misbehaving/ticker")).expect("a guest");
            file.replace(&variant(&good, &format!("swap {swap}")));
            await_binding(&mut watchers, 0, "the new file", |row| {
                row.number("generation") > before
            });
        }
    }
    for key in keys {
        // Once per interval: per worker, or with the old generation's timers beside the new one's, it would be twice.
        let count = ticks(&mut shard, key);
        let due = begun.elapsed().as_millis() / EVERY_MS;
        assert!(count <= due, "{key}: {count} in {due} intervals");
    }
    let calls = |client: &mut Client| {
        binding_rows(client).iter().map(|row| row.number("calls")).collect::<Vec<_>>()
    };
    assert!(calls(&mut watchers[0]).iter().all(|calls| *calls > 0));
    assert_eq!(calls(&mut watchers[1]), [0, 0], "timers run on one worker");
}

#[test]
fn timer_that_is_not_granted_does_not_run_and_the_log_says_so() {
    let shards = RealServer::start_many(1);
    let mut shard = shards[0].client();
    let file = built("misbehaving/ticker");
    let plugins = [
        Entry { name: "granted", file: &file, settings: &[] },
        Entry { name: "denied", file: &file, settings: &["grant: {commands: [INCR]}"] },
    ];
    let bindings = [
        "{use: granted, keys: [\"tick:*\"], config: {key: \"tick:granted\"}}",
        "{use: denied, keys: [\"tick:*\"], config: {key: \"tick:denied\"}}",
    ];
    let gateway = start(&shards, &plugins, &bindings);
    await_ticks(&mut shard, "tick:granted", 10);
    assert_eq!(ticks(&mut shard, "tick:denied"), 0);
    let log = gateway.log();
    let said = log.lines().find(|line| line.contains("asks for more than it is granted: timers"));
    assert!(said.is_some_and(|line| line.contains("denied")), "{log}");
}

#[test]
fn guests_of_both_abis_work_side_by_side() {
    let shards = RealServer::start_many(3);
    let files = ["ticker", "misbehaving"].map(|name| (name, built(&format!("misbehaving/{name}"))));
    let plugins = files.each_ref().map(|(name, file)| Entry { name, file, settings: &[] });
    let bindings = [
        "{use: ticker, keys: [\"tick:*\"], config: {key: \"tick:1\"}}",
        "{use: misbehaving, keys: [fine]}",
    ];
    let gateway = start(&shards, &plugins, &bindings);
    for mut client in client_of_each_worker(gateway.address(), WORKERS) {
        let abis: Vec<String> =
            binding_rows(&mut client).iter().map(|row| row.fields["abi"].clone()).collect();
        assert_eq!(abis, ["2.0.0", "1.0.0"]);
        // Version, kind, shards, and the whole time of a call (as the tests set it).
        let head = [2, 1, 3, 60_000].map(Value::Integer).to_vec();
        for _ in 0..50 {
            assert_eq!(client.line("TICKER.HEAD"), Value::Array(head.clone()));
            assert_eq!(client.line("GET fine"), Value::ok());
            assert_eq!(client.line("MISBEHAVE fine later"), Value::ok());
        }
    }
}
