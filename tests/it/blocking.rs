//! Commands that wait at their shard: who wakes them, what ends them, and who is not hurt by them.
//!
//! Every command is compared with a plain server that does the same. That a client waits is seen where it is known: the
//! shard counts its blocked clients. Nothing is measured in time: a wait without end ends by what is claimed to end
//! it, or the test fails at its deadline.

use std::net::Shutdown;

use sluicegate_tests::client::{Client, request};
use sluicegate_tests::gateway::{InProcess, Process, pool_yaml, yaml_over};
use sluicegate_tests::real_server::{RealServer, free_port};
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

/// Clients that wait in the test of many.
const MANY: usize = 2_000;

struct Site {
    shards: Vec<RealServer>,
    gateway: InProcess,
}

impl Site {
    fn start(count: usize, extra: &[&str]) -> Site {
        let shards = RealServer::start_many(count);
        let gateway = InProcess::start(&yaml_over(&shards, extra));
        Site { shards, gateway }
    }

    /// A tag whose keys live on each shard, by its index.
    fn tags(&self) -> Vec<String> {
        let mut client = self.gateway.client();
        let tag_on = |shard: &RealServer| {
            let mut direct = shard.client();
            (0..)
                .map(|number| format!("{{tag-{number}}}"))
                .find(|tag| {
                    assert_eq!(client.command(&["SET", tag, "v"]), Value::ok());
                    direct.command(&["DEL", tag]) == Value::Integer(1)
                })
                .expect("numbers do not end")
        };
        self.shards.iter().map(tag_on).collect()
    }

    fn blocked(&self) -> usize {
        self.shards.iter().map(blocked_at).sum()
    }

    fn await_blocked(&self, count: usize) {
        eventually_true(&format!("{count} clients to wait at the shards"), || {
            self.blocked() == count
        });
    }
}

/// Clients that wait at this server.
fn blocked_at(server: &RealServer) -> usize {
    let info = server.client().command(&["INFO", "clients"]).text();
    let line = info.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
    line.expect("blocked_clients").trim().parse().expect("a number")
}

/// What comes before, what waits, what wakes it. All keys have one tag.
const WAKES: &[(&str, &str, &str)] = &[
    ("DEL {x}a", "BLPOP {x}a {x}b 0", "RPUSH {x}b one two"),
    ("DEL {x}b", "BRPOP {x}a {x}b 0", "RPUSH {x}b one two"),
    ("DEL {x}b", "BLMOVE {x}a {x}c LEFT RIGHT 0", "RPUSH {x}a one"),
    ("DEL {x}c", "BRPOPLPUSH {x}a {x}c 0", "RPUSH {x}a one"),
    ("DEL {x}a", "BLMPOP 0 2 {x}a {x}b LEFT COUNT 2", "RPUSH {x}b one two"),
    ("DEL {x}b", "BZPOPMIN {x}z 0", "ZADD {x}z 1.5 one 2 two"),
    ("DEL {x}z", "BZPOPMAX {x}z 0", "ZADD {x}z 1.5 one 2 two"),
    ("DEL {x}z", "BZMPOP 0 1 {x}z MAX", "ZADD {x}z 1.5 one 2 two"),
    ("DEL {x}s", "XREAD BLOCK 0 STREAMS {x}s {x}t $ $", "XADD {x}t 1-1 field value"),
    (
        "XGROUP CREATE {x}g group $ MKSTREAM",
        "XREADGROUP GROUP group me BLOCK 0 STREAMS {x}g >",
        "XADD {x}g 1-1 field value",
    ),
];

#[test]
fn every_blocking_command_is_woken_by_another_connection_and_answers_as_a_plain_server() {
    for hello in ["HELLO 2", "HELLO 3"] {
        let plain = RealServer::start();
        let site = Site::start(3, &[]);
        let (mut waiting, mut other) = (plain.client(), plain.client());
        let (mut gate_waiting, mut gate_other) = (site.gateway.client(), site.gateway.client());
        waiting.line(hello);
        gate_waiting.line(hello);
        for (before, command, wake) in WAKES {
            let words: Vec<&str> = command.split(' ').collect();
            assert_eq!(gate_waiting.line(before), waiting.line(before), "{before}");
            waiting.send(&words);
            gate_waiting.send(&words);
            eventually_true("the plain server's client to wait", || blocked_at(&plain) == 1);
            site.await_blocked(1);
            assert_eq!(gate_other.line(wake), other.line(wake), "{wake}");
            let wanted = waiting.next_reply().expect("a reply");
            assert_eq!(gate_waiting.next_reply().expect("a reply"), wanted, "{hello}: {command}");
            assert!(!matches!(wanted.1, Value::Null | Value::Error(_)), "{command}: {wanted:?}");
        }
    }
}

#[test]
fn time_outs_data_that_is_there_and_mistakes_are_answered_as_by_a_plain_server() {
    let plain = RealServer::start();
    let site = Site::start(2, &[]);
    for hello in ["HELLO 2", "HELLO 3"] {
        let (mut direct, mut client) = (plain.client(), site.gateway.client());
        direct.line(hello);
        client.line(hello);
        for line in [
            "BLPOP {x}a {x}b 0.01",
            "BRPOP {x}a 0.01",
            "BLMOVE {x}a {x}b LEFT LEFT 0.01",
            "BRPOPLPUSH {x}a {x}b 0.01",
            "BLMPOP 0.01 2 {x}a {x}b LEFT",
            "BZPOPMIN {x}a 0.01",
            "BZPOPMAX {x}a 0.01",
            "BZMPOP 0.01 1 {x}a MIN",
            "XREAD BLOCK 10 STREAMS {x}a $",
            "RPUSH {x}l a b c d",
            "BLPOP {x}a {x}l 0",
            "BLMPOP 0 1 {x}l RIGHT COUNT 2",
            "BLPOP {x}l x",
            "BLPOP {x}l -1",
            "BLPOP {x}l 1e300",
            "BLPOP {x}l nan",
            "BLPOP {x}l",
            "BLMPOP x 1 {x}l LEFT",
            "BLMPOP 1 0 {x}l LEFT",
            "BLMPOP 1 x {x}l LEFT",
            "BLMPOP 1 9 {x}l LEFT",
            "BLMPOP 1 1 {x}l MIDDLE",
            "BZPOPMIN {x}l 0",
            "BLMOVE {x}l {x}m UP LEFT 0",
            "XREAD BLOCK x STREAMS {x}s $",
            "XREAD BLOCK -1 STREAMS {x}s $",
            "XREADGROUP GROUP none me BLOCK 0 STREAMS {x}s >",
            "DEL {x}l",
        ] {
            direct.send(&line.split(' ').collect::<Vec<_>>());
            client.send(&line.split(' ').collect::<Vec<_>>());
            assert_eq!(client.next_reply(), direct.next_reply(), "{hello}: {line}");
        }
        // Inside MULTI nothing waits.
        for line in ["MULTI", "BLPOP {x}a 0", "BLMOVE {x}a {x}b LEFT LEFT 0", "EXEC"] {
            assert_eq!(client.line(line), direct.line(line), "{hello}: {line}");
        }
    }
}

#[test]
fn several_keys_must_be_on_one_shard() {
    let site = Site::start(2, &[]);
    let tags = site.tags();
    let mut client = site.gateway.client();
    let (a, b) = (&tags[0], &tags[1]);
    for line in [
        format!("BLPOP {a} {b} 0"),
        format!("BLMOVE {a} {b} LEFT LEFT 0"),
        format!("BZMPOP 0 2 {a} {b} MIN"),
        format!("XREAD BLOCK 0 STREAMS {a} {b} $ $"),
    ] {
        let reply = client.line(&line);
        assert!(reply.is_error("CROSSSHARD ") && reply.text().contains("hash tag"), "{reply:?}");
    }
    assert_eq!(client.line(&format!("RPUSH {b}l v")), Value::Integer(1));
    let popped = client.line(&format!("BLPOP {b}k {b}l 0"));
    assert_eq!(popped, Value::Array(vec![Value::bulk(format!("{b}l")), Value::bulk("v")]));
}

#[test]
fn commands_behind_a_blocking_one_run_after_it_and_in_order() {
    let site = Site::start(3, &[]);
    let mut client = site.gateway.client();
    let mut other = site.gateway.client();
    let lines = [
        "SET before 1",
        "INCR before",
        "BLPOP queue 0",
        "SET behind 1",
        "APPEND before x",
        "PING",
        "BRPOP queue 0",
        "GET before",
    ];
    let bytes: Vec<u8> =
        lines.iter().flat_map(|line| request(&line.split(' ').collect::<Vec<_>>())).collect();
    client.send_raw(&bytes);
    site.await_blocked(1);
    assert_eq!(client.reply(), Value::ok());
    assert_eq!(client.reply(), Value::Integer(2));
    assert_eq!(other.command(&["EXISTS", "behind"]), Value::Integer(0));
    assert!(client.is_quiet());
    assert_eq!(other.command(&["RPUSH", "queue", "a"]), Value::Integer(1));
    let popped = |value: &str| Value::Array(vec![Value::bulk("queue"), Value::bulk(value)]);
    assert_eq!(client.reply(), popped("a"));
    assert_eq!(client.reply(), Value::ok());
    assert_eq!(client.reply(), Value::Integer(2));
    assert_eq!(client.reply(), Value::Simple(b"PONG".to_vec()));
    site.await_blocked(1);
    assert_eq!(other.command(&["RPUSH", "queue", "b"]), Value::Integer(1));
    assert_eq!(client.reply(), popped("b"));
    assert_eq!(client.reply(), Value::bulk("2x"));
}

#[test]
fn element_pushed_after_its_waiter_has_gone_stays_in_the_list() {
    let site = Site::start(2, &[]);
    let mut other = site.gateway.client();
    let pings = request(&["PING"]).repeat(2_000);
    let cases: &[(&str, &[u8])] = &[("alone", b""), ("with requests behind it", &pings)];
    for (case, behind) in cases {
        for half in [false, true] {
            let mut client = site.gateway.client();
            client.send_raw(
                &[&request(&["ECHO", "hi"]), &request(&["BLPOP", "queue", "0"]), *behind].concat(),
            );
            site.await_blocked(1);
            if half {
                client.close_sending_side();
                assert_eq!(client.reply(), Value::bulk("hi"));
                assert_eq!(client.read_to_close(), b"", "{case}: Redis answers nothing either");
            } else {
                client.sender().shutdown(Shutdown::Both).expect("close");
                drop(client);
            }
            site.await_blocked(0);
            assert_eq!(other.command(&["RPUSH", "queue", "v"]), Value::Integer(1), "{case}");
            assert_eq!(other.command(&["LPOP", "queue"]), Value::bulk("v"), "{case}, half: {half}");
        }
    }
    // Nobody waits any more, and the connections that were closed serve nobody.
    assert_eq!(other.command(&["RPUSH", "queue", "v"]), Value::Integer(1));
    let popped = Value::Array(vec![Value::bulk("queue"), Value::bulk("v")]);
    assert_eq!(site.gateway.client().command(&["BLPOP", "queue", "0"]), popped);
}

#[test]
fn unblock_is_answered_by_the_shard_on_whatever_worker_the_client_is() {
    let site = Site::start(2, &[]);
    let mut other = site.gateway.client();
    // Clients go to both workers in turn.
    for _ in 0..4 {
        let mut client = site.gateway.client();
        let Value::Integer(id) = client.command(&["CLIENT", "ID"]) else {
            panic!("a number was due");
        };
        let mut unblock = |reason: &str| {
            let line = format!("CLIENT UNBLOCK {id} {reason}");
            other.line(line.trim_end())
        };
        assert_eq!(unblock(""), Value::Integer(0));
        for reason in ["", "TIMEOUT", "ERROR"] {
            client.send(&["BLPOP", "queue", "0"]);
            site.await_blocked(1);
            assert_eq!(unblock(reason), Value::Integer(1), "{reason}");
            let reply = client.reply();
            match reason {
                "ERROR" => {
                    assert_eq!(reply.text(), "UNBLOCKED client unblocked via CLIENT UNBLOCK")
                }
                _ => assert_eq!(reply, Value::Null),
            }
            assert_eq!(unblock(reason), Value::Integer(0), "{reason}");
        }
        client.send(&["WAIT", "1", "0"]);
        // Of the shard that it may have popped from.
        site.await_blocked(1);
        assert_eq!(unblock(""), Value::Integer(1));
        assert_eq!(client.reply(), Value::Integer(0));
        client.send(&["BLPOP", "queue", "0"]);
        site.await_blocked(1);
        let shown =
            site.gateway.client().command(&["CLIENT", "LIST", "ID", &id.to_string()]).text();
        assert!(shown.contains(" flags=b ") && shown.contains(" cmd=blpop "), "{shown}");
        drop(client);
        site.await_blocked(0);
    }
}

#[test]
fn client_whose_shard_goes_away_is_told_that_the_outcome_is_unknown() {
    let mut site = Site::start(2, &[]);
    let tags = site.tags();
    let mut client = site.gateway.client();
    let key = format!("{}queue", tags[1]);
    client.send_raw(&[request(&["BLPOP", &key, "0"]), request(&["PING"])].concat());
    site.await_blocked(1);
    site.shards[1].kill();
    let reply = client.reply();
    assert!(
        reply.is_error("ERR shard 'shard-1' ") && reply.text().ends_with("outcome unknown"),
        "{reply:?}"
    );
    assert_eq!(client.reply(), Value::Simple(b"PONG".to_vec()));
    eventually_true("the shard to be known as gone", || {
        client.command(&["BLPOP", &key, "0"]).text().ends_with("not sent")
    });
    site.shards[1].restart();
    eventually_true("the shard to be found again", || {
        client.command(&["RPUSH", &key, "v"]) == Value::Integer(1)
    });
    let popped = Value::Array(vec![Value::bulk(&key), Value::bulk("v")]);
    assert_eq!(client.command(&["BLPOP", &key, "0"]), popped);
}

#[test]
fn wait_without_end_does_not_hang_on_a_shard_that_never_answers_the_set_up() {
    let site = Site::start(1, &["timeout: 300ms"]);
    let mut client = site.gateway.client();
    assert_eq!(client.command(&["SET", "k", "v"]), Value::ok());
    site.shards[0].pause();
    let reply = client.command(&["BLPOP", "queue", "0"]);
    assert!(reply.text().ends_with("did not answer within 300 ms; not sent"), "{reply:?}");
    site.shards[0].resume();
}

#[test]
fn two_thousand_blocked_clients_hold_nobody_up_and_each_gets_its_own_value() {
    let site = Site::start(3, &[]);
    let mut other = site.gateway.client();
    assert_eq!(other.command(&["SET", "k", "v"]), Value::ok());
    let mut waiting: Vec<Client> = Vec::with_capacity(MANY);
    for number in 0..MANY {
        let mut client = site.gateway.client();
        client.send(&["BLPOP", &format!("queue:{number}"), "0"]);
        waiting.push(client);
        assert_eq!(other.command(&["GET", "k"]), Value::bulk("v"));
    }
    site.await_blocked(MANY);
    for _ in 0..1_000 {
        assert_eq!(other.command(&["GET", "k"]), Value::bulk("v"));
    }
    let pushes: Vec<u8> = (0..MANY)
        .flat_map(|number| {
            request(&["RPUSH", &format!("queue:{number}"), &format!("value:{number}")])
        })
        .collect();
    other.send_raw(&pushes);
    for (number, client) in waiting.iter_mut().enumerate() {
        let popped = [format!("queue:{number}"), format!("value:{number}")].map(Value::bulk);
        assert_eq!(client.reply(), Value::Array(popped.to_vec()));
    }
    for _ in 0..MANY {
        assert_eq!(other.reply(), Value::Integer(1));
    }
    assert_eq!(site.blocked(), 0);
}

#[test]
fn gateway_that_stops_ends_the_wait_with_an_error_and_no_element_is_lost() {
    let shards = RealServer::start_many(2);
    let address = ([127, 0, 0, 1], free_port()).into();
    let addresses: Vec<_> = shards.iter().map(RealServer::address).collect();
    let text = pool_yaml(&format!("{address}"), &addresses, &[]);
    let mut process = Process::start(&text, address);
    let mut client = Client::connect(address);
    client.send(&["BLPOP", "queue", "0"]);
    eventually_true("the client to wait", || shards.iter().map(blocked_at).sum::<usize>() == 1);
    process.terminate();
    assert_eq!(client.reply().text(), "UNBLOCKED client unblocked via CLIENT UNBLOCK");
    assert_eq!(client.read_to_close(), b"");
    assert!(process.wait().success(), "{}", process.log());
    assert_eq!(shards.iter().map(blocked_at).sum::<usize>(), 0);
}
