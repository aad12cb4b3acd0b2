//! MODULE LIST over all shards: the modules that every shard has.
//!
//! In: each shard's list. Out: those whose name stands in every list, as the first shard describes them. A module whose
//! commands the gateway refuses, because they concern an index over all keys, is not shown: clients take the list as
//! what they may use.

use super::everywhere::{ask_every_shard, refusal};
use super::{Answer, Around, Gather, MISFIT, Step};
use crate::resp::args::Args;
use crate::resp::value::{items, string};
use crate::resp::write;

/// Modules whose commands are refused.
const REFUSED: &[&[u8]] = &[b"search", b"ft", b"searchlight"];

/// Asks every shard.
pub(super) fn begin(args: &Args<'_>, around: Around<'_>) -> Step {
    Step::Ask(Gather::Modules, ask_every_shard(args.raw(), around))
}

/// What every shard has.
pub(super) fn join(answers: &[Answer], around: Around<'_>) -> Vec<u8> {
    if let Some(error) = refusal(answers, around) {
        return error;
    }
    let mut reply = Vec::new();
    let lists: Option<Vec<Vec<&[u8]>>> =
        answers.iter().map(|answer| items(&answer.reply).map(Iterator::collect)).collect();
    let Some((first, others)) = lists.as_deref().and_then(<[_]>::split_first) else {
        write::error(&mut reply, MISFIT);
        return reply;
    };
    let is_shown = |module: &&&[u8]| {
        name(module).is_some_and(|name| {
            !REFUSED.iter().any(|refused| refused.eq_ignore_ascii_case(name))
                && others.iter().all(|list| has(list, name))
        })
    };
    let shown: Vec<&&[u8]> = first.iter().filter(is_shown).collect();
    write::array_header(&mut reply, shown.len());
    shown.iter().for_each(|module| reply.extend_from_slice(module));
    reply
}

/// Whether a list has a module of this name.
fn has(list: &[&[u8]], wanted: &[u8]) -> bool {
    list.iter().any(|module| name(module) == Some(wanted))
}

/// The name in a module's description, a map.
fn name(module: &[u8]) -> Option<&[u8]> {
    let mut fields = items(module)?;
    while let Some(field) = fields.next() {
        let content = fields.next()?;
        if string(field) == Some(b"name") {
            return string(content);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::test_support::{Pool, answers};

    #[test]
    fn what_every_shard_has_is_listed() {
        let pool = Pool::new(&["a", "b"]);
        let module = |name: &str, version: u32| {
            format!("*4\r\n$4\r\nname\r\n${}\r\n{name}\r\n$3\r\nver\r\n:{version}\r\n", name.len())
        };
        let (json, bloom) = (module("ReJSON", 20), module("bf", 2));
        let of_a = format!("*3\r\n{json}{bloom}{}", module("search", 1));
        let of_b = format!("*2\r\n{}{}", module("search", 1), module("ReJSON", 21));
        let reply = join(&answers(&[&of_a, &of_b]), pool.around());
        assert_eq!(String::from_utf8(reply).unwrap(), format!("*1\r\n{json}"));
        let reply = join(&answers(&[&of_a, "*0\r\n"]), pool.around());
        assert_eq!(reply, b"*0\r\n");
        let reply = join(&answers(&[&of_a, ":1\r\n"]), pool.around());
        assert!(reply.starts_with(b"-ERR a shard's reply"));
    }
}
