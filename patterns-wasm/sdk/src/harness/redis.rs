//! A fake Redis for plugin tests: strings with expiry, on a virtual clock, with Redis's replies.
//!
//! Knows the string and expiry commands that patterns use; an unknown one answers Redis's error. Scripts are given as
//! Rust functions under their text. What matters here is that it is small enough to be seen to be right.

use std::collections::HashMap;

use super::script::Script as Expectations;
use crate::args::parse_int;
use crate::reply::Reply;

/// A script in Rust: the server, KEYS, ARGV.
pub type Script = fn(&mut FakeRedis, &[Vec<u8>], &[Vec<u8>]) -> Reply;

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
    bytes: Vec<u8>,
    /// 0: never.
    expires_ms: u64,
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
        let word = |index: usize| words.get(index).map_or(&b""[..], Vec::as_slice);
        let name = word(0).to_ascii_uppercase();
        let key = word(1);
        match name.as_slice() {
            b"GET" => self.get(key),
            b"SET" => self.set(words),
            b"SETEX" | b"PSETEX" => {
                let option: &[u8] = if name == b"SETEX" { b"EX" } else { b"PX" };
                let rest = [word(1), word(3), option, word(2)];
                let words: Vec<Vec<u8>> =
                    [&b"SET"[..]].iter().chain(&rest).map(|word| word.to_vec()).collect();
                self.set(&words)
            }
            b"GETEX" => self.getex(words),
            b"DEL" | b"UNLINK" => {
                let gone = words.iter().skip(1).filter(|key| self.take(key).is_some()).count();
                int(gone)
            }
            b"EXISTS" => int(words.iter().skip(1).filter(|key| self.live(key).is_some()).count()),
            b"GETDEL" => self.take(key).map_or(Reply::Null, |value| Reply::Bulk(value.bytes)),
            b"STRLEN" => int(self.live(key).map_or(0, |value| value.bytes.len())),
            b"APPEND" => self.append(key, word(2)),
            b"SETNX" => {
                let set = [&b"SET"[..], key, word(2), b"NX"].map(<[u8]>::to_vec);
                Reply::Int(i64::from(!self.set(&set).is_null()))
            }
            b"MGET" => Reply::Array(words.iter().skip(1).map(|key| self.get(key)).collect()),
            b"MSET" => self.mset(words),
            b"PTTL" | b"TTL" | b"PEXPIRETIME" | b"EXPIRETIME" => self.ttl(&name, key),
            b"PEXPIRE" | b"EXPIRE" | b"PEXPIREAT" | b"EXPIREAT" => self.expire(&name, words),
            b"PERSIST" => match self.live(key) {
                Some(value) if value.expires_ms != 0 => {
                    value.expires_ms = 0;
                    Reply::Int(1)
                }
                _ => Reply::Int(0),
            },
            b"INCR" => self.add(key, 1),
            b"DECR" => self.add(key, -1),
            b"INCRBY" => match parse_int(word(2)) {
                Some(by) => self.add(key, by),
                None => not_an_integer(),
            },
            b"DECRBY" => match parse_int(word(2)).map(i64::checked_neg) {
                Some(Some(by)) => self.add(key, by),
                Some(None) => Reply::Error("ERR decrement would overflow".into()),
                None => not_an_integer(),
            },
            b"EVAL" => self.eval(words),
            _ => Reply::Error(format!("ERR unknown command '{}'", String::from_utf8_lossy(&name))),
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

    fn get(&mut self, key: &[u8]) -> Reply {
        self.live(key).map_or(Reply::Null, |value| Reply::Bulk(value.bytes.clone()))
    }

    fn set(&mut self, words: &[Vec<u8>]) -> Reply {
        let [_, key, bytes, options @ ..] = words else {
            return Reply::Error("ERR wrong number of arguments for 'set' command".into());
        };
        let has = |name: &[u8]| options.iter().any(|word| word.eq_ignore_ascii_case(name));
        let old = self.live(key).cloned();
        let expires_ms = match self.expiry_option(options) {
            Err(error) => return error,
            Ok(Some(at)) => at,
            Ok(None) if has(b"KEEPTTL") => old.as_ref().map_or(0, |value| value.expires_ms),
            Ok(None) => 0,
        };
        let stored = match (has(b"NX"), has(b"XX")) {
            (true, true) => return Reply::Error("ERR syntax error".into()),
            (true, false) => old.is_none(),
            (false, true) => old.is_some(),
            (false, false) => true,
        };
        if stored {
            let value = Value { bytes: bytes.clone(), expires_ms };
            self.values.insert(key.clone(), value);
        }
        if has(b"GET") {
            old.map_or(Reply::Null, |value| Reply::Bulk(value.bytes))
        } else if stored {
            Reply::ok()
        } else {
            Reply::Null
        }
    }

    fn getex(&mut self, words: &[Vec<u8>]) -> Reply {
        let [_, key, options @ ..] = words else {
            return Reply::Error("ERR wrong number of arguments for 'getex' command".into());
        };
        let expiry = match self.expiry_option(options) {
            Err(error) => return error,
            Ok(expiry) => expiry,
        };
        let persist = options.iter().any(|word| word.eq_ignore_ascii_case(b"PERSIST"));
        let reply = self.get(key);
        if let Some(value) = self.live(key) {
            match expiry {
                Some(at) => value.expires_ms = at,
                None if persist => value.expires_ms = 0,
                None => {}
            }
        }
        reply
    }

    /// The wall time of EX, PX, EXAT or PXAT among `options`.
    fn expiry_option(&self, options: &[Vec<u8>]) -> Result<Option<u64>, Reply> {
        for (option, number) in options.iter().zip(options.iter().skip(1)) {
            let (relative, factor) = match option.to_ascii_uppercase().as_slice() {
                b"EX" => (true, 1000),
                b"PX" => (true, 1),
                b"EXAT" => (false, 1000),
                b"PXAT" => (false, 1),
                _ => continue,
            };
            let number = parse_int(number).filter(|number| *number > 0);
            let Some(ms) = number.and_then(|number| number.checked_mul(factor)) else {
                return Err(Reply::Error("ERR invalid expire time in 'set' command".into()));
            };
            let ms = u64::try_from(ms).unwrap_or(0);
            return Ok(Some(if relative { self.now_ms + ms } else { ms }));
        }
        Ok(None)
    }

    fn ttl(&mut self, name: &[u8], key: &[u8]) -> Reply {
        let now_ms = self.now_ms;
        let Some(value) = self.live(key) else {
            return Reply::Int(-2);
        };
        if value.expires_ms == 0 {
            return Reply::Int(-1);
        }
        let ms = if name.ends_with(b"EXPIRETIME") {
            value.expires_ms
        } else {
            value.expires_ms - now_ms
        };
        let in_ms = name.starts_with(b"P");
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        Reply::Int(if in_ms { ms } else { (ms + 500) / 1000 })
    }

    fn expire(&mut self, name: &[u8], words: &[Vec<u8>]) -> Reply {
        let now_ms = i64::try_from(self.now_ms).unwrap_or(0);
        let number = words.get(2).and_then(|word| parse_int(word));
        let (Some(key), Some(number)) = (words.get(1), number) else {
            return Reply::Error("ERR value is not an integer or out of range".into());
        };
        let ms = if name.starts_with(b"P") { number } else { number * 1000 };
        let at = if name.ends_with(b"AT") { ms } else { now_ms + ms };
        let options = words.get(3..).unwrap_or_default();
        let has = |name: &[u8]| options.iter().any(|word| word.eq_ignore_ascii_case(name));
        let (nx, xx, gt, lt) = (has(b"NX"), has(b"XX"), has(b"GT"), has(b"LT"));
        let Some(value) = self.live(key) else {
            return Reply::Int(0);
        };
        let old = match value.expires_ms {
            0 => i64::MAX,
            at => i64::try_from(at).unwrap_or(i64::MAX),
        };
        let has_ttl = value.expires_ms != 0;
        if (nx && has_ttl) || (xx && !has_ttl) || (gt && at <= old) || (lt && at >= old) {
            return Reply::Int(0);
        }
        if at <= now_ms {
            self.values.remove(key);
        } else {
            value.expires_ms = u64::try_from(at).unwrap_or(0);
        }
        Reply::Int(1)
    }

    fn add(&mut self, key: &[u8], by: i64) -> Reply {
        let old = self.live(key).cloned();
        let Some(known) = old.as_ref().map_or(Some(0), |value| parse_int(&value.bytes)) else {
            return not_an_integer();
        };
        let Some(sum) = known.checked_add(by) else {
            return Reply::Error("ERR increment or decrement would overflow".into());
        };
        let expires_ms = old.map_or(0, |value| value.expires_ms);
        let bytes = sum.to_string().into_bytes();
        self.values.insert(key.to_vec(), Value { bytes, expires_ms });
        Reply::Int(sum)
    }

    fn append(&mut self, key: &[u8], bytes: &[u8]) -> Reply {
        if self.live(key).is_none() {
            self.values.insert(key.to_vec(), Value { bytes: Vec::new(), expires_ms: 0 });
        }
        let Some(value) = self.live(key) else { return Reply::Null };
        value.bytes.extend_from_slice(bytes);
        int(value.bytes.len())
    }

    fn mset(&mut self, words: &[Vec<u8>]) -> Reply {
        let pairs = words.get(1..).unwrap_or_default();
        if pairs.is_empty() || pairs.len() % 2 != 0 {
            return Reply::Error("ERR wrong number of arguments for 'mset' command".into());
        }
        for pair in pairs.chunks_exact(2) {
            if let [key, bytes] = pair {
                self.values.insert(key.clone(), Value { bytes: bytes.clone(), expires_ms: 0 });
            }
        }
        Reply::ok()
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

fn not_an_integer() -> Reply {
    Reply::Error("ERR value is not an integer or out of range".into())
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
