//! What a guest may ask for, frame by frame: hostile batches, and those whose results the contract promises.
//!
//! The guest `misbehaving` answers the frames that a test gives it (`RAW <frame>...`) and at last shows what it was told.
//! Other clients of the same worker are at work meanwhile and must not notice.

use sluicegate_tests::client::Client;
use sluicegate_tests::frames::{
    Result, To, command, done, last, pause, pending, results, spawn, watch,
};
use sluicegate_tests::gateway::InProcess;
use sluicegate_tests::load::Load;
use sluicegate_tests::plugins::{Entry, PluginFile, await_binding, built, renumbered, yaml_with};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

const REPLY: u8 = 0;
const BACKEND_ERROR: u8 = 1;
const DENIED: u8 = 4;

/// One worker over `shards`, with the guest on every key.
fn start(shards: &[RealServer], limits: &str) -> InProcess {
    let file = built("misbehaving/misbehaving");
    let limits = format!("limits: {limits}");
    let settings = [limits.as_str()];
    let entry = Entry { name: "bad", file: &file, settings: &settings };
    let yaml = yaml_with(shards, &[entry], &["{use: bad, keys: [\"raw:*\"]}"]);
    InProcess::start(&yaml.replace("workers: 2", "workers: 1"))
}

fn raw(client: &mut Client, frames: &[Vec<u8>]) -> Value {
    let mut request = vec![b"RAW".to_vec()];
    request.extend_from_slice(frames);
    client.command(&request)
}

/// What the call is told at last.
fn told(client: &mut Client, frames: &[Vec<u8>]) -> Vec<Result> {
    match raw(client, frames) {
        Value::Bulk(frame) => results(&frame),
        other => panic!("the call ended otherwise: {other:?}"),
    }
}

/// Clients of the same shared connections.
fn innocent(gateway: &InProcess) -> Load {
    let clients = (0..4).map(|_| gateway.client()).collect();
    Load::start(clients, |client: &mut Client, user, round| {
        let (key, value) = (format!("plain:{user}"), format!("{user}-{round}"));
        assert_eq!(client.command(&["SET", &key, &value]), Value::ok());
        assert_eq!(client.command(&["GET", &key]), Value::bulk(&value));
    })
}

#[test]
fn command_that_would_break_a_shared_connection_is_denied_and_nobody_notices() {
    let shards = RealServer::start_many(2);
    let gateway = start(&shards, "{call_timeout: 60s}");
    let load = innocent(&gateway);
    let mut client = gateway.client();
    let lines = [
        "SELECT 3",
        "MULTI",
        "EXEC",
        "WATCH raw:1",
        "SUBSCRIBE raw:1",
        "BLPOP raw:1 0",
        "XREAD BLOCK 0 STREAMS raw:1 $",
        "CLIENT REPLY OFF",
    ];
    for line in lines {
        for to in [To::OwnKeys, To::Key("raw:1"), To::Shard(0)] {
            let found = told(&mut client, &[pending(false, &[command(0, to, line)])]);
            assert_eq!(found[0].status, DENIED, "{line} to {to:?}: {found:?}");
            let why = String::from_utf8_lossy(&found[0].bytes).into_owned();
            assert!(why.contains("clients share"), "{line} to {to:?}: {why}");
            load.await_round();
        }
    }
    let found = told(&mut client, &[pending(false, &[command(0, To::Shard(1), "TIME")])]);
    assert_eq!(found[0].status, REPLY, "{found:?}");
    load.finish();
}

#[test]
fn calls_that_spawn_themselves_neither_end_the_gateway_nor_stop_their_worker() {
    let shards = RealServer::start_many(1);
    let gateway = start(&shards, "{call_timeout: 60s}");
    let load = innocent(&gateway);
    let mut client = gateway.client();
    let bomb = last("+OK\r\n", &[spawn(&["bomb"]), spawn(&["bomb"])]);
    for _ in 0..3 {
        assert_eq!(raw(&mut client, std::slice::from_ref(&bomb)), Value::ok());
        (0..20).for_each(|_| load.await_round());
    }
    load.finish();
}

#[test]
fn call_that_asks_for_denied_things_for_ever_ends_at_its_deadline_and_lets_others_work() {
    let shards = RealServer::start_many(1);
    let gateway = start(&shards, "{call_timeout: 400ms, cpu_per_step: 50ms, steps: 1000000}");
    let load = innocent(&gateway);
    let mut client = gateway.client();
    let denied = pending(false, &[command(0, To::OwnKeys, "SELECT 1")]);
    for spending in [&b"burn"[..], b""] {
        let frames = [spending.to_vec(), denied.clone(), b"again".to_vec()];
        let frames = if spending.is_empty() { &frames[1..] } else { &frames[..] };
        let mut request = vec![b"RAW".to_vec()];
        request.extend_from_slice(frames);
        client.send(&request);
        (0..5).for_each(|_| load.await_round());
        let reply = client.reply();
        assert!(reply.is_error("PLUGINTIMEOUT bad"), "{reply:?}");
    }
    load.finish();
}

#[test]
fn spawned_calls_in_flight_are_bounded() {
    let shards = RealServer::start_many(1);
    let gateway = start(&shards, "{call_timeout: 1s}");
    let mut client = gateway.client();
    let asleep = pending(false, &[pause(1 << 16)]);
    let task = String::from_utf8(asleep).expect("plain bytes");
    let hundred: Vec<Vec<u8>> = (0..100).map(|_| spawn(&[&task])).collect();
    for _ in 0..20 {
        assert_eq!(raw(&mut client, &[last("+OK\r\n", &hundred)]), Value::ok());
    }
    let live = |wanted: u64| {
        move |row: &sluicegate_tests::plugins::BindingRow| row.number("live") == wanted
    };
    let mut watchers = [client];
    await_binding(&mut watchers, 0, "as many as may be", live(1024));
    await_binding(&mut watchers, 0, "a sleep to end with its call's time", live(0));
    let [mut client] = watchers;
    assert_eq!(raw(&mut client, &[last("+OK\r\n", &hundred)]), Value::ok());
    await_binding(&mut [client], 0, "room for others", live(100));
}

#[test]
fn all_results_of_a_batch_come_together_also_when_one_operation_fails_at_once() {
    let mut shards = RealServer::start_many(2);
    let gateway = start(&shards, "{call_timeout: 60s}");
    let mut client = gateway.client();
    let both = [To::Shard(0), To::Shard(1)].map(|to| command(0, to, "GET raw:1"));
    let statuses = |client: &mut Client, first: bool| -> Vec<u8> {
        told(client, &[pending(first, &both)]).iter().map(|result| result.status).collect()
    };
    assert_eq!(statuses(&mut client, false), [REPLY, REPLY]);
    shards[0].kill();
    // Once the gateway knows, the operation fails before the other one is sent.
    eventually_true("the shard to be known as down", || {
        let found = statuses(&mut client, false);
        assert_eq!(found.len(), 2, "{found:?}");
        found == [BACKEND_ERROR, REPLY]
    });
    for _ in 0..20 {
        let mut found = told(&mut client, &[pending(false, &both)]);
        found.sort_by_key(|result| result.op);
        let statuses: Vec<u8> = found.iter().map(|result| result.status).collect();
        assert_eq!(statuses, [BACKEND_ERROR, REPLY], "{found:?}");
    }
    assert_eq!(raw(&mut client, &[done(b"+OK\r\n")]), Value::ok());
}

#[test]
fn call_that_has_written_before_it_fails_says_that_the_outcome_is_unknown() {
    let shards = RealServer::start_many(1);
    let gateway = start(&shards, "{call_timeout: 1s}");
    let mut client = gateway.client();
    let write = pending(false, &[command(0, To::OwnKeys, "SET raw:1 v")]);
    let read = pending(false, &[command(0, To::OwnKeys, "GET raw:1")]);
    let (wait, garbage) = (pending(false, &[pause(60_000)]), b"\x09 no frame".to_vec());
    let cases = [
        ([&write, &garbage], "PLUGINERR bad: bad reply; outcome unknown"),
        ([&read, &garbage], "PLUGINERR bad: bad reply"),
        ([&write, &wait], "PLUGINTIMEOUT bad: the call took too long; outcome unknown"),
        ([&read, &wait], "PLUGINTIMEOUT bad: the call took too long"),
    ];
    for (frames, wanted) in cases {
        let reply = raw(&mut client, &frames.map(Vec::clone));
        assert_eq!(reply, Value::Error(wanted.as_bytes().to_vec()));
    }
}

#[test]
fn transaction_with_a_call_that_fails_or_too_many_calls_is_not_sent() {
    let shards = RealServer::start_many(1);
    let file = built("misbehaving/misbehaving");
    let entry = Entry { name: "bad", file: &file, settings: &[] };
    let gateway = InProcess::start(&yaml_with(&shards, &[entry], &["{use: bad, keys: [panic]}"]));
    let mut client = gateway.client();
    for line in ["MULTI", "SET plain v", "GET panic", "SET plain w"] {
        assert!(!matches!(client.line(line), Value::Error(_)));
    }
    let reply = client.line("EXEC");
    let wanted =
        "EXECABORT Transaction discarded because of a plugin: PLUGINERR bad: trap unreachable";
    assert!(reply.is_error(wanted), "{reply:?}");
    assert_eq!(client.line("GET plain"), Value::Null);
    client.line("MULTI");
    let hooked = |client: &mut Client, _| client.line("GET panic");
    let queued = (0..1_001).map(|number| hooked(&mut client, number)).collect::<Vec<_>>();
    assert!(queued[..1_000].iter().all(|reply| reply.text() == "QUEUED"));
    assert!(queued[1_000].is_error("ERR transaction too large: plugins take more than 1000"));
    assert!(client.line("EXEC").is_error("EXECABORT"));
}

/// A client whose end runs the guest's task.
fn watched(gateway: &InProcess, key: &str) -> Client {
    let mut client = gateway.client();
    assert_eq!(raw(&mut client, &[last("+OK\r\n", &[watch(key)])]), Value::ok());
    client
}

fn await_task(shard: &mut Client, key: &str, number: &str) {
    eventually_true("the task to run", || shard.command(&["GET", key]) != Value::Null);
    assert_eq!(shard.command(&["GET", key]), Value::bulk(number), "handler that ran for {key}");
}

#[test]
fn watch_of_an_older_version_runs_the_task_of_the_same_name_in_the_new_one() {
    let shards = RealServer::start_many(1);
    let file = PluginFile::copy_of("misbehaving/misbehaving");
    let entry = Entry { name: "bad", file: file.path(), settings: &[] };
    let yaml = yaml_with(&shards, &[entry], &["{use: bad, keys: [\"raw:*\"]}"]);
    let gateway = InProcess::start(&yaml.replace("workers: 2", "workers: 1"));
    let mut shard = shards[0].client();
    drop(watched(&gateway, "raw:before"));
    await_task(&mut shard, "raw:before", "3");
    let old = watched(&gateway, "raw:old");
    // This call of the old version names its task after the swap.
    let mut sleeper = gateway.client();
    let frames = [pending(false, &[pause(2_000)]), last("+OK\r\n", &[watch("raw:late")])];
    sleeper.send(&[vec![b"RAW".to_vec()], frames.to_vec()].concat());
    file.replace(&renumbered(&std::fs::read(built("misbehaving/misbehaving")).expect("a guest")));
    let mut watchers = [gateway.client()];
    await_binding(&mut watchers, 0, "the new file to be taken", |row| row.number("generation") > 1);
    drop(old);
    await_task(&mut shard, "raw:old", "2");
    assert_eq!(sleeper.reply(), Value::ok());
    drop(sleeper);
    await_task(&mut shard, "raw:late", "2");
}
