//! WATCH and UNWATCH over three shards, beside a plain server where it has words for it.
//!
//! A conflict must abort EXEC, by whomever it was made and wherever WATCH stood in a pipeline; a connection that broke
//! counts as one; and when the client has gone, no watch of its may reach the next one who uses the connection.

use sluicegate_tests::client::request;
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

use crate::transaction_site::{Site, broken_lanes, transaction};

#[test]
fn watch_conflict_aborts_exec_as_on_one_server() {
    let (site, plain) = (Site::start(&[]), RealServer::start());
    let scripts: &[&[&str]] = &[
        &["WATCH <0>a", "GET <0>a", "MULTI", "SET <0>a 1", "EXEC", "GET <0>a"],
        &[
            "WATCH <0>a",
            "b:SET <0>a 9",
            "MULTI",
            "SET <0>a 1",
            "EXEC",
            "GET <0>a",
            "MULTI",
            "GET <0>a",
            "EXEC",
        ],
        &["WATCH <0>a", "SET <0>a 9", "MULTI", "SET <0>a 1", "EXEC", "GET <0>a"],
        &[
            "WATCH <0>a",
            "WATCH <0>b <0>c",
            "b:SET <0>c 9",
            "MULTI",
            "SET <0>a 1",
            "EXEC",
            "GET <0>a",
        ],
        &["WATCH <0>a", "b:SET <0>b 9", "MULTI", "INCR <0>b", "EXEC"],
        &["WATCH <0>a", "b:SET <0>a 9", "MULTI", "EXEC", "MULTI", "EXEC"],
        &["WATCH <0>a", "MULTI", "EXEC"],
        &["WATCH <0>a", "b:SET <0>a 9", "UNWATCH", "MULTI", "SET <0>a 1", "EXEC"],
        &["WATCH <0>a", "b:SET <0>a 9", "MULTI", "DISCARD", "MULTI", "SET <0>a 1", "EXEC"],
        &["WATCH <0>a", "b:SET <0>a 9", "MULTI", "NOSUCH", "EXEC", "MULTI", "SET <0>a 1", "EXEC"],
        &["WATCH <0>a", "b:SET <0>a 9", "MULTI", "EXEC x", "MULTI", "SET <0>a 1", "EXEC"],
        &["WATCH <0>a", "b:SET <0>a 9", "MULTI", "UNWATCH", "SET <0>a 1", "EXEC", "GET <0>a"],
        &["WATCH <0>a", "MULTI", "b:SET <0>a 9", "PING", "SET <0>a 1", "EXEC", "PING"],
        &["WATCH <0>a", "MULTI", "PING", "SET <0>a 1", "ECHO x", "EXEC", "GET <0>a"],
        &["SET <0>a 1", "WATCH <0>a", "INCR <0>b", "MULTI", "INCR <0>a", "EXEC", "INCR <0>a"],
        &[
            "WATCH <0>a",
            "b:WATCH <0>a",
            "b:MULTI",
            "b:SET <0>a 2",
            "b:EXEC",
            "MULTI",
            "SET <0>a 1",
            "EXEC",
        ],
        &[
            "WATCH <0>a <0>a",
            "SET <1>x 1",
            "GET <1>x",
            "MGET <1>x <2>x <0>a",
            "MULTI",
            "SET <0>a 1",
            "EXEC",
        ],
    ];
    scripts.iter().for_each(|script| site.same(&plain, script));
    // RESET of a RESP3 client goes back to RESP2, and the next EXEC watches nothing.
    let (mut client, mut other) = (site.client(2), site.client(2));
    assert_eq!(site.line(&mut client, "WATCH <0>a"), Value::ok());
    assert_eq!(site.line(&mut other, "SET <0>a 7"), Value::ok());
    assert_eq!(client.line("RESET").text(), "RESET");
    assert_eq!(
        transaction(&site, &mut client, &["GET <0>a"]),
        Value::Array(vec![Value::bulk("7")])
    );
}

#[test]
fn pipelined_watch_reads_and_exec_run_in_their_order() {
    let site = Site::start(&[]);
    for protocol in [2, 3] {
        let mut client = site.client(protocol);
        let lines = [
            "SET <0>n 1",
            "INCR <0>n",
            "WATCH <0>n",
            "GET <0>n",
            "MULTI",
            "INCR <0>n",
            "PING",
            "EXEC",
            "GET <0>n",
            "INCR <0>n",
            "WATCH <0>n",
            "UNWATCH",
            "INCR <0>n",
            "WATCH <0>n",
            "INCR <0>n",
            "MULTI",
            "INCR <0>n",
            "EXEC",
            "GET <0>n",
        ];
        for _ in 0..50 {
            let words =
                |line: &str| site.fill(line).split(' ').map(str::to_owned).collect::<Vec<_>>();
            client.send_raw(
                &lines.iter().flat_map(|line| request(&words(line))).collect::<Vec<u8>>(),
            );
            let replies: Vec<Value> = lines.iter().map(|_| client.reply()).collect();
            let (ok, queued) = (Value::ok(), Value::Simple(b"QUEUED".to_vec()));
            let pong = Value::Simple(b"PONG".to_vec());
            let wanted = [
                ok.clone(),
                Value::Integer(2),
                ok.clone(),
                Value::bulk("2"),
                ok.clone(),
                queued.clone(),
                queued.clone(),
                Value::Array(vec![Value::Integer(3), pong]),
                Value::bulk("3"),
                Value::Integer(4),
                ok.clone(),
                ok.clone(),
                Value::Integer(5),
                ok.clone(),
                Value::Integer(6),
                ok,
                queued,
                Value::Null,
                Value::bulk("6"),
            ];
            assert_eq!(replies, wanted, "RESP{protocol}");
        }
    }
}

#[test]
fn watch_whose_connection_broke_makes_exec_answer_null() {
    let site = Site::start(&[]);
    for (protocol, null) in [(2, &b"*-1\r\n"[..]), (3, b"_\r\n")] {
        // Empty, of commands of the gateway alone, and with a second WATCH in between.
        for lines in [&["SET <0>a 1"][..], &[], &["PING"], &["WATCH <0>b", "SET <0>a 1"]] {
            let mut client = site.client(protocol);
            assert_eq!(site.line(&mut client, "WATCH <0>a"), Value::ok());
            let before = broken_lanes(&mut client);
            let killed = site.shards[0].client().line("CLIENT KILL TYPE normal");
            assert!(killed >= Value::Integer(1), "{killed:?}");
            eventually_true("the gateway to see that its connections broke", || {
                broken_lanes(&mut client) > before
            });
            if lines.len() > 1 {
                assert_eq!(site.line(&mut client, lines[0]), Value::ok());
            }
            assert_eq!(client.line("MULTI"), Value::ok());
            for line in lines.iter().rev().take(1) {
                assert_eq!(site.line(&mut client, line).text(), "QUEUED");
            }
            client.send(&["EXEC"]);
            assert_eq!(client.next_reply().expect("a reply").0, null, "{lines:?}");
            // The next try is a fresh one.
            assert_eq!(site.line(&mut client, "WATCH <0>a"), Value::ok());
            let reply = transaction(&site, &mut client, &["EXISTS <0>a"]);
            assert_eq!(reply, Value::Array(vec![Value::Integer(0)]));
        }
    }
}

#[test]
fn watched_keys_on_two_shards_are_refused_and_nothing_is_carried_out() {
    let site = Site::start(&[]);
    let mut client = site.client(2);
    assert!(site.line(&mut client, "WATCH <0>a <1>a").is_error("CROSSSHARD "));
    assert_eq!(site.line(&mut client, "WATCH <0>a"), Value::ok());
    assert!(site.line(&mut client, "WATCH <1>a").is_error("CROSSSHARD "));
    // The first watch holds.
    assert_eq!(site.line(&mut site.client(2), "SET <0>a 1"), Value::ok());
    assert_eq!(transaction(&site, &mut client, &["SET <0>a 2"]), Value::Null);
    // The transaction on another shard: refused at EXEC, which ends the watch.
    assert_eq!(site.line(&mut client, "WATCH <0>a"), Value::ok());
    assert_eq!(site.line(&mut site.client(2), "SET <0>a 3"), Value::ok());
    let refused = transaction(&site, &mut client, &["GET <1>a"]);
    assert!(refused.is_error("CROSSSHARD "), "{refused:?}");
    assert_eq!(transaction(&site, &mut client, &["SET <1>a 2"]), Value::Array(vec![Value::ok()]));
    assert_eq!(
        site.line(&mut client, "MGET <0>a <1>a"),
        Value::Array(vec![Value::bulk("3"), Value::bulk("2")])
    );
}

#[test]
fn connection_of_a_client_that_watched_and_left_is_used_again_without_the_watch() {
    let site = Site::start(&[]);
    let private = |shard: &RealServer| {
        let list = shard.client().line("CLIENT LIST").text();
        list.lines()
            .filter(|line| line.contains("cmd=unwatch") || line.contains("cmd=exec"))
            .count()
    };
    let mut other = site.client(2);
    for round in 0..20 {
        let mut client = site.client(2);
        assert_eq!(site.line(&mut client, "WATCH <0>a"), Value::ok());
        assert_eq!(site.line(&mut other, "INCR <0>a"), Value::Integer(round + 1));
        match round % 3 {
            0 => drop(client),
            1 => client.send(&["QUIT"]),
            _ => assert_eq!(client.line("UNWATCH"), Value::ok()),
        }
        eventually_true("the watch to be over", || private(&site.shards[0]) == 1);
        // The shard has said so; the gateway has read that when it has answered something newer.
        assert_eq!(other.line("PING").text(), "PONG");
        // Only the connection before has watched the key that has changed.
        assert_eq!(site.line(&mut other, "WATCH <0>b"), Value::ok());
        assert_eq!(
            transaction(&site, &mut other, &["PING"]).sorted(),
            Value::Array(vec![Value::Simple(b"PONG".to_vec())])
        );
        assert_eq!(private(&site.shards[0]), 1, "one connection serves all of them");
    }
}
