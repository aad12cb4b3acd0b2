//! Guarded transactions, and commands of a plugin that later bindings see: the guest `probe` asks for them.
//!
//! Two clients race for one value and exactly one may win each round; a shard that breaks says what is known. A reply of
//! a hooked GET tells by its `+` signs how many bindings it met.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sluicegate_tests::client::{Client, request};
use sluicegate_tests::frames::{To, command, pending, results, transaction};
use sluicegate_tests::gateway::InProcess;
use sluicegate_tests::plugins::{Entry, built, yaml_with};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

fn start(shards: &[RealServer], bindings: &[&str]) -> InProcess {
    let files = [("probe", built("probe")), ("pass", built("pass"))];
    let plugins = files.each_ref().map(|(name, file)| Entry { name, file, settings: &[] });
    InProcess::start(&yaml_with(shards, &plugins, bindings))
}

fn done() -> Value {
    Value::Array(vec![Value::Integer(1), Value::Array(vec![Value::ok()])])
}

fn found(value: Value) -> Value {
    Value::Array(vec![Value::Integer(0), value])
}

#[test]
fn guarded_transaction_runs_only_if_its_read_answers_as_expected() {
    let shards = RealServer::start_many(2);
    let gateway = start(&shards, &["{use: probe, keys: [\"cas:*\"]}"]);
    for protocol in ["2", "3"] {
        let mut client = gateway.client();
        client.command(&["HELLO", protocol]);
        let key = format!("cas:{protocol}");
        let mut cas =
            |expected: &str, new: &str| client.command(&["PROBE.CAS", &key, expected, new]);
        assert_eq!(cas("1", "2"), found(Value::Null));
        assert_eq!(cas("nil", "1"), done());
        assert_eq!(cas("nil", "9"), found(Value::bulk("1")));
        for round in 1..200 {
            let (old, new) = (round.to_string(), (round + 1).to_string());
            assert_eq!(cas(&old, &new), done());
            assert_eq!(cas(&old, "x"), found(Value::bulk(&new)));
        }
        // A read that is an error is not what was expected; the connection goes back clean.
        let list = format!("{key}:list");
        client.command(&["LPUSH", &list, "1"]);
        let wrong = client.command(&["PROBE.CAS", &list, "1", "2"]);
        assert!(format!("{wrong:?}").contains("WRONGTYPE"), "{wrong:?}");
        assert_eq!(client.command(&["PROBE.CAS", &key, "200", "done"]), done());
    }
}

#[test]
fn work_behind_the_reply_is_done_also_when_the_client_leaves() {
    let shards = RealServer::start_many(1);
    let gateway = start(&shards, &["{use: probe, keys: [\"later:*\"]}"]);
    let keys: Vec<String> = (0..100).map(|number| format!("later:{number}")).collect();
    for key in &keys {
        // Gone at once, before, while or after the call asks its shard and begins to wait.
        assert_eq!(gateway.client().command(&["PROBE.LATER", key, "done"]), Value::ok());
    }
    let mut direct = shards[0].client();
    let words: Vec<&str> = ["MGET"].into_iter().chain(keys.iter().map(String::as_str)).collect();
    let all = Value::Array(vec![Value::bulk("done"); keys.len()]);
    eventually_true("all values to be stored", || direct.command(&words) == all);
}

#[test]
fn command_with_a_key_beside_another_and_one_elsewhere_is_refused() {
    let shards = RealServer::start_many(3);
    let gateway = start(&shards, &["{use: probe, keys: [\"copy:*\"]}"]);
    let mut client = gateway.client();
    let (mut copied, mut refused) = (0, 0);
    for number in 0..40 {
        let key = format!("copy:{number}");
        assert_eq!(client.command(&["SET", &key, "v"]), Value::ok());
        match client.command(&["PROBE.COPY", &key, "copy:owner"]) {
            Value::Integer(_) => copied += 1,
            error if error.is_error("CROSSSHARD") => refused += 1,
            other => panic!("{other:?}"),
        }
        let beside_itself = client.command(&["PROBE.COPY", &key, &key]);
        assert_eq!(beside_itself, Value::Integer(1), "on one shard in any case");
    }
    assert!(copied > 0 && refused > 0, "{copied} copied, {refused} refused");
    let everywhere = shards.iter().map(|shard| {
        match shard.client().command(&["EXISTS", "{copy:owner}:sg:copy"]) {
            Value::Integer(count) => count,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(everywhere.sum::<i64>(), 1, "on its owner's shard and nowhere else");
}

#[test]
fn of_racing_clients_exactly_one_wins_each_value_of_a_guarded_transaction() {
    const ROUNDS: usize = 300;
    let shards = RealServer::start_many(1);
    let gateways = [0, 1].map(|_| start(&shards, &["{use: probe, keys: [\"cas:*\"]}"]));
    assert_eq!(gateways[0].client().command(&["PROBE.CAS", "cas:n", "nil", "0"]), done());
    let wins: Arc<Vec<AtomicUsize>> = Arc::new((0..ROUNDS).map(|_| AtomicUsize::new(0)).collect());
    std::thread::scope(|scope| {
        for user in 0..6 {
            let mut client = gateways[user % 2].client();
            let wins = Arc::clone(&wins);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let (old, new) = (round.to_string(), (round + 1).to_string());
                    loop {
                        let reply = client.command(&["PROBE.CAS", "cas:n", &old, &new]);
                        if reply == done() {
                            wins[round].fetch_add(1, Ordering::SeqCst);
                            break;
                        }
                        let Value::Array(parts) = reply else { panic!("{reply:?}") };
                        // Null: it changed between the read and EXEC; the next try finds what it is.
                        if parts[1] != Value::Null && parts[1] != Value::bulk(&old) {
                            break;
                        }
                    }
                }
            });
        }
    });
    assert!(wins.iter().all(|count| count.load(Ordering::SeqCst) == 1), "{wins:?}");
    assert_eq!(gateways[0].client().command(&["GET", "cas:n"]), Value::bulk("300+"));
}

#[test]
fn guarded_transaction_over_two_shards_or_with_a_write_for_a_guard_is_refused() {
    let shards = RealServer::start_many(2);
    let gateway = start(&shards, &["{use: probe, keys: [\"cas:*\"]}"]);
    let mut client = gateway.client();
    let refused = (0..40)
        .map(|other| {
            let other = format!("cas:{other}");
            client.command(&["PROBE.CAS2", "cas:0", &other, "nil", "v"])
        })
        .filter(|reply| {
            assert!(
                *reply == done()
                    || reply.is_error("CROSSSHARD")
                    || *reply == found(Value::bulk("v")),
                "{reply:?}"
            );
            reply.is_error("CROSSSHARD")
        })
        .count();
    assert!((1..40).contains(&refused), "{refused}");
}

#[test]
fn guarded_transaction_on_a_shard_that_breaks_says_whether_it_may_have_run() {
    let mut shards = RealServer::start_many(1);
    let file = built("misbehaving/misbehaving");
    let entry = Entry { name: "bad", file: &file, settings: &["limits: {call_timeout: 60s}"] };
    let yaml = yaml_with(&shards, &[entry], &["{use: bad, keys: [\"raw:*\"]}"]);
    let gateway = InProcess::start(&yaml.replace("    shards:", "    timeout: 300ms\n    shards:"));
    let mut client = gateway.client();
    let guarded = |client: &mut Client, guard: &str| {
        let tx = transaction(To::OwnKeys, Some((guard, "$-1\r\n")), &["SET raw:1 v"]);
        match client.command(&[b"RAW".to_vec(), pending(false, &[tx])]) {
            Value::Bulk(frame) => results(&frame).swap_remove(0),
            other => panic!("{other:?}"),
        }
    };
    let wrote = guarded(&mut client, "SET raw:1 x");
    assert_eq!(
        (wrote.status, wrote.bytes.as_slice()),
        (4, &b"the guard of a transaction must be a read"[..])
    );
    assert_eq!(guarded(&mut client, "GET raw:1").bytes, b"*1\r\n+OK\r\n");
    client.command(&["DEL", "raw:1"]);
    shards[0].pause();
    let late = guarded(&mut client, "GET raw:1");
    let text = String::from_utf8_lossy(&late.bytes).into_owned();
    assert!(text.contains("did not answer") && text.ends_with("; not carried out"), "{text}");
    shards[0].resume();
    // The connection that watched is gone, not lent on: the next one sees no trace of it.
    for _ in 0..20 {
        assert_eq!(guarded(&mut client, "GET raw:1").bytes, b"*1\r\n+OK\r\n");
        client.command(&["DEL", "raw:1"]);
    }
    shards[0].kill();
    let down = guarded(&mut client, "GET raw:1");
    assert_eq!(down.status, 1, "{down:?}");
    shards[0].restart();
    let plain = pending(false, &[command(0, To::OwnKeys, "GET raw:1")]);
    assert!(matches!(client.command(&[b"RAW".to_vec(), plain]), Value::Bulk(_)));
}

#[test]
fn hooked_command_of_a_plugin_is_seen_by_later_bindings_only() {
    let shards = RealServer::start_many(2);
    let on_all = "{use: probe, keys: [\"chain:*\"]}";
    let pass = "{use: pass, keys: [\"chain:*\"]}";
    let on_some = "{use: probe, keys: [\"chain:some:*\"]}";
    let gateway = start(&shards, &[on_all, pass, on_some, on_all]);
    for protocol in ["2", "3"] {
        let mut client = gateway.client();
        client.command(&["HELLO", protocol]);
        for _ in 0..20 {
            for (key, seen) in [
                ("chain:1", "v++"),
                ("chain:some:1", "v+++"),
                ("chain:plain", "v+"),
                ("other", "v"),
            ] {
                assert_eq!(client.command(&["SET", key, "v"]), Value::ok());
                assert_eq!(client.command(&["GET", key]), Value::bulk(seen), "{key}");
            }
        }
    }
}

#[test]
fn later_read_of_any_key_that_an_own_command_names_waits_for_it() {
    let shards = RealServer::start_many(2);
    let gateway = start(&shards, &["{use: probe, keys: [\"cas:*\"]}"]);
    let mut client = gateway.client();
    for round in 0..50 {
        let [read, written] = ["read", "written"].map(|name| format!("cas:{{{round}}}:{name}"));
        let own = request(&["PROBE.CAS2", &read, &written, "nil", "new"]);
        client.send_raw(&[own, request(&["GET", &written])].concat());
        assert_eq!(client.reply(), done());
        assert_eq!(client.reply(), Value::bulk("new+"), "round {round}");
    }
}
