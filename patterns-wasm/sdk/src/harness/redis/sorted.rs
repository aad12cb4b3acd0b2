//! Commands about sorted sets, by score and then by member's bytes.
//!
//! Comes in: the server and a request with its name in upper case. Goes out: its reply, or nothing when the command is not
//! one of these. A set without members is no key. Ranges by place and by score, not by member; scores are shown with as
//! many digits as they need, where a server shows 17.

use std::collections::BTreeMap;

use super::lists::places;
use super::{Data, FakeRedis, Ran, arity, error, int, number, word, wrong_type};
use crate::reply::Reply;

type Sorted = BTreeMap<Vec<u8>, f64>;

pub(super) fn run(redis: &mut FakeRedis, name: &[u8], words: &[Vec<u8>]) -> Option<Ran> {
    let command: fn(&mut Sorted, &[Vec<u8>]) -> Ran = match name {
        b"ZADD" => add,
        b"ZINCRBY" => increment,
        b"ZREM" => |sorted, words| {
            Ok(int(words.iter().skip(2).filter(|member| sorted.remove(*member).is_some()).count()))
        },
        b"ZREMRANGEBYSCORE" => remove_scores,
        b"ZCARD" => |sorted, _| Ok(int(sorted.len())),
        b"ZCOUNT" => |sorted, words| {
            let bounds = Bounds::read(word(words, 2), word(words, 3))?;
            Ok(int(sorted.values().filter(|score| bounds.hold(**score)).count()))
        },
        b"ZSCORE" => |sorted, words| Ok(score_of(sorted, word(words, 2))),
        b"ZMSCORE" => |sorted, words| {
            let scores = words.iter().skip(2).map(|member| score_of(sorted, member));
            Ok(Reply::Array(scores.collect()))
        },
        b"ZRANK" | b"ZREVRANK" => |sorted, words| {
            let backward = word(words, 0).eq_ignore_ascii_case(b"ZREVRANK");
            let member = word(words, 2);
            let place = ordered(sorted, backward).iter().position(|(known, _)| known == member);
            Ok(place.map_or(Reply::Null, int))
        },
        b"ZRANGE" | b"ZREVRANGE" | b"ZRANGEBYSCORE" | b"ZREVRANGEBYSCORE" => range,
        b"ZUNIONSTORE" => return Some(union(redis, words)),
        _ => return None,
    };
    Some(on_sorted(redis, words, command))
}

fn on_sorted(
    redis: &mut FakeRedis,
    words: &[Vec<u8>],
    command: fn(&mut Sorted, &[Vec<u8>]) -> Ran,
) -> Ran {
    let key = word(words, 1);
    let mut sorted = stored(redis, key)?;
    let reply = command(&mut sorted, words)?;
    if sorted.is_empty() {
        redis.take(key);
    } else {
        redis.put(key, Data::Sorted(sorted));
    }
    Ok(reply)
}

fn stored(redis: &mut FakeRedis, key: &[u8]) -> Result<Sorted, Reply> {
    match redis.live(key).map(|value| &value.data) {
        None => Ok(Sorted::new()),
        Some(Data::Sorted(sorted)) => Ok(sorted.clone()),
        Some(_) => Err(wrong_type()),
    }
}

/// As Redis orders them; `backward` from the highest.
fn ordered(sorted: &Sorted, backward: bool) -> Vec<(Vec<u8>, f64)> {
    let mut rows: Vec<(Vec<u8>, f64)> = sorted.iter().map(|(a, b)| (a.clone(), *b)).collect();
    rows.sort_by(|(a, one), (b, two)| one.total_cmp(two).then(a.cmp(b)));
    if backward {
        rows.reverse();
    }
    rows
}

fn shown(score: f64) -> Reply {
    Reply::bulk(score.to_string())
}

fn score_of(sorted: &Sorted, member: &[u8]) -> Reply {
    sorted.get(member).map_or(Reply::Null, |score| shown(*score))
}

fn float(text: &[u8]) -> Option<f64> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    number.filter(|number| !number.is_nan())
}

fn score(text: &[u8]) -> Result<f64, Reply> {
    float(text).ok_or_else(|| error("ERR value is not a valid float"))
}

#[derive(Default)]
struct Flags {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
    ch: bool,
    incr: bool,
}

impl Flags {
    fn read(words: &[Vec<u8>]) -> (Self, usize) {
        let mut flags = Self::default();
        let mut at = 2;
        while let Some(word) = words.get(at) {
            match word.to_ascii_uppercase().as_slice() {
                b"NX" => flags.nx = true,
                b"XX" => flags.xx = true,
                b"GT" => flags.gt = true,
                b"LT" => flags.lt = true,
                b"CH" => flags.ch = true,
                b"INCR" => flags.incr = true,
                _ => break,
            }
            at += 1;
        }
        (flags, at)
    }

    /// Whether `old` may become `new`.
    fn allow(&self, old: Option<f64>, new: f64) -> bool {
        match old {
            None => !self.xx,
            Some(old) => !(self.nx || (self.gt && new <= old) || (self.lt && new >= old)),
        }
    }
}

fn add(sorted: &mut Sorted, words: &[Vec<u8>]) -> Ran {
    let (flags, from) = Flags::read(words);
    let pairs = words.get(from..).unwrap_or_default();
    if words.len() < 4 {
        return Err(arity("zadd"));
    }
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(error("ERR syntax error"));
    }
    if flags.nx && flags.xx {
        return Err(error("ERR XX and NX options at the same time are not compatible"));
    }
    if (flags.nx && (flags.gt || flags.lt)) || (flags.gt && flags.lt) {
        let text = "ERR GT, LT, and/or NX options at the same time are not compatible";
        return Err(error(text));
    }
    if flags.incr && pairs.len() > 2 {
        return Err(error("ERR INCR option supports a single increment-element pair"));
    }
    let pairs: Vec<(f64, &[u8])> = pairs
        .chunks_exact(2)
        .map(|pair| Ok((score(word(pair, 0))?, word(pair, 1))))
        .collect::<Result<_, Reply>>()?;
    let (mut added, mut changed, mut last) = (0, 0, Reply::Null);
    for (number, member) in pairs {
        let old = sorted.get(member).copied();
        let new = if flags.incr { old.unwrap_or(0.0) + number } else { number };
        if new.is_nan() {
            return Err(error("ERR resulting score is not a number (NaN)"));
        }
        if !flags.allow(old, new) {
            continue;
        }
        sorted.insert(member.to_vec(), new);
        added += usize::from(old.is_none());
        changed += usize::from(old != Some(new));
        last = shown(new);
    }
    Ok(if flags.incr { last } else { int(if flags.ch { changed } else { added }) })
}

fn increment(sorted: &mut Sorted, words: &[Vec<u8>]) -> Ran {
    let [_, key, by, member] = words else {
        return Err(arity("zincrby"));
    };
    let words = [b"ZADD".to_vec(), key.clone(), b"INCR".to_vec(), by.clone(), member.clone()];
    add(sorted, &words)
}

/// From one score to another, either of which may be left out by `(`.
struct Bounds {
    low: (f64, bool),
    high: (f64, bool),
}

impl Bounds {
    fn read(low: &[u8], high: &[u8]) -> Result<Self, Reply> {
        let bound = |text: &[u8]| {
            let (text, open) = text.strip_prefix(b"(").map_or((text, false), |text| (text, true));
            float(text).map(|score| (score, open))
        };
        match (bound(low), bound(high)) {
            (Some(low), Some(high)) => Ok(Self { low, high }),
            _ => Err(error("ERR min or max is not a float")),
        }
    }

    fn hold(&self, score: f64) -> bool {
        let above = score > self.low.0 || (score >= self.low.0 && !self.low.1);
        above && (score < self.high.0 || (score <= self.high.0 && !self.high.1))
    }
}

fn remove_scores(sorted: &mut Sorted, words: &[Vec<u8>]) -> Ran {
    let bounds = Bounds::read(word(words, 2), word(words, 3))?;
    let before = sorted.len();
    sorted.retain(|_, score| !bounds.hold(*score));
    Ok(int(before - sorted.len()))
}

fn range(sorted: &mut Sorted, words: &[Vec<u8>]) -> Ran {
    let name = word(words, 0).to_ascii_uppercase();
    let (mut by_score, mut backward) = (name.ends_with(b"BYSCORE"), name.starts_with(b"ZREV"));
    let (mut with_scores, mut limit) = (false, None);
    let mut at = 4;
    while let Some(option) = words.get(at) {
        match option.to_ascii_uppercase().as_slice() {
            b"WITHSCORES" => with_scores = true,
            b"BYSCORE" if name == b"ZRANGE" => by_score = true,
            b"REV" if name == b"ZRANGE" => backward = true,
            b"LIMIT" if words.len() > at + 2 => {
                limit = Some((number(words, at + 1)?, number(words, at + 2)?));
                at += 2;
            }
            _ => return Err(error("ERR syntax error")),
        }
        at += 1;
    }
    if limit.is_some() && !by_score {
        let text =
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
        return Err(error(text));
    }
    let mut rows = ordered(sorted, backward);
    if by_score {
        let (from, to) = (word(words, 2), word(words, 3));
        let bounds = if backward { Bounds::read(to, from)? } else { Bounds::read(from, to)? };
        rows.retain(|(_, score)| bounds.hold(*score));
        let (skip, count) = limit.unwrap_or((0, -1));
        rows = match usize::try_from(skip) {
            Ok(skip) => rows.split_off(skip.min(rows.len())),
            Err(_) => Vec::new(),
        };
        rows.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    } else {
        let places = places(rows.len(), number(words, 2)?, number(words, 3)?);
        rows = rows.get(places).unwrap_or_default().to_vec();
    }
    let row = |(member, score): (Vec<u8>, f64)| {
        let score = with_scores.then(|| shown(score));
        std::iter::once(Reply::Bulk(member)).chain(score)
    };
    Ok(Reply::Array(rows.into_iter().flat_map(row).collect()))
}

/// `ZUNIONSTORE to count key... [AGGREGATE SUM | MIN | MAX]`
fn union(redis: &mut FakeRedis, words: &[Vec<u8>]) -> Ran {
    let count = usize::try_from(number(words, 2)?).unwrap_or(0);
    let rest = words.get(3 + count..).unwrap_or_default();
    let together: fn(f64, f64) -> f64 = match word(rest, 1).to_ascii_uppercase().as_slice() {
        b"MIN" => f64::min,
        b"MAX" => f64::max,
        _ => |a, b| a + b,
    };
    let mut sum = Sorted::new();
    for key in words.iter().skip(3).take(count) {
        for (member, score) in stored(redis, key)? {
            sum.entry(member).and_modify(|known| *known = together(*known, score)).or_insert(score);
        }
    }
    redis.take(word(words, 1));
    let size = sum.len();
    if size > 0 {
        redis.put(word(words, 1), Data::Sorted(sum));
    }
    Ok(int(size))
}

#[cfg(test)]
mod tests {
    use super::FakeRedis;
    use crate::reply::Reply;

    #[test]
    fn sorted_sets_answer_as_redis_does() {
        let items = |words: &str| Reply::Array(words.split(' ').map(Reply::bulk).collect());
        let mut redis = FakeRedis::at(1_000);
        let cases: &[(&str, Reply)] = &[
            ("ZADD z 2 b 1 a 2 aa", Reply::Int(3)),
            ("ZADD z NX 9 a 3 c", Reply::Int(1)),
            ("ZADD z 0 b", Reply::Int(0)),
            ("ZRANGE z 0 -1", items("b a aa c")),
            ("ZRANGE z 1 2 REV WITHSCORES", items("aa 2 a 1")),
            ("ZREVRANGE z 0 0", items("c")),
            ("ZRANGEBYSCORE z (0 +inf LIMIT 1 1", items("aa")),
            ("ZREVRANGEBYSCORE z 2 1 WITHSCORES", items("aa 2 a 1")),
            ("ZCOUNT z (0 2", Reply::Int(2)),
            ("ZCOUNT z x 2", Reply::Error("ERR min or max is not a float".into())),
            ("ZREVRANK z aa", Reply::Int(1)),
            ("ZRANK z none", Reply::Null),
            ("ZSCORE z a", Reply::bulk("1")),
            ("ZMSCORE z a x", Reply::Array(vec![Reply::bulk("1"), Reply::Null])),
            ("ZADD z XX GT CH 5 a 1 c 9 new", Reply::Int(1)),
            ("ZADD z LT INCR 1 a", Reply::Null),
            ("ZINCRBY z 1.5 a", Reply::bulk("6.5")),
            ("ZADD z nan a", Reply::Error("ERR value is not a valid float".into())),
            ("ZADD z 1", Reply::Error("ERR wrong number of arguments for 'zadd' command".into())),
            ("ZADD z 1 a 2", Reply::Error("ERR syntax error".into())),
            ("ZREMRANGEBYSCORE z 6 7", Reply::Int(1)),
            ("ZUNIONSTORE y 2 z z", Reply::Int(3)),
            ("ZSCORE y aa", Reply::bulk("4")),
            ("ZREM z a x c", Reply::Int(1)),
            ("ZCARD z", Reply::Int(2)),
            ("TYPE z", Reply::Simple("zset".into())),
            ("ZREM z b aa", Reply::Int(2)),
            ("EXISTS z", Reply::Int(0)),
        ];
        for (command, wanted) in cases {
            let words: Vec<&str> = command.split(' ').collect();
            assert_eq!(redis.run(&words), *wanted, "{command}");
        }
    }
}
