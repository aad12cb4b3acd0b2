//! Hooked commands with several keys or none: cut by binding, joined as one server's reply, passed on in order.
//!
//! The guest `probe` marks each value that its MGET reads with a `+`, so a reply tells which keys met a plugin. `pass`
//! lets all commands go on. Keys live on three shards.

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::InProcess;
use sluicegate_tests::load::ask;
use sluicegate_tests::plugins::{Entry, binding_rows, built, yaml_with};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;

fn start(shards: &[RealServer], bindings: &[&str]) -> InProcess {
    let files = [("probe", built("probe")), ("pass", built("pass"))];
    let plugins = files.each_ref().map(|(name, file)| Entry { name, file, settings: &[] });
    InProcess::start(&yaml_with(shards, &plugins, bindings))
}

fn set_all(client: &mut Client, keys: &[&str]) {
    for key in keys {
        assert_eq!(client.command(&["SET", key, key]), Value::ok());
    }
}

fn bulks(values: &[&str]) -> Value {
    let one = |value: &&str| if *value == "nil" { Value::Null } else { Value::bulk(value) };
    Value::Array(values.iter().map(one).collect())
}

#[test]
fn mget_is_cut_by_binding_and_its_values_come_in_the_order_of_the_keys() {
    let shards = RealServer::start_many(3);
    let bindings = ["{use: probe, keys: [\"a:*\"]}", "{use: probe, keys: [\"a:*\", \"b:*\"]}"];
    let gateway = start(&shards, &bindings);
    let mut client = gateway.client();
    let keys = ["a:1", "a:2", "b:1", "b:2:pass", "x:1", "x:2", "a:3:pass"];
    set_all(&mut client, &keys);
    for protocol in ["2", "3"] {
        client.command(&["HELLO", protocol]);
        let asked: [(&[&str], Value); 5] = [
            (&["MGET", "a:1", "a:2"], bulks(&["a:1+", "a:2+"])),
            (
                &["MGET", "x:1", "a:1", "nothing", "b:1", "x:2", "a:2", "a:1"],
                bulks(&["x:1", "a:1+", "nil", "b:1+", "x:2", "a:2+", "a:1+"]),
            ),
            (&["MGET", "x:1", "x:2"], bulks(&["x:1", "x:2"])),
            // The first binding passes its keys to the second, which passes them to the shards.
            (&["MGET", "a:3:pass", "a:1", "x:1"], bulks(&["a:3:pass", "a:1", "x:1"])),
            // The second alone.
            (&["MGET", "b:2:pass", "b:1", "a:1"], bulks(&["b:2:pass", "b:1", "a:1+"])),
        ];
        ask(&mut client, &asked);
    }
    let rows = binding_rows(&mut client);
    let calls: Vec<u64> = rows.iter().map(|row| row.number("calls")).collect();
    assert!(calls.iter().all(|calls| *calls > 0), "{calls:?}");
    assert!(rows.iter().all(|row| row.number("live") == 0 && row.number("crashes") == 0));
}

#[test]
fn parts_that_pass_keep_the_order_of_a_pipeline() {
    let shards = RealServer::start_many(3);
    let bindings = ["{use: pass, keys: [\"p:*\"]}", "{use: pass, keys: [\"p:1*\", \"q:*\"]}"];
    let gateway = start(&shards, &bindings);
    let mut client = gateway.client();
    for round in 0..50 {
        let value = round.to_string();
        let requests: [(&[&str], Value); 8] = [
            (&["SET", "p:1", &value], Value::ok()),
            (&["SET", "q:1", &value], Value::ok()),
            (&["SET", "plain", &value], Value::ok()),
            (&["DEL", "p:1", "plain", "q:1", "p:9", "p:1"], Value::Integer(3)),
            (&["SET", "p:1", "new"], Value::ok()),
            (&["GET", "p:1"], Value::bulk("new")),
            (&["GET", "plain"], Value::Null),
            (&["DEL", "p:1"], Value::Integer(1)),
        ];
        for (request, _) in &requests {
            client.send(request);
        }
        for (request, wanted) in &requests {
            assert_eq!(client.reply(), *wanted, "round {round}: {request:?}");
        }
    }
}

#[test]
fn command_without_a_single_key_is_offered_to_bindings_on_all_keys() {
    let shards = RealServer::start_many(3);
    let gateway = start(&shards, &["{use: probe, keys: [\"a:*\"]}", "{use: probe, keys: [\"*\"]}"]);
    let mut client = gateway.client();
    set_all(&mut client, &["a:1", "b:1", "c:1"]);
    let refused = Value::Error(b"ERR KEYS * is refused here: use SCAN".to_vec());
    for _ in 0..20 {
        for request in [
            &["KEYS", "*"][..],
            &["SET", "k:new", "1"],
            &["KEYS", "k:n*"],
            &["DEL", "k:new"],
            &["KEYS", "k:n*"],
            &["PING"],
        ] {
            client.send(request);
        }
        assert_eq!(client.reply(), refused);
        assert_eq!(client.reply(), Value::ok());
        assert_eq!(client.reply(), bulks(&["k:new"]));
        assert_eq!(client.reply(), Value::Integer(1));
        assert_eq!(client.reply(), Value::Array(vec![]));
        assert_eq!(client.reply(), Value::Simple(b"PONG".to_vec()));
    }
    // Muted requests keep their turn.
    client.send(&["CLIENT", "REPLY", "SKIP"]);
    client.send(&["KEYS", "k:n*"]);
    client.send(&["GET", "nothing"]);
    assert_eq!(client.reply(), Value::bulk("+"));
}

#[test]
fn several_keys_inside_multi_are_one_bindings_or_nobodys() {
    let shards = RealServer::start_many(1);
    let gateway = start(&shards, &["{use: probe, keys: [\"a:*\"]}"]);
    let mut client = gateway.client();
    set_all(&mut client, &["a:1", "a:2", "b:1"]);
    for request in
        [&["MULTI"][..], &["MGET", "a:1", "a:2"], &["MGET", "a:1", "b:1"], &["MGET", "b:1", "b:2"]]
    {
        assert!(!matches!(client.command(request), Value::Error(_)), "{request:?}");
    }
    let rows = [["a:1", "a:2"], ["a:1", "b:1"], ["b:1", "nil"]].map(|row| bulks(&row));
    assert_eq!(client.command(&["EXEC"]), Value::Array(rows.to_vec()));
}
