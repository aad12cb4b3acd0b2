//! What a client asks about itself and the others: CLIENT, MONITOR, RESET, the handshake, over two workers.
//!
//! The acceptor gives a client to the worker with the fewest, so of two clients each is served by another worker; their
//! ids tell which (`worker_of`). Where one Redis has words, the same bytes go to a plain server and the replies must be
//! equal; what cannot be equal (ids, times) is taken out by name.

use std::net::SocketAddr;

use sluicegate_tests::client::{Client, request};
use sluicegate_tests::gateway::{InProcess, pool_yaml, yaml_over};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::{eventually, eventually_true};

fn start() -> (RealServer, InProcess) {
    let shard = RealServer::start();
    let gateway = InProcess::start(&yaml_over(std::slice::from_ref(&shard), &[]));
    (shard, gateway)
}

fn id_of(client: &mut Client) -> i64 {
    match client.line("CLIENT ID") {
        Value::Integer(id) => id,
        other => panic!("CLIENT ID answered {other:?}"),
    }
}

fn worker_of(id: i64) -> i64 {
    id & 0xff
}

/// Two clients that different workers serve.
fn two_clients(gateway: &InProcess) -> (Client, Client) {
    let (mut first, mut second) = (gateway.client(), gateway.client());
    assert_ne!(worker_of(id_of(&mut first)), worker_of(id_of(&mut second)), "one worker");
    (first, second)
}

/// The names of the fields of a line of CLIENT LIST.
fn fields(line: &str) -> Vec<String> {
    line.split(' ').map(|field| field.split('=').next().unwrap_or_default().to_owned()).collect()
}

fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let found = line.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no field {name} in: {line}"))
}

fn bytes_of(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| request(&line.split(' ').collect::<Vec<_>>())).collect()
}

/// Sends `lines` and a QUIT as one pipeline on a new connection; all that comes back until it closes.
fn replies(address: SocketAddr, lines: &[&str]) -> String {
    let mut client = Client::connect(address);
    client.send_raw(&bytes_of(lines));
    client.send_raw(&bytes_of(&["CLIENT REPLY ON", "QUIT"]));
    client.read_to_close().escape_ascii().to_string()
}

#[test]
fn list_and_info_show_the_clients_of_all_workers() {
    let (shard, gateway) = start();
    let (mut first, mut second) = two_clients(&gateway);
    let (first_id, second_id) = (id_of(&mut first), id_of(&mut second));
    assert_eq!(second.line("CLIENT SETNAME bob"), Value::ok());
    assert_eq!(second.line("GET k").text(), "");
    let list = first.line("CLIENT LIST").text();
    assert_eq!(list.lines().count(), 2, "{list}");
    let line_of = |id: i64| {
        let found = list.lines().find(|line| field(line, "id") == id.to_string());
        found.unwrap_or_else(|| panic!("no client {id} in: {list}"))
    };
    assert_eq!(field(line_of(first_id), "cmd"), "client|list");
    assert_eq!(field(line_of(second_id), "cmd"), "get");
    assert_eq!(field(line_of(second_id), "name"), "bob");
    assert_eq!(field(line_of(second_id), "laddr"), gateway.address().to_string());
    let mut due = fields(shard.client().line("CLIENT INFO").text().trim_end());
    due.extend(["lib-name", "lib-ver"].map(str::to_owned));
    assert_eq!(fields(line_of(second_id)), due);
    assert_eq!(fields(first.line("CLIENT INFO").text().trim_end()), due);
    let only = first.command(&["CLIENT", "LIST", "ID", "5", &second_id.to_string()]).text();
    assert_eq!(only.lines().count(), 1, "{only}");
    assert_eq!(field(&only, "id"), second_id.to_string());
    assert_eq!(first.line("CLIENT LIST TYPE normal").text().lines().count(), 2);
    assert_eq!(first.line("CLIENT LIST TYPE pubsub").text(), "");
    second.send(&["MULTI"]);
    second.send(&["SET", "k", "v"]);
    assert_eq!((second.reply(), second.reply().text()), (Value::ok(), "QUEUED".into()));
    let in_multi = first.command(&["CLIENT", "LIST", "ID", &second_id.to_string()]).text();
    assert_eq!((field(&in_multi, "flags"), field(&in_multi, "multi")), ("x", "1"));
}

#[test]
fn kill_closes_clients_of_all_workers_and_says_how_many() {
    let (_shard, gateway) = start();
    let (mut first, mut second) = two_clients(&gateway);
    let second_id = id_of(&mut second).to_string();
    assert_eq!(first.command(&["CLIENT", "KILL", "ID", &second_id]), Value::Integer(1));
    assert!(second.next_reply().is_none(), "a killed client is still served");
    assert_eq!(first.command(&["CLIENT", "KILL", "ID", &second_id]), Value::Integer(0));
    let mut third = gateway.client();
    let info = third.line("CLIENT INFO").text();
    let address = field(&info, "addr").to_owned();
    assert_eq!(first.command(&["CLIENT", "KILL", &address]), Value::ok());
    assert!(third.next_reply().is_none(), "a killed client is still served");
    let no_such = Value::Error("ERR No such client".into());
    eventually_true("the killed client to be gone", || {
        first.command(&["CLIENT", "KILL", &address]) == no_such
    });
    let others: Vec<Client> = (0..6)
        .map(|_| {
            let mut client = gateway.client();
            assert_eq!(client.line("PING").text(), "PONG");
            client
        })
        .collect();
    assert_eq!(first.line("CLIENT KILL TYPE normal"), Value::Integer(6));
    for mut other in others {
        assert!(other.next_reply().is_none(), "a killed client is still served");
    }
    assert_eq!(first.line("PING").text(), "PONG");
    // Itself: the reply first.
    first.send_raw(&bytes_of(&["CLIENT KILL TYPE normal SKIPME no", "PING"]));
    assert_eq!(first.reply(), Value::Integer(1));
    assert!(first.next_reply().is_none(), "served after its own kill");
}

#[test]
fn clients_of_another_pool_are_neither_shown_nor_killed_nor_paused() {
    let shard = RealServer::start();
    let text = pool_yaml("127.0.0.1:0", &[shard.address()], &[]);
    let other = pool_yaml("127.0.0.1:0", &[shard.address()], &[]).replace("main:", "other:");
    let text = format!("{text}{}", other.split_once("pools:\n").expect("pools").1);
    let gateway = InProcess::start(&text);
    let mut here = gateway.client();
    let mut there = Client::connect(gateway.address_of("other"));
    assert_eq!(there.line("PING").text(), "PONG");
    let list = here.line("CLIENT LIST").text();
    assert_eq!(list.lines().count(), 1, "{list}");
    assert_eq!(here.line("MONITOR"), Value::ok());
    assert_eq!(there.line("SET secret 1"), Value::ok());
    let mut again = gateway.client();
    assert_eq!(again.line("CLIENT PAUSE 100000"), Value::ok());
    assert_eq!(there.line("GET secret"), Value::bulk("1"));
    assert_eq!(again.line("CLIENT UNPAUSE"), Value::ok());
    assert_eq!(again.line("CLIENT KILL TYPE normal"), Value::Integer(1));
    assert_eq!(there.line("PING").text(), "PONG");
    assert!(here.next_reply().is_none(), "it saw the other pool, or lives");
}

#[test]
fn pause_holds_the_requests_of_all_workers_until_unpause() {
    let (_shard, gateway) = start();
    let (mut first, mut second) = two_clients(&gateway);
    let mut third = gateway.client();
    assert_eq!(third.line("PING").text(), "PONG");
    assert_eq!(first.line("CLIENT PAUSE 100000"), Value::ok());
    first.send(&["INCR", "n"]);
    second.send_raw(&bytes_of(&["INCR n", "INCR n", "NOSUCH", "GET n"]));
    // The way through the workers is that of the waiting requests; so this comes after they were read.
    assert_eq!(third.line("CLIENT PAUSE 1 WRITE"), Value::ok());
    assert!(first.is_quiet() && second.is_quiet(), "answered in a pause");
    assert_eq!(third.line("CLIENT UNPAUSE"), Value::ok());
    let mut counts = vec![first.reply(), second.reply(), second.reply()];
    counts.sort_by_key(|count| match count {
        Value::Integer(count) => *count,
        other => panic!("INCR: {other:?}"),
    });
    assert_eq!(counts, [1, 2, 3].map(Value::Integer));
    assert!(second.reply().is_error("ERR unknown command"));
    assert!(matches!(second.reply().text().as_str(), "2" | "3"));
}

#[test]
fn pause_of_writes_lets_reads_pass_and_ends_by_itself() {
    let (shard, gateway) = start();
    let (mut first, mut second) = two_clients(&gateway);
    assert_eq!(first.line("CLIENT PAUSE 300 WRITE"), Value::ok());
    second.send_raw(&bytes_of(&["GET n", "SET n 1", "GET n"]));
    assert_eq!(second.reply(), shard.client().line("GET nothing"));
    assert_eq!(first.line("GET other"), shard.client().line("GET nothing"));
    assert_eq!((second.reply(), second.reply()), (Value::ok(), Value::bulk("1")));
    // A transaction that only reads passes; one that writes waits at its EXEC or before.
    assert_eq!(first.line("CLIENT PAUSE 100000 WRITE"), Value::ok());
    second.send_raw(&bytes_of(&["MULTI", "GET n", "EXEC"]));
    second.reply();
    second.reply();
    assert_eq!(second.reply(), Value::Array(vec![Value::bulk("1")]));
    second.send_raw(&bytes_of(&["EVAL return(1) 1 n", "QUIT"]));
    assert_eq!(first.line("CLIENT UNPAUSE"), Value::ok());
    assert_eq!((second.reply(), second.reply()), (Value::Integer(1), Value::ok()));
}

#[test]
fn client_that_leaves_or_is_killed_in_a_pause_takes_its_request_with_it() {
    let (_shard, gateway) = start();
    let (mut first, mut second) = two_clients(&gateway);
    let mut third = gateway.client();
    let third_id = id_of(&mut third).to_string();
    assert_eq!(first.line("CLIENT PAUSE 100000 WRITE"), Value::ok());
    for (client, key) in [(&mut second, "left"), (&mut third, "killed")] {
        client.send_raw(&bytes_of(&["GET before", &format!("SET {key} 1"), "GET behind"]));
        assert_eq!(client.reply(), Value::Null);
    }
    drop(second);
    assert_eq!(first.command(&["CLIENT", "KILL", "ID", &third_id]), Value::Integer(1));
    assert!(third.next_reply().is_none(), "a killed client is still served");
    eventually_true("both clients to be gone", || {
        first.line("CLIENT LIST").text().lines().count() == 1
    });
    assert_eq!(first.line("CLIENT UNPAUSE"), Value::ok());
    assert_eq!(first.line("EXISTS left killed"), Value::Integer(0));
}

#[test]
fn muted_replies_are_those_of_a_plain_server() {
    let (shard, gateway) = start();
    for lines in [
        &["CLIENT REPLY SKIP", "SET a 1", "GET a"][..],
        &["CLIENT REPLY SKIP", "CLIENT REPLY SKIP", "PING", "ECHO x"],
        &["CLIENT REPLY SKIP", "CLIENT REPLY ON", "PING"],
        &["CLIENT REPLY SKIP", "CLIENT REPLY OFF", "PING", "CLIENT REPLY ON", "PING"],
        &["CLIENT REPLY OFF", "CLIENT REPLY SKIP", "PING", "CLIENT REPLY ON", "GET a"],
        &[
            "CLIENT REPLY OFF",
            "NOSUCH",
            "CLIENT REPLY x",
            "GET",
            "INCR n",
            "CLIENT REPLY ON",
            "GET n",
        ],
        &["CLIENT REPLY OFF", "RESET", "PING"],
        &["CLIENT REPLY SKIP", "RESET", "PING"],
        &["CLIENT REPLY SKIP", "NOSUCH", "PING"],
        &["CLIENT REPLY SKIP", "MULTI", "PING", "GET a", "EXEC"],
        &[
            "PING",
            "CLIENT REPLY OFF",
            "MGET a b c",
            "SET a 2",
            "CLIENT REPLY ON",
            "MGET a b",
            "GET a",
        ],
        &["CLIENT REPLY"],
        &["CLIENT REPLY ON x"],
        &["CLIENT REPLY maybe"],
    ] {
        shard.client().line("FLUSHALL");
        let due = replies(shard.address(), lines);
        shard.client().line("FLUSHALL");
        assert_eq!(replies(gateway.address(), lines), due, "{lines:?}");
    }
}

#[test]
fn many_muted_requests_keep_the_order_of_the_others() {
    let shards = RealServer::start_many(3);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let mut client = gateway.client();
    for round in 0..50 {
        let mut lines = vec!["CLIENT REPLY OFF".to_owned()];
        lines.extend((0..40).map(|index| format!("SET key:{index} {round}:{index}")));
        lines.push("CLIENT REPLY ON".into());
        lines.extend((0..40).map(|index| format!("GET key:{index}")));
        client.send_raw(&bytes_of(&lines.iter().map(String::as_str).collect::<Vec<_>>()));
        assert_eq!(client.reply(), Value::ok());
        for index in 0..40 {
            assert_eq!(client.reply(), Value::bulk(format!("{round}:{index}")));
        }
    }
}

/// Lines of MONITOR without time and address.
fn bare(line: &Value) -> String {
    let text = line.text();
    let (_, rest) = text.split_once(" [").unwrap_or_else(|| panic!("no line of MONITOR: {text}"));
    let (database, rest) = rest.split_once(' ').expect("a database");
    let (_, arguments) = rest.split_once("] ").expect("an address");
    format!("{database} {arguments}")
}

/// What a monitor at `address` sees of `lines`, up to an ECHO of the same client.
fn monitored(address: SocketAddr, lines: &[&str]) -> Vec<String> {
    let (mut client, mut monitor) = (Client::connect(address), Client::connect(address));
    assert_eq!(client.line("PING").text(), "PONG");
    assert_eq!(monitor.line("MONITOR"), Value::ok());
    for line in lines {
        client.line(line);
    }
    client.line("ECHO the-end");
    let mut seen = Vec::new();
    loop {
        let line = bare(&monitor.reply());
        if line.contains("the-end") {
            return seen;
        }
        seen.push(line);
    }
}

#[test]
fn monitor_shows_what_a_plain_server_shows() {
    let (shard, gateway) = start();
    let lines = [
        "GET a",
        "set a \r\n\u{1}\"\\é",
        "NOSUCH",
        "GET",
        "AUTH secret",
        "AUTH default secret",
        "HELLO 2 AUTH default secret SETNAME auth",
        "HELLO 3",
        "HELLO 2",
        "CLIENT LIST",
        "CLIENT ID",
        "CLIENT SETNAME x",
        "CLIENT KILL ID 9999999",
        "CONFIG GET save",
        "MULTI",
        "SET a 1",
        "INCR a",
        "EXEC",
        "MULTI",
        "SET a 2",
        "DISCARD",
        "EVAL return(1) 1 k",
        "MGET a b c",
        "PING",
        "SELECT 3",
        "GET a",
        "RESET",
        "INFO server",
        "COMMAND COUNT",
        "CLIENT TRACKING OFF",
    ];
    assert_eq!(monitored(gateway.address(), &lines), monitored(shard.address(), &lines));
}

#[test]
fn monitor_sees_clients_of_all_workers_until_it_ends() {
    let (_shard, gateway) = start();
    let (mut first, mut second) = two_clients(&gateway);
    let mut monitor = gateway.client();
    assert_eq!(monitor.line("MONITOR"), Value::ok());
    for round in 0..20 {
        let (ours, theirs) = (format!("SET a first:{round}"), format!("SET a second:{round}"));
        assert_eq!((first.line(&ours), second.line(&theirs)), (Value::ok(), Value::ok()));
        let mut seen = [bare(&monitor.reply()), bare(&monitor.reply())];
        seen.sort();
        let due = ["first", "second"].map(|who| format!("0 \"SET\" \"a\" \"{who}:{round}\""));
        assert_eq!(seen, due);
    }
    // A monitor counts as a replica, as in Redis.
    assert_eq!(
        monitor.line("GET a"),
        Value::Error("ERR Replica can't interact with the keyspace".into())
    );
    let line = first.line("CLIENT LIST").text();
    assert!(line.lines().any(|line| field(line, "flags") == "O"), "{line}");
    assert_eq!(monitor.line("RESET").text(), "RESET");
    assert_eq!(first.line("SET a 1"), Value::ok());
    assert_eq!(second.line("SET a 2"), Value::ok());
    assert_eq!(monitor.line("GET a"), Value::bulk("2"));
    // And again, by another client; its end needs no word.
    let mut again = gateway.client();
    assert_eq!(again.line("MONITOR"), Value::ok());
    assert_eq!(second.line("PING").text(), "PONG");
    assert_eq!(bare(&again.reply()), "0 \"PING\"");
    again.send_raw(&bytes_of(&["QUIT"]));
    assert_eq!(again.reply(), Value::ok());
    assert!(again.next_reply().is_none());
    assert_eq!(second.line("GET a"), Value::bulk("2"));
}

#[test]
fn slow_monitor_loses_lines_and_is_told_how_many() {
    let (_shard, gateway) = start();
    let (mut first, mut second) = two_clients(&gateway);
    let mut monitor = gateway.client();
    assert_eq!(monitor.line("MONITOR"), Value::ok());
    let value = "v".repeat(8 * 1024);
    let rounds = 2_000;
    let batch = request(&["SET", "a", &value]).repeat(50);
    for _ in 0..rounds / 50 {
        for client in [&mut first, &mut second] {
            client.send_raw(&batch);
            for _ in 0..50 {
                assert_eq!(client.reply(), Value::ok());
            }
        }
    }
    // Everything is either shown or counted.
    let (mut shown, mut lost) = (0_u64, 0_u64);
    while shown + lost < 2 * rounds {
        let line = bare(&monitor.reply());
        match line.strip_prefix("0 \"lost\" \"") {
            Some(count) => lost += count.trim_end_matches('"').parse::<u64>().expect("a count"),
            None => shown += 1,
        }
    }
    assert_eq!(shown + lost, 2 * rounds);
    assert!(lost > 0, "{shown} lines of 8 KiB waited for a client that did not read");
    // What comes now is shown again.
    assert_eq!(first.line("ECHO again"), Value::bulk("again"));
    assert_eq!(bare(&monitor.reply()), "0 \"ECHO\" \"again\"");
}

#[test]
fn reset_takes_back_all_that_a_connection_has_set() {
    let (_shard, gateway) = start();
    let mut client = gateway.client();
    client.line("HELLO 3 SETNAME bob");
    client.send_raw(&bytes_of(&["SELECT 2", "MULTI", "SET a 1", "RESET", "CLIENT INFO", "EXEC"]));
    assert_eq!((client.reply(), client.reply()), (Value::ok(), Value::ok()));
    assert_eq!((client.reply().text(), client.reply().text()), ("QUEUED".into(), "RESET".into()));
    let (bytes, info) = client.next_reply().expect("a reply");
    assert_eq!(bytes.first(), Some(&b'$'), "RESP2 again");
    let info = info.text();
    assert_eq!((field(&info, "name"), field(&info, "db")), ("", "0"));
    assert_eq!((field(&info, "flags"), field(&info, "resp")), ("N", "2"));
    assert_eq!(client.reply(), Value::Error("ERR EXEC without MULTI".into()));
    client.send_raw(&bytes_of(&["CLIENT REPLY OFF", "PING", "RESET", "PING"]));
    assert_eq!((client.reply().text(), client.reply().text()), ("RESET".into(), "PONG".into()));
    client.send_raw(&bytes_of(&["MONITOR", "RESET"]));
    assert_eq!((client.reply(), client.reply().text()), (Value::ok(), "RESET".into()));
    assert_eq!(client.line("SET a 1"), Value::ok());
}

#[test]
fn misuse_is_answered_in_the_words_of_a_plain_server() {
    let (shard, gateway) = start();
    for line in include_str!("client_words.txt").lines().filter(|line| !line.is_empty()) {
        let due = replies(shard.address(), &[line]);
        assert_eq!(replies(gateway.address(), &[line]), due, "{line}");
    }
}

#[test]
fn before_auth_only_the_way_in_is_open_as_on_a_plain_server() {
    let shard = RealServer::start_with(&["--requirepass", "secret"]);
    let options = ["client_password: secret", "shard_password: secret"];
    let gateway = InProcess::start(&yaml_over(std::slice::from_ref(&shard), &options));
    for lines in [
        &["PING"][..],
        &["GET a", "NOSUCH", "GET", "CLIENT ID", "CLIENT LIST", "MONITOR", "SELECT 1", "MULTI"],
        &["CLIENT KILL TYPE normal", "CLIENT REPLY x", "COMMAND COUNT", "ECHO x", "SUBSCRIBE x"],
        &[
            "AUTH wrong",
            "AUTH other secret",
            "PING",
            "AUTH default secret",
            "PING",
            "RESET",
            "PING",
        ],
        &["AUTH secret", "GET a", "AUTH wrong", "GET a"],
        &["RESET", "AUTH"],
        &["HELLO", "HELLO 3", "HELLO 2 AUTH default wrong", "HELLO 4", "HELLO x", "HELLO 3 FOO"],
        &["QUIT", "PING"],
    ] {
        let due = replies(shard.address(), lines);
        assert_eq!(replies(gateway.address(), lines), due, "{lines:?}");
    }
    // Eleven arguments, or one above 16 KiB, before AUTH: the error, and the end of the connection, as on a server.
    let long = "a".repeat(16 * 1024 + 1);
    for line in ["a 2 3 4 5 6 7 8 9 10 11", &format!("AUTH {long}")] {
        for address in [shard.address(), gateway.address()] {
            let mut client = Client::connect(address);
            client.send_raw(&bytes_of(&[line]));
            let refusal = eventually("a refusal", || client.next_reply()).1;
            assert!(refusal.is_error("ERR Protocol error: unauthenticated"), "{refusal:?}");
            assert!(client.next_reply().is_none(), "{address} reads on");
        }
    }
    let most = "a".repeat(16 * 1024);
    let line = ["AUTH 2 3 4 5 6 7 8 9 10", &format!("AUTH {most}")];
    assert_eq!(replies(gateway.address(), &line), replies(shard.address(), &line));
}
