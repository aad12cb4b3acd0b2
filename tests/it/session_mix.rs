//! Random runs of commands that only mean something together: transactions, watched keys, scripts.
//!
//! Comes in: a `Rng`. Goes out: samples in the order in which they are to be sent, over keys of every shard. A transaction
//! that writes stays on one key, since over several shards the gateway refuses it; one that reads goes anywhere.
//! A watched key is changed by the session itself now and then, so that EXEC has something to refuse.

use sluicegate_tests::rng::Rng;

use crate::command_mix::{Compare, Sample, a_key, value};

/// Scripts, and the digests that EVALSHA names them with.
const GET: (&str, &str) =
    ("return redis.call('GET', KEYS[1])", "d3c21d0c2b9ca22f82737626a27bcaf5d288f99f");
const BACK: (&str, &str) =
    ("return {KEYS[1], ARGV[1]}", "d006f1a90249474274c76f5be725b8f5804a346b");

fn sample(words: &[&[u8]]) -> Sample {
    Sample { args: words.iter().map(|word| word.to_vec()).collect(), compare: Compare::Bytes }
}

/// WATCH, perhaps a change of the key, and a transaction on it.
pub fn watched(rng: &mut Rng) -> Vec<Sample> {
    let (key, text) = (a_key(rng, b's'), value(rng));
    let mut samples = vec![sample(&[b"WATCH", &key])];
    match rng.below(4) {
        0 => samples.push(sample(&[b"SET", &key, &text])),
        1 => samples.push(sample(&[b"UNWATCH"])),
        _ => samples.push(sample(&[b"GET", &key])),
    }
    samples.push(sample(&[b"MULTI"]));
    if !rng.one_in(5) {
        samples.push(sample(&[b"SET", &key, &value(rng)]));
        samples.push(sample(&[b"GET", &key]));
    }
    samples.push(sample(&[if rng.one_in(6) { b"DISCARD" } else { b"EXEC" }]));
    samples
}

/// A transaction that reads keys of any shards, with what a server answers of itself between them.
pub fn reading(rng: &mut Rng) -> Vec<Sample> {
    let mut samples = vec![sample(&[b"MULTI"])];
    for _ in 0..1 + rng.below(8) {
        let (key, other) = (a_key(rng, b's'), a_key(rng, b'k'));
        samples.push(match rng.below(8) {
            0 => sample(&[b"PING"]),
            1 => sample(&[b"ECHO", &key]),
            2 => sample(&[b"EXISTS", &key, &other]),
            3 => sample(&[b"MGET", &key, &other, &a_key(rng, b's')]),
            4 => sample(&[b"TYPE", &other]),
            5 => sample(&[b"STRLEN", &other]),
            _ => sample(&[b"GET", &other]),
        });
    }
    samples.push(sample(&[b"EXEC"]));
    samples
}

/// Scripts by text and by digest, in and out of MULTI.
pub fn scripted(rng: &mut Rng) -> Vec<Sample> {
    let (key, text) = (a_key(rng, b'k'), value(rng));
    let (script, digest) = if rng.one_in(2) { GET } else { BACK };
    let (script, digest) = (script.as_bytes(), digest.as_bytes());
    let load = sample(&[b"SCRIPT", b"LOAD", script]);
    match rng.below(7) {
        0 => vec![sample(&[b"EVAL", script, b"1", &key, &text])],
        1 => vec![sample(&[b"EVAL_RO", script, b"1", &key, &text])],
        2 => vec![load, sample(&[b"EVALSHA", digest, b"1", &key, &text])],
        3 => vec![load, sample(&[b"EVALSHA_RO", digest, b"1", &key, &text])],
        4 => vec![
            load,
            sample(&[b"MULTI"]),
            sample(&[b"EVALSHA", digest, b"1", &key, &text]),
            sample(&[b"EXEC"]),
        ],
        5 => vec![sample(&[b"EVAL", b"return ARGV[1]", b"0", &text])],
        _ => vec![sample(&[b"EVAL", script, rng.pick(&["2", "-1", "x"]).as_bytes(), &key])],
    }
}
