//! MULTI, EXEC and DISCARD beside a plain server: misuse, queued faults, and what the gateway answers itself.
//!
//! The words of errors and the places of replies are a plain server's, byte for byte (`transaction_site`). What only a
//! gateway can meet, a command that would change a connection that many clients share, must never get there.

use sluicegate_tests::client::request;
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;

use crate::transaction_site::{Site, transaction};

#[test]
fn misuse_of_multi_is_worded_as_redis_words_it() {
    let (site, plain) = (Site::start(&[]), RealServer::start());
    let scripts: &[&[&str]] = &[
        &["EXEC", "DISCARD", "UNWATCH", "EXEC x", "DISCARD x", "MULTI x", "WATCH", "UNWATCH x"],
        &["MULTI", "MULTI", "SET <0>a 1", "EXEC"],
        &["MULTI", "WATCH <0>a", "SET <0>a 1", "EXEC"],
        &["MULTI", "GET", "SET <0>a 1", "EXEC", "EXISTS <0>a"],
        &["MULTI", "NOSUCH x", "EXEC", "EXEC"],
        &["MULTI", "EXEC x", "EXEC"],
        &["MULTI", "DISCARD x", "EXEC"],
        &["MULTI", "MULTI x", "EXEC"],
        &["MULTI", "WATCH", "EXEC"],
        &["MULTI", "CLIENT", "EXEC"],
        &["MULTI", "CLIENT NOSUCH", "EXEC"],
        &["MULTI", "CLIENT SETNAME", "EXEC"],
        &["MULTI", "SYNC", "EXEC"],
        &["MULTI", "SAVE", "EXEC"],
        &["MULTI", "SHUTDOWN NOSAVE", "EXEC"],
        &["MULTI", "RESET", "EXEC"],
        &["MULTI", "EXEC"],
        &["MULTI", "DISCARD", "EXEC"],
        &["multi", "set <0>a 1", "exec", "get <0>a"],
    ];
    scripts.iter().for_each(|script| site.same(&plain, script));
}

#[test]
fn faults_that_a_server_sees_at_exec_are_elements_of_its_array() {
    let (site, plain) = (Site::start(&[]), RealServer::start());
    let scripts: &[&[&str]] = &[
        &["SET <0>s x", "MULTI", "LPUSH <0>s 1", "INCR <0>s", "SET <0>s y", "EXEC", "GET <0>s"],
        &["MULTI", "MSET <0>a 1 <0>b", "SET <0>a 2", "EXEC", "GET <0>a"],
        &["MULTI", "ZUNION x <0>a", "ZUNION 0", "SET <0>a 2", "EXEC"],
        &["MULTI", "PING x y", "SELECT x", "SELECT 99", "SET <0>a 1", "EXEC"],
        &["MULTI", "EVALSHA 0000000000000000000000000000000000000000 1 <0>a", "SET <0>a 1", "EXEC"],
        &[
            "MULTI",
            "BLPOP <0>l 0",
            "BRPOPLPUSH <0>l <0>m 0",
            "XREAD BLOCK 0 STREAMS <0>x 0",
            "EXEC",
        ],
    ];
    scripts.iter().for_each(|script| site.same(&plain, script));
}

#[test]
fn commands_of_the_gateway_stand_in_execs_array_at_their_place() {
    let (site, plain) = (Site::start(&[]), RealServer::start());
    let scripts: &[&[&str]] = &[
        &["MULTI", "PING", "SET <0>a 1", "ECHO hi", "GET <0>a", "PING x", "EXEC"],
        &["MULTI", "PING", "ECHO hi", "EXEC"],
        &["MULTI", "UNWATCH", "PING", "EXEC"],
        &["MULTI", "SET <1>a 1", "CLIENT SETNAME bob", "CLIENT GETNAME", "EXEC", "CLIENT GETNAME"],
        &["MULTI", "CLIENT SETNAME bob", "DISCARD", "CLIENT GETNAME"],
        &["MULTI", "CLIENT SETNAME bob", "NOSUCH", "EXEC", "CLIENT GETNAME"],
        &["WATCH <0>a", "b:SET <0>a 1", "MULTI", "CLIENT SETNAME bob", "EXEC", "CLIENT GETNAME"],
        &["MULTI", "CLIENT NO-EVICT ON", "CLIENT SETNAME x", "CLIENT REPLY", "EXEC"],
        &["MULTI", "ACL WHOAMI", "CLIENT GETREDIR", "EXEC"],
    ];
    scripts.iter().for_each(|script| site.same(&plain, script));
    for protocol in [2, 3] {
        let mut client = site.client(protocol);
        let id = client.line("CLIENT ID");
        let lines = [
            "CLIENT ID",
            "TIME",
            "GET <0>a",
            "COMMAND COUNT",
            "COMMAND COUNT",
            "LOLWUT",
            "CLIENT INFO",
        ];
        let Value::Array(items) = transaction(&site, &mut client, &lines) else {
            panic!("no array");
        };
        assert_eq!(items.len(), lines.len());
        assert_eq!(items[0], id);
        assert!(matches!(&items[1], Value::Array(parts) if parts.len() == 2));
        assert!(items[6].text().contains(" cmd=exec "), "{:?}", items[6]);
    }
}

/// A trap of the design: a transaction is never sent again, so its scripts must be there before it.
#[test]
fn noscript_inside_multi_is_met_only_for_a_script_that_nobody_has_named() {
    let (site, plain) = (Site::start(&[]), RealServer::start());
    // That of "return redis.call('incr',KEYS[1])".
    let sha =
        plain.client().command(&["SCRIPT", "LOAD", "return redis.call('incr',KEYS[1])"]).text();
    let mut client = site.client(2);
    let call = format!("EVALSHA {sha} 1 <1>n");
    let Value::Array(items) = transaction(&site, &mut client, &["SET <1>n 4", &call]) else {
        panic!("no array");
    };
    assert!(items[1].is_error("NOSCRIPT"), "{items:?}");
    // Run on one shard, it is known for the others.
    client.command(&["EVAL", "return redis.call('incr',KEYS[1])", "1", &site.fill("<0>n")]);
    for (shard, number) in [(1, 5), (1, 6), (2, 1), (0, 2)] {
        let call = format!("EVALSHA {sha} 1 <{shard}>n");
        let reply = transaction(&site, &mut client, &[&call]);
        assert_eq!(reply, Value::Array(vec![Value::Integer(number)]));
    }
}

/// A trap of the design: such a command inside a shared MULTI changes the connection for everyone.
#[test]
fn state_commands_in_multi_never_reach_a_shared_connection() {
    let site = Site::start(&[]);
    for protocol in [2, 3] {
        let mut client = site.client(protocol);
        let mut other = site.client(protocol);
        for refused in [
            "SUBSCRIBE c",
            "PSUBSCRIBE c",
            "SSUBSCRIBE c",
            "HELLO 3",
            "HELLO 2",
            "MONITOR",
            "CLIENT REPLY OFF",
            "CLIENT REPLY SKIP",
            "SYNC",
            "PSYNC ? -1",
            "REPLCONF listening-port 1",
            "SCRIPT DEBUG YES",
        ] {
            assert_eq!(client.line("MULTI"), Value::ok());
            assert_eq!(site.line(&mut client, "SET <0>a 1").text(), "QUEUED");
            let said = client.line(refused);
            assert!(said.is_error("ERR "), "{refused}: {said:?}");
            assert!(client.line("EXEC").is_error("EXECABORT"), "{refused}");
            assert_eq!(site.line(&mut client, "GET <0>a"), Value::Null);
        }
        let lines = [
            "AUTH x",
            "SELECT 5",
            "SET <0>a 5",
            "READONLY",
            "ASKING",
            "CLIENT NO-TOUCH ON",
            "GET <0>a",
        ];
        let reply = transaction(&site, &mut client, &lines);
        assert!(matches!(&reply, Value::Array(items) if items.len() == 7), "{reply:?}");
        for tag in ["<0>a", "<1>a", "<2>a"] {
            assert_eq!(
                site.line(&mut other, &format!("GET {tag}")),
                Value::Null,
                "not in database 0"
            );
        }
        assert_eq!(
            site.line(&mut client, "DEL <0>a"),
            Value::Integer(1),
            "the session is in database 5"
        );
    }
    for shard in &site.shards {
        let clients = shard.client().line("CLIENT LIST").text();
        let ours = clients.lines().filter(|line| !line.contains("cmd=client|list"));
        for line in ours {
            let is_plain = ["flags=N ", " sub=0 ", " psub=0 ", " multi=-1 "];
            assert!(is_plain.iter().all(|word| line.contains(word)), "{line}");
        }
    }
}

#[test]
fn select_inside_a_transaction_counts_when_exec_has_run() {
    let (site, plain) = (Site::start(&[]), RealServer::start());
    let scripts: &[&[&str]] = &[
        &[
            "MULTI",
            "SET <0>a 0",
            "SELECT 3",
            "SET <0>a 3",
            "GET <0>a",
            "SELECT 0",
            "GET <0>a",
            "EXEC",
            "GET <0>a",
        ],
        &["MULTI", "SELECT 3", "SET <0>a 3", "EXEC", "GET <0>a", "SELECT 0", "GET <0>a"],
        &["MULTI", "SELECT 3", "EXEC", "SET <0>a 3", "SELECT 0", "GET <0>a"],
        &[
            "SELECT 2",
            "MULTI",
            "GET <0>a",
            "SELECT 99",
            "SET <0>a 2",
            "EXEC",
            "GET <0>a",
            "SELECT 0",
            "GET <0>a",
        ],
        &["MULTI", "SELECT 3", "DISCARD", "SET <0>a 0", "SELECT 3", "GET <0>a"],
        &["MULTI", "SELECT 3", "NOSUCH", "EXEC", "SET <0>a 0", "SELECT 3", "GET <0>a"],
        &["WATCH <0>a", "b:SET <0>a 1", "MULTI", "SELECT 3", "EXEC", "GET <0>a"],
        &[
            "WATCH <0>a",
            "b:SELECT 1",
            "b:SET <0>a 1",
            "MULTI",
            "SELECT 3",
            "SET <0>a 3",
            "EXEC",
            "GET <0>a",
        ],
        &[
            "WATCH <0>a",
            "SELECT 3",
            "MULTI",
            "SET <0>a 3",
            "EXEC",
            "GET <0>a",
            "SELECT 0",
            "GET <0>a",
        ],
        &[
            "MULTI", "GET <0>a", "SELECT 3", "GET <1>a", "SELECT 4", "GET <0>a", "GET <2>a",
            "EXEC", "GET <0>a",
        ],
    ];
    scripts.iter().for_each(|script| site.same(&plain, script));
}

#[test]
fn transaction_above_its_bounds_is_refused_when_it_is_queued() {
    let site = Site::start(&[]);
    let mut client = site.client(2);
    let most = 10_000;
    let mut bytes = request(&["MULTI"]);
    let set = request(&["APPEND", &site.fill("<0>a"), "x"]);
    bytes.extend(set.repeat(most));
    bytes.extend(request(&["EXEC"]));
    client.send_raw(&bytes);
    assert_eq!(client.reply(), Value::ok());
    (0..most).for_each(|_| assert_eq!(client.reply().text(), "QUEUED"));
    assert!(matches!(client.reply(), Value::Array(items) if items.len() == most));
    let mut bytes = request(&["MULTI"]);
    bytes.extend(set.repeat(most + 1));
    bytes.extend(request(&["EXEC"]));
    client.send_raw(&bytes);
    assert_eq!(client.reply(), Value::ok());
    (0..most).for_each(|_| assert_eq!(client.reply().text(), "QUEUED"));
    assert!(client.reply().is_error("ERR transaction too large"));
    assert!(client.reply().is_error("EXECABORT"));
    // 64 MiB: over a connection of its own, and no more than that.
    let value = "v".repeat(16 << 20);
    assert_eq!(client.line("MULTI"), Value::ok());
    for _ in 0..3 {
        assert_eq!(client.command(&["SET", &site.fill("<1>a"), &value]).text(), "QUEUED");
    }
    assert!(matches!(client.line("EXEC"), Value::Array(items) if items.len() == 3));
    assert_eq!(site.line(&mut client, "STRLEN <1>a"), Value::Integer(16 << 20));
    assert_eq!(client.line("MULTI"), Value::ok());
    for _ in 0..3 {
        assert_eq!(client.command(&["SET", &site.fill("<1>a"), &value]).text(), "QUEUED");
    }
    let refused = client.command(&["SET", &site.fill("<1>a"), &value]);
    assert!(refused.is_error("ERR transaction too large"), "{refused:?}");
    assert!(client.line("EXEC").is_error("EXECABORT"));
}
