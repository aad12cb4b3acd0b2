//! A fake Redis for plugin tests: keys with expiry, on a virtual clock, with Redis's replies.
//!
//! Knows the commands that patterns use, by type: `keys`, `strings`, `lists`, `hashes`, `sorted`; an unknown one answers Redis's error. Scripts
//! are given as Rust functions under their text. What matters here is that it is small enough to be seen to be right.

mod hashes;
mod keys;
mod lists;
mod sorted;
mod strings;

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::script::Script as Expectations;
use crate::args::parse_int;
use crate::reply::Reply;

/// A script in Rust: the server, KEYS, ARGV.
pub type Script = fn(&mut FakeRedis, &[Vec<u8>], &[Vec<u8>]) -> Reply;

/// What a command answers; the error is a reply too.
type Ran = Result<Reply, Reply>;

/// The server.
///
/// ```
/// # use sluicegate_plugin::{harness::redis::FakeRedis, reply::Reply};
/// let mut redis = FakeRedis::at(0);
/// redis.run(&["SET", "k", "v", "PX", "100"]);
/// redis.now_ms = 100;
/// assert_eq!(redis.run(&["GET", "k"]), Reply::Null);
/// ```
#[derive(Default)]
pub struct FakeRedis {
    values: HashMap<Vec<u8>, Value>,
    scripts: HashMap<Vec<u8>, Script>,
    /// What must come, when the test says so.
    pub(super) script: Option<Expectations>,
    /// The clock, milliseconds.
    pub now_ms: u64,
    /// Commands run so far.
    pub commands: u64,
}

#[derive(Debug, Clone)]
struct Value {
    data: Data,
    /// 0: never.
    expires_ms: u64,
}

#[derive(Debug, Clone)]
enum Data {
    Text(Vec<u8>),
    List(VecDeque<Vec<u8>>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    Sorted(BTreeMap<Vec<u8>, f64>),
}

impl FakeRedis {
    /// An empty server whose clock shows `now_ms`.
    pub fn at(now_ms: u64) -> Self {
        Self { now_ms, ..Self::default() }
    }

    /// Makes `EVAL text` run `script`.
    pub fn add_script(&mut self, text: &str, script: Script) {
        self.scripts.insert(text.as_bytes().to_vec(), script);
    }

    /// Runs a command of words.
    pub fn run(&mut self, words: &[&str]) -> Reply {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        self.execute(&words)
    }

    /// Runs a command.
    pub fn execute(&mut self, words: &[Vec<u8>]) -> Reply {
        self.commands += 1;
        if let Some(script) = &mut self.script {
            return script.execute(words);
        }
        let name = word(words, 0).to_ascii_uppercase();
        let ran = keys::run(self, &name, words)
            .or_else(|| strings::run(self, &name, words))
            .or_else(|| lists::run(self, &name, words))
            .or_else(|| hashes::run(self, &name, words))
            .or_else(|| sorted::run(self, &name, words));
        match (ran, name.as_slice()) {
            (Some(Ok(reply) | Err(reply)), _) => reply,
            (None, b"EVAL" | b"EVAL_RO") => self.eval(words),
            (None, _) => {
                let name = String::from_utf8_lossy(&name);
                Reply::Error(format!("ERR unknown command '{name}'"))
            }
        }
    }

    fn live(&mut self, key: &[u8]) -> Option<&mut Value> {
        let now_ms = self.now_ms;
        let over = |value: &Value| value.expires_ms != 0 && value.expires_ms <= now_ms;
        if self.values.get(key).is_some_and(over) {
            self.values.remove(key);
        }
        self.values.get_mut(key)
    }

    fn take(&mut self, key: &[u8]) -> Option<Value> {
        self.live(key)?;
        self.values.remove(key)
    }

    /// Stores a value, with the end of the one that was there.
    fn put(&mut self, key: &[u8], data: Data) {
        let expires_ms = self.live(key).map_or(0, |value| value.expires_ms);
        self.values.insert(key.to_vec(), Value { data, expires_ms });
    }

    fn eval(&mut self, words: &[Vec<u8>]) -> Reply {
        let text = words.get(1).map_or(&b""[..], Vec::as_slice);
        let Some(script) = self.scripts.get(text).copied() else {
            return Reply::Error("ERR the test knows no such script".into());
        };
        let count = words.get(2).and_then(|word| parse_int(word)).unwrap_or(0);
        let rest = words.get(3..).unwrap_or_default();
        let keys = usize::try_from(count).unwrap_or(0).min(rest.len());
        let (keys, argv) = rest.split_at(keys);
        script(self, keys, argv)
    }
}

fn word(words: &[Vec<u8>], index: usize) -> &[u8] {
    words.get(index).map_or(&b""[..], Vec::as_slice)
}

fn error(text: &str) -> Reply {
    Reply::Error(text.into())
}

fn arity(command: &str) -> Reply {
    Reply::Error(format!("ERR wrong number of arguments for '{command}' command"))
}

fn wrong_type() -> Reply {
    error("WRONGTYPE Operation against a key holding the wrong kind of value")
}

fn not_an_integer() -> Reply {
    error("ERR value is not an integer or out of range")
}

fn number(words: &[Vec<u8>], index: usize) -> Result<i64, Reply> {
    parse_int(word(words, index)).ok_or_else(not_an_integer)
}

fn int(count: usize) -> Reply {
    Reply::Int(i64::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::FakeRedis;
    use crate::reply::Reply;

    #[test]
    fn fake_redis_answers_as_redis_does() {
        let mut redis = FakeRedis::at(1_000);
        let cases: &[(&str, Reply)] = &[
            ("GET k", Reply::Null),
            ("PTTL k", Reply::Int(-2)),
            ("SET k v NX GET PX 100", Reply::Null),
            ("SET k w NX GET PX 100", Reply::bulk("v")),
            ("SET k w NX", Reply::Null),
            ("SET k w XX KEEPTTL", Reply::ok()),
            ("PTTL k", Reply::Int(100)),
            ("PEXPIRE k 50 GT", Reply::Int(0)),
            ("PEXPIRE k 50 LT", Reply::Int(1)),
            ("GETEX k PX 2600", Reply::bulk("w")),
            ("TTL k", Reply::Int(3)),
            ("PEXPIRETIME k", Reply::Int(3_600)),
            ("PERSIST k", Reply::Int(1)),
            ("PTTL k", Reply::Int(-1)),
            ("EXPIRE k 0", Reply::Int(1)),
            ("EXISTS k", Reply::Int(0)),
            ("SETEX k 2 x", Reply::ok()),
            ("PTTL k", Reply::Int(2_000)),
            ("EXISTS k k k2", Reply::Int(2)),
            ("DEL k k2", Reply::Int(1)),
            ("SETNX k a", Reply::Int(1)),
            ("SETNX k b", Reply::Int(0)),
            ("APPEND k bc", Reply::Int(3)),
            ("STRLEN k", Reply::Int(3)),
            ("GETDEL k", Reply::bulk("abc")),
            ("GETDEL k", Reply::Null),
            ("STRLEN k", Reply::Int(0)),
            ("APPEND k 5", Reply::Int(1)),
            ("DECRBY k 7", Reply::Int(-2)),
            ("INCRBY k 9223372036854775807", Reply::Int(9_223_372_036_854_775_805)),
            ("INCRBY k 3", Reply::Error("ERR increment or decrement would overflow".into())),
            ("MSET k 1 k2 2", Reply::ok()),
            ("MGET k k3 k2", Reply::Array(vec![Reply::bulk("1"), Reply::Null, Reply::bulk("2")])),
            ("MSET k", Reply::Error("ERR wrong number of arguments for 'mset' command".into())),
            ("DEL k k2", Reply::Int(2)),
            ("TYPE k", Reply::Simple("none".into())),
        ];
        for (command, wanted) in cases {
            let words: Vec<&str> = command.split(' ').collect();
            assert_eq!(redis.run(&words), *wanted, "{command}");
        }
        redis.run(&["SET", "k", "v", "PX", "10"]);
        redis.now_ms += 10;
        assert_eq!(redis.run(&["GET", "k"]), Reply::Null);
    }
}
