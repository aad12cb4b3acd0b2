//! SLUICEGATE PLUGIN: what an operator sees of plugins over RESP, and files that are loaded on command.
//!
//! The gateway has two workers. Behind RELOAD's OK every worker runs the new file, which is asked at once and not
//! awaited; a file that is refused leaves the old one. `plugins` has the files that are taken by themselves.

use std::sync::Mutex;
use std::thread;

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::plugins::{
    Entry, PluginFile, await_binding, binding_rows, built, client_of_each_worker, variant,
    yaml_with,
};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;

const WORKERS: usize = 2;

struct Setup {
    file: PluginFile,
    wasm: Vec<u8>,
    gateway: InProcess,
    _shards: Vec<RealServer>,
}

/// The plugin `pass` on two kinds of keys, and `none`, which nothing uses.
fn start() -> Setup {
    let shards = RealServer::start_many(1);
    let file = PluginFile::copy_of("pass");
    let unused = built("cache");
    let plugins = [
        Entry { name: "pass", file: file.path(), settings: &["grant: {commands: [SET]}"] },
        Entry { name: "none", file: &unused, settings: &[] },
    ];
    let bindings = ["{use: pass, keys: [\"a:*\"]}", "{use: pass, keys: [\"b:*\", \"c\"]}"];
    let gateway = InProcess::start(&yaml_with(&shards, &plugins, &bindings));
    let wasm = std::fs::read(file.path()).expect("read a plugin");
    Setup { file, wasm, gateway, _shards: shards }
}

/// A field of a map, or of the flat array that RESP2 has for it.
fn field(value: &Value, name: &str) -> Value {
    let found = match value {
        Value::Map(pairs) => pairs.iter().find(|(key, _)| key.text() == name).map(|(_, v)| v),
        Value::Array(items) => {
            items.chunks(2).find(|pair| pair[0].text() == name).map(|pair| &pair[1])
        }
        _ => None,
    };
    found.unwrap_or_else(|| panic!("no {name} in {value:?}")).clone()
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        other => panic!("no array: {other:?}"),
    }
}

fn texts(value: Value) -> Vec<String> {
    items(value).iter().map(Value::text).collect()
}

#[test]
fn list_and_info_show_every_plugin_added_up_over_the_workers() {
    let setup = start();
    let mut clients = client_of_each_worker(setup.gateway.address(), WORKERS);
    for (round, client) in clients.iter_mut().enumerate() {
        for _ in 0..=round {
            assert_eq!(client.line("SET a:1 x"), Value::ok());
            assert_eq!(client.line("SET c x"), Value::ok());
            assert!(client.line("PASS.ECHO a:1").is_error("ERR denied"), "only SET is granted");
        }
    }
    for client in &mut clients {
        for hello in ["HELLO 2", "HELLO 3"] {
            client.line(hello);
            let list = items(client.line("SLUICEGATE PLUGIN LIST"));
            let texts_of =
                |name: &str| list.iter().map(|entry| field(entry, name).text()).collect::<Vec<_>>();
            assert_eq!(texts_of("name"), ["pass", "none"]);
            assert_eq!(texts_of("state"), ["up", "unbound"]);
            assert_eq!(texts_of("file")[0], setup.file.path().display().to_string());
            assert_eq!(texts_of("sha256")[0].len(), 64);
            let places = ["pools.main.plugins[0]", "pools.main.plugins[1]"];
            assert_eq!(texts(field(&list[0], "bindings")), places);
            assert_eq!(texts(field(&list[1], "bindings")), Vec::<String>::new());
        }
    }
    let info = clients[0].line("SLUICEGATE PLUGIN INFO pass");
    assert!(matches!(info, Value::Map(_)), "{info:?}");
    let counts = field(&info, "counts");
    // One round on the first worker, two on the second: two hooked commands and one of the plugin's own in each.
    assert_eq!(field(&counts, "calls"), Value::Integer(9));
    assert_eq!(field(&counts, "denied"), Value::Integer(3));
    assert_eq!(field(&counts, "live"), Value::Integer(0));
    assert_eq!(texts(field(&info, "refused_grants")), ["command GET"]);
    assert_eq!(field(&field(&info, "limits"), "calls_per_cell"), Value::Integer(32));
    let bindings = items(field(&info, "bindings"));
    assert_eq!(texts(field(&bindings[1], "keys")), ["b:*", "c"]);
    let calls: Vec<Value> =
        bindings.iter().map(|binding| field(&field(binding, "counts"), "calls")).collect();
    assert_eq!(calls, [Value::Integer(6), Value::Integer(3)]);
    let info = clients[0].line("SLUICEGATE PLUGIN INFO none");
    assert!(texts(field(&info, "hooks")).contains(&"GET".to_owned()), "{info:?}");
}

#[test]
fn after_reloads_ok_every_worker_runs_the_new_file_and_a_refused_one_leaves_the_old() {
    let setup = start();
    let mut clients = client_of_each_worker(setup.gateway.address(), WORKERS);
    for round in 0..10_usize {
        setup.file.replace(&variant(&setup.wasm, &format!("{round}")));
        let asking = &mut clients[round % WORKERS];
        let told = asking.line("SLUICEGATE PLUGIN RELOAD pass").text();
        let [_, facts] = told.split(": generation ").collect::<Vec<_>>()[..] else {
            panic!("{told}");
        };
        assert!(told.starts_with("OK plugin 'pass': "), "{told}");
        let (generation, sha256) = facts.split_once(", sha256 ").expect("a hash");
        for client in &mut clients {
            for row in binding_rows(client) {
                assert_eq!(row.fields["generation"], generation, "round {round}");
                assert_eq!(row.fields["sha256"], sha256, "round {round}");
            }
        }
    }
    let before = binding_rows(&mut clients[0]).swap_remove(0);
    for reload in ["SLUICEGATE PLUGIN RELOAD pass", "sluicegate plugin reload"] {
        let told = clients[0].line(reload).text();
        assert!(told.starts_with("OK plugin 'pass': unchanged, generation"), "{told}");
    }
    setup.file.replace(b"no module");
    for (reload, rest) in
        [("SLUICEGATE PLUGIN RELOAD pass", ""), ("SLUICEGATE PLUGIN RELOAD", "; plugin 'none': ")]
    {
        let told = clients[1].line(reload);
        assert!(told.is_error("ERR plugin 'pass': plugins.pass.file: "), "{told:?}");
        assert!(told.text().contains(&format!("; the old one stays{rest}")), "{told:?}");
        for client in &mut clients {
            let row = binding_rows(client).swap_remove(0);
            assert_eq!(row.fields["sha256"], before.fields["sha256"]);
            assert!(row.last_load_failed.is_some(), "{row:?}");
            let info = client.line("SLUICEGATE PLUGIN INFO pass");
            assert!(!field(&info, "last_load_failed").text().is_empty());
            assert_eq!(client.line("SET a:1 x"), Value::ok());
        }
    }
    setup.file.replace(&variant(&setup.wasm, "9"));
    let told = clients[0].line("SLUICEGATE PLUGIN RELOAD pass").text();
    assert!(told.starts_with("OK plugin 'pass': unchanged"), "{told}");
    for client in &mut clients {
        assert_eq!(binding_rows(client)[0].last_load_failed, None);
        let info = client.line("SLUICEGATE PLUGIN INFO pass");
        assert_eq!(field(&info, "last_load_failed").text(), "");
    }
}

#[test]
fn reloads_at_once_are_each_answered_in_their_place_and_may_lose_their_client() {
    let setup = start();
    let address = setup.gateway.address();
    let replacing = Mutex::new(());
    thread::scope(|scope| {
        for number in 0..6 {
            let (setup, replacing) = (&setup, &replacing);
            scope.spawn(move || {
                for round in 0..5 {
                    let wasm = variant(&setup.wasm, &format!("{number}-{round}"));
                    let alone = replacing.lock().expect("no thread has failed");
                    setup.file.replace(&wasm);
                    drop(alone);
                    let mut client = Client::connect(address);
                    client.also("PING").also("SLUICEGATE PLUGIN RELOAD pass").also("ECHO behind");
                    if round % 2 == 1 {
                        // It closes while it waits.
                        continue;
                    }
                    assert_eq!(client.reply().text(), "PONG");
                    let told = client.reply().text();
                    assert!(told.starts_with("OK plugin 'pass': "), "{told}");
                    assert_eq!(client.reply().text(), "behind");
                }
            });
        }
    });
    setup.file.replace(&variant(&setup.wasm, "last"));
    let mut clients = client_of_each_worker(address, WORKERS);
    let told = clients[0].line("SLUICEGATE PLUGIN RELOAD").text();
    await_binding(&mut clients, 0, "the last file", |row| told.contains(&row.fields["sha256"]));
    let info = clients[0].line("SLUICEGATE PLUGIN INFO pass");
    assert_eq!(field(&field(&info, "counts"), "crashes"), Value::Integer(0));
}

#[test]
fn wrong_words_get_redis_errors_and_a_name_that_is_unknown_those_that_are() {
    let setup = start();
    let mut client = setup.gateway.client();
    let arity = |name: &str| format!("ERR wrong number of arguments for '{name}' command");
    let cases = [
        ("SLUICEGATE", arity("sluicegate")),
        ("SLUICEGATE PLUGIN", arity("sluicegate|plugin")),
        ("SLUICEGATE PLUGIN LIST x", arity("sluicegate|plugin|list")),
        ("SLUICEGATE PLUGIN INFO", arity("sluicegate|plugin|info")),
        ("SLUICEGATE PLUGIN RELOAD a b", arity("sluicegate|plugin|reload")),
        ("SLUICEGATE NOPE", "ERR unknown subcommand 'NOPE'. Try SLUICEGATE HELP.".to_owned()),
        (
            "SLUICEGATE PLUGIN NOPE",
            "ERR unknown subcommand 'NOPE'. Try SLUICEGATE HELP.".to_owned(),
        ),
        (
            "SLUICEGATE PLUGIN INFO nope",
            "ERR no plugin 'nope'; the configuration names pass, none".to_owned(),
        ),
        (
            "SLUICEGATE PLUGIN RELOAD PASS",
            "ERR no plugin 'PASS'; the configuration names pass, none".to_owned(),
        ),
    ];
    for (line, due) in cases {
        assert_eq!(client.line(line), Value::Error(due.into_bytes()), "{line}");
    }
    assert_eq!(client.line("MULTI"), Value::ok());
    let told = client.line("SLUICEGATE PLUGIN LIST");
    let due = "ERR 'sluicegate|plugin' is not supported by this gateway inside MULTI: send it before MULTI";
    assert!(told.is_error(due), "{told:?}");
    assert!(client.line("EXEC").is_error("EXECABORT"));
    let help = texts(client.line("SLUICEGATE HELP"));
    for line in ["PLUGIN LIST", "PLUGIN INFO <name>", "PLUGIN RELOAD [<name>]", "HELP"] {
        assert!(help.contains(&line.to_owned()), "{help:?}");
    }
    assert!(texts(client.line("COMMAND LIST")).contains(&"sluicegate".to_owned()));
    let info = items(client.line("COMMAND INFO sluicegate sluicegate|plugin"));
    assert!(info.iter().all(|entry| matches!(entry, Value::Array(_))), "{info:?}");
    let docs = client.line("COMMAND DOCS sluicegate");
    let summary = field(&field(&docs, "sluicegate"), "summary").text();
    assert_eq!(summary, "A container for the gateway's own commands.");
}

#[test]
fn gateway_without_plugins_says_so_and_one_without_an_optional_file_too() {
    let shards = RealServer::start_many(1);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let mut client = gateway.client();
    assert_eq!(client.line("SLUICEGATE PLUGIN LIST"), Value::Array(Vec::new()));
    for line in
        ["SLUICEGATE PLUGIN RELOAD", "SLUICEGATE PLUGIN RELOAD x", "SLUICEGATE PLUGIN INFO x"]
    {
        let due = b"ERR the configuration names no plugins".to_vec();
        assert_eq!(client.line(line), Value::Error(due), "{line}");
    }
    let missing = std::env::temp_dir().join("sluicegate-no-such-plugin.wasm");
    let plugins = [Entry { name: "gone", file: &missing, settings: &["optional: true"] }];
    let yaml = yaml_with(&shards, &plugins, &["{use: gone, keys: [\"a:*\"]}"]);
    let gateway = InProcess::start(&yaml);
    let mut client = gateway.client();
    let list = items(client.line("SLUICEGATE PLUGIN LIST"));
    assert_eq!(field(&list[0], "state").text(), "absent");
    let info = client.line("SLUICEGATE PLUGIN INFO gone");
    assert_eq!(field(&info, "generation"), Value::Integer(0));
    let told = client.line("SLUICEGATE PLUGIN RELOAD gone");
    assert!(told.is_error("ERR plugin 'gone': "), "{told:?}");
    assert_eq!(client.line("SLUICEGATE PLUGIN RELOAD").text(), "OK no plugin is loaded");
}
