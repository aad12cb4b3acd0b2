//! Guests that break: each call answers its own error, and all other clients' requests succeed meanwhile.
//!
//! The guest `misbehaving` does on demand what no plugin may. Each fault has a pool of its own in one gateway, so that
//! each starts with a clean slate; clients at work ask the same plugin for what it does well, another plugin, and keys
//! without one, on both workers. A fault is done by a hook, by an own command, and after a wait.

use std::fmt::Write;

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::{InProcess, Process};
use sluicegate_tests::load::{Load, ask};
use sluicegate_tests::plugins::{
    Entry, PluginFile, await_binding, binding_rows, built, client_of_each_worker, plugins_yaml,
    variant, yaml_with,
};
use sluicegate_tests::real_server::{RealServer, free_port};
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

const WORKERS: usize = 2;

/// Each fault and what its caller is told.
const FAULTS: [(&str, &str); 12] = [
    ("loop", "PLUGINERR bad: cpu limit"),
    ("bomb", "PLUGINERR bad: memory limit"),
    ("panic", "PLUGINERR bad: trap unreachable"),
    ("out-of-bounds", "PLUGINERR bad: trap out of bounds"),
    ("recurse", "PLUGINERR bad: trap stack overflow"),
    ("huge", "PLUGINERR bad: memory limit"),
    ("long", "PLUGINERR bad: reply larger than limits.reply (1048576 bytes)"),
    ("broken-resp", "PLUGINERR bad: bad reply"),
    ("two-replies", "PLUGINERR bad: bad reply"),
    ("garbage", "PLUGINERR bad: bad reply"),
    ("lying-length", "PLUGINERR bad: bad reply"),
    ("bad-import-pointer", "PLUGINERR bad: trap out of bounds"),
];

/// One pool for each fault, all over the same shards.
fn yaml_of_pools(shards: &[RealServer]) -> String {
    let (bad, pass) = (built("misbehaving/misbehaving"), built("pass"));
    let plugins =
        [("bad", &bad), ("pass", &pass)].map(|(name, file)| Entry { name, file, settings: &[] });
    let mut text = format!("workers: {WORKERS}\n{}pools:\n", plugins_yaml(&plugins));
    let addresses = shards.iter().map(|shard| format!("\"{}\"", shard.address()));
    let addresses = addresses.collect::<Vec<_>>().join(", ");
    for (place, (fault, _)) in FAULTS.iter().enumerate() {
        let lines = [
            format!("  pool{place}:"),
            "    listen: 127.0.0.1:0".to_owned(),
            format!("    shards: [{addresses}]"),
            "    plugins:".to_owned(),
            format!("      - {{use: bad, keys: [fine, \"{fault}\"]}}"),
            "      - {use: pass, keys: [\"pass:*\"]}".to_owned(),
        ];
        writeln!(text, "{}", lines.join("\n")).expect("write to a string");
    }
    text
}

/// What the other clients do meanwhile; `fine later` shares its cell with calls that break.
fn ask_for_what_works(client: &mut Client, user: usize, round: usize) {
    let value = format!("{user}-{round}");
    let [passed, plain] = ["pass", "plain"].map(|kind| format!("{kind}:{user}"));
    let asked: [(&[&str], Value); 7] = [
        (&["GET", "fine"], Value::ok()),
        (&["MISBEHAVE", "fine", "later"], Value::ok()),
        (&["SET", &passed, &value], Value::ok()),
        (&["GET", &passed], Value::bulk(&value)),
        (&["PASS.ECHO", &passed], Value::bulk(&value)),
        (&["SET", &plain, &value], Value::ok()),
        (&["GET", &plain], Value::bulk(&value)),
    ];
    ask(client, &asked);
}

#[test]
fn call_of_a_guest_that_breaks_gets_its_error_and_nobody_else_notices() {
    let shards = RealServer::start_many(2);
    let gateway = InProcess::start(&yaml_of_pools(&shards));
    for (place, (fault, expected)) in FAULTS.iter().enumerate() {
        let address = gateway.address_of(&format!("pool{place}"));
        let clients = (0..6).map(|_| Client::connect(address)).collect();
        let load = Load::start(clients, ask_for_what_works);
        let calls: [&[&str]; 3] =
            [&["GET", fault], &["MISBEHAVE", fault], &["MISBEHAVE", fault, "later"]];
        for mut culprit in client_of_each_worker(address, WORKERS) {
            for call in calls {
                load.await_round();
                let reply = culprit.command(call);
                assert!(reply.is_error(expected), "{call:?}: {reply:?}");
                assert_eq!(culprit.line("PING").text(), "PONG");
            }
        }
        load.await_round();
        load.finish();
    }
}

#[test]
fn plugin_that_breaks_again_and_again_is_stopped_on_its_worker_until_its_file_is_replaced() {
    let shards = RealServer::start_many(1);
    let file = PluginFile::copy_of("misbehaving/misbehaving");
    let pass = built("pass");
    let plugins = [("bad", file.path()), ("pass", &pass)].map(|(name, file)| Entry {
        name,
        file,
        settings: &[],
    });
    let bindings = ["{use: bad, keys: [fine, panic]}", "{use: pass, keys: [\"pass:*\"]}"];
    let gateway = InProcess::start(&yaml_with(&shards, &plugins, &bindings));
    let mut workers = client_of_each_worker(gateway.address(), WORKERS);
    let state = |client: &mut Client| binding_rows(client)[0].fields["state"].clone();
    assert_eq!(state(&mut workers[0]), "up");
    for trap in 0..5 {
        let reply = workers[0].line("GET panic");
        assert!(reply.is_error("PLUGINERR bad: trap unreachable"), "{reply:?}");
        let expected = if trap < 4 { "quarantined" } else { "down" };
        assert_eq!(state(&mut workers[0]), expected, "after trap {trap}");
    }
    for request in ["GET panic", "GET fine", "MISBEHAVE fine"] {
        let reply = workers[0].line(request);
        assert!(reply.is_error("PLUGINDOWN bad:"), "{request}: {reply:?}");
    }
    let others: [(&[&str], Value); 3] = [
        (&["SET", "pass:1", "v"], Value::ok()),
        (&["PASS.ECHO", "pass:1"], Value::bulk("v")),
        (&["SET", "plain:1", "v"], Value::ok()),
    ];
    ask(&mut workers[0], &others);
    assert_eq!(workers[1].line("GET fine"), Value::ok());
    assert_eq!(state(&mut workers[1]), "up");
    let crashes = |client: &mut Client| binding_rows(client)[0].number("crashes");
    assert_eq!([0, 1].map(|place: usize| crashes(&mut workers[place])), [5, 0]);

    let old = binding_rows(&mut workers[0]).swap_remove(0);
    let good = std::fs::read(built("misbehaving/misbehaving")).expect("read a guest");
    file.replace(&variant(&good, "mended"));
    await_binding(&mut workers, 0, "the new file to be taken", |row| {
        row.number("generation") > old.number("generation")
    });
    assert_eq!(workers[0].line("GET fine"), Value::ok());
    assert_eq!(state(&mut workers[0]), "up");
}

#[test]
fn log_tells_what_guests_say_and_counts_what_fails_again_and_again() {
    let shards = RealServer::start_many(1);
    let bad = built("misbehaving/misbehaving");
    let entry = Entry { name: "bad", file: &bad, settings: &[] };
    let yaml = yaml_with(&shards, &[entry], &["{use: bad, keys: [\"*\"]}"]);
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let yaml = yaml.replace("127.0.0.1:0", &listen).replace("workers: 2", "workers: 1");
    let gateway = Process::start(&yaml, listen.parse().expect("an address"));
    let mut client = Client::connect(gateway.address());
    assert_eq!(client.line("MISBEHAVE log-flood"), Value::ok());
    eventually_true("what the guest said", || gateway.log().contains(&"x".repeat(512)));
    (0..5).for_each(|_| assert!(client.line("GET panic").is_error("PLUGINERR")));
    (0..2_000).for_each(|_| assert!(client.line("GET fine").is_error("PLUGINDOWN")));
    eventually_true("the others to be counted", || gateway.log().contains("more like it"));
    let lines = gateway.log().matches("PLUGINDOWN").count();
    assert!(lines < 20, "{lines} lines");
}
