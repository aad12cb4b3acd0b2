//! The same request to every shard, and one reply of their replies.
//!
//! In: the request as it came and what its rule says of the replies. Out: one request per shard, and the one reply.
//! Invariants: every shard is asked once. When all say the same, that is the reply, errors included. Otherwise an error
//! names its shard; of what changes shards it says which have done it, which have not, and of which it is not known.

use super::{Answer, Around, Ask, Gather, MISFIT, Step, every_shard};
use crate::command::resolve::resolve;
use crate::resp::args::Args;
use crate::resp::{value, write};

/// How the gateway's own errors end where a command may have run.
const UNKNOWN: &[u8] = b"outcome unknown";

/// How the shards' replies become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Everywhere {
    /// The sum of the numbers.
    Sum,
    /// The smallest of the numbers.
    Least,
    /// Any shard's reply, once all have done what the command of this name does.
    Done { name: String },
}

/// Sends the request as it is to every shard.
pub(super) fn begin(rule: Everywhere, args: &Args<'_>, around: Around<'_>) -> Step {
    Step::Ask(Gather::Everywhere(rule), ask_every_shard(args.raw(), around))
}

/// Sends the request, which changes shards, to every shard.
pub(super) fn begin_done(args: &Args<'_>, around: Around<'_>) -> Step {
    let name = resolve(args).map_or("", |spec| spec.name.as_str());
    begin(Everywhere::Done { name: name.to_uppercase().replace('|', " ") }, args, around)
}

/// FLUSHDB, FLUSHALL: a wrong option is refused before any shard is emptied.
pub(super) fn begin_flush(args: &Args<'_>, around: Around<'_>) -> Step {
    let is_known = |option: &[u8]| {
        option.eq_ignore_ascii_case(b"SYNC") || option.eq_ignore_ascii_case(b"ASYNC")
    };
    if args.len() > 2 || !args.from(1).all(is_known) {
        return Step::error("ERR syntax error");
    }
    begin_done(args, around)
}

/// One request, as bytes, for each shard.
pub(super) fn ask_every_shard(request: &[u8], around: Around<'_>) -> Vec<Ask> {
    every_shard(around.topology).map(|shard| Ask { shard, request: request.to_vec() }).collect()
}

impl Everywhere {
    /// The one reply.
    pub(super) fn join(self, answers: &[Answer], around: Around<'_>) -> Vec<u8> {
        match self {
            Everywhere::Sum => number(answers, around, i64::saturating_add),
            Everywhere::Least => number(answers, around, i64::min),
            Everywhere::Done { name } => done(&name, answers, around),
        }
    }
}

/// One number of all numbers.
fn number(answers: &[Answer], around: Around<'_>, join: fn(i64, i64) -> i64) -> Vec<u8> {
    if let Some(error) = refusal(answers, around) {
        return error;
    }
    let numbers: Option<Vec<i64>> =
        answers.iter().map(|answer| value::integer(&answer.reply)).collect();
    let mut reply = Vec::new();
    match numbers.and_then(|numbers| numbers.into_iter().reduce(join)) {
        Some(number) => write::integer(&mut reply, number),
        None => write::error(&mut reply, MISFIT),
    }
    reply
}

/// The reply of all, or the error that says where the command was carried out and where not.
fn done(name: &str, answers: &[Answer], around: Around<'_>) -> Vec<u8> {
    let is_error = |answer: &&Answer| value::error_text(&answer.reply).is_some();
    if let Some(answer) = the_same(answers) {
        return answer.reply.clone();
    }
    if answers.iter().all(|answer| !is_error(&answer)) {
        return answers.first().map_or_else(Vec::new, |answer| answer.reply.clone());
    }
    let on: Vec<String> = answers
        .iter()
        .filter(|answer| !is_error(answer))
        .map(|answer| format!("'{}'", around.shard_name(answer.shard)))
        .collect();
    let on = if on.is_empty() { "no shard".to_owned() } else { on.join(", ") };
    let mut text = format!("ERR {name} done on {on}").into_bytes();
    for answer in answers {
        let Some(error) = value::error_text(&answer.reply) else {
            continue;
        };
        let how = if error.ends_with(UNKNOWN) { "perhaps" } else { "not" };
        text.extend_from_slice(
            format!("; {how} on '{}': ", around.shard_name(answer.shard)).as_bytes(),
        );
        text.extend_from_slice(error.strip_prefix(b"ERR ").unwrap_or(error));
    }
    let mut reply = Vec::new();
    write::error_bytes(&mut reply, &text);
    reply
}

/// The error reply, if any shard answered one: whole if all shards answered it, else the first, with its shard's name
/// behind the error's code.
pub(super) fn refusal(answers: &[Answer], around: Around<'_>) -> Option<Vec<u8>> {
    let (answer, error) =
        answers.iter().find_map(|answer| Some((answer, value::error_text(&answer.reply)?)))?;
    // The gateway's own errors name the shard themselves.
    if the_same(answers).is_some() || error.starts_with(b"ERR shard ") {
        return Some(answer.reply.clone());
    }
    let space = memchr::memchr(b' ', error).unwrap_or(error.len());
    let (code, words) = error.split_at_checked(space).unwrap_or((error, &[]));
    let name = format!(" shard '{}':", around.shard_name(answer.shard));
    let mut reply = Vec::new();
    write::error_bytes(&mut reply, &[code, name.as_bytes(), words].concat());
    Some(reply)
}

/// Any answer, if all are the same.
pub(super) fn the_same(answers: &[Answer]) -> Option<&Answer> {
    let (first, others) = answers.split_first()?;
    others.iter().all(|other| other.reply == first.reply).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::test_support::{Pool, answers};
    use crate::resp::sample::Request;

    fn check(rule: &Everywhere, replies: &[&str], expected: &str) {
        let pool = Pool::new(&["a", "b", "c"]);
        let reply = rule.clone().join(&answers(replies), pool.around());
        assert_eq!(String::from_utf8_lossy(&reply), expected, "{replies:?}");
    }

    #[test]
    fn numbers_become_one_and_an_error_names_its_shard() {
        let (sum, least) = (&Everywhere::Sum, &Everywhere::Least);
        check(sum, &[":1\r\n", ":0\r\n", ":41\r\n"], ":42\r\n");
        check(least, &[":7\r\n", ":5\r\n", ":9\r\n"], ":5\r\n");
        check(sum, &[":1\r\n", "-LOADING wait\r\n", ":1\r\n"], "-LOADING shard 'b': wait\r\n");
        check(sum, &[":1\r\n", ":1\r\n", "-ERR\r\n"], "-ERR shard 'c':\r\n");
        check(sum, &["-ERR x\r\n", "-ERR x\r\n", "-ERR x\r\n"], "-ERR x\r\n");
        let own = "-ERR shard 'c' (1:2) is gone; not sent\r\n";
        check(sum, &[":1\r\n", ":1\r\n", own], own);
        check(sum, &[":1\r\n", "+x\r\n", ":1\r\n"], &format!("-{MISFIT}\r\n"));
    }

    #[test]
    fn what_is_done_in_part_says_where() {
        let done = &Everywhere::Done { name: "FLUSHALL".into() };
        check(done, &["+OK\r\n", "+OK\r\n", "+OK\r\n"], "+OK\r\n");
        check(done, &["+started\r\n", "+scheduled\r\n", "+OK\r\n"], "+started\r\n");
        check(done, &["-ERR no\r\n", "-ERR no\r\n", "-ERR no\r\n"], "-ERR no\r\n");
        check(
            done,
            &["+OK\r\n", "-ERR shard 'b' (1:2) is gone; not sent\r\n", "+OK\r\n"],
            "-ERR FLUSHALL done on 'a', 'c'; not on 'b': shard 'b' (1:2) is gone; not sent\r\n",
        );
        check(
            done,
            &["-NOPERM no\r\n", "-ERR shard 'b' is late; outcome unknown\r\n", "-NOPERM no\r\n"],
            "-ERR FLUSHALL done on no shard; not on 'a': NOPERM no; perhaps on 'b': shard 'b' is late; outcome \
             unknown; not on 'c': NOPERM no\r\n",
        );
    }

    #[test]
    fn a_wrong_option_of_flush_reaches_no_shard() {
        let pool = Pool::new(&["a", "b"]);
        for (words, passes) in [
            (&[b"FLUSHALL".as_slice()][..], true),
            (&[b"flushdb", b"async"], true),
            (&[b"FLUSHDB", b"SYNC"], true),
            (&[b"FLUSHDB", b"NOW"], false),
            (&[b"FLUSHALL", b"ASYNC", b"SYNC"], false),
        ] {
            let request = Request::new(words);
            match begin_flush(&request.args(), pool.around()) {
                Step::Ask(_, asks) => assert!(passes && asks.len() == 2, "{words:?}"),
                Step::Reply(reply) => assert!(!passes && reply == b"-ERR syntax error\r\n"),
            }
        }
    }

    #[test]
    fn a_subcommand_is_named_with_its_command() {
        let pool = Pool::new(&["a"]);
        let request = Request::new(&[b"config", b"Rewrite"]);
        let Step::Ask(Gather::Everywhere(rule), _) = begin_done(&request.args(), pool.around())
        else {
            panic!("every shard is asked");
        };
        assert_eq!(rule, Everywhere::Done { name: "CONFIG REWRITE".into() });
    }
}
