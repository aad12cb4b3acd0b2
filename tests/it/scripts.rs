//! Scripts and functions over three shards: to a client they are those of one server.
//!
//! Scripts come in by SCRIPT LOAD or EVAL, on any client of any worker; EVALSHA finds them on every shard, also after a
//! shard has lost them. Functions are loaded on all shards. A plain server says what is right where it has words for it.

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

const SET: &str = "return redis.call('SET', KEYS[1], ARGV[1])";
const GET: &str = "return redis.call('GET', KEYS[1])";

fn setup(extra: &[&str]) -> (Vec<RealServer>, InProcess) {
    let shards = RealServer::start_many(3);
    let gateway = InProcess::start(&yaml_over(&shards, extra));
    (shards, gateway)
}

fn load(client: &mut Client, text: &str) -> String {
    client.command(&["SCRIPT", "LOAD", text]).text()
}

fn keys() -> Vec<String> {
    (0..30).map(|n| format!("k{n}")).collect()
}

#[test]
fn script_that_was_loaded_once_runs_on_every_shard() {
    let (shards, gateway) = setup(&[]);
    let mut client = gateway.client();
    let sha = load(&mut client, SET);
    assert_eq!(sha, load(&mut shards[0].client(), SET), "the digest is the servers' own");
    for key in keys() {
        assert_eq!(client.command(&["EVALSHA", &sha, "1", &key, "v"]), Value::ok(), "{key}");
    }
    let absent = "0000000000000000000000000000000000000000";
    let exists = client.command(&["SCRIPT", "EXISTS", &sha, absent]);
    assert_eq!(exists, Value::Array(vec![Value::Integer(1), Value::Integer(0)]));
    assert_eq!(client.line("SCRIPT FLUSH"), Value::ok());
    let exists = client.command(&["SCRIPT", "EXISTS", &sha]);
    assert_eq!(exists, Value::Array(vec![Value::Integer(0)]));
    let said = client.command(&["EVALSHA", &sha, "1", "k1", "v"]);
    assert!(said.is_error("NOSCRIPT"), "{said:?}");
}

#[test]
fn script_that_ran_by_eval_is_there_for_every_key_and_every_client() {
    let (_shards, gateway) = setup(&[]);
    // One server has a script after one EVAL; so have the shards that have not seen it, for clients of both workers.
    let mut clients: Vec<Client> = (0..4).map(|_| gateway.client()).collect();
    assert_eq!(clients[0].command(&["EVAL", SET, "1", "k0", "v"]), Value::ok());
    let sha = load(&mut RealServer::start().client(), SET);
    for client in &mut clients {
        // The other worker hears of it by its inbox.
        eventually_true("the script is known", || {
            client.command(&["EVALSHA", &sha, "1", "far", "v"]) == Value::ok()
        });
        for key in keys() {
            assert_eq!(client.command(&["EVALSHA", &sha, "1", &key, "v"]), Value::ok(), "{key}");
        }
    }
}

#[test]
fn noscript_is_repaired_after_a_shard_restarted_or_was_flushed_behind_the_gateway() {
    let (mut shards, gateway) = setup(&[]);
    let mut client = gateway.client();
    let sha = load(&mut client, SET);
    for key in keys() {
        client.command(&["EVALSHA", &sha, "1", &key, "v"]);
    }
    for shard in &shards {
        assert_eq!(shard.client().line("SCRIPT FLUSH"), Value::ok());
    }
    for key in keys() {
        assert_eq!(client.command(&["EVALSHA", &sha, "1", &key, "w"]), Value::ok(), "{key}");
    }
    for shard in &mut shards {
        shard.kill();
        shard.restart();
    }
    for key in keys() {
        // The first request may find the old connection broken, and says so.
        eventually_true("the shard is back", || {
            client.command(&["EVALSHA", &sha, "1", &key, "x"]) == Value::ok()
        });
    }
    // In a pipeline a repair could overtake what is behind it; each still has its one reply.
    for shard in &shards {
        assert_eq!(shard.client().line("SCRIPT FLUSH"), Value::ok());
    }
    for key in keys() {
        client.send(&["EVALSHA", &sha, "1", &key, "y"]);
        client.send(&["GET", &key]);
    }
    for _ in keys() {
        let (first, second) = (client.reply(), client.reply());
        let as_one_server =
            [(Value::ok(), Value::bulk("y"))].contains(&(first.clone(), second.clone()));
        assert!(as_one_server || first.is_error("NOSCRIPT"), "{first:?} {second:?}");
    }
}

#[test]
fn script_without_keys_goes_where_the_pool_says() {
    let (_shards, gateway) = setup(&[]);
    let mut client = gateway.client();
    // redis-py's register_script with its keys in ARGV only.
    let text = "redis.call('SET', ARGV[1], ARGV[2]) return redis.call('GET', ARGV[1])";
    for key in keys() {
        assert_eq!(client.command(&["EVAL", text, "0", &key, "v"]), Value::bulk("v"));
        assert_eq!(client.command(&["GET", &key]), Value::bulk("v"), "it is where the key belongs");
    }
    assert_eq!(client.command(&["EVAL", "return 1", "0"]), Value::Integer(1));
    let (_shards, gateway) = setup(&["keyless_scripts: refuse"]);
    let said = gateway.client().command(&["EVAL", "return 1", "0"]).text();
    assert!(said.contains("keyless_scripts: refuse"), "{said}");
    let (shards, gateway) = setup(&["keyless_scripts: first_shard"]);
    for key in keys() {
        gateway.client().command(&["EVAL", text, "0", &key, "v"]);
    }
    assert_eq!(shards[0].client().line("DBSIZE"), Value::Integer(30));
}

#[test]
fn script_errors_are_a_plain_servers_own() {
    let (_shards, gateway) = setup(&[]);
    let plain = RealServer::start();
    let (mut ours, mut theirs) = (gateway.client(), plain.client());
    let cases: &[&[&str]] = &[
        &["EVAL", "return 1", "-1"],
        &["EVAL", "return 1", "x"],
        &["EVAL", "return 1", "2", "a"],
        &["EVAL", "return (", "1", "a"],
        &["EVAL", "return redis.call('NOSUCH')", "1", "a"],
        &["EVALSHA", "abc", "1", "a"],
        &["EVALSHA", "0000000000000000000000000000000000000000", "1", "a"],
        &["EVAL_RO", SET, "1", "a", "v"],
        &["SCRIPT", "LOAD", "return ("],
        &["SCRIPT", "FLUSH", "NOW"],
        &["SCRIPT", "FLUSH", "ASYNC"],
        &["SCRIPT", "KILL"],
        &["SCRIPT", "EXISTS"],
        &["SCRIPT", "NOSUCH"],
        &["FUNCTION", "KILL"],
        &["FUNCTION", "LOAD", "x"],
        &["FUNCTION", "DELETE", "nosuch"],
        &["FUNCTION", "LIST"],
        &["FUNCTION", "STATS"],
        &["FCALL", "nosuch", "1", "a"],
    ];
    for case in cases {
        assert_eq!(ours.command(case), theirs.command(case), "{case:?}");
    }
}

#[test]
fn functions_are_loaded_on_every_shard_and_run_by_key() {
    let (shards, gateway) = setup(&[]);
    let mut client = gateway.client();
    let library = "#!lua name=lib\nredis.register_function('put', function(keys, args) \
                   return redis.call('SET', keys[1], args[1]) end)";
    assert_eq!(client.command(&["FUNCTION", "LOAD", library]).text(), "lib");
    for key in keys() {
        assert_eq!(client.command(&["FCALL", "put", "1", &key, "v"]), Value::ok());
    }
    let dump = client.line("FUNCTION DUMP");
    assert_eq!(dump, shards[1].client().line("FUNCTION DUMP"));
    assert_eq!(client.line("FUNCTION FLUSH"), Value::ok());
    assert_eq!(shards[2].client().line("FUNCTION LIST"), Value::Array(Vec::new()));
    let Value::Bulk(dump) = dump else { panic!("a dump: {dump:?}") };
    assert_eq!(client.command(&[b"FUNCTION".as_slice(), b"RESTORE", &dump]), Value::ok());
    assert_eq!(client.command(&["FCALL", "put", "1", "k1", "w"]), Value::ok());
    assert_eq!(client.line("FUNCTION DELETE lib"), Value::ok());
    assert!(client.command(&["FCALL", "put", "1", "k1", "w"]).is_error("ERR Function not found"));
}

#[test]
fn script_that_runs_for_ever_is_killed_on_its_shard() {
    let (_shards, gateway) = setup(&["timeout: 0"]);
    let (mut runner, mut other) = (gateway.client(), gateway.client());
    runner.send(&["EVAL", "while true do end", "1", "k1"]);
    eventually_true("the script runs and is killed", || other.line("SCRIPT KILL") == Value::ok());
    let said = runner.reply().text();
    assert!(said.contains("Script killed by user"), "{said}");
    assert_eq!(runner.command(&["EVAL", GET, "1", "k1"]), Value::Null);
}
