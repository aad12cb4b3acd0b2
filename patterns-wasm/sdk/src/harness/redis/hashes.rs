//! Commands about hashes; fields come back in their order of bytes, where a server's order is free.
//!
//! Comes in: the server and a request with its name in upper case. Goes out: its reply, or nothing when the command is not
//! one of these. A hash without fields is no key.

use std::collections::BTreeMap;

use super::{Data, FakeRedis, Ran, arity, error, int, number, word, wrong_type};
use crate::args::parse_int;
use crate::reply::Reply;

type Hash = BTreeMap<Vec<u8>, Vec<u8>>;

pub(super) fn run(redis: &mut FakeRedis, name: &[u8], words: &[Vec<u8>]) -> Option<Ran> {
    let command: fn(&mut Hash, &[Vec<u8>]) -> Ran = match name {
        b"HSET" => set,
        b"HSETNX" => |hash, words| {
            let is_new = !hash.contains_key(word(words, 2));
            if is_new {
                hash.insert(word(words, 2).to_vec(), word(words, 3).to_vec());
            }
            Ok(Reply::Int(i64::from(is_new)))
        },
        b"HGET" => |hash, words| Ok(bulk(hash.get(word(words, 2)))),
        b"HMGET" => |hash, words| {
            Ok(Reply::Array(words.iter().skip(2).map(|field| bulk(hash.get(field))).collect()))
        },
        b"HGETALL" => |hash, _| {
            let pairs = hash.iter().flat_map(|(field, value)| [field, value]);
            Ok(Reply::Array(pairs.map(|item| Reply::Bulk(item.clone())).collect()))
        },
        b"HEXISTS" => |hash, words| Ok(Reply::Int(i64::from(hash.contains_key(word(words, 2))))),
        b"HLEN" => |hash, _| Ok(int(hash.len())),
        b"HDEL" => |hash, words| {
            Ok(int(words.iter().skip(2).filter(|field| hash.remove(*field).is_some()).count()))
        },
        b"HINCRBY" => add,
        _ => return None,
    };
    Some(on_hash(redis, words, command))
}

fn on_hash(
    redis: &mut FakeRedis,
    words: &[Vec<u8>],
    command: fn(&mut Hash, &[Vec<u8>]) -> Ran,
) -> Ran {
    let key = word(words, 1);
    let mut hash = match redis.live(key).map(|value| &value.data) {
        None => Hash::new(),
        Some(Data::Hash(hash)) => hash.clone(),
        Some(_) => return Err(wrong_type()),
    };
    let reply = command(&mut hash, words)?;
    if hash.is_empty() {
        redis.take(key);
    } else {
        redis.put(key, Data::Hash(hash));
    }
    Ok(reply)
}

fn bulk(value: Option<&Vec<u8>>) -> Reply {
    value.map_or(Reply::Null, |value| Reply::Bulk(value.clone()))
}

fn set(hash: &mut Hash, words: &[Vec<u8>]) -> Ran {
    let pairs = words.get(2..).unwrap_or_default();
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(arity("hset"));
    }
    let before = hash.len();
    for pair in pairs.chunks_exact(2) {
        hash.insert(word(pair, 0).to_vec(), word(pair, 1).to_vec());
    }
    Ok(int(hash.len() - before))
}

fn add(hash: &mut Hash, words: &[Vec<u8>]) -> Ran {
    let by = number(words, 3)?;
    let known = hash.get(word(words, 2)).map_or(Some(0), |text| parse_int(text));
    let sum = known
        .ok_or_else(|| error("ERR hash value is not an integer"))?
        .checked_add(by)
        .ok_or_else(|| error("ERR increment or decrement would overflow"))?;
    hash.insert(word(words, 2).to_vec(), sum.to_string().into_bytes());
    Ok(Reply::Int(sum))
}

#[cfg(test)]
mod tests {
    use super::FakeRedis;
    use crate::reply::Reply;

    #[test]
    fn hashes_answer_as_redis_does() {
        let items = |words: &str| Reply::Array(words.split(' ').map(Reply::bulk).collect());
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        let mut redis = FakeRedis::at(1_000);
        let cases: &[(&str, Reply)] = &[
            ("HSET h a 1 b x", Reply::Int(2)),
            ("HSET h a 2", Reply::Int(0)),
            ("HSET h a", Reply::Error("ERR wrong number of arguments for 'hset' command".into())),
            ("HSETNX h a 3", Reply::Int(0)),
            ("HSETNX h c 3", Reply::Int(1)),
            ("HGETALL h", items("a 2 b x c 3")),
            ("HMGET h a z", Reply::Array(vec![Reply::bulk("2"), Reply::Null])),
            ("HINCRBY h a 9223372036854775805", Reply::Int(i64::MAX)),
            ("HINCRBY h a 1", Reply::Error("ERR increment or decrement would overflow".into())),
            ("HINCRBY h b 1", Reply::Error("ERR hash value is not an integer".into())),
            ("HINCRBY h d -1", Reply::Int(-1)),
            ("HEXISTS h d", Reply::Int(1)),
            ("EXPIRE h 9", Reply::Int(1)),
            ("HDEL h a b d z", Reply::Int(3)),
            ("HLEN h", Reply::Int(1)),
            ("TTL h", Reply::Int(9)),
            ("TYPE h", Reply::Simple("hash".into())),
            ("GET h", Reply::Error(wrong.into())),
            ("INCR h", Reply::Error(wrong.into())),
            ("LLEN h", Reply::Error(wrong.into())),
            ("HDEL h c", Reply::Int(1)),
            ("EXISTS h", Reply::Int(0)),
            ("HGET h c", Reply::Null),
        ];
        for (command, wanted) in cases {
            let words: Vec<&str> = command.split(' ').collect();
            assert_eq!(redis.run(&words), *wanted, "{command}");
        }
    }
}
