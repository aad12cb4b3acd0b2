//! The gateway over three shards answers what one plain server answers, byte for byte.
//!
//! Random commands (`command_mix`) go as the same bytes through the gateway and to one server, pipelined to random
//! depth and, on the gateway's side, cut at random places; every pair of replies is compared. RESP2 and RESP3.
//! The seed is fixed, `SEED=n` takes another, and a failure prints it with the command and both replies.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;

use sluicegate_tests::client::{Client, request};
use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::rng::Rng;
use sluicegate_tests::tools::skip;
use sluicegate_tests::value::Value;

use crate::command_mix::{Compare, Mix, Sample};
use crate::session_mix;

/// Commands per protocol; all runs together are more than 50,000.
const COMMANDS: usize = 20_000;

/// One server and the gateway, the same client state on both sides.
struct Pair {
    gateway: Client,
    plain: Client,
    /// Whether errors must have the same words, or only the same first one.
    same_words: bool,
    /// Whether numbers may be written in other digits.
    same_numbers: bool,
    compared: usize,
}

/// What one test runs.
struct Run {
    protocol: u8,
    commands: usize,
    seed: u64,
    same_words: bool,
    /// Whether the shards are of both kinds.
    mixed: bool,
}

impl Pair {
    fn connect(gateway: SocketAddr, plain: SocketAddr, run: &Run) -> Pair {
        let mut pair = Pair {
            gateway: Client::connect(gateway),
            plain: Client::connect(plain),
            same_words: run.same_words,
            same_numbers: run.mixed,
            compared: 0,
        };
        if run.protocol == 3 {
            let hello = ["HELLO", "3"];
            let (ours, theirs) = (pair.gateway.command(&hello), pair.plain.command(&hello));
            assert!(
                matches!((&ours, &theirs), (Value::Map(_), Value::Map(_))),
                "HELLO 3: {ours:?}, {theirs:?}"
            );
        }
        pair
    }

    /// Sends the batch to both sides and compares every reply.
    fn check(&mut self, rng: &mut Rng, batch: &[Sample]) {
        let mut bytes = Vec::new();
        for sample in batch {
            bytes.extend(encode(rng, &sample.args));
        }
        let pieces = cut(rng, &bytes);
        let (mut to_gateway, mut to_plain) = (self.gateway.sender(), self.plain.sender());
        std::thread::scope(|scope| {
            // Senders of their own: a side whose replies nobody reads may stop reading requests.
            scope.spawn(|| {
                pieces.iter().try_for_each(|piece| to_gateway.write_all(piece)).expect("send")
            });
            scope.spawn(|| to_plain.write_all(&bytes).expect("send"));
            for (index, sample) in batch.iter().enumerate() {
                let theirs = self.plain.next_reply().expect("a plain server answers");
                let Some(ours) = self.gateway.next_reply() else {
                    panic!(
                        "the gateway closed the connection instead of answering {}",
                        shown(&sample.args)
                    );
                };
                let same = match (&ours.1, &theirs.1) {
                    (Value::Error(a), Value::Error(b)) if !self.same_words => {
                        a.split(|b| *b == b' ').next() == b.split(|b| *b == b' ').next()
                    }
                    (a, b) if sample.compare == Compare::Scores && !self.same_words => {
                        numbers(a) == numbers(b)
                    }
                    // A shard of the other kind writes the same number in other digits.
                    (a, b) if self.same_numbers => {
                        let kind = |raw: &[u8]| raw.iter().take(1).copied().collect();
                        let ours = (kind(&ours.0), numbers(a));
                        equal(sample.compare, &ours, &(kind(&theirs.0), numbers(b)))
                    }
                    _ => equal(sample.compare, &ours, &theirs),
                };
                let before = batch[index.saturating_sub(3)..index].iter().map(|s| shown(&s.args));
                assert!(
                    same,
                    "replies differ ({:?})\ncommand: {}\ngateway: {:?}\nplain:   {:?}\nbefore:  {:?}",
                    sample.compare,
                    shown(&sample.args),
                    ours.1,
                    theirs.1,
                    before.collect::<Vec<_>>(),
                );
                self.compared += 1;
            }
        });
        assert!(self.gateway.is_quiet(), "the gateway sent more replies than requests");
    }

    /// Walks the key space of both sides and compares what they have seen.
    fn check_walk(&mut self, rng: &mut Rng) {
        let kind = rng.pick(&["string", "list", "zset"]);
        let options: &[&str] = if rng.one_in(2) { &["TYPE", kind] } else { &[] };
        let count = (1 + rng.below(40)).to_string();
        let (ours, theirs) =
            (walk(&mut self.gateway, &count, options), walk(&mut self.plain, &count, options));
        assert_eq!(ours, theirs, "SCAN COUNT {count} {options:?}");
        self.compared += 1;
    }
}

/// All keys that a walk sees.
fn walk(client: &mut Client, count: &str, options: &[&str]) -> BTreeSet<Value> {
    let mut cursor = "0".to_owned();
    let mut seen = BTreeSet::new();
    loop {
        let reply = client.command(&[&["SCAN", &cursor, "COUNT", count], options].concat());
        match reply {
            Value::Array(parts) => match &parts[..] {
                [next, Value::Array(keys)] => {
                    seen.extend(keys.iter().cloned());
                    cursor = next.text();
                }
                other => panic!("no page: {other:?}"),
            },
            other => panic!("no page: {other:?}"),
        }
        if cursor == "0" {
            return seen;
        }
    }
}

fn equal(compare: Compare, ours: &(Vec<u8>, Value), theirs: &(Vec<u8>, Value)) -> bool {
    match compare {
        Compare::Bytes | Compare::Scores => ours == theirs,
        Compare::AnyOrder => {
            ours.1.clone().sorted() == theirs.1.clone().sorted()
                && ours.0.first() == theirs.0.first()
        }
        Compare::AnyPairOrder => {
            ours.1.clone().paired() == theirs.1.clone().paired()
                && ours.0.first() == theirs.0.first()
        }
        Compare::OrTooLong => {
            ours == theirs || ours.1.is_error("CROSSSHARD the keys live on two shards")
        }
        Compare::Within(distance) => match (&ours.1, &theirs.1) {
            (Value::Integer(a), Value::Integer(b)) => a.abs_diff(*b) <= distance.unsigned_abs(),
            (a, b) => a == b,
        },
        Compare::Kind => ours.0.first() == theirs.0.first(),
    }
}

/// The reply with each number by its value: servers since 7.2 do not always print the shortest text for one.
fn numbers(value: &Value) -> Value {
    let by_value = |text: &[u8]| {
        let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
        number.map_or_else(|| text.to_vec(), |number| number.to_string().into_bytes())
    };
    match value {
        Value::Array(items) => Value::Array(items.iter().map(numbers).collect()),
        Value::Double(text) => Value::Double(by_value(text)),
        Value::Bulk(text) => Value::Bulk(by_value(text)),
        // Redis 7.0's count for an object that it shares; Valkey 9 shares fewer.
        Value::Integer(count) if *count == i64::from(i32::MAX) => Value::Integer(1),
        // Inside EXEC's array; an error by itself is compared by its first word before.
        Value::Error(text) => {
            Value::Error(text.split(|b| *b == b' ').next().unwrap_or(text).to_vec())
        }
        other => other.clone(),
    }
}

fn shown(args: &[Vec<u8>]) -> String {
    let words = args.iter().map(|arg| arg[..arg.len().min(60)].escape_ascii().to_string());
    words.collect::<Vec<_>>().join(" ")
}

/// The request as an array, or now and then as an inline line where its words allow that.
fn encode(rng: &mut Rng, args: &[Vec<u8>]) -> Vec<u8> {
    let plain = |arg: &Vec<u8>| {
        !arg.is_empty() && arg.iter().all(|b| b.is_ascii_alphanumeric() || b":-.".contains(b))
    };
    if rng.one_in(20)
        && args.iter().all(plain)
        && args[0].first().is_some_and(u8::is_ascii_alphabetic)
    {
        return [&args.join(&b' ')[..], b"\r\n"].concat();
    }
    request(args)
}

/// The bytes in one piece, in a few, or one by one.
fn cut<'a>(rng: &mut Rng, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    match rng.below(8) {
        0 => vec![bytes],
        1 if bytes.len() < 2000 => bytes.chunks(1).collect(),
        _ => {
            let mut pieces = Vec::new();
            let mut rest = bytes;
            for _ in 0..rng.below(12) {
                let (piece, after) = rest.split_at(rng.below(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            pieces
        }
    }
}

/// One batch: commands, now and then framed by MULTI and EXEC or DISCARD.
fn batch(rng: &mut Rng, mix: &mut Mix, run: &Run) -> Vec<Sample> {
    let word = |text: &str| Sample { args: vec![text.into()], compare: Compare::Bytes };
    let mut samples = Vec::new();
    let depth = if rng.one_in(4) { 1 } else { 1 + rng.below(60) };
    while samples.len() < depth {
        if rng.one_in(25) {
            samples.push(word("MULTI"));
            samples.extend(mix.transaction(rng));
            if rng.one_in(6) {
                // A MULTI within aborts a transaction of Valkey 9, not one of Redis 7.0.
                let wrong = if run.same_words { "MULTI" } else { "ECHO" };
                samples.push(word(rng.pick(&[wrong, "NOSUCH", "GET"])));
            }
            samples.push(word(rng.pick(&["EXEC", "EXEC", "EXEC", "exec", "DISCARD"])));
        } else {
            match rng.below(100) {
                0 => samples.extend(session_mix::watched(rng)),
                1..3 => samples.extend(session_mix::reading(rng)),
                3..5 => samples.extend(session_mix::scripted(rng)),
                _ => samples.push(mix.command(rng)),
            }
        }
    }
    samples
}

fn check_same(shards: &[RealServer], plain: &RealServer, run: &Run) {
    let gateway = InProcess::start(&yaml_over(shards, &[]));
    let mut rng = Rng::from_env(run.seed);
    let mut mix = Mix::new();
    mix.spoils = !run.mixed;
    let mut compared = 0;
    while compared < run.commands {
        // A session lasts some batches, so that the state of a connection has time to go wrong.
        let mut pair = Pair::connect(gateway.address(), plain.address(), run);
        for _ in 0..1 + rng.below(20) {
            let samples = batch(&mut rng, &mut mix, run);
            pair.check(&mut rng, &samples);
        }
        pair.check_walk(&mut rng);
        compared += pair.compared;
    }
    let has_written = |shard: &&RealServer| {
        shard.client().line("INFO commandstats").text().contains("cmdstat_set:")
    };
    assert_eq!(shards.iter().filter(has_written).count(), shards.len(), "every shard takes part");
    eprintln!("{compared} replies compared, RESP{}, SEED={}", run.protocol, rng.seed());
}

#[test]
fn random_commands_over_three_shards_equal_a_plain_server_resp2() {
    let run = Run { protocol: 2, commands: COMMANDS, seed: 1, same_words: true, mixed: false };
    check_same(&RealServer::start_many(3), &RealServer::start(), &run);
}

#[test]
fn random_commands_over_three_shards_equal_a_plain_server_resp3() {
    let run = Run { protocol: 3, commands: COMMANDS, seed: 2, same_words: true, mixed: false };
    check_same(&RealServer::start_many(3), &RealServer::start(), &run);
}

/// What the gateway finds itself it words as Redis 7.0 does; Valkey 9 has changed a word here and there.
#[test]
fn random_commands_over_three_valkey_shards_equal_a_plain_valkey() {
    let servers: Option<Vec<RealServer>> = (0..4).map(|_| RealServer::start_valkey()).collect();
    let Some(mut servers) = servers else {
        let reason = "there is no valkey-server (scripts/setup tests says why)";
        return skip("same_as_redis over Valkey", reason);
    };
    let plain = servers.pop().expect("four servers");
    let run = Run { protocol: 3, commands: COMMANDS / 2, seed: 3, same_words: false, mixed: false };
    check_same(&servers, &plain, &run);
}

/// Shards of both kinds in one pool, as in the middle of a migration, against a plain Redis 7.0.
#[test]
fn random_commands_over_mixed_shards_equal_a_plain_redis() {
    let Some(valkey) = RealServer::start_valkey() else {
        let reason = "there is no valkey-server (scripts/setup tests says why)";
        return skip("same_as_redis over mixed shards", reason);
    };
    let mut shards = RealServer::start_many(2);
    shards.push(valkey);
    let run = Run { protocol: 2, commands: COMMANDS / 4, seed: 4, same_words: false, mixed: true };
    check_same(&shards, &RealServer::start(), &run);
}
