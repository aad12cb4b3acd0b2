//! Things break, and what a client sees then is what the design says: an error that names the shard, in its place.
//!
//! Shards are killed, frozen and absent; clients send what is no RESP, close halfway, or want too much; the process
//! is told to end. Each test has servers and a gateway of its own. Error texts are checked by what a reader needs:
//! which shard, and whether the command may have run.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use sluicegate_tests::client::{Client, request};
use sluicegate_tests::gateway::{InProcess, Process, pool_yaml, yaml, yaml_over};
use sluicegate_tests::plugins::built;
use sluicegate_tests::real_server::{RealServer, free_port};
use sluicegate_tests::tools::{gateway_binary, repository};
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::{eventually, eventually_true};

/// Keys found to lie on each shard, by asking the shards after writing through the gateway.
fn key_on_each(gateway: &InProcess, shards: &[RealServer]) -> Vec<String> {
    let mut client = gateway.client();
    let keys: Vec<String> = (0..200).map(|index| format!("key:{index}")).collect();
    for key in &keys {
        assert_eq!(client.command(&["SET", key, "v"]), Value::ok());
    }
    let on = |shard: &RealServer, key: &String| {
        shard.client().command(&["EXISTS", key]) == Value::Integer(1)
    };
    let found = |shard| {
        keys.iter().find(|key| on(shard, key)).cloned().expect("200 keys reach every shard")
    };
    shards.iter().map(found).collect()
}

fn start(count: usize, extra: &[&str]) -> (Vec<RealServer>, InProcess, Vec<String>) {
    let shards = RealServer::start_many(count);
    let gateway = InProcess::start(&yaml_over(&shards, extra));
    let keys = key_on_each(&gateway, &shards);
    (shards, gateway, keys)
}

/// An error that names the shard and says `rest`.
fn assert_names_shard(reply: &Value, shard: usize, rest: &str) {
    let text = reply.text();
    let named = text.contains(&format!("'shard-{shard}'"));
    assert!(
        reply.is_error("ERR ") && named && text.contains(rest),
        "{reply:?}, wanted shard-{shard} and `{rest}`"
    );
}

#[test]
fn killed_shard_is_named_and_the_others_go_on() {
    let (mut shards, gateway, keys) = start(3, &[]);
    let mut client = gateway.client();
    shards[1].kill();
    let mut requests = Vec::new();
    for key in &keys {
        requests.extend(request(&["GET", key]));
    }
    // Its connection may be found broken by the first request, by a later one, or before any.
    for _ in 0..20 {
        client.send_raw(&requests);
        assert_eq!(client.reply(), Value::bulk("v"));
        assert_names_shard(&client.reply(), 1, "");
        assert_eq!(client.reply(), Value::bulk("v"));
    }
    let mget = client.command(&["MGET", &keys[0], &keys[1], &keys[2]]);
    assert_names_shard(&mget, 1, "");
    let mset = client.command(&["MSET", &keys[0], "new", &keys[1], "new", &keys[2], "new"]);
    assert_names_shard(&mset, 1, "other shards were applied");
    assert_eq!(client.command(&["GET", &keys[2]]), Value::bulk("new"));

    shards[1].restart();
    eventually_true("the gateway to find the shard again", || {
        client.command(&["SET", &keys[1], "back"]) == Value::ok()
    });
    assert_eq!(
        client.command(&["MGET", &keys[1], &keys[0]]),
        Value::Array(vec![Value::bulk("back"), Value::bulk("new")])
    );
}

#[test]
fn command_on_a_connection_that_breaks_has_an_unknown_outcome() {
    let mut shards = RealServer::start_many(2);
    // One worker, so that an answer to one client shows that the other's bytes have had their turn.
    let gateway = InProcess::start(&yaml_over(&shards, &[]).replace("workers: 2", "workers: 1"));
    let keys = key_on_each(&gateway, &shards);
    let mut client = gateway.client();
    assert_eq!(client.command(&["GET", &keys[0]]), Value::bulk("v"));
    shards[0].pause();
    client.send_raw(&[request(&["SET", &keys[0], "x"]), request(&["GET", &keys[1]])].concat());
    let mut other = gateway.client();
    for _ in 0..3 {
        assert_eq!(other.command(&["GET", &keys[1]]), Value::bulk("v"));
    }
    shards[0].kill();
    assert_names_shard(&client.reply(), 0, "outcome unknown");
    assert_eq!(client.reply(), Value::bulk("v"));
    let refused = eventually("the gateway to see that the shard is gone", || {
        let reply = client.command(&["GET", &keys[0]]);
        reply.text().contains("not sent").then_some(reply)
    });
    assert_names_shard(&refused, 0, "not sent");
}

#[test]
fn frozen_shard_times_out_and_its_late_replies_reach_nobody() {
    let (shards, gateway, keys) = start(2, &["timeout: 300ms"]);
    let mut client = gateway.client();
    for round in 0..3 {
        shards[0].pause();
        client.send_raw(&[request(&["GET", &keys[0]]), request(&["GET", &keys[1]])].concat());
        let late = client.reply();
        assert_names_shard(&late, 0, "");
        assert_eq!(client.reply(), Value::bulk("v"), "the other shard goes on");
        shards[0].resume();
        // From here on each request must get its own reply, whatever the thawed server still sends.
        eventually_true("the thawed shard to serve", || {
            client.command(&["SET", &keys[0], "v"]) == Value::ok()
        });
        for number in 0..50 {
            let text = format!("{round}-{number}");
            assert_eq!(client.command(&["SET", &keys[0], &text]), Value::ok());
            assert_eq!(client.command(&["GET", &keys[0]]), Value::bulk(&text));
            assert_eq!(client.command(&["ECHO", &text]), Value::bulk(&text));
        }
        assert_eq!(client.command(&["SET", &keys[0], "v"]), Value::ok());
        assert!(client.is_quiet(), "a reply that belongs to nobody");
    }
}

/// What a plain server says to bytes that are no RESP, with earlier commands answered first, the gateway says too.
#[test]
fn broken_requests_get_a_plain_servers_words_after_earlier_replies() {
    let plain = RealServer::start();
    let (_shards, gateway, keys) = start(2, &[]);
    let long = "x".repeat(66_000);
    let cases = [
        "*x\r\n",
        "*1\r\n!3\r\nGET\r\n",
        "*1\r\n$x\r\n",
        "*1\r\n$-1\r\n",
        "*2\r\n$3\r\nGET\r\n:1\r\n",
        "*1\r\n$99999999999999\r\n",
        "*99999999999999\r\n",
        "*1\r\n\r\n",
        "SET a \"b\r\n",
        "GET 'a'b\r\n",
        &long,
        &format!("*{long}"),
        &format!("*1\r\n${long}"),
    ];
    let earlier = [
        request(&["SET", &keys[0], "v"]),
        request(&["GET", &keys[0]]),
        request(&["GET", &keys[1]]),
    ]
    .concat();
    plain.client().command(&["SET", &keys[1], "v"]);
    for case in cases {
        let said = |address: SocketAddr| {
            let mut client = Client::connect(address);
            client.send_raw(&earlier);
            client.send_raw(case.as_bytes());
            String::from_utf8_lossy(&client.read_to_close()).into_owned()
        };
        let shown = &case[..case.len().min(40)];
        eprintln!("case: {shown:?}");
        let (theirs, ours) = (said(plain.address()), said(gateway.address()));
        assert!(
            theirs.contains("-ERR Protocol error"),
            "{shown:?} is no error to a plain server: {theirs}"
        );
        assert_eq!(ours, theirs, "for {shown:?}");
    }
    assert_eq!(
        gateway.client().command(&["GET", &keys[0]]),
        Value::bulk("v"),
        "and the gateway goes on"
    );
}

#[test]
fn request_cut_off_by_a_closing_client_never_runs() {
    let (_shards, gateway, keys) = start(2, &[]);
    let whole = request(&["SET", &keys[0], "half"]);
    for cut in 1..whole.len() {
        let mut client = gateway.client();
        client.send_raw(&whole[..cut]);
        client.close_sending_side();
        assert_eq!(client.read_to_close(), b"", "cut at {cut}");
    }
    assert_eq!(gateway.client().command(&["GET", &keys[0]]), Value::bulk("v"));
}

#[test]
fn client_that_closes_its_sending_side_gets_every_reply_first() {
    let (_shards, gateway, keys) = start(3, &[]);
    let mut client = gateway.client();
    let requests: Vec<u8> =
        (0..3000).flat_map(|index| request(&["GET", &keys[index % 3]])).collect();
    client.send_raw(&requests);
    client.close_sending_side();
    assert_eq!(client.read_to_close(), b"$1\r\nv\r\n".repeat(3000));
}

#[test]
fn shard_that_is_absent_at_start_is_named_and_joins_later() {
    let mut shards = RealServer::start_many(2);
    shards[1].kill();
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let mut client = gateway.client();
    let mut replies = Vec::new();
    let keys: Vec<String> = (0..100).map(|index| format!("key:{index}")).collect();
    for key in &keys {
        replies.push(client.command(&["SET", key, "v"]));
    }
    let served = replies.iter().filter(|reply| **reply == Value::ok()).count();
    assert!((20..=80).contains(&served), "{served} of 100 keys lie on the shard that is there");
    for reply in replies.iter().filter(|reply| **reply != Value::ok()) {
        assert_names_shard(reply, 1, "");
    }
    shards[1].restart();
    let late = replies.iter().position(|reply| *reply != Value::ok()).expect("a key of the shard");
    eventually_true("the shard that came later to serve", || {
        client.command(&["SET", &keys[late], "v"]) == Value::ok()
    });
    for key in &keys {
        assert_eq!(client.command(&["SET", key, "v"]), Value::ok(), "{key}");
    }
    let held = shards[1].client().line("DBSIZE");
    assert_eq!(held, Value::Integer(100 - i64::try_from(served).expect("at most 100")));
}

/// Connections of others than this one to a server.
fn connections(shard: &RealServer) -> usize {
    let list = shard.client().command(&["CLIENT", "LIST"]).text();
    list.lines().filter(|line| !line.contains("cmd=client")).count()
}

#[test]
fn each_pool_says_itself_whether_every_worker_connects_at_start() {
    let shards = RealServer::start_many(2);
    let pool = |shard: &RealServer, extra| yaml(&[shard.address()], &[extra]);
    let mut text = pool(&shards[0], "preconnect: true");
    let other = pool(&shards[1], "preconnect: false").replace("main:", "other:");
    text.push_str(other.split_once("pools:\n").expect("pools").1);
    let _gateway = InProcess::start(&text);
    eventually_true("both workers to connect", || connections(&shards[0]) == 2);
    eventually_true("the first worker to look", || connections(&shards[1]) == 1);
}

#[test]
fn full_pool_refuses_in_redis_words_and_leaves_the_other_pools_alone() {
    let shard = RealServer::start();
    let mut text = yaml_over(std::slice::from_ref(&shard), &["max_clients: 2"]);
    let other = yaml_over(std::slice::from_ref(&shard), &[]);
    text.push_str(
        other.split_once("pools:\n").expect("pools").1.replace("main:", "other:").as_str(),
    );
    let gateway = InProcess::start(&text);
    let full: Vec<Client> = (0..2).map(|_| gateway.client()).collect();
    for _ in 0..3 {
        let mut refused = gateway.client();
        assert_eq!(refused.read_to_close(), b"-ERR max number of clients reached\r\n");
    }
    let mut other: Vec<Client> =
        (0..3).map(|_| Client::connect(gateway.address_of("other"))).collect();
    for client in &mut other {
        assert_eq!(client.line("PING").text(), "PONG");
    }
    eventually_true("INFO to tell of the refused clients", || {
        other[0].line("INFO stats").text().contains("rejected_connections:3\r")
    });
    drop(full);
    eventually_true("the pool to have room again", || {
        gateway.client().command(&["PING"]).text() == "PONG"
    });
}

#[test]
fn port_in_use_is_a_start_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bind");
    let listen = taken.local_addr().expect("address").to_string();
    let shard = RealServer::start();
    let error = InProcess::try_start(&pool_yaml(&listen, &[shard.address()], &[]))
        .expect_err("the port is taken");
    assert!(error.contains(&listen), "{error}");
}

#[test]
fn bad_configuration_ends_the_process_with_every_fault() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut text = pool_yaml(&address.to_string(), &[address], &["no_such_key: 1"]);
    text.push_str("      - {name: shard-0, address: \"127.0.0.1:1\", weight: 0}\n");
    let mut process = Process::spawn(&gateway_binary(), &text, address);
    assert!(!process.wait().success());
    let log = process.log();
    for fault in [
        ":5: pools.main.no_such_key: unknown key",
        ":8: pools.main.shards[1]: shard name \"shard-0\" is taken by pools.main.shards[0]",
        ":8: pools.main.shards[1].weight: found 0",
        ": 3 faults",
    ] {
        assert!(log.contains(fault), "{fault:?} is missing in {log}");
    }
    assert!(Client::try_connect(address).is_err(), "it must not listen");
}

#[test]
fn check_loads_plugins_as_a_start_does_and_names_the_settings() {
    let pass = built("pass");
    let text = |settings: &str, config: &str| {
        let pool = yaml(&[SocketAddr::from(([127, 0, 0, 1], 1))], &[]);
        format!(
            "plugins: {{pass: {{{settings}}}}}\n{pool}    plugins:\n      - {{use: pass, keys: ['a:*']}}\n      \
             - {{use: pass, keys: ['b:*'], config: {{{config}}}}}\n"
        )
    };
    let file = |path: &Path| format!("file: {}", path.display());
    let pinned = format!("{}, sha256: {}", file(&pass), "00".repeat(32));
    let no_wasm = file(&repository().join("README.md"));
    let cases = [
        (text(&file(&pass), "grace: 20s"), "pools.main.plugins[1].config: unknown key 'grace'"),
        (text(&pinned, ""), "plugins.pass.sha256: "),
        (text(&no_wasm, ""), "plugins.pass.file: "),
    ];
    let folder = std::env::temp_dir();
    let name = folder.join(format!("sluicegate-check-{}.yaml", std::process::id()));
    let checked = |text: &str| {
        std::fs::write(&name, text).expect("write a configuration");
        sluicegate::cli::check::check(&name)
    };
    for (text, fault) in cases {
        let outcome = checked(&text);
        let line = format!("{}: {fault}", name.display());
        assert!(outcome.exit_code == 1 && outcome.text.starts_with(&line), "{}", outcome.text);
        assert!(outcome.text.ends_with(": 1 fault\n"), "{}", outcome.text);
        let refused = InProcess::try_start_file(&text).expect_err(fault);
        assert!(refused.starts_with(fault), "{refused}");
    }
    let good = checked(&text(&file(&pass), ""));
    assert_eq!(good.exit_code, 0, "{}", good.text);
    std::fs::remove_file(&name).expect("remove the configuration");
}

#[test]
fn process_that_is_told_to_end_answers_what_it_has_taken_first() {
    let shards = RealServer::start_many(2);
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let addresses: Vec<SocketAddr> = shards.iter().map(RealServer::address).collect();
    let yaml = pool_yaml(&address.to_string(), &addresses, &[]);
    let mut process = Process::start(&yaml, address);
    let mut client = Client::connect(address);
    let keys: Vec<String> = (0..100).map(|index| format!("key:{index}")).collect();
    for key in &keys {
        assert_eq!(client.command(&["SET", key, "v"]), Value::ok());
    }
    for shard in &shards {
        shard.pause();
    }
    let requests: Vec<u8> = keys.iter().flat_map(|key| request(&["GET", key])).collect();
    client.send_raw(&requests);
    process.terminate();
    eventually_true("the gateway to stop listening", || Client::try_connect(address).is_err());
    for shard in &shards {
        shard.resume();
    }
    for key in &keys {
        assert_eq!(client.reply(), Value::bulk("v"), "{key}");
    }
    let status = process.wait();
    assert!(status.success(), "{status}: {}", process.log());
}

#[test]
fn large_values_and_long_commands_pass() {
    let (_shards, gateway, _) = start(3, &[]);
    let mut client = gateway.client();
    let value = b"0123456789abcdef".repeat(4 << 20);
    client.send(&[b"SET", &b"large"[..], &value]);
    assert_eq!(client.reply(), Value::ok());
    client.send(&["GET", "large"]);
    assert!(client.reply() == Value::Bulk(value), "64 MiB come back as they went");

    let keys: Vec<String> = (0..100_000).map(|index| format!("long:{index}")).collect();
    let mut mset = vec!["MSET".to_owned()];
    mset.extend(keys.iter().flat_map(|key| [key.clone(), format!("v-{key}")]));
    assert_eq!(client.command(&mset), Value::ok());
    let mget = [&["MGET".to_owned()][..], &keys].concat();
    let expected = keys.iter().map(|key| Value::bulk(format!("v-{key}"))).collect();
    assert!(client.command(&mget) == Value::Array(expected), "each value in the place of its key");
    let unlink = [&["UNLINK".to_owned()][..], &keys].concat();
    assert_eq!(client.command(&unlink), Value::Integer(100_000));
}

/// One client with a deep pipeline and one that asks now and then: the second waits for those requests of the first
/// that are under way (`SESSION_PENDING_MAX`), not for all of them.
#[test]
fn deep_pipeline_of_one_client_leaves_turns_to_others() {
    const DEEP: usize = 600_000;
    let shards = RealServer::start_many(3);
    // One worker: both clients must share it, or there is nothing to be fair about.
    let gateway = InProcess::start(&yaml_over(&shards, &[]).replace("workers: 2", "workers: 1"));
    let keys = key_on_each(&gateway, &shards);
    let deep = gateway.client();
    let requests: Vec<u8> =
        (0..DEEP).flat_map(|index| request(&["GET", &keys[index % 3]])).collect();
    let mut sender = deep.sender();
    std::thread::scope(|scope| {
        let mut deep = deep;
        let sending =
            scope.spawn(move || std::io::Write::write_all(&mut sender, &requests).expect("send"));
        let reading = scope.spawn(move || {
            for _ in 0..DEEP {
                assert_eq!(deep.reply(), Value::bulk("v"));
            }
        });
        let mut other = gateway.client();
        let mut answered = 0;
        eventually("both clients to be served", || {
            assert_eq!(other.command(&["GET", &keys[0]]), Value::bulk("v"));
            answered += 1;
            (sending.is_finished() && reading.is_finished()).then_some(())
        });
        // One answer per bound would be fair; how fast a client gets to ask again depends on the machine.
        let turns = DEEP / sluicegate::limits::SESSION_PENDING_MAX;
        assert!(answered > turns / 8, "only {answered} answers during the other client's pipeline");
        reading.join().expect("every reply of the deep pipeline");
    });
}

/// A large request goes over a connection of its own, and the order of its client's replies stays.
#[test]
fn large_request_goes_over_a_private_connection_in_order() {
    let (shards, gateway, keys) = start(1, &["large_request: 64KiB"]);
    let big = "x".repeat(300_000);
    // One client on each of the two workers: both have their shared connection then.
    let mut clients = [Client::connect(gateway.address()), Client::connect(gateway.address())];
    for client in &mut clients {
        assert_eq!(client.command(&["SET", &keys[0], "small"]), Value::ok());
    }
    assert_eq!(connections(&shards[0]), 2, "the shared connections");
    let client = &mut clients[0];
    let pipeline = [
        request(&["SET", &keys[0], "small"]),
        request(&["SET", &keys[0], &big]),
        request(&["STRLEN", &keys[0]]),
        request(&["SET", &keys[0], &big[..200_000]]),
        request(&["STRLEN", &keys[0]]),
    ];
    client.send_raw(&pipeline.concat());
    let replies: Vec<Value> = (0..pipeline.len()).map(|_| client.reply()).collect();
    let expected =
        [Value::ok(), Value::ok(), Value::Integer(300_000), Value::ok(), Value::Integer(200_000)];
    assert_eq!(replies, expected);
    assert_eq!(connections(&shards[0]), 3, "the shared connections and a private one");
}
