//! Commands about lists, with places and counts as Redis has them: from 0 at the head, from -1 at the tail.
//!
//! Comes in: the server and a request with its name in upper case. Goes out: its reply, or nothing when the command is not
//! one of these. A list without elements is no key.

use std::collections::VecDeque;

use super::{Data, FakeRedis, Ran, arity, error, int, not_an_integer, number, word, wrong_type};
use crate::args::parse_int;
use crate::reply::Reply;

type List = VecDeque<Vec<u8>>;

pub(super) fn run(redis: &mut FakeRedis, name: &[u8], words: &[Vec<u8>]) -> Option<Ran> {
    let command: fn(&mut List, &[Vec<u8>]) -> Ran = match name {
        b"LPUSH" | b"RPUSH" | b"LPUSHX" | b"RPUSHX" => push,
        b"LLEN" => |list, _| Ok(int(list.len())),
        b"LRANGE" => range,
        b"LTRIM" => trim,
        b"LINDEX" => |list, words| {
            let place = place(list.len(), number(words, 2)?);
            let found = place.and_then(|place| list.get(place));
            Ok(found.map_or(Reply::Null, |item| Reply::Bulk(item.clone())))
        },
        b"LPOP" | b"RPOP" => pop,
        b"LREM" => remove,
        b"LSET" => replace,
        b"LINSERT" => insert,
        b"LPOS" => find,
        _ => return None,
    };
    Some(on_list(redis, words, command))
}

fn on_list(
    redis: &mut FakeRedis,
    words: &[Vec<u8>],
    command: fn(&mut List, &[Vec<u8>]) -> Ran,
) -> Ran {
    let key = word(words, 1);
    let mut list = match redis.live(key).map(|value| &value.data) {
        None => List::new(),
        Some(Data::List(list)) => list.clone(),
        Some(_) => return Err(wrong_type()),
    };
    let reply = command(&mut list, words)?;
    if list.is_empty() {
        redis.take(key);
    } else {
        redis.put(key, Data::List(list));
    }
    Ok(reply)
}

/// The place that a number names, if there is one.
fn place(len: usize, number: i64) -> Option<usize> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let place = if number < 0 { len + number } else { number };
    (0..len).contains(&place).then(|| usize::try_from(place).unwrap_or(0))
}

/// The places from `first` to `last`.
pub(super) fn places(len: usize, first: i64, last: i64) -> std::ops::Range<usize> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let from_head = |number: i64| if number < 0 { len.saturating_add(number) } else { number };
    let (first, end) = (from_head(first).max(0), from_head(last).saturating_add(1).min(len));
    let narrow = |number: i64| usize::try_from(number).unwrap_or(0);
    if first < end { narrow(first)..narrow(end) } else { 0..0 }
}

fn bulks<'a>(items: impl Iterator<Item = &'a Vec<u8>>) -> Reply {
    Reply::Array(items.map(|item| Reply::Bulk(item.clone())).collect())
}

fn push(list: &mut List, words: &[Vec<u8>]) -> Ran {
    let name = word(words, 0).to_ascii_uppercase();
    if words.len() < 3 {
        return Err(arity(&String::from_utf8_lossy(&name).to_ascii_lowercase()));
    }
    if name.ends_with(b"X") && list.is_empty() {
        return Ok(Reply::Int(0));
    }
    for item in words.iter().skip(2) {
        match name.first() {
            Some(b'L') => list.push_front(item.clone()),
            _ => list.push_back(item.clone()),
        }
    }
    Ok(int(list.len()))
}

fn range(list: &mut List, words: &[Vec<u8>]) -> Ran {
    let places = places(list.len(), number(words, 2)?, number(words, 3)?);
    Ok(bulks(list.range(places)))
}

fn trim(list: &mut List, words: &[Vec<u8>]) -> Ran {
    let places = places(list.len(), number(words, 2)?, number(words, 3)?);
    *list = list.range(places).cloned().collect();
    Ok(Reply::ok())
}

fn pop(list: &mut List, words: &[Vec<u8>]) -> Ran {
    let from_head = word(words, 0).eq_ignore_ascii_case(b"LPOP");
    let mut take = || if from_head { list.pop_front() } else { list.pop_back() };
    if words.len() == 2 {
        return Ok(take().map_or(Reply::Null, Reply::Bulk));
    }
    let count = parse_int(word(words, 2)).and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or_else(|| error("ERR value is out of range, must be positive"))?;
    let first = take();
    let Some(first) = first else { return Ok(Reply::NullArray) };
    if count == 0 {
        if from_head {
            list.push_front(first)
        } else {
            list.push_back(first)
        }
        return Ok(Reply::Array(Vec::new()));
    }
    let rest = std::iter::from_fn(take).take(count - 1);
    let items: Vec<Vec<u8>> = std::iter::once(first.clone()).chain(rest).collect();
    Ok(bulks(items.iter()))
}

fn remove(list: &mut List, words: &[Vec<u8>]) -> Ran {
    let (count, item) = (number(words, 2)?, word(words, 3));
    let most = if count == 0 {
        usize::MAX
    } else {
        usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX)
    };
    let mut places: Vec<usize> =
        list.iter().enumerate().filter(|(_, other)| *other == item).map(|(at, _)| at).collect();
    if count < 0 {
        places.reverse();
    }
    places.truncate(most);
    places.sort_unstable();
    for place in places.iter().rev() {
        list.remove(*place);
    }
    Ok(int(places.len()))
}

fn replace(list: &mut List, words: &[Vec<u8>]) -> Ran {
    let number = number(words, 2)?;
    if list.is_empty() {
        return Err(error("ERR no such key"));
    }
    let slot = place(list.len(), number).and_then(|place| list.get_mut(place));
    *slot.ok_or_else(|| error("ERR index out of range"))? = word(words, 3).to_vec();
    Ok(Reply::ok())
}

fn insert(list: &mut List, words: &[Vec<u8>]) -> Ran {
    let behind = match word(words, 2).to_ascii_uppercase().as_slice() {
        b"BEFORE" => 0,
        b"AFTER" => 1,
        _ => return Err(error("ERR syntax error")),
    };
    if list.is_empty() {
        return Ok(Reply::Int(0));
    }
    match list.iter().position(|item| item == word(words, 3)) {
        None => Ok(Reply::Int(-1)),
        Some(pivot) => {
            list.insert(pivot + behind, word(words, 4).to_vec());
            Ok(int(list.len()))
        }
    }
}

fn find(list: &mut List, words: &[Vec<u8>]) -> Ran {
    let (mut rank, mut count, mut most) = (1, None, 0);
    for option in words.get(3..).unwrap_or_default().chunks(2) {
        let (name, number) = (word(option, 0), number(option, 1)?);
        match name.to_ascii_uppercase().as_slice() {
            b"RANK" => rank = number,
            b"COUNT" => count = Some(usize::try_from(number).map_err(|_| not_an_integer())?),
            b"MAXLEN" => most = usize::try_from(number).map_err(|_| not_an_integer())?,
            _ => return Err(error("ERR syntax error")),
        }
    }
    let most = if most == 0 { usize::MAX } else { most };
    let mut places: Vec<usize> = (0..list.len()).collect();
    if rank < 0 {
        places.reverse();
    }
    let skipped = usize::try_from(rank.unsigned_abs().saturating_sub(1)).unwrap_or(usize::MAX);
    let found = places
        .into_iter()
        .take(most)
        .filter(|place| list.get(*place).is_some_and(|item| item == word(words, 2)))
        .skip(skipped);
    Ok(match count {
        None => found.into_iter().next().map_or(Reply::Null, int),
        Some(0) => Reply::Array(found.map(int).collect()),
        Some(count) => Reply::Array(found.take(count).map(int).collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::FakeRedis;
    use crate::reply::Reply;

    fn items(words: &str) -> Reply {
        Reply::Array(words.split_whitespace().map(Reply::bulk).collect())
    }

    #[test]
    fn lists_answer_as_redis_does() {
        let places =
            |places: &[i64]| Reply::Array(places.iter().copied().map(Reply::Int).collect());
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        let mut redis = FakeRedis::at(1_000);
        let cases: &[(&str, Reply)] = &[
            ("LPUSHX l a", Reply::Int(0)),
            ("LPUSH l b a", Reply::Int(2)),
            ("RPUSH l c b", Reply::Int(4)),
            ("LRANGE l 0 -1", items("a b c b")),
            ("LRANGE l -3 2", items("b c")),
            ("LRANGE l 2 1", items("")),
            ("LRANGE l -100 100", items("a b c b")),
            ("LINDEX l -1", Reply::bulk("b")),
            ("LINDEX l 4", Reply::Null),
            ("LPOS l b", Reply::Int(1)),
            ("LPOS l b RANK -1", Reply::Int(3)),
            ("LPOS l b COUNT 0", places(&[1, 3])),
            ("LPOS l b COUNT 0 MAXLEN 3", places(&[1])),
            ("LPOS l b RANK 2 COUNT 1", places(&[3])),
            ("LPOS l x COUNT 1", places(&[])),
            ("LREM l -1 b", Reply::Int(1)),
            ("LINSERT l BEFORE c x", Reply::Int(4)),
            ("LINSERT l AFTER y x", Reply::Int(-1)),
            ("LSET l 0 z", Reply::ok()),
            ("LSET l 9 z", Reply::Error("ERR index out of range".into())),
            ("LRANGE l 0 -1", items("z b x c")),
            ("EXPIRE l 9", Reply::Int(1)),
            ("LTRIM l 1 -1", Reply::ok()),
            ("TTL l", Reply::Int(9)),
            ("LPOP l 0", items("")),
            ("LPOP l", Reply::bulk("b")),
            ("RPOP l 5", items("c x")),
            ("RPOP l", Reply::Null),
            ("LPOP l 1", Reply::NullArray),
            ("EXISTS l", Reply::Int(0)),
            ("RPUSH l 1", Reply::Int(1)),
            ("TYPE l", Reply::Simple("list".into())),
            ("GET l", Reply::Error(wrong.into())),
            ("SET l s", Reply::ok()),
            ("LLEN l", Reply::Error(wrong.into())),
            ("LLEN none", Reply::Int(0)),
        ];
        for (command, wanted) in cases {
            let words: Vec<&str> = command.split(' ').collect();
            assert_eq!(redis.run(&words), *wanted, "{command}");
        }
    }
}
