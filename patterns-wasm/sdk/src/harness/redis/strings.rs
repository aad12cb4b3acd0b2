//! Commands about strings and the numbers in them.
//!
//! Comes in: the server and a request with its name in upper case. Goes out: its reply, or nothing when the command is not
//! one of these. A key of another type is Redis's WRONGTYPE, except for SET, which takes its place.

use super::{
    Data, FakeRedis, Ran, Value, arity, error, int, not_an_integer, number, word, wrong_type,
};
use crate::args::parse_int;
use crate::reply::Reply;

pub(super) fn run(redis: &mut FakeRedis, name: &[u8], words: &[Vec<u8>]) -> Option<Ran> {
    let key = word(words, 1);
    Some(match name {
        b"GET" => get(redis, key),
        b"SET" => set(redis, words),
        b"SETEX" | b"PSETEX" => {
            let option: &[u8] = if name == b"SETEX" { b"EX" } else { b"PX" };
            let set = [b"SET", word(words, 1), word(words, 3), option, word(words, 2)];
            self::set(redis, &set.map(<[u8]>::to_vec))
        }
        b"SETNX" => {
            let set = [b"SET", key, word(words, 2), b"NX"].map(<[u8]>::to_vec);
            self::set(redis, &set).map(|reply| Reply::Int(i64::from(!reply.is_null())))
        }
        b"GETSET" => {
            let set = [b"SET", key, word(words, 2), b"GET"].map(<[u8]>::to_vec);
            self::set(redis, &set)
        }
        b"GETEX" => getex(redis, words),
        b"GETDEL" => get(redis, key).inspect(|_| drop(redis.take(key))),
        b"STRLEN" => text(redis, key).map(|text| int(text.map_or(0, |text| text.len()))),
        b"APPEND" => append(redis, key, word(words, 2)),
        b"MGET" => {
            let values = words.iter().skip(1).map(|key| get(redis, key).unwrap_or(Reply::Null));
            Ok(Reply::Array(values.collect()))
        }
        b"MSET" => mset(redis, words),
        b"INCR" => add(redis, key, 1),
        b"DECR" => add(redis, key, -1),
        b"INCRBY" => number(words, 2).and_then(|by| add(redis, key, by)),
        b"DECRBY" => number(words, 2).and_then(|by| {
            let by = by.checked_neg().ok_or_else(|| error("ERR decrement would overflow"))?;
            add(redis, key, by)
        }),
        _ => return None,
    })
}

fn text<'a>(redis: &'a mut FakeRedis, key: &[u8]) -> Result<Option<&'a mut Vec<u8>>, Reply> {
    match redis.live(key).map(|value| &mut value.data) {
        None => Ok(None),
        Some(Data::Text(text)) => Ok(Some(text)),
        Some(_) => Err(wrong_type()),
    }
}

fn get(redis: &mut FakeRedis, key: &[u8]) -> Ran {
    Ok(text(redis, key)?.map_or(Reply::Null, |text| Reply::Bulk(text.clone())))
}

fn set(redis: &mut FakeRedis, words: &[Vec<u8>]) -> Ran {
    let [_, key, bytes, options @ ..] = words else {
        return Err(arity("set"));
    };
    let has = |name: &[u8]| options.iter().any(|word| word.eq_ignore_ascii_case(name));
    let old_end = redis.live(key).map(|value| value.expires_ms);
    let old = if has(b"GET") { get(redis, key)? } else { Reply::Null };
    let expires_ms = match expiry_option(redis, options)? {
        Some(at) => at,
        None if has(b"KEEPTTL") => old_end.unwrap_or(0),
        None => 0,
    };
    let stored = match (has(b"NX"), has(b"XX")) {
        (true, true) => return Err(error("ERR syntax error")),
        (true, false) => old_end.is_none(),
        (false, true) => old_end.is_some(),
        (false, false) => true,
    };
    if stored {
        let value = Value { data: Data::Text(bytes.clone()), expires_ms };
        redis.values.insert(key.clone(), value);
    }
    Ok(match (has(b"GET"), stored) {
        (true, _) => old,
        (false, true) => Reply::ok(),
        (false, false) => Reply::Null,
    })
}

fn getex(redis: &mut FakeRedis, words: &[Vec<u8>]) -> Ran {
    let [_, key, options @ ..] = words else {
        return Err(arity("getex"));
    };
    let expiry = expiry_option(redis, options)?;
    let persist = options.iter().any(|word| word.eq_ignore_ascii_case(b"PERSIST"));
    let reply = get(redis, key)?;
    if let Some(value) = redis.live(key) {
        match expiry {
            Some(at) => value.expires_ms = at,
            None if persist => value.expires_ms = 0,
            None => {}
        }
    }
    Ok(reply)
}

/// The wall time of EX, PX, EXAT or PXAT among `options`.
fn expiry_option(redis: &FakeRedis, options: &[Vec<u8>]) -> Result<Option<u64>, Reply> {
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
            return Err(error("ERR invalid expire time in 'set' command"));
        };
        let ms = u64::try_from(ms).unwrap_or(0);
        return Ok(Some(if relative { redis.now_ms + ms } else { ms }));
    }
    Ok(None)
}

fn add(redis: &mut FakeRedis, key: &[u8], by: i64) -> Ran {
    let known = text(redis, key)?.map_or(Some(0), |text| parse_int(text));
    let sum = known
        .ok_or_else(not_an_integer)?
        .checked_add(by)
        .ok_or_else(|| error("ERR increment or decrement would overflow"))?;
    redis.put(key, Data::Text(sum.to_string().into_bytes()));
    Ok(Reply::Int(sum))
}

fn append(redis: &mut FakeRedis, key: &[u8], bytes: &[u8]) -> Ran {
    let mut whole = text(redis, key)?.cloned().unwrap_or_default();
    whole.extend_from_slice(bytes);
    let len = whole.len();
    redis.put(key, Data::Text(whole));
    Ok(int(len))
}

fn mset(redis: &mut FakeRedis, words: &[Vec<u8>]) -> Ran {
    let pairs = words.get(1..).unwrap_or_default();
    if pairs.is_empty() || pairs.len() % 2 != 0 {
        return Err(arity("mset"));
    }
    for pair in pairs.chunks_exact(2) {
        if let [key, bytes] = pair {
            let value = Value { data: Data::Text(bytes.clone()), expires_ms: 0 };
            redis.values.insert(key.clone(), value);
        }
    }
    Ok(Reply::ok())
}
