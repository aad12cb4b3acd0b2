//! RANDOMKEY over all shards: a shard is drawn by its number of keys, then the shard draws a key.
//!
//! In: the numbers of keys of all shards, then the keys that one shard drew. Out: a key that is shown; after one that
//! is not (it belongs elsewhere, or a plugin keeps it) shard and key are drawn again, several keys at once. No key when
//! all shards are empty, or when so many draws in a row found nothing to show.

use super::everywhere::{ask_every_shard, refusal};
use super::{Answer, Around, Ask, Gather, MISFIT, Step, shown};
use crate::resp::{value, write};

/// Rounds of drawing before it is given up.
const ROUNDS_MAX: u32 = 32;
/// Keys drawn in each round but the first.
const DRAWS: usize = 8;

/// A RANDOMKEY between two rounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RandomKey {
    /// The shards count their keys.
    Counting,
    /// A shard draws.
    Drawing {
        /// The keys of each shard, by index.
        counts: Vec<u64>,
        /// Rounds of drawing so far.
        rounds: u32,
    },
}

/// Asks every shard for its number of keys.
pub(super) fn begin(around: Around<'_>) -> Step {
    let asks = ask_every_shard(b"*1\r\n$6\r\nDBSIZE\r\n", around);
    Step::Ask(Gather::RandomKey(RandomKey::Counting), asks)
}

impl RandomKey {
    /// Draws, draws again, or answers.
    pub(super) fn go_on(self, answers: &[Answer], around: Around<'_>) -> Step {
        if let Some(error) = refusal(answers, around) {
            return Step::Reply(error);
        }
        match self {
            RandomKey::Counting => {
                let count = |answer: &Answer| u64::try_from(value::integer(&answer.reply)?).ok();
                match answers.iter().map(count).collect() {
                    Some(counts) => draw(counts, 1, around),
                    None => Step::error(MISFIT),
                }
            }
            RandomKey::Drawing { counts, rounds } => {
                let fits = |answer: &&Answer| {
                    value::string(&answer.reply).is_some()
                        && shown(answer.shard, &answer.reply, around)
                };
                match answers.iter().find(fits) {
                    Some(answer) => Step::Reply(answer.reply.clone()),
                    None if rounds >= ROUNDS_MAX => no_key(around),
                    None => draw(counts, rounds + 1, around),
                }
            }
        }
    }
}

/// Lets a shard draw that is itself drawn, each as likely as it has keys.
fn draw(counts: Vec<u64>, rounds: u32, around: Around<'_>) -> Step {
    let total: u64 = counts.iter().sum();
    let Some(mut number) = around.random.checked_rem(total) else {
        return no_key(around);
    };
    let drawn = (0..).zip(&counts).find_map(|(shard, count)| match number.checked_sub(*count) {
        None => Some(shard),
        Some(rest) => {
            number = rest;
            None
        }
    });
    let Some(shard) = drawn else {
        return no_key(around);
    };
    let ask = || Ask { shard, request: b"*1\r\n$9\r\nRANDOMKEY\r\n".to_vec() };
    let draws = if rounds == 1 { 1 } else { DRAWS };
    let asks = std::iter::repeat_with(ask).take(draws).collect();
    Step::Ask(Gather::RandomKey(RandomKey::Drawing { counts, rounds }), asks)
}

fn no_key(around: Around<'_>) -> Step {
    let mut reply = Vec::new();
    write::null(&mut reply, around.protocol);
    Step::Reply(reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::test_support::{Pool, answers, answers_of, key_on};

    fn drawn(step: Step) -> (RandomKey, Vec<Ask>) {
        match step {
            Step::Ask(Gather::RandomKey(next), asks) => (next, asks),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn shards_are_drawn_by_their_number_of_keys() {
        let pool = Pool::new(&["a", "b", "c"]);
        let counts = answers(&[":2\r\n", ":0\r\n", ":3\r\n"]);
        let mut hits = [0; 3];
        for random in 0..50 {
            let around = Around { random, ..pool.around() };
            let (_, asks) = drawn(RandomKey::Counting.go_on(&counts, around));
            assert_eq!(asks.len(), 1);
            hits[usize::from(asks[0].shard)] += 1;
        }
        assert_eq!(hits, [20, 0, 30]);
    }

    #[test]
    fn a_key_that_is_not_shown_is_drawn_again_until_it_is_given_up() {
        let pool = Pool::new(&["a", "b"]);
        let (own, foreign) = (key_on(&pool, 0), key_on(&pool, 1));
        let frame = |key: &str| format!("${}\r\n{key}\r\n", key.len());
        let (own, foreign) = (frame(&own), frame(&foreign));
        let state = |rounds| RandomKey::Drawing { counts: vec![1, 0], rounds };
        let only_foreign = answers_of(&[(0, foreign.as_bytes()), (0, b"$-1\r\n")]);
        let (next, asks) = drawn(state(1).go_on(&only_foreign, pool.around()));
        assert_eq!((next, asks.len()), (state(2), DRAWS));
        let both = answers_of(&[(0, foreign.as_bytes()), (0, own.as_bytes())]);
        for (replies, expected) in [(&both, own.as_str()), (&only_foreign, "$-1\r\n")] {
            match state(ROUNDS_MAX).go_on(replies, pool.around()) {
                Step::Reply(reply) => assert_eq!(reply, expected.as_bytes()),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn empty_shards_have_no_key_and_a_shard_that_is_down_is_an_error() {
        let pool = Pool::new(&["a", "b"]);
        let go_on = |replies: &[&str]| RandomKey::Counting.go_on(&answers(replies), pool.around());
        assert!(matches!(go_on(&[":0\r\n", ":0\r\n"]), Step::Reply(r) if r == b"$-1\r\n"));
        assert!(
            matches!(go_on(&[":0\r\n", "-ERR shard 'b' x\r\n"]), Step::Reply(r) if r[0] == b'-')
        );
        assert!(matches!(go_on(&[":0\r\n", "+x\r\n"]), Step::Reply(r) if r[0] == b'-'));
    }
}
