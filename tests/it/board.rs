//! The `board` pattern's guarantee, over two gateways and three shards: many parts answer as one sorted set.
//!
//! Every command is asked here and on one plain Redis, and the replies are compared to the byte, in RESP2 and RESP3 and inside
//! MULTI. Then many clients write and read while a gateway is killed, the plugin is swapped and a shard comes back empty: no
//! read shows a member twice or a score that nobody gave it, and at rest the board is what was acknowledged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sluicegate_tests::client::Client;
use sluicegate_tests::load::Load;
use sluicegate_tests::pattern_site::{PatternSite, Roaming};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::rng::Rng;
use sluicegate_tests::value::Value;

const CLIENTS: usize = 100;
const BINDINGS: [&str; 3] = [
    "{use: board, keys: [\"one:*\"], config: {parts: 1}}",
    "{use: board, keys: [\"daily:*\"], config: {parts: 3, window: day, roll_up: 1ms}}",
    "{use: board, keys: [\"*\"], config: {parts: 5}}",
];
/// A board of one part, one over shards, and one whose tag keeps its parts on one shard.
const KEYS: [&str; 3] = ["one:a", "top:a", "{tag}:top"];

fn pick<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.below(of.len())]
}

fn command(rng: &mut Rng) -> String {
    let key = pick(rng, &KEYS);
    let score = pick(rng, &["0", "1", "2", "2", "2.5", "0.1", "-3", "1e20", "inf", "-inf", "+7"]);
    let (one, two) = (rng.between(-12, 12), rng.between(-12, 12));
    let (member, other) = (format!("m{}", rng.below(20)), format!("m{}", rng.below(20)));
    let scores = pick(rng, &["", " WITHSCORES"]);
    let limit = if rng.one_in(2) { format!(" LIMIT {one} {two}") } else { String::new() };
    let bounds = ["-inf", "+inf", "0", "(0", "2", "(2", "2.5", "x"];
    let (low, high) = (pick(rng, &bounds), pick(rng, &bounds));
    match rng.below(30) {
        0..5 => {
            let flags = pick(rng, &["", "NX ", "XX CH ", "GT ", "LT CH ", "GT NX ", "CH "]);
            format!("ZADD {key} {flags}{score} {member} {} {other} 1 m{}", one, rng.below(20))
        }
        5 => format!("ZADD {key} {}INCR 2 {member}", pick(rng, &["", "NX ", "XX ", "GT "])),
        6 | 7 => format!("ZINCRBY {key} {score} {member}"),
        8 => format!("ZADD {key} {} {member}", pick(rng, &["nan", "x", "1e400", "-1e400"])),
        9 => format!("ZREM {key} {member} {other}"),
        10 => format!("ZREMRANGEBYSCORE {key} {low} (1"),
        11 => format!("ZRANGE {key} {one} {two}{scores}"),
        12 => format!("ZRANGE {key} {one} {two} REV{scores}"),
        13 => format!("ZREVRANGE {key} 0 {}{scores}", rng.below(10)),
        14 => format!("ZRANGEBYSCORE {key} {low} {high}{scores}{limit}"),
        15 => format!("ZREVRANGEBYSCORE {key} {high} {low}{limit}{scores}"),
        16 => format!("ZRANGE {key} {low} {high} BYSCORE{scores}{limit}"),
        17 | 18 => format!("ZRANK {key} {member}"),
        19 | 20 => format!("ZREVRANK {key} {member}"),
        21 => format!("ZSCORE {key} {member}"),
        22 => format!("ZMSCORE {key} {member} none {other}"),
        23 => format!("ZCARD {key}"),
        24 => format!("ZCOUNT {key} {low} {high}"),
        25 => format!("TYPE {key}"),
        26 => String::from("EXISTS one:a top:a {tag}:top top:a"),
        27 => {
            // A time far ahead, so that no second passes between this and the oracle.
            let time = 4_000_000_000 + rng.between(0, 5);
            format!("EXPIREAT {key} {time} {}", pick(rng, &["NX", "XX", "GT", "LT"]))
        }
        28 => format!("{} {key}", pick(rng, &["EXPIRETIME", "PERSIST", "PEXPIRETIME"])),
        _ => format!("{} {key}", pick(rng, &["DEL", "UNLINK", "TOUCH", "ZCARD"])),
    }
}

/// What a transaction can hold: one part, or parts on one shard that are asked once.
fn fits_multi(line: &str) -> bool {
    let asks_twice = ["ZRANK", "ZREVRANK", "EXPIREAT"].iter().any(|name| line.starts_with(name));
    let key = line.split(' ').nth(1);
    !line.starts_with("EXISTS")
        && match key {
            Some("one:a") => true,
            Some("{tag}:top") => !asks_twice,
            _ => false,
        }
}

fn same_as_one_redis(site: &PatternSite, plain: &RealServer, steps: usize) {
    for hello in ["HELLO 2", "HELLO 3"] {
        let mut rng = Rng::from_env(1);
        let mut clients = site.clients(2);
        let mut oracle = plain.client();
        for client in clients.iter_mut().chain([&mut oracle]) {
            client.line(hello);
            client.line("FLUSHALL");
        }
        for step in 0..steps {
            let line = command(&mut rng);
            let client = &mut clients[rng.below(2)];
            let wanted = oracle.line(&line);
            let what = format!("{hello}, step {step}: {line}");
            // A mistake would spoil the transaction when it is queued here, and at EXEC there.
            if rng.one_in(3) && fits_multi(&line) && !wanted.is_error("") {
                client.also("MULTI").also(&line).also("EXEC");
                assert_eq!(client.reply(), Value::ok(), "{what}");
                assert_eq!(client.reply(), Value::Simple(b"QUEUED".to_vec()), "{what}");
                assert_eq!(client.reply(), Value::Array(vec![wanted]), "{what} in MULTI");
            } else {
                assert_eq!(client.line(&line), wanted, "{what}");
            }
            for key in KEYS {
                // A board that was emptied keeps its end for who comes next; a sorted set does not.
                if oracle.command(&["EXISTS", key]) == Value::Integer(0) {
                    assert_eq!(clients[0].command(&["DEL", key]), Value::Integer(0), "{what}");
                }
            }
        }
    }
}

#[test]
fn every_command_answers_as_one_sorted_set_on_one_redis() {
    let site = PatternSite::start("board", &BINDINGS);
    same_as_one_redis(&site, &RealServer::start(), 3_000);
}

#[test]
fn every_command_answers_as_one_sorted_set_on_one_valkey() {
    let Some(plain) = RealServer::start_valkey() else { return };
    let shards = (0..3).map(|_| plain.start_alike(&[])).collect();
    let site = PatternSite::over(shards, "board", &BINDINGS);
    same_as_one_redis(&site, &plain, 1_000);
}

#[test]
fn ties_of_any_bytes_are_in_the_order_of_one_redis() {
    let site = PatternSite::start("board", &BINDINGS);
    let plain = RealServer::start();
    let (mut client, mut oracle) = (site.client(0), plain.client());
    let mut rng = Rng::from_env(7);
    // Bytes that a locale would order otherwise, prefixes of one another, zeros.
    let alphabet = [0_u8, b'a', b'A', b'_', 0xc3, 0xa4, 0xff];
    let members: Vec<Vec<u8>> = (0..400)
        .map(|_| (0..=rng.below(5)).map(|_| alphabet[rng.below(alphabet.len())]).collect())
        .collect();
    for member in &members {
        let words = [&b"ZADD"[..], b"top:ties", b"0.1", member];
        assert_eq!(client.command(&words), oracle.command(&words));
    }
    for line in ["ZRANGE top:ties 0 -1", "ZREVRANGE top:ties 0 49 WITHSCORES"] {
        assert_eq!(client.line(line), oracle.line(line));
    }
    for member in &members {
        for name in [&b"ZRANK"[..], b"ZREVRANK"] {
            let words = [name, b"top:ties", member];
            assert_eq!(client.command(&words), oracle.command(&words), "{member:?}");
        }
    }
    let words = [&b"BOARD.AROUND"[..], b"top:ties", &members[0], b"1000"];
    let Value::Array(rows) = client.command(&words) else { panic!("no array") };
    let rows = Value::Integer(i64::try_from(rows.len()).expect("a small number"));
    assert_eq!(rows, oracle.line("ZCARD top:ties"));
}

#[test]
fn windows_are_boards_of_their_own_and_are_added_up_by_the_shards() {
    let site = PatternSite::start("board", &BINDINGS);
    let mut client = site.client(0);
    let mut wanted: BTreeMap<String, i64> = BTreeMap::new();
    // By name, so that no midnight comes between: a window far ahead, and the three before it.
    for (day, factor) in [("20991231", 1), ("20991230", 10), ("20991229", 100), ("20991228", 1_000)]
    {
        for number in 0..40 {
            let (member, score) = (format!("m{}", number % 13), factor * number);
            client.command(&["ZINCRBY", &format!("daily:jobs@{day}"), &score.to_string(), &member]);
            *wanted.entry(member).or_default() += score;
        }
    }
    let mut rows: Vec<(i64, String)> =
        wanted.into_iter().map(|(member, sum)| (sum, member)).collect();
    rows.sort_by(|a, b| b.cmp(a));
    let top = rows.iter().take(5);
    let flat = top.flat_map(|(sum, member)| [Value::bulk(member), Value::bulk(sum.to_string())]);
    let line = "BOARD.TOP daily:jobs@20991231 5 WINDOWS 4";
    assert_eq!(client.line(line), Value::Array(flat.collect()));
    // The board of today is another one, and all of them have an end.
    assert_eq!(client.line("ZCARD daily:jobs"), Value::Integer(0));
    client.line("ZADD daily:jobs 1 a");
    let Value::Integer(seconds) = client.line("TTL daily:jobs") else { panic!("no integer") };
    assert!((7 * 86_400..=8 * 86_400).contains(&seconds), "{seconds}");
}

#[test]
fn transactions_read_parts_on_all_shards_and_are_refused_where_they_would_write_there() {
    let site = PatternSite::start("board", &BINDINGS);
    let mut client = site.client(0);
    let in_multi = |client: &mut Client, line: &str| {
        client.also("MULTI").also(line).also("EXEC");
        assert_eq!(client.reply(), Value::ok());
        (client.reply(), client.reply())
    };
    client.line("ZADD top:y 1 a 2 b 3 c 4 d 5 e 6 f");
    let parts = |shard: &RealServer| shard.client().line("DBSIZE") != Value::Integer(0);
    assert!(site.shards.iter().all(parts), "the parts lie on all shards");
    let items = |words: &str| Value::Array(words.split(' ').map(Value::bulk).collect());
    let (_, read) = in_multi(&mut client, "ZREVRANGE top:y 0 2");
    assert_eq!(read, Value::Array(vec![items("f e d")]));
    // One member is one part.
    let (_, written) = in_multi(&mut client, "ZINCRBY top:y 2 a");
    assert_eq!(written, items("3"));
    for (line, why) in [
        ("ZREVRANK top:y a", r"board: \'zrevrank\' asks the board\'s parts twice"),
        ("EXPIRE top:y 10", r"board: \'expire\' asks the board\'s parts twice"),
        ("ZADD top:y 9 a 9 b 9 c 9 d 9 e 9 f", "CROSSSHARD"),
        ("DEL top:y", "CROSSSHARD"),
    ] {
        let (_, refused) = in_multi(&mut client, line);
        assert!(format!("{refused:?}").contains(why), "{line}: {refused:?}");
    }
    assert_eq!(client.line("ZREVRANGE top:y 0 9"), items("f e d c a b"));
}

/// What one client has given its member: scores that only grow, and whether it knows that they are there.
#[derive(Default)]
struct Given {
    known: u64,
    last: u64,
}

struct Crowd {
    given: Vec<Mutex<Given>>,
}

/// Members and scores in turn.
fn rows(reply: &Value) -> Vec<(String, u64)> {
    let Value::Array(flat) = reply else { panic!("no array: {reply:?}") };
    flat.chunks(2)
        .map(|row| (row[0].text().clone(), row[1].text().parse().expect("a whole score")))
        .collect()
}

impl Crowd {
    fn new() -> Arc<Crowd> {
        Arc::new(Crowd { given: (0..CLIENTS).map(|_| Mutex::default()).collect() })
    }

    /// Raises its own member, by a score or by an increment, and looks at all.
    fn round(&self, client: &mut Roaming, user: usize, may_lose: bool) {
        let member = format!("u{user}");
        let score = {
            let mut given = self.given[user].lock().expect("no thread has failed");
            given.last += 1;
            given.last
        };
        // A score that is in doubt is overtaken by the next one: no ZINCRBY, which would add to it.
        let reply = client.command(&["ZADD", "top:all", "GT", &score.to_string(), &member]);
        match reply {
            Some(Value::Integer(_)) => {
                self.given[user].lock().expect("no thread has failed").known = score;
            }
            Some(Value::Error(_)) if may_lose => {}
            Some(other) => panic!("{other:?}"),
            None => {}
        }
        match client.command(&["ZREVRANGE", "top:all", "0", "-1", "WITHSCORES"]) {
            Some(Value::Error(_)) if may_lose => {}
            Some(reply) => self.check(&rows(&reply), user, may_lose),
            None => {}
        }
        match client.command(&["ZREVRANK", "top:all", &member]) {
            Some(Value::Integer(rank)) => assert!((0..100).contains(&rank), "{rank}"),
            Some(Value::Null | Value::Error(_)) if may_lose => {}
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }

    fn check(&self, shown: &[(String, u64)], user: usize, may_lose: bool) {
        assert!(shown.is_sorted_by(|a, b| (b.1, &b.0) < (a.1, &a.0)), "not in order: {shown:?}");
        let members: BTreeMap<&str, u64> =
            shown.iter().map(|(member, score)| (member.as_str(), *score)).collect();
        assert_eq!(members.len(), shown.len(), "a member is shown twice: {shown:?}");
        for (member, score) in &members {
            let number: usize = member[1..].parse().expect("a user's number");
            let last = self.given[number].lock().expect("no thread has failed").last;
            assert!(*score <= last, "{member} was never given {score}");
        }
        let own = self.given[user].lock().expect("no thread has failed");
        let shown = members.get(format!("u{user}").as_str()).copied().unwrap_or(0);
        assert!(may_lose || shown >= own.known, "{shown} of {} acknowledged", own.known);
    }
}

#[test]
fn board_shows_every_acknowledged_score_while_gateways_die_and_the_plugin_is_swapped() {
    let mut site = PatternSite::start("board", &BINDINGS);
    let crowd = Crowd::new();
    let work = Arc::clone(&crowd);
    let load = Load::start(site.roaming(CLIENTS), move |client, user, _round| {
        work.round(client, user, false);
    });
    for round in 0..4 {
        load.await_round();
        if round % 2 == 0 {
            site.kill_gateway(round / 2);
            load.await_round();
            site.replace_gateway(round / 2);
        } else {
            site.swap(&format!("board {round}"));
        }
    }
    load.await_round();
    load.finish();
    // At rest: the board is an oracle's, whatever is asked.
    let mut client = site.client(0);
    let shown = rows(&client.line("ZREVRANGE top:all 0 -1 WITHSCORES"));
    assert_eq!(shown.len(), CLIENTS);
    let plain = RealServer::start();
    let mut oracle = plain.client();
    for (member, score) in &shown {
        let number: usize = member[1..].parse().expect("a user's number");
        let given = crowd.given[number].lock().expect("no thread has failed");
        assert!((given.known..=given.last).contains(score), "{member} {score}");
        oracle.command(&["ZADD", "top:all", &score.to_string(), member]);
    }
    for (member, _) in &shown {
        for name in ["ZRANK", "ZREVRANK", "ZSCORE"] {
            let words = [name, "top:all", member];
            assert_eq!(client.command(&words), oracle.command(&words));
        }
    }
    for line in
        ["ZRANGE top:all 0 -1", "ZREVRANGE top:all 90 95", "ZCARD top:all", "ZCOUNT top:all 3 9"]
    {
        assert_eq!(client.line(line), oracle.line(line), "{line}");
    }
}

#[test]
fn shard_that_comes_back_empty_costs_the_parts_that_it_held() {
    let mut site = PatternSite::start("board", &BINDINGS);
    let crowd = Crowd::new();
    let work = Arc::clone(&crowd);
    let load = Load::start(site.roaming(CLIENTS), move |client, user, _round| {
        work.round(client, user, true);
    });
    for shard in 0..3 {
        load.await_round();
        site.shards[shard].kill();
        load.await_round();
        let key = site.key_on(shard);
        site.revive_shard(shard, &key);
    }
    load.await_round();
    load.finish();
    // Whoever gives a score again is on the board again.
    let mut client = site.client(1);
    for user in 0..CLIENTS {
        client.command(&["ZADD", "top:all", "GT", "1000000", &format!("u{user}")]);
    }
    let shown = rows(&client.line("ZREVRANGE top:all 0 -1 WITHSCORES"));
    assert_eq!(shown.len(), CLIENTS);
    assert!(shown.iter().all(|(_, score)| *score == 1_000_000));
}
