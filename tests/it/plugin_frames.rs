//! What a guest may ask for, frame by frame: hostile batches, and those whose results the contract promises.
//!
//! The guest `misbehaving` answers the frames that a test gives it (`RAW <frame>...`) and at last shows what it was told.
//! Other clients of the same worker are at work meanwhile and must not notice.

use sluicegate_tests::client::Client;
use sluicegate_tests::frames::{Result, To, command, pending, results};
use sluicegate_tests::gateway::InProcess;
use sluicegate_tests::load::Load;
use sluicegate_tests::plugins::{Entry, built, yaml_with};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;

const REPLY: u8 = 0;
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

/// What the call is told at last.
fn told(client: &mut Client, frames: &[Vec<u8>]) -> Vec<Result> {
    let mut request = vec![b"RAW".to_vec()];
    request.extend_from_slice(frames);
    match client.command(&request) {
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
