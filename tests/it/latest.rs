//! The `latest` pattern's guarantee, over two gateways and three shards: no list ever shows more than its newest items.
//!
//! Every command on a list is asked here and, followed by LTRIM, on one plain Redis, and the replies are compared to the
//! byte. Then many clients push and read while a gateway is killed, the plugin is swapped and a shard comes back empty: each
//! reader sees its own pushes, newest first, without a gap among those that were acknowledged.

use std::sync::{Arc, Mutex};

use sluicegate_tests::load::Load;
use sluicegate_tests::pattern_site::{PatternSite, Roaming};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::rng::Rng;
use sluicegate_tests::value::Value;

const KEEP: usize = 10;
const CLIENTS: usize = 100;
const BINDING: &str = "{use: latest, keys: [\"latest:*\"], config: {keep: 10, slack: 5}}";

fn command(rng: &mut Rng) -> Vec<String> {
    let key = format!("latest:{}", rng.below(3));
    let (one, two) = (rng.between(-12, 12), rng.between(-12, 12));
    let (item, other) = (format!("i{}", rng.below(8)), format!("i{}", rng.below(8)));
    let rank = if one == 0 { 1 } else { one };
    let line = match rng.below(24) {
        0..6 => format!("LPUSH {key} {item}"),
        6 => format!("LPUSH {key} {item} {other} {item}"),
        7 => format!("LPUSHX {key} {item}"),
        8 => format!("RPUSH {key} {item}"),
        9..12 => format!("LRANGE {key} {one} {two}"),
        12 => format!("LRANGE {key} 0 -1"),
        13 => format!("LLEN {key}"),
        14 => format!("LINDEX {key} {one}"),
        15 => format!("LPOS {key} {item} RANK {rank} COUNT {}", rng.below(3)),
        16 => format!("LPOS {key} {item} MAXLEN {}", rng.below(14)),
        17 => format!("RPOP {key}"),
        18 => format!("RPOP {key} {}", rng.below(3)),
        19 => format!("LPOP {key}"),
        20 => format!("LREM {key} {one} {item}"),
        21 => format!("LSET {key} {one} {item}"),
        22 => format!("LINSERT {key} AFTER {item} {other}"),
        _ => format!("LTRIM {key} {one} {two}"),
    };
    line.split(' ').map(str::to_owned).collect()
}

/// What a list that is trimmed after every write answers: lengths are of before that trim.
fn shown(command: &[String], reply: Value) -> Value {
    let gives_length = ["LPUSH", "LPUSHX", "RPUSH", "LINSERT"].contains(&command[0].as_str());
    match reply {
        Value::Integer(length) if gives_length => Value::Integer(length.min(10)),
        other => other,
    }
}

#[test]
fn every_command_answers_as_one_redis_that_is_trimmed_after_each() {
    let site = PatternSite::start("latest", &[BINDING]);
    let plain = RealServer::start();
    for hello in ["HELLO 2", "HELLO 3"] {
        let mut rng = Rng::from_env(1);
        let mut clients = site.clients(2);
        let mut oracle = plain.client();
        for client in clients.iter_mut().chain([&mut oracle]) {
            client.line(hello);
            client.line("FLUSHALL");
        }
        for step in 0..3_000 {
            let command = command(&mut rng);
            let client = &mut clients[rng.below(2)];
            let wanted = shown(&command, oracle.command(&command));
            oracle.command(&["LTRIM", &command[1], "0", "9"]);
            let what = format!("{hello}, step {step}: {}", command.join(" "));
            if rng.one_in(4) {
                client.also("MULTI").also(&command.join(" ")).also("EXEC");
                assert_eq!(client.reply(), Value::ok(), "{what}");
                assert_eq!(client.reply(), Value::Simple(b"QUEUED".to_vec()), "{what}");
                assert_eq!(client.reply(), Value::Array(vec![wanted]), "{what} in MULTI");
            } else {
                assert_eq!(client.command(&command), wanted, "{what}");
            }
        }
    }
}

#[test]
fn dump_gives_what_is_shown() {
    let site = PatternSite::start("latest", &[BINDING]);
    let mut client = site.client(0);
    for item in 0..14 {
        client.command(&["LPUSH", "latest:dumped", &item.to_string()]);
    }
    let shard = &site.shards[site.shard_of("latest:dumped")];
    assert_eq!(shard.client().line("LLEN latest:dumped"), Value::Integer(14), "within the slack");
    let Value::Bulk(dump) = client.line("DUMP latest:dumped") else { panic!("no dump") };
    let mut plain = site.shards[0].client();
    let restored = plain.command(&[&b"RESTORE"[..], b"copy", b"0", &dump]);
    assert_eq!(restored, Value::ok());
    assert_eq!(plain.line("LLEN copy"), Value::Integer(10));
    assert_eq!(plain.line("LINDEX copy -1"), Value::bulk("4"));
}

/// What one client has pushed: numbers in order, and whether it knows that they are there.
type Pushed = Vec<(u64, bool)>;

fn numbers(reply: &Value) -> Vec<u64> {
    let Value::Array(items) = reply else { panic!("no array: {reply:?}") };
    items.iter().map(|item| item.text().parse().expect("a number")).collect()
}

/// The newest that were pushed, where only those of unknown outcome may be missing.
fn check_newest(shown: &[u64], pushed: &Pushed) {
    assert!(shown.len() <= KEEP, "{} items are shown", shown.len());
    let mut shown = shown.iter().peekable();
    for (number, is_known) in pushed.iter().rev() {
        let Some(next) = shown.peek() else { break };
        if **next == *number {
            shown.next();
        } else {
            assert!(!is_known, "{number} was acknowledged and is not shown before {next}");
        }
    }
    assert_eq!(shown.next(), None, "an item that was not pushed, or twice, or out of order");
}

struct Crowd {
    pushed: Vec<Mutex<Pushed>>,
}

impl Crowd {
    fn new() -> Arc<Crowd> {
        Arc::new(Crowd { pushed: (0..CLIENTS).map(|_| Mutex::default()).collect() })
    }

    /// Pushes to a list of its own, to one that all share, and looks at both.
    fn round(&self, client: &mut Roaming, user: usize, round: usize, may_lose: bool) {
        let own = format!("latest:user:{user}");
        let number = round as u64 + 1;
        let reply = if round.is_multiple_of(2) {
            client.command(&["LPUSH", &own, &number.to_string()])
        } else {
            client.command(&["LATEST.PUSH", "10", &number.to_string(), &own, "latest:all"])
        };
        let is_known = match &reply {
            Some(Value::Integer(_)) => true,
            Some(Value::Array(rows)) => matches!(rows[0], Value::Integer(_)),
            Some(Value::Error(_)) if may_lose => false,
            Some(other) => panic!("{other:?}"),
            None => false,
        };
        let mut pushed = self.pushed[user].lock().expect("no thread has failed");
        pushed.push((number, is_known));
        match client.command(&["LRANGE", &own, "0", "-1"]) {
            Some(Value::Error(_)) if may_lose => {}
            Some(reply) if may_lose => {
                let shown = numbers(&reply);
                assert!(shown.len() <= KEEP && shown.is_sorted_by(|a, b| a > b), "{shown:?}");
            }
            Some(reply) => check_newest(&numbers(&reply), &pushed),
            None => {}
        }
        match client.command(&["LRANGE", "latest:all", "-100", "100"]) {
            Some(Value::Array(items)) => assert!(items.len() <= KEEP),
            Some(Value::Error(_)) if may_lose => {}
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }
}

#[test]
fn newest_are_shown_while_gateways_die_and_the_plugin_is_swapped() {
    let mut site = PatternSite::start("latest", &[BINDING]);
    let crowd = Crowd::new();
    let work = Arc::clone(&crowd);
    let load = Load::start(site.roaming(CLIENTS), move |client, user, round| {
        work.round(client, user, round, false);
    });
    for round in 0..4 {
        load.await_round();
        if round % 2 == 0 {
            site.kill_gateway(round / 2);
            load.await_round();
            site.replace_gateway(round / 2);
        } else {
            site.swap(&format!("latest {round}"));
        }
    }
    load.await_round();
    load.finish();
    let mut client = site.client(0);
    for (user, pushed) in crowd.pushed.iter().enumerate() {
        let pushed = pushed.lock().expect("no thread has failed");
        let shown = numbers(&client.line(&format!("LRANGE latest:user:{user} 0 -1")));
        check_newest(&shown, &pushed);
        let known = pushed.iter().filter(|(_, is_known)| *is_known).count();
        assert!(known > 0 && shown.len() >= known.min(KEEP), "user {user}: {shown:?}");
        // What is stored is bounded too: the slack, and what came between a push and its trim.
        let shard = &site.shards[site.shard_of(&format!("latest:user:{user}"))];
        let stored = shard.client().line(&format!("LLEN latest:user:{user}"));
        assert!(matches!(stored, Value::Integer(1..=16)), "{stored:?}");
    }
}

#[test]
fn shard_that_comes_back_empty_shows_what_was_pushed_since() {
    let mut site = PatternSite::start("latest", &[BINDING]);
    let crowd = Crowd::new();
    let work = Arc::clone(&crowd);
    let load = Load::start(site.roaming(CLIENTS), move |client, user, round| {
        work.round(client, user, round, true);
    });
    for shard in 0..3 {
        load.await_round();
        site.shards[shard].kill();
        load.await_round();
        site.shards[shard].restart();
    }
    load.await_round();
    load.finish();
}

#[test]
fn one_call_pushes_to_lists_on_every_shard_and_names_those_that_fail() {
    let mut site = PatternSite::start("latest", &[BINDING]);
    let keys: Vec<String> = (0..300).map(|number| format!("latest:follower:{number}")).collect();
    let call = |item: usize| {
        let head = ["LATEST.PUSH".to_owned(), "10".to_owned(), item.to_string()];
        head.into_iter().chain(keys.iter().cloned()).collect::<Vec<_>>()
    };
    let mut clients = site.clients(2);
    for item in 0..30 {
        let reply = clients[item % 2].command(&call(item));
        let length = i64::try_from(item.min(9) + 1).expect("a small number");
        assert_eq!(reply, Value::Array(vec![Value::Integer(length); keys.len()]), "item {item}");
    }
    let newest: Vec<Value> = (20..30).rev().map(|item| Value::bulk(item.to_string())).collect();
    for key in &keys {
        assert_eq!(clients[0].command(&["LRANGE", key, "0", "-1"]), Value::Array(newest.clone()));
    }
    // Lists of a shard that is down are errors in their places; all others have the item.
    let lost: Vec<bool> = keys.iter().map(|key| site.shard_of(key) == 0).collect();
    site.shards[0].kill();
    let Value::Array(rows) = clients[0].command(&call(30)) else { panic!("no array") };
    for ((row, lost), key) in rows.iter().zip(&lost).zip(&keys) {
        let as_wanted = if *lost { row.is_error("") } else { *row == Value::Integer(10) };
        assert!(as_wanted, "{key}: {row:?}");
    }
    assert!(lost.contains(&true) && lost.contains(&false));
}
