//! WAIT and WAITAOF: no write counts as safe that its replica, or its file, does not have.
//!
//! Shards with real replicas, which are frozen and thawed. A frozen replica is one that lacks every write from then on,
//! so what WAIT may say is known without measuring time.

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::plugins::{Entry, built, yaml_with};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

/// A replica of `shard` that has caught up.
fn replica_of(shard: &RealServer, options: &[&str]) -> RealServer {
    let replica = shard.start_alike(options);
    let mut client = shard.client();
    let at_once = ["CONFIG", "SET", "repl-diskless-sync-delay", "0"];
    assert_eq!(client.command(&at_once), Value::ok());
    let address = shard.address();
    let port = address.port().to_string();
    assert_eq!(replica.client().command(&["REPLICAOF", "127.0.0.1", &port]), Value::ok());
    assert_eq!(client.command(&["SET", "{replica}", "v"]), Value::ok());
    eventually_true("the replica to have caught up", || {
        client.command(&["INFO", "replication"]).text().contains("state=online")
            && client.command(&["WAIT", "1", "100"]) == Value::Integer(1)
    });
    assert_eq!(client.command(&["DEL", "{replica}"]), Value::Integer(1));
    replica
}

/// A key of each shard.
fn keys_of(gateway: &InProcess, shards: &[RealServer]) -> Vec<String> {
    named_keys_of(gateway, shards, "key")
}

/// The same with this word in front.
fn named_keys_of(gateway: &InProcess, shards: &[RealServer], word: &str) -> Vec<String> {
    let mut client = gateway.client();
    let key_on = |shard: &RealServer| {
        let mut direct = shard.client();
        (0..)
            .map(|number| format!("{word}:{number}"))
            .find(|key| {
                assert_eq!(client.command(&["SET", key, "v"]), Value::ok());
                direct.command(&["DEL", key]) == Value::Integer(1)
            })
            .expect("numbers do not end")
    };
    shards.iter().map(key_on).collect()
}

/// The measured trap: a fresh connection's WAIT answers for nothing, so a server counts replicas that lack the write.
/// On every version of a shard, and also on a connection that was used before.
#[test]
fn wait_on_a_fresh_connection_counts_no_replica_that_lacks_the_write() {
    let shards = [Some(RealServer::start()), RealServer::start_valkey()];
    for shard in shards.into_iter().flatten() {
        let replica = replica_of(&shard, &[]);
        let gateway = InProcess::start(&yaml_over(std::slice::from_ref(&shard), &[]));
        let mut client = gateway.client();
        assert_eq!(client.command(&["SET", "k", "1"]), Value::ok());
        assert_eq!(client.command(&["WAIT", "1", "0"]), Value::Integer(1));
        for round in 0..3 {
            replica.pause();
            assert_eq!(client.command(&["SET", "k", &format!("{round}")]), Value::ok());
            assert_eq!(client.command(&["WAIT", "1", "50"]), Value::Integer(0), "round {round}");
            // Another session, and so perhaps another connection, of the same kind.
            let mut other = gateway.client();
            assert_eq!(other.command(&["INCR", "n"]), Value::Integer(round + 1));
            assert_eq!(other.command(&["WAIT", "1", "50"]), Value::Integer(0));
            replica.resume();
            assert_eq!(client.command(&["WAIT", "1", "0"]), Value::Integer(1));
        }
    }
}

#[test]
fn wait_asks_the_shard_of_a_write_that_a_plugin_has_passed() {
    let shards = RealServer::start_many(2);
    let _replica = replica_of(&shards[0], &[]);
    let file = built("pass");
    let plugin = Entry { name: "pass", file: &file, settings: &[] };
    let bindings = ["{use: pass, keys: [\"hooked:*\"]}"];
    let gateway = InProcess::start(&yaml_with(&shards, &[plugin], &bindings));
    let plain = named_keys_of(&gateway, &shards, "plain").swap_remove(0);
    let hooked = named_keys_of(&gateway, &shards, "hooked").swap_remove(1);
    let mut client = gateway.client();
    assert_eq!(client.command(&["SET", &plain, "v"]), Value::ok());
    assert_eq!(client.command(&["WAIT", "1", "0"]), Value::Integer(1));
    assert_eq!(client.command(&["SET", &plain, "v"]), Value::ok());
    assert_eq!(client.command(&["SET", &hooked, "v"]), Value::ok());
    assert_eq!(client.command(&["WAIT", "1", "50"]), Value::Integer(0), "its shard has no replica");
}

#[test]
fn wait_asks_the_shards_that_were_written_to_and_says_the_smallest_number() {
    let shards = RealServer::start_many(3);
    let replicas = [replica_of(&shards[0], &[]), replica_of(&shards[1], &[])];
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let keys = keys_of(&gateway, &shards);
    let client = || gateway.client();
    let wait = |client: &mut Client| client.command(&["WAIT", "1", "50"]);

    // One that wrote nothing asks all, and the last shard has no replica.
    assert_eq!(wait(&mut client()), Value::Integer(0));
    let mut reader = client();
    assert_eq!(reader.command(&["SET", &keys[0], "v"]), Value::ok());
    assert_eq!(reader.command(&["MGET", &keys[0], &keys[1], &keys[2]]).text(), "");
    assert_eq!(reader.command(&["WAIT", "1", "0"]), Value::Integer(1), "reads are not asked about");
    assert_eq!(reader.command(&["DEL", &keys[0], &keys[2]]), Value::Integer(1));
    assert_eq!(wait(&mut reader), Value::Integer(0), "parts of a split write are");

    // What was safe once is not asked about again, unless more is wanted.
    let mut writer = client();
    assert_eq!(writer.command(&["SET", &keys[0], "v"]), Value::ok());
    assert_eq!(writer.command(&["WAIT", "1", "0"]), Value::Integer(1));
    replicas[0].pause();
    assert_eq!(writer.command(&["SET", &keys[1], "v"]), Value::ok());
    assert_eq!(writer.command(&["WAIT", "1", "0"]), Value::Integer(1));
    assert_eq!(writer.command(&["WAIT", "2", "50"]), Value::Integer(0));
    replicas[0].resume();

    // By a transaction and by a script as well.
    let mut last = client();
    for words in [&["MULTI"] as &[&str], &["SET", &keys[2], "v"], &["EXEC"]] {
        last.command(words);
    }
    assert_eq!(wait(&mut last), Value::Integer(0));
    let mut scripting = client();
    scripting.command(&["EVAL", "return redis.call('SET', KEYS[1], 'v')", "1", &keys[2]]);
    assert_eq!(wait(&mut scripting), Value::Integer(0));
}

#[test]
fn mistakes_transactions_and_requests_behind_are_as_on_a_plain_server() {
    let plain = RealServer::start();
    let shards = RealServer::start_many(2);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let (mut direct, mut client) = (plain.client(), gateway.client());
    for line in [
        "WAIT x 0",
        "WAIT 1 x",
        "WAIT 1 -1",
        "WAIT 1 1.5",
        "WAIT 0 0",
        "WAIT -1 0",
        "WAIT 1 10",
        "WAIT",
        "WAIT 1",
        "WAIT 1 2 3",
        "MULTI",
        "SET k v",
        "WAIT 1 0",
        "EXEC",
    ] {
        assert_eq!(client.line(line), direct.line(line), "{line}");
    }
    client.send(&["WAIT", "1", "20"]);
    client.send(&["SET", "k", "v"]);
    client.send(&["PING"]);
    assert_eq!(client.reply(), Value::Integer(0));
    assert_eq!(client.reply(), Value::ok());
    assert_eq!(client.reply(), Value::Simple(b"PONG".to_vec()));
}

#[test]
fn shard_that_is_gone_or_may_not_replicate_the_message_makes_wait_an_error_that_names_it() {
    let mut shards = RealServer::start_many(2);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let keys = keys_of(&gateway, &shards);
    let mut client = gateway.client();
    assert_eq!(client.command(&["MSET", &keys[0], "v", &keys[1], "v"]), Value::ok());
    let acl = ["ACL", "SETUSER", "default", "resetchannels"];
    assert_eq!(shards[0].client().command(&acl), Value::ok());
    let reply = client.command(&["WAIT", "0", "0"]);
    assert!(
        reply.is_error("ERR shard 'shard-0' ") && reply.text().contains("refused SPUBLISH"),
        "{reply:?}"
    );
    let acl = ["ACL", "SETUSER", "default", "allchannels"];
    assert_eq!(shards[0].client().command(&acl), Value::ok());
    assert_eq!(client.command(&["WAIT", "0", "0"]), Value::Integer(0));
    shards[1].kill();
    let reply = client.command(&["WAIT", "1", "0"]);
    assert!(reply.is_error("ERR shard 'shard-1' "), "{reply:?}");
    assert_eq!(client.command(&["GET", &keys[0]]), Value::bulk("v"));
}

#[test]
fn waitaof_says_the_smallest_of_both_numbers() {
    let Some(first) = RealServer::start_valkey() else {
        return;
    };
    let Some(second) = RealServer::start_valkey() else {
        return;
    };
    let _replica = replica_of(&first, &["--appendonly", "yes"]);
    for shard in [&first, &second] {
        let set = ["CONFIG", "SET", "appendonly", "yes", "appendfsync", "always"];
        assert_eq!(shard.client().command(&set), Value::ok());
    }
    let shards = [first, second];
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let keys = keys_of(&gateway, &shards);
    let mut client = gateway.client();
    let numbers = |a, b| Value::Array(vec![Value::Integer(a), Value::Integer(b)]);
    assert_eq!(client.command(&["SET", &keys[0], "v"]), Value::ok());
    assert_eq!(client.command(&["WAITAOF", "1", "1", "0"]), numbers(1, 1));
    assert_eq!(client.command(&["SET", &keys[1], "v"]), Value::ok());
    assert_eq!(client.command(&["WAITAOF", "1", "0", "0"]), numbers(1, 0));
    assert_eq!(client.command(&["WAITAOF", "1", "1", "50"]), numbers(1, 0));
    let reply = client.command(&["WAITAOF", "2", "0", "0"]);
    assert_eq!(reply.text(), "ERR value is out of range, value must between 0 and 1");
}
