//! Plugins that are not written in Rust: the one in C (`dedup`) and the one in AssemblyScript (`quota`).
//!
//! Each is compiled by its own `build` script, loaded into a gateway with real shards, and asked by real clients:
//! answers, errors of its own and of Redis, a refused config, large arguments, and new files under load. Where the
//! compiler is missing (`scripts/setup languages` gets it) the test says so and is skipped; with CI=true it fails.

use std::process::Command;
use std::sync::OnceLock;

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::InProcess;
use sluicegate_tests::load::{Load, ask};
use sluicegate_tests::plugins::{
    Entry, PluginFile, await_binding, binding_rows, built, client_of_each_worker, variant,
    yaml_with,
};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::tools::{find_or_skip, repository};
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

const WORKERS: usize = 2;
const SWAPS: usize = 5;

/// Compiles the plugins of a folder once; whether they are there.
fn build(done: &OnceLock<bool>, folder: &str, compiler: &str, test: &str) -> bool {
    let Some(program) = find_or_skip(compiler, test) else {
        return false;
    };
    *done.get_or_init(|| {
        let script = repository().join("patterns-wasm").join(folder).join("build");
        let plugins = built("pass");
        let plugins = plugins.parent().expect("the folder of plugins");
        let mut build = Command::new(script);
        let build = build.arg(plugins).env(compiler.to_uppercase(), program);
        let output = build.output().expect("run a build script");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        true
    })
}

fn c(test: &str) -> bool {
    static DONE: OnceLock<bool> = OnceLock::new();
    build(&DONE, "c", "zig", test)
}

fn assemblyscript(test: &str) -> bool {
    static DONE: OnceLock<bool> = OnceLock::new();
    build(&DONE, "assemblyscript", "asc", test)
}

struct Setup {
    gateway: InProcess,
    shards: Vec<RealServer>,
    file: PluginFile,
}

fn start(name: &str, config: &str) -> Setup {
    let shards = RealServer::start_many(2);
    let file = PluginFile::copy_of(name);
    let gateway = InProcess::start(&yaml(&shards, &file, name, config));
    Setup { gateway, shards, file }
}

fn yaml(shards: &[RealServer], file: &PluginFile, name: &str, config: &str) -> String {
    let plugin = Entry { name, file: file.path(), settings: &[] };
    yaml_with(shards, &[plugin], &[&format!("{{use: {name}, keys: [\"{name}:*\"]{config}}}")])
}

fn refused_config(name: &str, config: &str) -> String {
    let (shards, file) = (RealServer::start_many(1), PluginFile::copy_of(name));
    InProcess::try_start(&yaml(&shards, &file, name, config)).expect_err("the config is wrong")
}

/// Replaces the plugin's file again and again while clients go on with `round`; nothing of it may have broken.
fn swap_under_load(setup: &Setup, name: &str, round: fn(&mut Client, usize, usize)) {
    let mut watchers = client_of_each_worker(setup.gateway.address(), WORKERS);
    let clients = (0..4).map(|_| setup.gateway.client()).collect();
    let load = Load::start(clients, round);
    let bytes = std::fs::read(built(name)).expect("read a plugin");
    for swap in 0..SWAPS {
        let old = binding_rows(&mut watchers[0])[0].number("generation");
        setup.file.replace(&variant(&bytes, &format!("swap {swap}")));
        let new = await_binding(&mut watchers, 0, "the new file to be taken", |row| {
            row.number("generation") > old
        });
        assert_eq!(new.last_load_failed, None);
        load.await_round();
    }
    load.finish();
    for watcher in &mut watchers {
        let row = binding_rows(watcher).swap_remove(0);
        assert_eq!(row.number("crashes"), 0, "{row:?}");
    }
}

fn error(text: &str) -> Value {
    Value::Error(text.as_bytes().to_vec())
}

/// What the shards together say to a command that only one of them knows something of.
fn on_shards(setup: &Setup, line: &str) -> i64 {
    let answers = setup.shards.iter().map(|shard| match shard.client().line(line) {
        Value::Integer(number) => number.max(0),
        other => panic!("{line}: {other:?}"),
    });
    answers.sum()
}

#[test]
fn plugin_in_c_takes_an_event_once_and_gives_errors_as_they_are() {
    if !c("plugin_in_c_takes_an_event_once_and_gives_errors_as_they_are") {
        return;
    }
    let setup = start("dedup", "");
    let mut client = setup.gateway.client();
    let no_seconds = "ERR dedup: not a number of seconds from 1 to 999999999: ";
    let asked: [(&[&str], Value); 7] = [
        (&["DEDUP.TAKE", "dedup:1", "100"], Value::Integer(1)),
        (&["dedup.take", "dedup:1", "100"], Value::Integer(0)),
        (&["DEDUP.TAKE", "dedup:2", "100"], Value::Integer(1)),
        (&["GET", "dedup:1"], Value::Null),
        (&["DEDUP.TAKE", "dedup:3", "1\r\nx"], error(&format!("{no_seconds}1  x"))),
        (&["DEDUP.TAKE", "dedup:3", ""], error(no_seconds)),
        (
            &["DEDUP.TAKE", "other:1", "5"],
            error("ERR denied: a key is outside the granted patterns"),
        ),
    ];
    ask(&mut client, &asked);
    assert!(client.line("DEDUP.TAKE dedup:1").is_error("ERR wrong number of arguments"));
    assert!((1..=100).contains(&on_shards(&setup, "TTL {dedup:1}:sg:dedup")));
    // Arguments larger than its first page of memory, and many of them, leave nothing behind.
    let long = format!("dedup:{}", "x".repeat(300_000));
    for round in 0..40 {
        let taken = client.command(&["DEDUP.TAKE", &long, "100"]);
        assert_eq!(taken, Value::Integer(i64::from(round == 0)));
    }
    setup.shards.iter().for_each(|shard| {
        assert_eq!(shard.client().line("CONFIG SET maxmemory 1"), Value::ok());
    });
    assert!(client.line("DEDUP.TAKE dedup:4 100").is_error("OOM"));
    let row = binding_rows(&mut client).swap_remove(0);
    assert_eq!(row.number("crashes"), 0, "{row:?}");
}

/// Shared memory, and work behind the reply: in its last frame or with a call that goes on.
fn notes(name: &str) {
    let setup = start(name, "");
    let mut client = setup.gateway.client();
    let (put, last) = (format!("{name}.PUT"), format!("{name}.LAST"));
    let get = format!("{name}.GET");
    let keys = [&put, &last].map(|command| (command, format!("{name}:{command}")));
    let gone = (&[get.as_str(), &keys[0].1][..], Value::Null);
    ask(&mut client, &[gone]);
    for (command, key) in &keys {
        for value in ["first", "second"] {
            ask(&mut client, &[(&[command, key, value], Value::ok())]);
            ask(&mut client, &[(&[&get, key], Value::Simple(value.into()))]);
        }
        let wanted = Value::Bulk(b"second".to_vec());
        eventually_true("the value to be stored", || client.command(&["GET", key]) == wanted);
    }
    let large = "x".repeat(5_000);
    let room = error(&format!("ERR no room for {name}:large"));
    ask(&mut client, &[(&[&put, &format!("{name}:large"), &large], room)]);
    let row = binding_rows(&mut client).swap_remove(0);
    assert_eq!(row.number("crashes"), 0, "{row:?}");
}

#[test]
fn plugin_in_c_works_behind_its_reply_and_keeps_values() {
    if c("plugin_in_c_works_behind_its_reply_and_keeps_values") {
        notes("cnote");
    }
}

#[test]
fn plugin_in_assemblyscript_works_behind_its_reply_and_keeps_values() {
    if assemblyscript("plugin_in_assemblyscript_works_behind_its_reply_and_keeps_values") {
        notes("asnote");
    }
}

#[test]
fn plugin_in_c_refuses_a_config() {
    if !c("plugin_in_c_refuses_a_config") {
        return;
    }
    let refused = refused_config("dedup", ", config: {seconds: 5}");
    assert!(refused.contains("dedup takes no config"), "{refused}");
}

#[test]
fn plugin_in_c_is_replaced_under_load() {
    if !c("plugin_in_c_is_replaced_under_load") {
        return;
    }
    swap_under_load(&start("dedup", ""), "dedup", |client, user, round| {
        let key = format!("dedup:{user}:{round}");
        let take = ["DEDUP.TAKE", &key, "100"];
        ask(client, &[(&take, Value::Integer(1)), (&take, Value::Integer(0))]);
    });
}

#[test]
fn plugin_in_assemblyscript_counts_down_a_quota_and_gives_errors_as_they_are() {
    if !assemblyscript("plugin_in_assemblyscript_counts_down_a_quota_and_gives_errors_as_they_are")
    {
        return;
    }
    let setup = start("quota", ", config: {limit: 3, seconds: 100}");
    let mut client = setup.gateway.client();
    assert!(matches!(client.line("HELLO 3"), Value::Map(_)));
    let over = || error("QUOTA no more than 3 uses in 100 seconds");
    let take: &[&str] = &["QUOTA.TAKE", "quota:1"];
    let asked: [(&[&str], Value); 7] = [
        (take, Value::Integer(2)),
        (take, Value::Integer(1)),
        (&["QUOTA.TAKE", "quota:2"], Value::Integer(2)),
        (take, Value::Integer(0)),
        (take, over()),
        (take, over()),
        (&["QUOTA.TAKE", "other:1"], error("ERR denied: a key is outside the granted patterns")),
    ];
    ask(&mut client, &asked);
    assert!(client.line("QUOTA.TAKE").is_error("ERR wrong number of arguments"));
    assert!((1..=100).contains(&on_shards(&setup, "TTL {quota:1}:sg:quota")));
    // What INCR cannot count is Redis's own error.
    for shard in &setup.shards {
        assert_eq!(shard.client().line("SET {quota:3}:sg:quota text"), Value::ok());
    }
    let no_number = error("ERR value is not an integer or out of range");
    assert_eq!(client.line("QUOTA.TAKE quota:3"), no_number);
    let long = format!("quota:{}", "x".repeat(300_000));
    for left in [2, 1, 0] {
        assert_eq!(client.command(&["QUOTA.TAKE", &long]), Value::Integer(left));
    }
    (0..40).for_each(|_| assert_eq!(client.command(&["QUOTA.TAKE", &long]), over()));
    let row = binding_rows(&mut client).swap_remove(0);
    assert_eq!(row.number("crashes"), 0, "{row:?}");
}

#[test]
fn plugin_in_assemblyscript_refuses_a_config_that_it_does_not_know() {
    if !assemblyscript("plugin_in_assemblyscript_refuses_a_config_that_it_does_not_know") {
        return;
    }
    let cases = [
        (", config: {limit: 3, size: 1}", "quota knows no size, only limit and seconds"),
        (", config: {limit: 0}", "limit must be at least 1"),
        (", config: {limit: many}", "the config of quota is {limit: number, seconds: number}"),
    ];
    for (config, reason) in cases {
        let refused = refused_config("quota", config);
        assert!(refused.contains(reason), "{config}: {refused}");
    }
}

#[test]
fn plugin_in_assemblyscript_is_replaced_under_load() {
    if !assemblyscript("plugin_in_assemblyscript_is_replaced_under_load") {
        return;
    }
    swap_under_load(&start("quota", ", config: {limit: 2}"), "quota", |client, user, round| {
        let key = format!("quota:{user}:{round}");
        let take = ["QUOTA.TAKE", &key];
        let over = error("QUOTA no more than 2 uses in 60 seconds");
        let left = [1, 0].map(Value::Integer);
        let [first, second] = left;
        ask(client, &[(&take, first), (&take, second), (&take, over)]);
    });
}
