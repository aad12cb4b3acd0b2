//! Commands about sorted sets, by score and then by member's bytes.
//!
//! Comes in: the server and a request with its name in upper case. Goes out: its reply, or nothing when the command is not
//! one of these. A set without members is no key. Only what patterns use: ZADD without GT, LT, CH and INCR, ranges by place.

use std::collections::BTreeMap;

use super::lists::places;
use super::{Data, FakeRedis, Ran, arity, error, int, number, word, wrong_type};
use crate::reply::Reply;

type Sorted = BTreeMap<Vec<u8>, f64>;

pub(super) fn run(redis: &mut FakeRedis, name: &[u8], words: &[Vec<u8>]) -> Option<Ran> {
    let command: fn(&mut Sorted, &[Vec<u8>]) -> Ran = match name {
        b"ZADD" => add,
        b"ZREM" => |sorted, words| {
            Ok(int(words.iter().skip(2).filter(|member| sorted.remove(*member).is_some()).count()))
        },
        b"ZCARD" => |sorted, _| Ok(int(sorted.len())),
        b"ZSCORE" => |sorted, words| {
            let score = sorted.get(word(words, 2));
            Ok(score.map_or(Reply::Null, |score| Reply::bulk(score.to_string())))
        },
        b"ZRANGE" => range,
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
    let mut sorted = match redis.live(key).map(|value| &value.data) {
        None => Sorted::new(),
        Some(Data::Sorted(sorted)) => sorted.clone(),
        Some(_) => return Err(wrong_type()),
    };
    let reply = command(&mut sorted, words)?;
    if sorted.is_empty() {
        redis.take(key);
    } else {
        redis.put(key, Data::Sorted(sorted));
    }
    Ok(reply)
}

fn add(sorted: &mut Sorted, words: &[Vec<u8>]) -> Ran {
    let only_new = word(words, 2).eq_ignore_ascii_case(b"NX");
    let pairs = words.get(if only_new { 3 } else { 2 }..).unwrap_or_default();
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(arity("zadd"));
    }
    let mut added = 0;
    for pair in pairs.chunks_exact(2) {
        let text = std::str::from_utf8(word(pair, 0)).ok();
        let score = text.and_then(|text| text.parse::<f64>().ok()).filter(|score| !score.is_nan());
        let score = score.ok_or_else(|| error("ERR value is not a valid float"))?;
        let is_new = !sorted.contains_key(word(pair, 1));
        if is_new || !only_new {
            sorted.insert(word(pair, 1).to_vec(), score);
        }
        added += usize::from(is_new);
    }
    Ok(int(added))
}

fn range(sorted: &mut Sorted, words: &[Vec<u8>]) -> Ran {
    let mut members: Vec<(&Vec<u8>, &f64)> = sorted.iter().collect();
    members.sort_by(|(a, one), (b, two)| one.total_cmp(two).then(a.cmp(b)));
    let places = places(members.len(), number(words, 2)?, number(words, 3)?);
    let shown = members.get(places).unwrap_or_default();
    Ok(Reply::Array(shown.iter().map(|(member, _)| Reply::bulk(member.as_slice())).collect()))
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
            ("ZRANGE z 1 2", items("a aa")),
            ("ZSCORE z a", Reply::bulk("1")),
            ("ZSCORE z x", Reply::Null),
            ("ZADD z nan a", Reply::Error("ERR value is not a valid float".into())),
            ("ZADD z 1", Reply::Error("ERR wrong number of arguments for 'zadd' command".into())),
            ("ZREM z a x c", Reply::Int(2)),
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
