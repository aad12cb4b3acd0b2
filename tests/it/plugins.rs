//! Plugins end to end: hooks that pass, commands of their own, what they are granted, and new files while they work.
//!
//! Each test has shards and a gateway of its own, and copies of the built plugins that it may replace. A swap is
//! awaited on every worker by what INFO says. `plugin_faults` has the plugins that break.

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::InProcess;
use sluicegate_tests::load::{Load, ask};
use sluicegate_tests::plugins::{
    BindingRow, Entry, PluginFile, await_binding, binding_rows, built, client_of_each_worker,
    renumbered, variant, yaml_with,
};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;

const WORKERS: usize = 2;
const SWAPS: usize = 20;

struct Setup {
    gateway: InProcess,
    shards: Vec<RealServer>,
}

fn start(plugins: &[Entry<'_>], bindings: &[&str]) -> Setup {
    let shards = RealServer::start_many(2);
    let gateway = InProcess::start(&yaml_with(&shards, plugins, bindings));
    Setup { gateway, shards }
}

/// The plugin `pass` on the keys pass:*.
fn start_pass(settings: &[&str]) -> Setup {
    let file = built("pass");
    let pass = Entry { name: "pass", file: &file, settings };
    start(&[pass], &["{use: pass, keys: [\"pass:*\"]}"])
}

fn error(text: &str) -> Value {
    Value::Error(text.as_bytes().to_vec())
}

#[test]
fn hooked_commands_that_pass_and_own_commands_give_redis_replies_in_order() {
    let setup = start_pass(&[]);
    let mut client = setup.gateway.client();
    for round in 0..50 {
        let key = format!("pass:{round}");
        let asked: [(&[&str], Value); 9] = [
            (&["PASS.ECHO", &key], Value::Null),
            (&["SET", &key, "1"], Value::ok()),
            (&["PASS.ECHO", &key], Value::bulk("1")),
            (&["INCR", &key], Value::Integer(2)),
            (&["APPEND", &key, "x"], Value::Integer(2)),
            (&["pass.echo", &key], Value::bulk("2x")),
            (&["GET", &key], Value::bulk("2x")),
            (&["DEL", &key], Value::Integer(1)),
            (&["GET", &key], Value::Null),
        ];
        ask(&mut client, &asked);
    }
    let arity = "ERR wrong number of arguments for 'pass.echo' command";
    assert_eq!(client.line("PASS.ECHO"), error(arity));
    client.line("HELLO 3");
    for request in ["GET pass:nothing", "PASS.ECHO pass:nothing"] {
        client.send(&request.split(' ').collect::<Vec<_>>());
        let (bytes, _) = client.next_reply().expect("a reply");
        assert_eq!(bytes, b"_\r\n", "{request}");
    }
    // 50 rounds of three own commands and four hooked ones; APPEND is not hooked.
    let row = binding_rows(&mut client).swap_remove(0);
    assert!(row.number("calls") >= 50 * 7, "{row:?}");
    assert_eq!(row.number("crashes"), 0);
}

#[test]
fn hooked_commands_inside_multi_pass_and_own_commands_are_refused() {
    let setup = start_pass(&[]);
    let mut client = setup.gateway.client();
    let queued = || Value::Simple(b"QUEUED".to_vec());
    let done = Value::Array(vec![Value::ok(), Value::bulk("1"), Value::Integer(2)]);
    let asked: [(&[&str], Value); 5] = [
        (&["MULTI"], Value::ok()),
        (&["SET", "pass:1", "1"], queued()),
        (&["GET", "pass:1"], queued()),
        (&["INCR", "pass:1"], queued()),
        (&["EXEC"], done),
    ];
    ask(&mut client, &asked);
    assert_eq!(client.line("MULTI"), Value::ok());
    let refused = client.line("PASS.ECHO pass:1");
    assert!(refused.text().contains("not allowed inside MULTI"));
    assert!(client.line("EXEC").is_error("EXECABORT"));
    assert_eq!(client.line("PASS.ECHO pass:1"), Value::bulk("2"));
}

#[test]
fn command_that_one_binding_passes_reaches_the_next() {
    let (pass, cache) = (built("pass"), built("cache"));
    let plugins = [("pass", &pass), ("cache", &cache)].map(|(name, file)| Entry {
        name,
        file,
        settings: &[],
    });
    let bindings = [
        "{use: pass, keys: [\"cache:*\"]}",
        "{use: cache, keys: [\"cache:long:*\"], config: {grace: 1000s}}",
        "{use: cache, keys: [\"cache:*\"], config: {grace: 500s}}",
    ];
    let setup = start(&plugins, &bindings);
    let mut client = setup.gateway.client();
    let cases = [("cache:long:1", 1_100), ("cache:1", 600), ("plain:1", 100)];
    for (key, kept) in cases {
        assert_eq!(client.command(&["SET", key, "v", "EX", "100"]), Value::ok());
        assert_eq!(client.command(&["GET", key]), Value::bulk("v"));
        let seconds = |ttl| match ttl {
            Value::Integer(seconds) => seconds,
            other => panic!("TTL: {other:?}"),
        };
        let soft = seconds(client.command(&["TTL", key]));
        assert!((70..=100).contains(&soft), "{key}: {soft}");
        let on_shards = setup.shards.iter();
        let hard = on_shards.map(|shard| seconds(shard.client().command(&["TTL", key])));
        let hard = hard.max().expect("a shard");
        assert!((kept - 30..=kept).contains(&hard), "{key}: {hard}");
    }
}

#[test]
fn operation_that_is_not_granted_is_denied_and_says_what_is_missing() {
    let cases: [(&[&str], &str, &str); 4] = [
        (&[], "pass:1", ""),
        (&[], "other:1", "ERR denied: a key is outside the granted patterns"),
        (
            &["grant: {commands: [SET], keys: [\"*\"]}"],
            "pass:1",
            "ERR denied: the command is not granted",
        ),
        (&["grant: {commands: [GET], keys: [\"other:*\"]}"], "other:1", ""),
    ];
    for (settings, key, denied) in cases {
        let setup = start_pass(settings);
        let mut client = setup.gateway.client();
        assert_eq!(client.command(&["SET", key, "v"]), Value::ok());
        let expected = match denied {
            "" => Value::bulk("v"),
            text => error(text),
        };
        let found = client.command(&["PASS.ECHO", key]);
        assert_eq!(found, expected, "{settings:?} {key}");
        assert_eq!(client.command(&["GET", key]), Value::bulk("v"));
    }
}

#[test]
fn missing_plugin_file_stops_the_start_unless_it_is_optional() {
    let shards = RealServer::start_many(1);
    let file = std::env::temp_dir().join("sluicegate-no-such-plugin.wasm");
    let yaml = |settings| {
        let entry = Entry { name: "absent", file: &file, settings };
        yaml_with(&shards, &[entry], &["{use: absent, keys: [\"*\"]}"])
    };
    let refused = InProcess::try_start_file(&yaml(&[])).expect_err("there is no such file");
    assert!(refused.contains("sluicegate-no-such-plugin.wasm"), "{refused}");
    let gateway = InProcess::try_start_file(&yaml(&["optional: true"])).expect("it may be absent");
    let mut client = gateway.client();
    assert_eq!(client.line("SET a 1"), Value::ok());
    assert_eq!(client.line("GET a"), Value::bulk("1"));
}

#[test]
fn file_that_cannot_run_stops_the_start_in_one_line_unless_it_is_optional() {
    let shards = RealServer::start_many(1);
    let good = std::fs::read(built("pass")).expect("read a plugin");
    for (name, bytes, reason) in refused_files(&good) {
        let file = PluginFile::copy_of("pass");
        file.replace(&bytes);
        let yaml = |settings| {
            let entry = Entry { name: "bad", file: file.path(), settings };
            let binding = "{use: bad, keys: [\"*\"], config: {fault: none}}";
            yaml_with(&shards, &[entry], &[binding])
        };
        let refused = InProcess::try_start(&yaml(&[])).expect_err(name);
        assert!(refused.contains(reason), "{name}: {refused}");
        assert_eq!(refused.trim().lines().count(), 1, "{name}: {refused}");
        let gateway = InProcess::try_start(&yaml(&["optional: true"])).expect(name);
        let mut client = gateway.client();
        assert_eq!(client.line("SET a 1"), Value::ok());
        assert_eq!(client.line("GET a"), Value::bulk("1"));
        assert_eq!(client.line("PASS.ECHO a").text().get(..19), Some("ERR unknown command"));
    }
}

#[test]
fn pinned_file_is_compared_before_any_of_it_runs() {
    let shards = RealServer::start_many(1);
    let file = built("misbehaving/misbehaving");
    let pinned = format!("sha256: {}", "0".repeat(64));
    let settings = [pinned.as_str()];
    let entry = Entry { name: "bad", file: &file, settings: &settings };
    let binding = "{use: bad, keys: [\"*\"], config: {fault: init-loop}}";
    let refused = InProcess::try_start(&yaml_with(&shards, &[entry], &[binding]));
    let refused = refused.expect_err("another file is pinned");
    assert!(refused.contains("not the one that is pinned"), "{refused}");
}

#[test]
fn compiled_code_is_kept_for_the_next_start_and_nothing_else_is_taken_for_it() {
    use std::os::unix::fs::PermissionsExt;
    let shards = RealServer::start_many(1);
    let file = PluginFile::copy_of("pass");
    let folder = file.path().with_extension("code");
    let entry = Entry { name: "pass", file: file.path(), settings: &[] };
    let yaml = yaml_with(&shards, &[entry], &["{use: pass, keys: [\"*\"]}"]);
    let (_, rest) = yaml.split_once('\n').expect("the cache of the tests");
    let yaml = |setting: &str| format!("plugin_cache: {setting}\n{rest}");
    let here = folder.display().to_string();
    let code = |setting: &str| {
        let gateway = InProcess::start(&yaml(setting));
        let mut client = gateway.client();
        assert_eq!(client.line("PASS.ECHO nothing"), Value::Null);
        binding_rows(&mut client)[0].fields["code"].clone()
    };
    assert_eq!(["off", &here, &here].map(code), ["compiled", "compiled", "cached"]);
    let kept = || {
        let mut files = std::fs::read_dir(&folder).expect("the folder");
        files.next().expect("a file").expect("a file").path()
    };
    std::fs::write(kept(), b"anything").expect("spoil a file");
    assert_eq!([&here, &here].map(|folder| code(folder)), ["compiled", "cached"]);
    let others = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&folder, others).expect("let others in");
    assert_eq!(code(&here), "compiled", "others can change what is in it");
}

/// What each client does while files are replaced: hooks, a command of a plugin's own, and a key without plugins.
fn ask_all_ways(client: &mut Client, user: usize, round: usize) {
    let value = format!("{user}-{round}");
    let [passed, cached, plain] = ["pass", "cache", "plain"].map(|kind| format!("{kind}:{user}"));
    let stored = || Value::bulk(&value);
    let asked: [(&[&str], Value); 7] = [
        (&["SET", &passed, &value], Value::ok()),
        (&["GET", &passed], stored()),
        (&["PASS.ECHO", &passed], stored()),
        (&["SETEX", &cached, "100", &value], Value::ok()),
        (&["GET", &cached], stored()),
        (&["SET", &plain, &value], Value::ok()),
        (&["GET", &plain], stored()),
    ];
    ask(client, &asked);
}

#[test]
fn plugin_files_replaced_under_load_fail_no_request() {
    let files = ["pass", "cache"].map(|name| (name, PluginFile::copy_of(name)));
    let plugins =
        files.each_ref().map(|(name, file)| Entry { name, file: file.path(), settings: &[] });
    let bindings = [
        "{use: pass, keys: [\"pass:*\"]}",
        "{use: cache, keys: [\"cache:*\"], config: {wait: 600s, lease: 600s, poll: 200ms}}",
    ];
    let setup = start(&plugins, &bindings);
    let address = setup.gateway.address();
    let mut watchers = client_of_each_worker(address, WORKERS);
    let clients = (0..8).map(|_| setup.gateway.client()).collect();
    let load = Load::start(clients, ask_all_ways);
    for swap in 0..SWAPS {
        let key = format!("cache:swap:{swap}");
        let mut leader = setup.gateway.client();
        assert_eq!(leader.command(&["GET", &key]), Value::Null);
        let mut waiting = setup.gateway.client();
        waiting.send(&["GET", &key]);
        let binding = swap % files.len();
        let (name, file) = &files[binding];
        let old = binding_rows(&mut watchers[0]).swap_remove(binding);
        let built = std::fs::read(built(name)).expect("read a plugin");
        file.replace(&variant(&built, &format!("swap {swap}")));
        let new = await_binding(&mut watchers, binding, "the new file to be taken", |row| {
            row.number("generation") > old.number("generation")
        });
        assert_ne!(old.fields["sha256"], new.fields["sha256"]);
        assert_eq!(new.last_load_failed, None);
        load.await_round();
        // A call of the old generation that waits is woken by a fill through the new one.
        assert_eq!(leader.command(&["SETEX", &key, "100", "v"]), Value::ok());
        assert_eq!(waiting.reply(), Value::bulk("v"));
    }
    load.finish();
}

#[test]
fn file_of_the_same_size_and_time_as_the_old_one_is_taken() {
    let file = PluginFile::copy_of("misbehaving/misbehaving");
    let plugins = [Entry { name: "plugin", file: file.path(), settings: &[] }];
    let setup = start(&plugins, &["{use: plugin, keys: [fine]}"]);
    let facts = || std::fs::metadata(file.path()).expect("a plugin file");
    let (len, modified) = (facts().len(), facts().modified().expect("its time"));
    file.replace(&renumbered(&std::fs::read(file.path()).expect("read a guest")));
    let opened = std::fs::File::options().write(true).open(file.path()).expect("open a plugin");
    opened.set_modified(modified).expect("set its time");
    assert_eq!((facts().len(), facts().modified().expect("its time")), (len, modified));
    let mut watchers = client_of_each_worker(setup.gateway.address(), WORKERS);
    await_binding(&mut watchers, 0, "the new file to be taken", |row| row.number("generation") > 1);
}

/// A file that is not taken: its name, its bytes and what is said of it.
type Refused = (&'static str, Vec<u8>, &'static str);

fn refused_files(good: &[u8]) -> Vec<Refused> {
    let guest = |name: &str| {
        let file = built(&format!("misbehaving/{name}"));
        std::fs::read(file).expect("read a guest")
    };
    let pass = std::fs::read(built("pass")).expect("read a plugin");
    vec![
        ("text", b"no plugin at all".to_vec(), "not a WebAssembly module"),
        ("empty", Vec::new(), "not a WebAssembly module"),
        ("half", good[..good.len() / 2].to_vec(), "not a WebAssembly module"),
        ("oversized", vec![0; 9 << 20], "at most 8388608"),
        ("no_plugin", guest("no_plugin"), "is this a plugin?"),
        ("wasi", guest("wasi_import"), "WASI"),
        ("other_abi", guest("other_abi"), "ABI 9.0.0"),
        ("foreign", guest("foreign_import"), "does not offer"),
        ("init refuses", pass, "pools.main.plugins[0].config"),
    ]
}

#[test]
fn file_that_is_no_plugin_or_refuses_the_config_leaves_the_old_one_at_work_and_says_why() {
    let file = PluginFile::copy_of("misbehaving/misbehaving");
    let plugins = [Entry { name: "plugin", file: file.path(), settings: &[] }];
    let binding = "{use: plugin, keys: [\"fine\"], config: {fault: none}}";
    let setup = start(&plugins, &[binding]);
    let mut watchers = client_of_each_worker(setup.gateway.address(), WORKERS);
    let fine = |client: &mut Client, _: usize, _: usize| {
        assert_eq!(client.line("GET fine"), Value::ok());
    };
    let clients = (0..4).map(|_| setup.gateway.client()).collect();
    let load = Load::start(clients, fine);
    let good = std::fs::read(built("misbehaving/misbehaving")).expect("read a guest");
    let old = binding_rows(&mut watchers[0]).swap_remove(0);
    for (name, bytes, reason) in refused_files(&good) {
        file.replace(&bytes);
        let says = |row: &BindingRow| {
            let fault = row.last_load_failed.as_ref();
            fault.is_some_and(|fault| fault.contains(reason))
        };
        let row = await_binding(&mut watchers, 0, &format!("{name}: {reason}"), says);
        assert_eq!(row.fields["generation"], old.fields["generation"], "{name}");
        assert_eq!(row.fields["sha256"], old.fields["sha256"], "{name}");
        load.await_round();
    }
    file.replace(&variant(&good, "mended"));
    let taken = |row: &BindingRow| row.fields["sha256"] != old.fields["sha256"];
    let row = await_binding(&mut watchers, 0, "the mended file to be taken", taken);
    assert_eq!(row.last_load_failed, None);
    // Also the file that runs, back in its place, ends the complaint.
    file.replace(b"no plugin at all");
    await_binding(&mut watchers, 0, "a complaint", |row| row.last_load_failed.is_some());
    file.replace(&variant(&good, "mended"));
    await_binding(&mut watchers, 0, "no complaint", |row| row.last_load_failed.is_none());
    load.await_round();
    load.finish();
}
