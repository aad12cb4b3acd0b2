//! Nothing grows without a bound, and who meets a bound is told; who does not, never notices.
//!
//! Each test fills one thing on purpose (a shard's queue, a client's output, a worker's memory, a connection's set-up)
//! beside an innocent client. Bounds are set low, so that they are met at once. One worker, so that the innocent
//! client is served by the thread that is under pressure.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use sluicegate::config;
use sluicegate::core::ids::{LaneId, SessionId};
use sluicegate::core::session::Closing;
use sluicegate::core::{Clock, Core, Pool, PoolSetup};
use sluicegate::topology::Topology;
use sluicegate_tests::client::{Client, request};
use sluicegate_tests::gateway::{InProcess, Process, pool_yaml, yaml_over};
use sluicegate_tests::real_server::{RealServer, free_port};
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::{eventually, eventually_true};

/// A gateway with one worker over `shards`; `top` are lines of the file's top level, `extra` of its pool.
fn start_over(shards: &[RealServer], top: &str, extra: &[&str]) -> InProcess {
    let text = yaml_over(shards, extra).replace("workers: 2", &format!("workers: 1\n{top}"));
    InProcess::start(&text)
}

fn start(count: usize, top: &str, extra: &[&str]) -> (Vec<RealServer>, InProcess) {
    let shards = RealServer::start_many(count);
    let gateway = start_over(&shards, top, extra);
    (shards, gateway)
}

/// A key of each shard, found by asking the shards.
fn keys_of(gateway: &InProcess, shards: &[RealServer]) -> Vec<String> {
    let mut client = gateway.client();
    let names: Vec<String> = (0..100).map(|index| format!("key:{index}")).collect();
    for name in &names {
        assert_eq!(client.command(&["SET", name, "v"]), Value::ok());
    }
    let first_on = |shard: &RealServer| {
        let mut direct = shard.client();
        let found = names
            .iter()
            .find(|name| direct.command(&["EXISTS", name.as_str()]) == Value::Integer(1));
        found.expect("100 keys reach every shard").clone()
    };
    shards.iter().map(first_on).collect()
}

#[test]
fn full_queue_of_a_shard_refuses_at_once_and_sends_nothing() {
    let (shards, gateway) = start(2, "", &["shard_queue: {requests: 50, bytes: 64MiB}"]);
    let keys = keys_of(&gateway, &shards);
    let mut client = gateway.client();
    shards[0].pause();
    let pipeline: Vec<u8> = (0..80).flat_map(|_| request(&["INCR", "n{tag}"])).collect();
    let counted = keys[0].clone();
    let pipeline = String::from_utf8(pipeline)
        .expect("text")
        .replace("$6\r\nn{tag}", &format!("${}\r\n{counted}", counted.len()));
    shards[1].client().command(&["PING"]);
    client.send_raw(pipeline.as_bytes());
    // The other shard's keys go on, for this worker too.
    let mut other = gateway.client();
    assert_eq!(other.command(&["GET", &keys[1]]), Value::bulk("v"));
    assert_eq!(other.command(&["MSET", &keys[0], "x", &keys[1], "x"]).text(), {
        let address = shards[0].address();
        format!("ERR shard 'shard-0' ({address}) overloaded; not sent")
    });
    assert_eq!(other.command(&["GET", &keys[1]]), Value::bulk("v"), "no part of it was sent");
    shards[0].resume();
    let replies: Vec<Value> = (0..80).map(|_| client.reply()).collect();
    let refused = replies.iter().filter(|reply| reply.text().ends_with("overloaded; not sent"));
    let refused = refused.count();
    assert_eq!(refused, 30, "{replies:?}");
    assert!(replies[50..].iter().all(|reply| reply.text().contains("'shard-0'")));
    eventually_true("the queue to be empty", || {
        client.command(&["STRLEN", &keys[0]]) == Value::Integer(1)
    });
}

#[test]
fn client_that_takes_nothing_is_cut_when_memory_is_short_and_others_are_not() {
    let (_shards, gateway) = start(1, "memory_budget: 16MiB", &["client_output: 1MiB"]);
    let mut innocent = gateway.client();
    assert_eq!(innocent.command(&["SET", "big", &"x".repeat(500_000)]), Value::ok());
    let mut greedy = gateway.client();
    // 64 MB of replies, more than the kernel takes, and nobody who reads them.
    greedy.send_raw(&request(&["GET", "big"]).repeat(128));
    let clients_cut = |client: &mut Client| {
        let info = client.command(&["INFO", "gateway"]).text();
        let line = info.lines().find_map(|line| line.strip_prefix("clients_cut:"));
        line.map_or(0, |count| count.trim().parse::<u64>().expect("a number"))
    };
    eventually("the greedy client to be cut", || {
        assert_eq!(innocent.command(&["GET", "big"]).text().len(), 500_000);
        (clients_cut(&mut innocent) == 1).then_some(())
    });
    let left = greedy.read_to_close();
    assert!(left.len() < 48 << 20, "{} bytes of 64 MB had been taken in", left.len());
}

/// A core with one shard whose connection is up, one session, and `count` replies asked for.
fn core_with_replies_due(client_output: &str, count: usize) -> (Core, SessionId, LaneId) {
    core_with(client_output, count, 1 << 30)
}

/// The same with a memory budget of `bytes_max`.
fn core_with(client_output: &str, count: usize, bytes_max: usize) -> (Core, SessionId, LaneId) {
    let yaml = format!(
        "pools: {{p: {{listen: \"127.0.0.1:1\", client_output: {client_output}, shards: [\"127.0.0.1:2\"]}}}}"
    );
    let config = config::parse(&yaml, Path::new("test.yaml")).expect("a configuration");
    let pool = config.config.pools[0].clone();
    let topology = Topology::from_pool(&pool);
    let setup = PoolSetup { config: Arc::new(pool), topology, bindings: Vec::new() };
    let mut core = Core::new(vec![Pool::new(setup, 1)], 0, 1, bytes_max);
    let session = core.open_session(0, String::new(), String::new());
    core.client_input(session, &request(&["GET", "k"]).repeat(count));
    let lane = core.wake.connect.pop().expect("a lane to connect");
    core.lane_connected(lane);
    core.lane_input(lane, b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n").expect("the set-up's replies");
    (core, session, lane)
}

fn at(core: &mut Core, now_ms: u64) {
    core.set_clock(Clock { now_ms, unix_ms: now_ms });
    core.on_time();
}

fn take_output(core: &mut Core, session: SessionId, count: usize) {
    let (session_state, spare) = core.session_and_spare(session).expect("the session");
    session_state.out.advance(count, spare);
    session_state.written += count as u64;
    core.output_taken(session);
}

#[test]
fn lane_waits_for_a_slow_client_once_and_not_longer_than_50_ms() {
    let (mut core, session, lane) = core_with_replies_due("2MiB", 100);
    let reply = [b"$100000\r\n".as_slice(), &[b'x'; 100_000], b"\r\n"].concat();
    for _ in 0..20 {
        core.lane_input(lane, &reply).expect("a reply");
    }
    assert!(!core.lane_paused(lane), "2.0 MB are below the bound");
    for _ in 0..2 {
        core.lane_input(lane, &reply).expect("a reply");
    }
    assert!(core.lane_paused(lane), "2.2 MB are above the bound");
    at(&mut core, 49);
    assert!(core.lane_paused(lane));
    core.wake.lanes.clear();
    core.lane(lane).expect("the lane").to_wake = false;
    at(&mut core, 50);
    assert!(!core.lane_paused(lane));
    assert_eq!(core.wake.lanes, [lane], "it is read again");
    core.lane_input(lane, &reply).expect("a reply");
    assert!(!core.lane_paused(lane), "not again for a client that has taken nothing");

    take_output(&mut core, session, 1_500_000);
    for _ in 0..20 {
        core.lane_input(lane, &reply).expect("a reply");
    }
    assert!(core.lane_paused(lane), "again, since the client took much");
    take_output(&mut core, session, 2_000_000);
    assert!(!core.lane_paused(lane), "and no longer than the client needs");
}

#[test]
fn client_above_its_bound_is_cut_after_10_s_without_progress_only() {
    let (mut core, session, lane) = core_with_replies_due("1MiB", 100);
    let reply = [b"$100000\r\n".as_slice(), &[b'x'; 100_000], b"\r\n"].concat();
    for _ in 0..30 {
        core.lane_input(lane, &reply).expect("a reply");
    }
    let closing = |core: &mut Core| core.session(session).expect("the session").closing;
    for second in 1..60 {
        take_output(&mut core, session, 1);
        at(&mut core, second * 1000);
    }
    assert_eq!(closing(&mut core), Closing::No, "a byte a second is progress");
    at(&mut core, 60_000);
    assert_eq!(closing(&mut core), Closing::No);
    at(&mut core, 70_000);
    assert_eq!(closing(&mut core), Closing::Now);
}

#[test]
fn client_that_is_slower_than_its_shards_gets_every_reply() {
    let (_shards, gateway) = start(2, "", &["client_output: 256KiB"]);
    let mut client = gateway.client();
    let value = "x".repeat(20_000);
    for key in ["a", "b", "c", "d"] {
        assert_eq!(client.command(&["SET", key, &value]), Value::ok());
    }
    // 160 MB in one pipeline, far above the bound of this client.
    let pipeline: Vec<u8> =
        (0..8000).flat_map(|index| request(&["GET", ["a", "b", "c", "d"][index % 4]])).collect();
    let mut sender = client.sender();
    std::thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut sender, &pipeline).expect("send"));
        for index in 0..8000 {
            assert_eq!(client.reply(), Value::bulk(&value), "reply {index}");
        }
    });
}

#[test]
fn memory_budget_that_is_used_up_refuses_the_large_and_serves_the_small() {
    let (_shards, gateway) = start(1, "memory_budget: 8MiB", &[]);
    let mut innocent = gateway.client();
    assert_eq!(innocent.command(&["SET", "k", "v"]), Value::ok());
    let begun = {
        let whole = request(&["SET", "large", &"x".repeat(900_000)]);
        whole[..800_000].to_vec()
    };
    // 32 MB of requests that have begun and do not end.
    let mut hogs: Vec<Client> = (0..40).map(|_| gateway.client()).collect();
    for hog in &mut hogs {
        hog.send_raw(&begun);
    }
    for _ in 0..200 {
        assert_eq!(innocent.command(&["GET", "k"]), Value::bulk("v"));
    }
    let refused = eventually("hogs to be refused", || {
        let said: Vec<bool> = hogs.iter_mut().map(|hog| !hog.is_quiet()).collect();
        let count = said.iter().filter(|said| **said).count();
        (count >= 25).then_some(said)
    });
    let hog = &mut hogs[refused.iter().position(|said| *said).expect("one that was refused")];
    let said = String::from_utf8_lossy(&hog.read_to_close()).into_owned();
    assert!(said.is_empty() || said.contains("memory budget of 8388608 bytes"), "{said}");
    drop(hogs);
    eventually_true("the memory to come back", || {
        let mut client = gateway.client();
        client.command(&["SET", "large", &"x".repeat(900_000)]) == Value::ok()
    });
}

#[test]
fn request_that_the_budget_refuses_is_told_once_however_often_its_client_is_looked_at() {
    let (mut core, session, _) = core_with("1MiB", 3, 100_000);
    let whole = request(&["SET", "large", &"x".repeat(900_000)]);
    core.client_input(session, &whole[..200_000]);
    core.account_session(session);
    for _ in 0..5 {
        assert!(!core.may_read(session));
    }
    // Its replies wait behind those that are still due.
    let state = core.session(session).expect("the session");
    assert_eq!((state.pending.len(), state.closing), (4, Closing::AfterReplies));
}

#[test]
fn value_of_half_a_gibibyte_passes_and_one_byte_more_is_refused() {
    let (shards, gateway) = start(1, "", &["timeout: 60s"]);
    let mut innocent = gateway.client();
    let mut client = gateway.client();
    let value = b"0123456789abcdef".repeat(512 << 16);
    assert_eq!(value.len(), 512 << 20);
    client.send(&[b"SET", &b"large"[..], &value]);
    assert_eq!(innocent.command(&["SET", "k", "v"]), Value::ok());
    assert_eq!(client.reply(), Value::ok());
    assert_eq!(shards[0].client().command(&["STRLEN", "large"]), Value::Integer(512 << 20));
    client.send(&["GET", "large"]);
    assert!(client.reply() == Value::Bulk(value), "it comes back as it went");
    let mut client = gateway.client();
    client.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870913\r\n");
    assert_eq!(client.read_to_close(), b"-ERR Protocol error: invalid bulk length\r\n");
}

#[test]
fn request_of_a_million_arguments_passes_and_one_more_is_refused() {
    const ARGUMENTS: usize = 1024 * 1024;
    let (_shards, gateway) = start(2, "", &[]);
    let mut client = gateway.client();
    for key in ["k0", "k1", "k2", "k3"] {
        assert_eq!(client.command(&["SET", key, "v"]), Value::ok());
    }
    let names = (0..ARGUMENTS - 1).map(|index| format!("k{index}"));
    let exists: Vec<String> = std::iter::once("EXISTS".to_owned()).chain(names).collect();
    assert_eq!(exists.len(), ARGUMENTS);
    assert_eq!(client.command(&exists), Value::Integer(4));
    client.send_raw(format!("*{}\r\n", ARGUMENTS + 1).as_bytes());
    assert_eq!(client.read_to_close(), b"-ERR Protocol error: invalid multibulk length\r\n");
}

#[test]
fn split_larger_than_a_shards_queue_is_carried_out_whole() {
    let (shards, gateway) = start(2, "", &["shard_queue: {requests: 65536, bytes: 1MiB}"]);
    let keys = keys_of(&gateway, &shards);
    let mut client = gateway.client();
    let value = "x".repeat(3_000_000);
    let names = |key: &String| [format!("{{{key}}}:1"), format!("{{{key}}}:2")];
    let mut mset = vec!["MSET".to_owned()];
    for name in names(&keys[0]).into_iter().chain(names(&keys[1])) {
        mset.extend([name, value.clone()]);
    }
    assert_eq!(client.command(&mset), Value::ok());
    for (key, shard) in keys.iter().zip(&shards) {
        for name in names(key) {
            assert_eq!(shard.client().command(&["STRLEN", &name]), Value::Integer(3_000_000));
        }
    }
}

/// A script may answer a status of any length. It is one client's reply, and nobody else's trouble.
#[test]
fn long_status_line_passes_and_hurts_nobody() {
    let (_shards, gateway) = start(1, "", &[]);
    let mut client = gateway.client();
    for length in [1, 70_000, 3_000_000] {
        let script = format!("return redis.status_reply(string.rep('x', {length}))");
        let reply = client.command(&["EVAL", &script, "1", "k"]);
        assert_eq!(reply.text().len(), length);
    }
    assert_eq!(gateway.client().command(&["SET", "k", "v"]), Value::ok());
}

/// HELLO changes the connection that a client's commands take: what it asked before must be done by then.
#[test]
fn write_before_hello_is_seen_by_a_read_behind_it() {
    let (_shards, gateway) = start(1, "", &[]);
    let large = "x".repeat(500_000);
    for round in 0..20 {
        let mut client = gateway.client();
        let text = format!("new-{round}");
        let mut pipeline: Vec<u8> =
            (0..8).flat_map(|index| request(&["SET", &format!("l{index}"), &large])).collect();
        pipeline.extend(request(&["SET", "k", &text]));
        pipeline.extend(request(&["HELLO", "3"]));
        pipeline.extend(request(&["GET", "k"]));
        client.send_raw(&pipeline);
        for _ in 0..9 {
            assert_eq!(client.reply(), Value::ok());
        }
        let _greeting = client.reply();
        assert_eq!(client.reply(), Value::bulk(&text), "round {round}");
    }
}

#[test]
fn shard_whose_user_may_not_discard_is_named_and_never_left_inside_multi() {
    let shards = RealServer::start_many(1);
    let forbidden = shards[0].client().line("ACL SETUSER default -discard");
    assert_eq!(forbidden, Value::ok());
    let gateway = start_over(&shards, "", &[]);
    let mut client = gateway.client();
    let said = client.command(&["SET", "k", "v"]).text();
    assert!(said.contains("'shard-0'") && said.contains("DISCARD"), "{said}");
}

#[test]
fn split_write_whose_outcome_is_unknown_says_so() {
    let mut shards = RealServer::start_many(2);
    let gateway = start_over(&shards, "", &["timeout: 500ms"]);
    let keys = keys_of(&gateway, &shards);
    let mut client = gateway.client();
    shards[0].kill();
    eventually_true("the gateway to see that the shard is gone", || {
        client.command(&["GET", &keys[0]]).text().contains("not sent")
    });
    shards[1].pause();
    let said = client.command(&["MSET", &keys[0], "x", &keys[1], "x"]).text();
    shards[1].resume();
    assert!(said.contains("'shard-1'") && said.ends_with("outcome unknown"), "{said}");
}

#[test]
fn stop_answers_requests_that_were_received_behind_a_slow_one() {
    let shards = RealServer::start_many(1);
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let yaml = pool_yaml(&address.to_string(), &[shards[0].address()], &[]);
    let mut process = Process::start(&yaml, address);
    let mut client = Client::connect(address);
    assert_eq!(client.command(&["SET", "k", "v"]), Value::ok());
    shards[0].pause();
    client.send(&["SET", "large", &"x".repeat(2_000_000)]);
    // What is on its way to the gateway has not been received: so wait until the large request has.
    eventually_true("the large request to be read", || {
        let info = Client::connect(address).command(&["INFO", "stats"]).text();
        let line = info.lines().find_map(|line| line.strip_prefix("total_net_input_bytes:"));
        line.is_some_and(|bytes| bytes.trim().parse::<u64>().expect("a number") > 2_000_000)
    });
    client.send_raw(&request(&["GET", "k"]).repeat(2));
    process.terminate();
    eventually_true("the gateway to stop listening", || Client::try_connect(address).is_err());
    shards[0].resume();
    assert_eq!(client.reply(), Value::ok());
    assert_eq!(client.reply(), Value::bulk("v"));
    assert_eq!(client.reply(), Value::bulk("v"));
    assert!(process.wait().success(), "{}", process.log());
}
