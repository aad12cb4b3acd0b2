//! The `once` pattern's guarantee, over two gateways and three shards: one success per window, and rates that hold.
//!
//! Windows are far longer than any test, so only a token that is given back or a shard's loss can end one. Hundreds of
//! clients ask at once; gateways are killed, shards come back empty and the plugin is swapped while they do. The scripts
//! run on Redis and, where this machine has one, on Valkey.

use sluicegate_tests::client::Client;
use sluicegate_tests::herd::{replies, send_all};
use sluicegate_tests::pattern_site::PatternSite;
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

const CLIENTS: usize = 300;
const WINDOW: &str = "600";
const BINDING: &str = "{use: once, keys: [\"once:*\"]}";

fn tokens(replies: &[Value]) -> Vec<&Value> {
    for reply in replies {
        assert!(matches!(reply, Value::Null | Value::Bulk(_)), "{reply:?}");
    }
    replies.iter().filter(|reply| **reply != Value::Null).collect()
}

/// What came before the connection broke.
fn reply_if_any(client: &mut Client) -> Option<Value> {
    client.next_reply().map(|(_, value)| value)
}

#[test]
fn each_window_has_one_success_and_one_that_is_given_back_another() {
    let site = PatternSite::start("once", &[BINDING]);
    let mut clients = site.clients(CLIENTS);
    for window in 0..20 {
        let key = format!("once:{window}");
        send_all(&mut clients, &["ONCE", &key, WINDOW]);
        let first = replies(&mut clients);
        let first = tokens(&first);
        assert_eq!(first.len(), 1, "{key}: {first:?}");
        // Only the holder's token gives it back, once, through whatever gateway.
        let token = first[0].text();
        assert_eq!(clients[1].command(&["ONCE.RELEASE", &key, "other"]), Value::Integer(0));
        send_all(&mut clients, &["ONCE.RELEASE", &key, &token]);
        let released = replies(&mut clients);
        assert_eq!(released.iter().filter(|reply| **reply == Value::Integer(1)).count(), 1);
        send_all(&mut clients, &["ONCE", &key, WINDOW]);
        let second = replies(&mut clients);
        let second = tokens(&second);
        assert_eq!(second.len(), 1, "{key}: {second:?}");
        assert_ne!(second[0].text(), token);
        // The window is an ordinary key.
        let Value::Integer(ttl) = clients[0].command(&["TTL", &key]) else { panic!("no TTL") };
        assert!((500..=600).contains(&ttl), "{ttl}");
    }
}

#[test]
fn gateway_that_is_killed_costs_no_second_success() {
    let mut site = PatternSite::start("once", &[BINDING]);
    for round in 0..4 {
        let key = format!("once:kill:{round}");
        let mut clients = site.clients(CLIENTS);
        send_all(&mut clients, &["ONCE", &key, WINDOW]);
        // Somewhere in the middle of the crowd; what is under way has an outcome that nobody knows.
        let first = clients[round].reply();
        site.kill_gateway(round % 2);
        let rest = clients.iter_mut().enumerate().filter(|(number, _)| *number != round);
        let known: Vec<Value> = rest.filter_map(|(_, client)| reply_if_any(client)).collect();
        let known = [vec![first], known].concat();
        let last = site.client(1 - round % 2).command(&["ONCE", &key, WINDOW]);
        let won = tokens(&known).len() + tokens(&[last]).len();
        assert!(won <= 1, "{key}: {won} tokens");
        assert!(known.len() >= CLIENTS / 2, "{key}: {} replies", known.len());
        // Known or not, somebody has it.
        assert_eq!(
            site.shards[site.shard_of(&key)].client().line(&format!("TYPE {key}")).text(),
            "string"
        );
        site.replace_gateway(round % 2);
    }
}

#[test]
fn shard_that_loses_its_data_costs_one_more_success_each_time() {
    let mut site = PatternSite::start("once", &[BINDING]);
    let key = "once:lost";
    let mut clients = site.clients(CLIENTS);
    let mut won = 0;
    for losses in 0..4 {
        send_all(&mut clients, &["ONCE", key, WINDOW]);
        won += tokens(&replies(&mut clients)).len();
        assert_eq!(won, losses + 1);
        let shard = site.shard_of(key);
        // Under way while it dies: an error or a refusal, no success.
        send_all(&mut clients, &["ONCE", key, WINDOW]);
        site.shards[shard].kill();
        for reply in replies(&mut clients) {
            assert!(matches!(reply, Value::Null | Value::Error(_)), "{reply:?}");
        }
        site.revive_shard(shard, key);
    }
}

#[test]
fn swap_of_the_plugin_costs_no_second_success_and_no_request() {
    let site = PatternSite::start("once", &[BINDING]);
    let mut clients = site.clients(CLIENTS);
    for round in 0..6 {
        let key = format!("once:swap:{round}");
        let (before, after) = clients.split_at_mut(CLIENTS / 2);
        send_all(before, &["ONCE", &key, WINDOW]);
        site.swap(&format!("once {round}"));
        send_all(after, &["ONCE", &key, WINDOW]);
        let all = replies(&mut clients);
        assert_eq!(tokens(&all).len(), 1, "{key}");
    }
}

fn integers(reply: Value) -> Vec<i64> {
    let Value::Array(rows) = reply else { panic!("no array: {reply:?}") };
    let numbers = rows.iter().map(|row| match row {
        Value::Integer(number) => *number,
        other => panic!("no integer: {other:?}"),
    });
    numbers.collect()
}

#[test]
fn rate_lets_as_many_through_as_it_says_over_all_gateways() {
    let redis = || RealServer::start_many(3);
    let valkey = || (0..3).map(|_| RealServer::start_valkey()).collect::<Option<Vec<_>>>();
    let mut kinds = vec![redis()];
    match valkey() {
        Some(servers) => kinds.push(servers),
        None => eprintln!("SKIPPED rate_lets_as_many_through on Valkey: no valkey-server"),
    }
    for shards in kinds {
        let mut site = PatternSite::over(shards, "once", &[BINDING]);
        let mut clients = site.clients(CLIENTS);
        let line = ["CL.THROTTLE", "once:rate", "39", "40", "360000"];
        send_all(&mut clients, &line);
        let replies: Vec<Vec<i64>> = replies(&mut clients).into_iter().map(integers).collect();
        let mut remaining: Vec<i64> =
            replies.iter().filter(|reply| reply[0] == 0).map(|reply| reply[2]).collect();
        remaining.sort_unstable();
        assert_eq!(remaining, (0..40).collect::<Vec<_>>(), "each allowed one has its own place");
        for reply in &replies {
            assert_eq!(reply[1], 40);
            // One action each 9,000 s: the retry is not later than that, the whole limit not later than 40 of them.
            assert!(if reply[0] == 1 {
                (8_000..=9_000).contains(&reply[3])
            } else {
                reply[3] == -1
            });
            assert!((8_000..=360_000).contains(&reply[4]), "{reply:?}");
        }
        // A look costs nothing; more than the burst is never let through.
        let mut client = site.client(0);
        assert_eq!(integers(client.line("CL.THROTTLE once:rate 39 40 360000 0"))[..3], [0, 40, 0]);
        assert_eq!(
            integers(client.line("CL.THROTTLE once:new 1 1 60 3")),
            [1, 2, 2, -1, 0],
            "more at once than there ever is"
        );
        assert_eq!(client.line("EXISTS once:new"), Value::Integer(0), "refused ones leave nothing");
        assert_eq!(integers(client.line("CL.THROTTLE once:new 1 1 60")), [0, 2, 1, -1, 60]);
        let Value::Integer(ttl) = client.line("PTTL once:new") else { panic!("no PTTL") };
        assert!((30_000..=60_000).contains(&ttl), "{ttl}");
        // Fast rates come back within the test.
        assert_eq!(integers(client.line("CL.THROTTLE once:fast 0 1000 1"))[0], 0);
        eventually_true("a millisecond to pass", || {
            integers(client.line("CL.THROTTLE once:fast 0 1000 1"))[0] == 0
        });
        // A shard that is lost forgets the rate: one burst more.
        let shard = site.shard_of("once:rate");
        site.lose_shard(shard, "once:rate");
        assert_eq!(integers(client.line("CL.THROTTLE once:rate 39 40 360000"))[..3], [0, 40, 39]);
    }
}

#[test]
fn keys_of_another_type_and_values_of_others_are_errors_and_stay_as_they_are() {
    let site = PatternSite::start("once", &[BINDING]);
    let mut client = site.client(0);
    assert_eq!(client.line("RPUSH once:list a"), Value::Integer(1));
    assert_eq!(client.line("SET once:number 12"), Value::ok());
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    for line in ["ONCE once:list 5", "ONCE.RELEASE once:list t", "CL.THROTTLE once:list 1 1 1"] {
        assert_eq!(client.line(line), Value::Error(wrong.into()), "{line}");
    }
    let foreign = "ERR once: the value of this key is not a rate limit of CL.THROTTLE";
    assert_eq!(client.line("CL.THROTTLE once:number 1 1 1"), Value::Error(foreign.into()));
    assert_eq!(client.line("LRANGE once:list 0 -1"), Value::Array(vec![Value::bulk("a")]));
    assert_eq!(client.line("GET once:number"), Value::bulk("12"));
    // A window and a rate are not taken for each other.
    assert!(matches!(client.line("ONCE once:window 600"), Value::Bulk(_)));
    assert_eq!(client.line("CL.THROTTLE once:window 1 1 1"), Value::Error(foreign.into()));
    assert_eq!(integers(client.line("CL.THROTTLE once:rate 1 1 600"))[0], 0);
    assert_eq!(client.line("ONCE once:rate 600"), Value::Null);
    // Nothing may be waited for inside MULTI.
    assert_eq!(client.line("MULTI"), Value::ok());
    assert!(client.line("ONCE once:multi 5").is_error("ERR 'once' is not allowed inside MULTI"));
    assert!(client.line("EXEC").is_error("EXECABORT"));
}
