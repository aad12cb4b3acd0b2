//! Asking shards for their keys, and reading what they answer: what every join needs.
//!
//! In: the keys with their shards; whole replies. Out: requests; the elements of a reply as raw bytes, which a join
//! compares and copies as they are; the error that a reply of errors becomes.
//! Invariants: nothing is built of an element but its place; a reply of another shape reads as `None`.

use std::collections::HashMap;

use super::{Answer, Ask};
use crate::limits::JOINED_ELEMENTS_MAX;
use crate::resp::args::Args;
use crate::resp::{value, write};
use crate::topology::ShardIndex;

const WRONG_TYPE: &[u8] = b"WRONGTYPE";

/// The keys of a request: the number of the argument, and the shard that owns it.
pub(super) type Keys<'a> = (&'a [u32], &'a [ShardIndex]);

/// A request of these words.
pub(super) fn ask(shard: ShardIndex, words: &[&[u8]]) -> Ask {
    let mut request = Vec::new();
    write::request(&mut request, words.iter().copied());
    Ask { shard, request }
}

/// Each key with its shard, in the order of the request.
pub(super) fn each_key<'a>(
    args: &Args<'a>,
    (keys, shards): Keys<'_>,
) -> impl Iterator<Item = (ShardIndex, &'a [u8])> {
    keys.iter().zip(shards).map(|(at, shard)| (*shard, args.get(*at as usize).unwrap_or_default()))
}

/// The keys of each shard, in the order of the request; the first key's shard comes first.
pub(super) fn by_shard<'a>(args: &Args<'a>, keys: Keys<'_>) -> Vec<(ShardIndex, Vec<&'a [u8]>)> {
    let mut groups: Vec<(ShardIndex, Vec<&[u8]>)> = Vec::new();
    let mut places: HashMap<ShardIndex, usize> = HashMap::new();
    for (shard, key) in each_key(args, keys) {
        let place = *places.entry(shard).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, own)) => own.push(key),
            None => groups.push((shard, vec![key])),
        }
    }
    groups
}

/// The error that the answers make, whole: a server looks at the types of all keys before anything else.
pub(super) fn error_of(answers: &[Answer]) -> Option<&[u8]> {
    let errors =
        || answers.iter().filter_map(|answer| Some((answer, value::error_text(&answer.reply)?)));
    let wrong_type = errors().find(|(_, text)| text.starts_with(WRONG_TYPE));
    wrong_type.or_else(|| errors().next()).map(|(answer, _)| answer.reply.as_slice())
}

/// The error for answers that are too much to be joined.
pub(super) fn too_much(answers: &[Answer]) -> Option<String> {
    let announced =
        |answer: &Answer| value::head(&answer.reply).filter(|head| head.kind != b'$')?.number();
    let elements: i64 = answers.iter().filter_map(announced).fold(0, i64::saturating_add);
    (elements > JOINED_ELEMENTS_MAX).then(|| {
        format!(
            "CROSSSHARD the keys live on several shards and have more than {JOINED_ELEMENTS_MAX} elements, too many \
             to be joined by the gateway; give them one hash tag, as in {{x}}:a and {{x}}:b"
        )
    })
}

/// The elements of an array or a set, each as its raw bytes; none for no value.
pub(super) fn elements(reply: &[u8]) -> Option<Vec<&[u8]>> {
    let head = value::head(reply)?;
    let count = match (head.kind, head.number()) {
        (b'_', _) | (b'*', Some(-1)) => return Some(Vec::new()),
        (b'*' | b'~', Some(count)) => count,
        _ => return None,
    };
    let mut rest = reply.get(head.len..)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let (element, behind) = rest.split_at_checked(value::value_len(rest)?)?;
        found.push(element);
        rest = behind;
    }
    Some(found)
}

/// The bytes of a bulk string or the text of a double or a number.
pub(super) fn text(element: &[u8]) -> Option<&[u8]> {
    let head = value::head(element)?;
    match head.kind {
        b'$' => {
            let len = usize::try_from(head.number()?).ok()?;
            element.get(head.len..head.len.checked_add(len)?)
        }
        b',' | b':' => Some(head.line),
        _ => None,
    }
}

/// The raw member and the text of the score, of each pair of a reply WITHSCORES in either protocol.
pub(super) fn scored(reply: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let values = elements(reply)?;
    if values.first().is_some_and(|first| first.starts_with(b"*")) {
        let pair = |value: &&'_ [u8]| -> Option<(usize, usize)> {
            let head = value::head(value)?.len;
            Some((head, head + value::value_len(value.get(head..)?)?))
        };
        return values
            .iter()
            .map(|value| {
                let (start, end) = pair(value)?;
                Some((value.get(start..end)?, text(value.get(end..)?)?))
            })
            .collect();
    }
    let (pairs, rest) = values.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[member, score]| Some((*member, text(score)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_in_both_protocols() {
        let due: &[(&[u8], &[u8])] = &[(b"$1\r\na\r\n", b"1.5"), (b"$1\r\nb\r\n", b"inf")];
        for reply in [
            b"*4\r\n$1\r\na\r\n$3\r\n1.5\r\n$1\r\nb\r\n$3\r\ninf\r\n".as_slice(),
            b"*2\r\n*2\r\n$1\r\na\r\n,1.5\r\n*2\r\n$1\r\nb\r\n,inf\r\n",
        ] {
            assert_eq!(scored(reply).as_deref(), Some(due));
        }
        assert_eq!(scored(b"*0\r\n"), Some(Vec::new()));
        for misfit in [
            b"*1\r\n$1\r\na\r\n".as_slice(),
            b"+OK\r\n",
            b"*2\r\n$1\r\na\r\n*0\r\n",
            b"*1\r\n*0\r\n",
        ] {
            assert_eq!(scored(misfit), None, "{misfit:?}");
        }
    }

    #[test]
    fn a_wrong_type_goes_before_other_errors() {
        let answer = |reply: &[u8]| Answer { shard: 0, reply: reply.to_vec() };
        let (other, wrong) = (b"-ERR no\r\n".as_slice(), b"-WRONGTYPE no\r\n".as_slice());
        assert_eq!(error_of(&[answer(other), answer(b"*0\r\n"), answer(wrong)]), Some(wrong));
        assert_eq!(error_of(&[answer(b"*0\r\n"), answer(other)]), Some(other));
        assert_eq!(error_of(&[answer(b"*0\r\n")]), None);
    }
}
