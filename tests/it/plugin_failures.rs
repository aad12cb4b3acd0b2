//! What is told of plugins that fail, and commands that go on without them.
//!
//! A panic's message stands in the log under the id that its client saw; what was denied is in the log and counted. With
//! `fail: pass` a hooked command whose call fails goes on as it came, inside MULTI too, and while the plugin is down.

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::{InProcess, Process};
use sluicegate_tests::plugins::{Entry, binding_rows, built, yaml_with};
use sluicegate_tests::real_server::{RealServer, free_port};
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually;

fn one_worker(shards: &[RealServer], bindings: &[&str]) -> String {
    let (bad, pass) = (built("misbehaving/misbehaving"), built("pass"));
    let plugins = [
        Entry { name: "bad", file: &bad, settings: &[] },
        Entry { name: "pass", file: &pass, settings: &["grant: {commands: [SET]}"] },
    ];
    yaml_with(shards, &plugins, bindings).replace("workers: 2", "workers: 1")
}

#[test]
fn log_has_a_panics_message_under_its_clients_id_and_every_denied_operation_is_told() {
    let shards = RealServer::start_many(1);
    let yaml = one_worker(&shards, &["{use: bad, keys: [panic]}", "{use: pass, keys: [\"p:*\"]}"]);
    let listen = format!("127.0.0.1:{}", free_port());
    let yaml = yaml.replace("127.0.0.1:0", &listen);
    let gateway = Process::start(&yaml, listen.parse().expect("an address"));
    let mut client = Client::connect(gateway.address());
    let line_with = |word: &str| {
        eventually(word, || {
            gateway.log().lines().find(|line| line.contains(word)).map(str::to_owned)
        })
    };
    for _ in 0..4 {
        let told = client.line("GET panic").text();
        let id = told.split_once("(id ").and_then(|(_, rest)| rest.split_once(')')).expect(&told).0;
        let line = line_with(id);
        assert!(line.contains("the plugin said"), "{told}: {line}");
    }
    assert!(client.line("PASS.ECHO p:1").is_error("ERR denied: the command is not granted"));
    let line = line_with("an operation was denied");
    assert!(line.contains("plugin pass") && line.contains("GET"), "{line}");
    let rows = binding_rows(&mut client);
    assert_eq!([rows[0].number("fault_trap"), rows[1].number("denied")], [4, 1]);
}

#[test]
fn command_of_a_failed_call_goes_on_where_the_binding_says_so() {
    let shards = RealServer::start_many(2);
    let bindings =
        ["{use: bad, keys: [panic, loop], fail: pass}", "{use: bad, keys: [garbage], fail: error}"];
    let gateway = InProcess::start(&one_worker(&shards, &bindings));
    let mut client = gateway.client();
    for key in ["panic", "loop", "garbage"] {
        assert_eq!(client.command(&["SET", key, key]), Value::ok());
    }
    // Behind the fifth trap the plugin is down, and the commands go on all the same.
    for round in 0..8 {
        for key in ["panic", "loop"] {
            assert_eq!(client.command(&["GET", key]), Value::bulk(key), "round {round}");
        }
        assert_eq!(client.line("MULTI"), Value::ok());
        client.line("GET panic");
        assert_eq!(client.line("EXEC"), Value::Array(vec![Value::bulk("panic")]));
    }
    assert!(client.line("GET garbage").is_error("PLUGINERR bad: bad reply"));
    assert!(client.line("MISBEHAVE panic").is_error("PLUGINDOWN bad"), "no way on for it");
    let rows = binding_rows(&mut client);
    assert_eq!(rows[0].fields["state"], "down");
    assert_eq!([rows[0].number("passed"), rows[1].number("passed")], [24, 0]);
}
