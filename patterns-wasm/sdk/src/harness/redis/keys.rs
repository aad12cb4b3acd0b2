//! Commands about keys of any type: whether one is there, what it is, when it ends.
//!
//! Comes in: the server and a request with its name in upper case. Goes out: its reply, or nothing when the command is not
//! one of these. A TTL of zero or less deletes, as Redis has it.

use super::{Data, FakeRedis, Ran, int, number, word};
use crate::reply::Reply;

pub(super) fn run(redis: &mut FakeRedis, name: &[u8], words: &[Vec<u8>]) -> Option<Ran> {
    let key = word(words, 1);
    Some(match name {
        b"DEL" | b"UNLINK" => {
            Ok(int(words.iter().skip(1).filter(|key| redis.take(key).is_some()).count()))
        }
        b"EXISTS" => Ok(int(words.iter().skip(1).filter(|key| redis.live(key).is_some()).count())),
        b"TYPE" => {
            let name = match redis.live(key).map(|value| &value.data) {
                None => "none",
                Some(Data::Text(_)) => "string",
                Some(Data::List(_)) => "list",
                Some(Data::Hash(_)) => "hash",
                Some(Data::Sorted(_)) => "zset",
            };
            Ok(Reply::Simple(name.into()))
        }
        b"PTTL" | b"TTL" | b"PEXPIRETIME" | b"EXPIRETIME" => Ok(ttl(redis, name, key)),
        b"PEXPIRE" | b"EXPIRE" | b"PEXPIREAT" | b"EXPIREAT" => expire(redis, name, words),
        b"PERSIST" => match redis.live(key) {
            Some(value) if value.expires_ms != 0 => {
                value.expires_ms = 0;
                Ok(Reply::Int(1))
            }
            _ => Ok(Reply::Int(0)),
        },
        _ => return None,
    })
}

fn ttl(redis: &mut FakeRedis, name: &[u8], key: &[u8]) -> Reply {
    let now_ms = redis.now_ms;
    let Some(value) = redis.live(key) else {
        return Reply::Int(-2);
    };
    if value.expires_ms == 0 {
        return Reply::Int(-1);
    }
    let ms =
        if name.ends_with(b"EXPIRETIME") { value.expires_ms } else { value.expires_ms - now_ms };
    let in_ms = name.starts_with(b"P");
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Reply::Int(if in_ms { ms } else { (ms + 500) / 1000 })
}

fn expire(redis: &mut FakeRedis, name: &[u8], words: &[Vec<u8>]) -> Ran {
    let now_ms = i64::try_from(redis.now_ms).unwrap_or(0);
    let (key, number) = (word(words, 1), number(words, 2)?);
    let ms = if name.starts_with(b"P") { number } else { number * 1000 };
    let at = if name.ends_with(b"AT") { ms } else { now_ms + ms };
    let options = words.get(3..).unwrap_or_default();
    let has = |name: &[u8]| options.iter().any(|word| word.eq_ignore_ascii_case(name));
    let (nx, xx, gt, lt) = (has(b"NX"), has(b"XX"), has(b"GT"), has(b"LT"));
    let Some(value) = redis.live(key) else {
        return Ok(Reply::Int(0));
    };
    let old = match value.expires_ms {
        0 => i64::MAX,
        at => i64::try_from(at).unwrap_or(i64::MAX),
    };
    let has_ttl = value.expires_ms != 0;
    if (nx && has_ttl) || (xx && !has_ttl) || (gt && at <= old) || (lt && at >= old) {
        return Ok(Reply::Int(0));
    }
    if at <= now_ms {
        redis.take(key);
    } else {
        value.expires_ms = u64::try_from(at).unwrap_or(0);
    }
    Ok(Reply::Int(1))
}
