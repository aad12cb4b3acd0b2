//! Texts for people, such as LATENCY DOCTOR's: each shard's under its name.
//!
//! In: each shard's text, or its error. Out: one text. When all shards say the same it is said once, errors included; a
//! shard that could not be asked has its error as its text, so the others can be read.

use super::everywhere::{ask_every_shard, the_same};
use super::{Answer, Around, Gather, Step};
use crate::resp::args::Args;
use crate::resp::{value, write};

/// Asks every shard.
pub(super) fn begin(args: &Args<'_>, around: Around<'_>) -> Step {
    Step::Ask(Gather::Texts, ask_every_shard(args.raw(), around))
}

/// All texts in one, in the order of the shards' names.
pub(super) fn join(answers: &[Answer], around: Around<'_>) -> Vec<u8> {
    if let Some(answer) = the_same(answers) {
        return answer.reply.clone();
    }
    let mut text = Vec::new();
    for shard in around.by_name {
        let Some(answer) = answers.iter().find(|answer| answer.shard == *shard) else {
            continue;
        };
        if !text.is_empty() {
            text.push(b'\n');
        }
        text.extend_from_slice(format!("# shard '{}'\n", around.shard_name(*shard)).as_bytes());
        let words = value::string(&answer.reply).or_else(|| value::error_text(&answer.reply));
        let words = words.unwrap_or_default();
        text.extend_from_slice(words);
        if !words.ends_with(b"\n") {
            text.push(b'\n');
        }
    }
    let mut reply = Vec::new();
    write::verbatim(&mut reply, around.protocol, &text);
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::test_support::{Pool, answers};
    use crate::resp::write::Protocol;

    #[test]
    fn each_shard_speaks_under_its_name_or_all_at_once() {
        let pool = Pool::new(&["b", "a"]);
        let around = Around { protocol: Protocol::Resp3, ..pool.around() };
        let check = |replies: &[&str], expected: &str| {
            let reply = join(&answers(replies), around);
            assert_eq!(String::from_utf8(reply).unwrap(), expected);
        };
        let fine = "=8\r\ntxt:fine\r\n";
        check(&[fine, fine], fine);
        check(&["-ERR no\r\n", "-ERR no\r\n"], "-ERR no\r\n");
        check(
            &["-ERR gone\r\n", "=9\r\ntxt:fine\n\r\n"],
            "=43\r\ntxt:# shard 'a'\nfine\n\n# shard 'b'\nERR gone\n\r\n",
        );
    }
}
