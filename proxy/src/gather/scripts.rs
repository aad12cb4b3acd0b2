//! SCRIPT and FUNCTION over all shards: which scripts they all have, and stopping the one that runs.
//!
//! In: the replies of every shard. Out: one reply, as one server with the same scripts would give it. A script exists
//! when every shard has it. At most a few shards run a long script; the others say that they are not busy, which is no
//! news then. Loading and flushing are `everywhere`'s: all shards do it, or the error says which have not.

use super::{Answer, Around, Ask, Gather, MISFIT, Step, everywhere};
use crate::resp::args::Args;
use crate::resp::{value, write};

/// How the shards' replies become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scripts {
    /// SCRIPT EXISTS: a list of ones and zeros.
    Exists,
    /// SCRIPT KILL, FUNCTION KILL: one is enough.
    Kill,
    /// FUNCTION STATS: of a shard that runs a function, if one does.
    Stats,
    /// SCRIPT SHOW, FUNCTION LIST and its like: of any shard that was asked and has it.
    Show,
}

/// Asks every shard.
pub(super) fn begin(rule: Scripts, args: &Args<'_>, around: Around<'_>) -> Step {
    Step::Ask(Gather::Scripts(rule), everywhere::ask_every_shard(args.raw(), around))
}

/// Asks the first shard, since all shards have the same.
pub(super) fn begin_first(args: &Args<'_>) -> Step {
    let ask = Ask { shard: 0, request: args.raw().to_vec() };
    Step::Ask(Gather::Scripts(Scripts::Show), vec![ask])
}

impl Scripts {
    /// The one reply.
    pub(super) fn join(self, answers: &[Answer], around: Around<'_>) -> Vec<u8> {
        let is_error = |answer: &&Answer| value::error_text(&answer.reply).is_some();
        let first = || answers.first().map_or_else(Vec::new, |answer| answer.reply.clone());
        match self {
            Scripts::Exists => exists(answers, around),
            Scripts::Kill => {
                let killed = answers.iter().find(|answer| !is_error(answer));
                let busy = || answers.iter().find(|answer| !answer.reply.starts_with(b"-NOTBUSY"));
                killed.or_else(busy).map_or_else(first, |answer| answer.reply.clone())
            }
            Scripts::Stats => {
                let runs = |answer: &&Answer| {
                    memchr::memmem::find(&answer.reply, b"duration_ms").is_some()
                };
                let refusal = || everywhere::refusal(answers, around);
                let busy = answers.iter().find(runs).map(|answer| answer.reply.clone());
                busy.or_else(refusal).unwrap_or_else(first)
            }
            Scripts::Show => {
                let shown = answers.iter().find(|answer| !is_error(answer));
                shown.map_or_else(first, |answer| answer.reply.clone())
            }
        }
    }
}

/// A one where every shard says one.
fn exists(answers: &[Answer], around: Around<'_>) -> Vec<u8> {
    if let Some(error) = everywhere::refusal(answers, around) {
        return error;
    }
    let mut all: Option<Vec<bool>> = None;
    for answer in answers {
        let Some(has) = value::items(&answer.reply) else {
            let mut reply = Vec::new();
            write::error(&mut reply, MISFIT);
            return reply;
        };
        let has: Vec<bool> = has.map(|element| element == b":1\r\n").collect();
        all = Some(match all {
            None => has,
            Some(all) => all.iter().zip(&has).map(|(a, b)| *a && *b).collect(),
        });
    }
    let all = all.unwrap_or_default();
    let mut reply = Vec::new();
    write::array_header(&mut reply, all.len());
    all.iter().for_each(|has| write::integer(&mut reply, i64::from(*has)));
    reply
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{Pool, answers};
    use super::*;

    fn check(rule: Scripts, replies: &[&str], expected: &str) {
        let pool = Pool::new(&["a", "b"]);
        let reply = rule.join(&answers(replies), pool.around());
        assert_eq!(String::from_utf8_lossy(&reply), expected, "{replies:?}");
    }

    #[test]
    fn a_script_exists_where_every_shard_has_it() {
        let all = "*3\r\n:1\r\n:1\r\n:0\r\n";
        check(Scripts::Exists, &[all, "*3\r\n:1\r\n:0\r\n:0\r\n"], "*3\r\n:1\r\n:0\r\n:0\r\n");
        check(Scripts::Exists, &[all, "-LOADING x\r\n"], "-LOADING shard 'b': x\r\n");
    }

    #[test]
    fn one_shard_that_runs_a_script_is_enough_to_stop_it() {
        let calm = "-NOTBUSY No scripts in execution right now.\r\n";
        check(Scripts::Kill, &[calm, "+OK\r\n"], "+OK\r\n");
        check(Scripts::Kill, &[calm, calm], calm);
        let stuck = "-UNKILLABLE Sorry the script already executed write commands\r\n";
        check(Scripts::Kill, &[calm, stuck], stuck);
    }

    #[test]
    fn the_shard_that_runs_a_function_or_has_the_script_answers() {
        let runs = "*1\r\n$11\r\nduration_ms\r\n";
        check(Scripts::Stats, &["*0\r\n", runs], runs);
        check(Scripts::Stats, &["*0\r\n", "*0\r\n"], "*0\r\n");
        check(Scripts::Show, &["-NOSCRIPT no\r\n", "$1\r\nx\r\n"], "$1\r\nx\r\n");
        check(Scripts::Show, &["-NOSCRIPT no\r\n", "-NOSCRIPT no\r\n"], "-NOSCRIPT no\r\n");
    }
}
