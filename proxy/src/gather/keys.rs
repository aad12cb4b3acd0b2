//! KEYS over all shards.
//!
//! In: the request as it came. Out: the keys of all shards in one array, without those that do not belong to the shard
//! that has them and those that plugins keep beside others. The order is free, as Redis has it.

use super::everywhere::{ask_every_shard, refusal};
use super::{Answer, Around, Gather, MISFIT, Step, shown};
use crate::resp::args::Args;
use crate::resp::{value, write};

/// Asks every shard.
pub(super) fn begin(args: &Args<'_>, around: Around<'_>) -> Step {
    Step::Ask(Gather::Keys, ask_every_shard(args.raw(), around))
}

/// All keys that are shown.
pub(super) fn join(answers: &[Answer], around: Around<'_>) -> Vec<u8> {
    if let Some(error) = refusal(answers, around) {
        return error;
    }
    let mut keys: Vec<&[u8]> = Vec::new();
    let mut reply = Vec::new();
    for answer in answers {
        let Some(found) = value::items(&answer.reply) else {
            write::error(&mut reply, MISFIT);
            return reply;
        };
        keys.extend(found.filter(|key| shown(answer.shard, key, around)));
    }
    write::array_header(&mut reply, keys.len());
    keys.iter().for_each(|key| reply.extend_from_slice(key));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::test_support::{Pool, answers_of, key_on};

    #[test]
    fn keys_of_all_shards_are_listed_but_for_hidden_and_foreign_ones() {
        let pool = Pool::new(&["a", "b"]);
        let (on_a, on_b) = (key_on(&pool, 0), key_on(&pool, 1));
        let frame = |key: &str| format!("${}\r\n{key}\r\n", key.len());
        let beside = frame(&format!("{{{on_b}}}:sg:lease"));
        let from_a = format!("*2\r\n{}{}", frame(&on_a), frame(&on_b));
        let from_b = format!("*2\r\n{}{beside}", frame(&on_b));
        let replies = answers_of(&[(0, from_a.as_bytes()), (1, from_b.as_bytes())]);
        let expected = format!("*2\r\n{}{}", frame(&on_a), frame(&on_b));
        assert_eq!(String::from_utf8(join(&replies, pool.around())).unwrap(), expected);
    }

    #[test]
    fn an_error_of_one_shard_is_the_reply() {
        let pool = Pool::new(&["a", "b"]);
        let replies = answers_of(&[(0, b"*0\r\n"), (1, b"-NOPERM no\r\n")]);
        assert_eq!(join(&replies, pool.around()), b"-NOPERM shard 'b': no\r\n");
        let replies = answers_of(&[(0, b"*0\r\n"), (1, b":1\r\n")]);
        assert!(join(&replies, pool.around()).starts_with(b"-ERR a shard's reply"));
    }
}
