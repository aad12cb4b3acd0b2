//! ZUNION, ZINTER and ZDIFF over keys of several shards.
//!
//! In: the keys with their shards, and the options. Out: for a union or an intersection one request per key, since
//! sums of scores depend on their order, which is that of the inputs' sizes; for a difference one per shard. The shards
//! weigh the scores. Then one list of members, by score and then by bytes.
//! Invariants: as on a server, a key of a wrong type is the error before any fault of the options; those are worded by
//! the shards, which get the same fault. A score is the same number as on one server, and a score that was not
//! computed here keeps its text.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use super::double::{Spelling, parse, print, spelling, spelling_of_server};
use super::parts::{Keys, ask, by_shard, each_key, elements, error_of, scored, text, too_much};
use super::{Answer, Around, Ask, Gather, MISFIT, Step};
use crate::resp::args::Args;
use crate::resp::value;
use crate::resp::write::{self, Protocol};

/// A word that no option begins with: it makes a shard refuse the options, after it looked at the types of its keys.
const FAULT: &[u8] = b"?";
const SYNTAX: &[u8] = b"ERR syntax error";

/// What becomes of the members and their scores.
#[derive(Debug)]
pub struct Ranked {
    operation: Operation,
    with_scores: bool,
    /// By key: what its scores are still to be multiplied with.
    factors: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Union(Aggregate),
    Intersection(Aggregate),
    Difference,
}

/// What becomes of the scores of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Min,
    Max,
}

/// A reply in both spellings of its scores, when the scores that came do not show which is the shards'.
#[derive(Debug)]
pub struct Spelled {
    seventeen_digits: Vec<u8>,
    shortest: Vec<u8>,
}

/// A member's score, and its text if a shard printed it.
#[derive(Debug, Clone, Copy)]
struct Score<'a> {
    value: f64,
    text: Option<&'a [u8]>,
}

/// The answer for one key: members and scores.
type Input<'a> = Vec<(&'a [u8], Score<'a>)>;

/// ZUNION and ZINTER: one request per key.
pub(super) fn begin(operation: Operation, args: &Args<'_>, keys: Keys<'_>) -> Step {
    let options = Options::read(operation, args, keys.0.len());
    let words = options.sent.iter().map(Vec::as_slice);
    let asks = each_key(args, keys).zip(words).map(|((shard, key), options)| {
        ask(shard, &[&[b"ZUNION".as_slice(), b"1", key], options].concat())
    });
    let asks = asks.collect();
    let Options { operation, with_scores, factors, .. } = options;
    Step::Ask(Gather::Ranked(Ranked { operation, with_scores, factors }), asks)
}

/// ZDIFF: the first key's shard tells the difference of its keys, the others the union of theirs.
pub(super) fn begin_difference(args: &Args<'_>, keys: Keys<'_>) -> Step {
    let options: Vec<&[u8]> = args.from(2 + keys.0.len()).collect();
    let with_scores = !options.is_empty();
    let is_fault = !options.iter().all(|word| word.eq_ignore_ascii_case(b"WITHSCORES"));
    let groups = by_shard(args, keys).into_iter().enumerate();
    let to_ask = |(number, (shard, own)): (usize, (_, Vec<&[u8]>))| -> Ask {
        let count = own.len().to_string();
        let (name, options) = match number {
            _ if is_fault => (b"ZDIFF".as_slice(), options.as_slice()),
            0 => (b"ZDIFF".as_slice(), options.as_slice()),
            _ => (b"ZUNION".as_slice(), [].as_slice()),
        };
        ask(shard, &[&[name, count.as_bytes()], own.as_slice(), options].concat())
    };
    let asks = groups.map(to_ask).collect();
    let ranked = Ranked { operation: Operation::Difference, with_scores, factors: Vec::new() };
    Step::Ask(Gather::Ranked(ranked), asks)
}

/// The options of ZUNION and ZINTER.
struct Options<'a> {
    operation: Operation,
    with_scores: bool,
    factors: Vec<f64>,
    /// By key: the options that go with it. After a fault they end in one.
    sent: Vec<Vec<&'a [u8]>>,
}

impl<'a> Options<'a> {
    fn read(operation: Operation, args: &Args<'a>, keys: usize) -> Options<'a> {
        let mut options = Options {
            operation,
            with_scores: false,
            factors: vec![1.0; keys],
            sent: vec![Vec::new(); keys],
        };
        let mut at = 2 + keys;
        while let Some(word) = args.get(at) {
            let behind = args.len() - at - 1;
            if word.eq_ignore_ascii_case(b"WEIGHTS") && behind >= keys {
                options.weigh(args.from(at + 1).take(keys));
                at += keys;
            } else if word.eq_ignore_ascii_case(b"AGGREGATE")
                && let Some(aggregate) = args.get(at + 1).and_then(Aggregate::named)
            {
                options.operation = operation.with(aggregate);
                at += 1;
            } else if word.eq_ignore_ascii_case(b"WITHSCORES") {
                options.with_scores = true;
            } else {
                options.sent.iter_mut().for_each(|sent| sent.push(FAULT));
                return options;
            }
            at += 1;
        }
        options.sent.iter_mut().for_each(|sent| sent.push(b"WITHSCORES"));
        options
    }

    /// One weight per key. A shard takes no product for no number, and a sum may need to know that it was none: such
    /// factors are multiplied with here.
    fn weigh(&mut self, weights: impl Iterator<Item = &'a [u8]>) {
        for ((sent, factor), weight) in self.sent.iter_mut().zip(&mut self.factors).zip(weights) {
            let own = zero_or_infinite(weight);
            *factor = own.unwrap_or(1.0);
            sent.extend([b"WEIGHTS".as_slice(), if own.is_some() { b"1" } else { weight }]);
        }
    }
}

/// The number, if it is zero or infinite and written so.
fn zero_or_infinite(text: &[u8]) -> Option<f64> {
    let value = parse(text)?;
    // Others are too small or too large to be told from those, and an error on a server.
    let is_written = if value == 0.0 {
        text.iter().all(|byte| b"0.+-".contains(byte))
    } else {
        value.is_infinite() && !text.iter().any(u8::is_ascii_digit)
    };
    is_written.then_some(value)
}

impl Operation {
    fn with(self, aggregate: Aggregate) -> Operation {
        match self {
            Operation::Union(_) => Operation::Union(aggregate),
            Operation::Intersection(_) => Operation::Intersection(aggregate),
            Operation::Difference => Operation::Difference,
        }
    }
}

impl Aggregate {
    fn named(name: &[u8]) -> Option<Aggregate> {
        const NAMES: [(&[u8], Aggregate); 3] =
            [(b"SUM", Aggregate::Sum), (b"MIN", Aggregate::Min), (b"MAX", Aggregate::Max)];
        let known = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        known.map(|(_, aggregate)| *aggregate)
    }

    /// The score of a member that has these two, in the order of the inputs. `-inf` and `inf` have the sum 0.
    fn join<'a>(self, first: Score<'a>, second: Score<'a>) -> Score<'a> {
        match self {
            Aggregate::Sum => {
                let sum = first.value + second.value;
                Score { value: if sum.is_nan() { 0.0 } else { sum }, text: None }
            }
            Aggregate::Min if second.value < first.value => second,
            Aggregate::Max if second.value > first.value => second,
            Aggregate::Min | Aggregate::Max => first,
        }
    }
}

impl<'a> Score<'a> {
    /// The score that a shard printed, times what is left of its weight. No number stays none.
    fn weighed(text: &'a [u8], factor: f64) -> Option<Score<'a>> {
        let value = parse(text)?;
        #[expect(clippy::float_cmp, reason = "exactly 1 is the factor that changes nothing")]
        Some(if factor == 1.0 {
            Score { value, text: Some(text) }
        } else {
            Score { value: value * factor, text: None }
        })
    }

    fn or_zero(self) -> Score<'a> {
        if self.value.is_nan() { Score { value: 0.0, text: None } } else { self }
    }
}

impl Ranked {
    /// One list of all answers.
    pub(super) fn join(self, answers: &[Answer], around: Around<'_>) -> Step {
        if let Some(error) = fault_of(answers) {
            return Step::Reply(error.to_vec());
        }
        if let Some(error) = too_much(answers) {
            return Step::error(&error);
        }
        let aggregate = match self.operation {
            Operation::Difference => {
                let reply = self.difference(answers, around.protocol);
                return reply.map_or_else(|| Step::error(MISFIT), Step::Reply);
            }
            Operation::Union(aggregate) | Operation::Intersection(aggregate) => aggregate,
        };
        let Some(inputs) = self.inputs(answers) else {
            return Step::error(MISFIT);
        };
        let mut members = match self.operation {
            Operation::Intersection(_) => intersection(&inputs, aggregate),
            Operation::Union(_) | Operation::Difference => union(&inputs, aggregate),
        };
        rank(&mut members);
        let reply = |spelling| self.reply(&members, spelling, around.protocol);
        let seventeen_digits = reply(Spelling::SeventeenDigits);
        let shortest = reply(Spelling::Shortest);
        let texts = inputs.iter().flatten().filter_map(|(_, score)| score.text);
        match answers.first() {
            Some(first) if seventeen_digits != shortest => match spelling(texts) {
                Some(Spelling::SeventeenDigits) => Step::Reply(seventeen_digits),
                Some(Spelling::Shortest) => Step::Reply(shortest),
                None => {
                    let info = vec![ask(first.shard, &[b"INFO", b"server"])];
                    Step::Ask(Gather::Spelled(Spelled { seventeen_digits, shortest }), info)
                }
            },
            Some(_) | None => Step::Reply(shortest),
        }
    }

    /// The inputs in the order of their sizes, as a server takes them.
    fn inputs<'a>(&self, answers: &'a [Answer]) -> Option<Vec<Input<'a>>> {
        let read = |(answer, factor): (&'a Answer, &f64)| -> Option<Input<'a>> {
            let pairs = scored(&answer.reply)?.into_iter();
            pairs.map(|(member, text)| Some((member, Score::weighed(text, *factor)?))).collect()
        };
        let mut inputs: Vec<Input<'a>> =
            answers.iter().zip(&self.factors).map(read).collect::<Option<_>>()?;
        inputs.sort_by_key(Vec::len);
        Some(inputs)
    }

    /// The members in their order.
    fn reply(&self, members: &Input<'_>, spelling: Spelling, protocol: Protocol) -> Vec<u8> {
        let mut reply = Vec::new();
        header(&mut reply, protocol, self.with_scores, members.len());
        for (member, score) in members {
            let printed = match score.text {
                None if self.with_scores => print(score.value, spelling),
                Some(_) | None => String::new(),
            };
            let shown = score.text.unwrap_or(printed.as_bytes());
            pair(&mut reply, protocol, member, self.with_scores.then_some(shown));
        }
        reply
    }

    /// The first answer without the members of the others; it is in order.
    fn difference(&self, answers: &[Answer], protocol: Protocol) -> Option<Vec<u8>> {
        let (first, others) = answers.split_first()?;
        let taken: Option<Vec<Vec<&[u8]>>> =
            others.iter().map(|answer| elements(&answer.reply)).collect();
        let taken: HashSet<&[u8]> = taken?.into_iter().flatten().collect();
        let members: Vec<(&[u8], Option<&[u8]>)> = if self.with_scores {
            scored(&first.reply)?.into_iter().map(|(member, text)| (member, Some(text))).collect()
        } else {
            elements(&first.reply)?.into_iter().map(|member| (member, None)).collect()
        };
        let left: Vec<_> =
            members.into_iter().filter(|(member, _)| !taken.contains(member)).collect();
        let mut reply = Vec::new();
        header(&mut reply, protocol, self.with_scores, left.len());
        left.into_iter().for_each(|(member, text)| pair(&mut reply, protocol, member, text));
        Some(reply)
    }
}

/// Puts members in the order of sorted sets: by score, then by bytes.
fn rank(members: &mut Input<'_>) {
    let bytes = |member| text(member).unwrap_or_default();
    members.sort_by(|(a, x), (b, y)| {
        x.value
            .partial_cmp(&y.value)
            .unwrap_or(Ordering::Equal)
            .then_with(|| bytes(a).cmp(bytes(b)))
    });
}

impl Spelled {
    /// The reply in the spelling of the shard that was asked who it is.
    pub(super) fn choose(self, answers: &[Answer]) -> Vec<u8> {
        let info = answers.first().map(|answer| answer.reply.as_slice()).unwrap_or_default();
        match spelling_of_server(info) {
            Spelling::SeventeenDigits => self.seventeen_digits,
            Spelling::Shortest => self.shortest,
        }
    }
}

/// The error of the answers: a wrong type, else a weight that is no number, else a word that is no option.
fn fault_of(answers: &[Answer]) -> Option<&[u8]> {
    let first = error_of(answers)?;
    if value::error_text(first) != Some(SYNTAX) {
        return Some(first);
    }
    let other =
        |answer: &&Answer| value::error_text(&answer.reply).is_some_and(|text| text != SYNTAX);
    Some(answers.iter().find(other).map_or(first, |answer| answer.reply.as_slice()))
}

fn union<'a>(inputs: &[Input<'a>], aggregate: Aggregate) -> Input<'a> {
    let mut places: HashMap<&[u8], usize> = HashMap::new();
    let mut joined: Input<'a> = Vec::new();
    for (member, score) in inputs.iter().flatten() {
        let score = score.or_zero();
        let place = *places.entry(member).or_insert(joined.len());
        match joined.get_mut(place) {
            Some((_, known)) => *known = aggregate.join(*known, score),
            None => joined.push((member, score)),
        }
    }
    joined
}

fn intersection<'a>(inputs: &[Input<'a>], aggregate: Aggregate) -> Input<'a> {
    let Some((smallest, others)) = inputs.split_first() else {
        return Vec::new();
    };
    let start = smallest.iter().map(|(member, score)| (*member, score.or_zero()));
    let mut joined: Input<'a> = start.collect();
    for input in others {
        let known: HashMap<&[u8], Score<'_>> = joined.into_iter().collect();
        let both = |(member, score): &(&'a [u8], Score<'a>)| {
            Some((*member, aggregate.join(*known.get(member)?, *score)))
        };
        joined = input.iter().filter_map(both).collect();
    }
    joined
}

fn header(reply: &mut Vec<u8>, protocol: Protocol, with_scores: bool, count: usize) {
    let values = if with_scores && protocol == Protocol::Resp2 { count * 2 } else { count };
    write::array_header(reply, values);
}

/// A member, and its score: behind it in RESP2, in an array with it in RESP3.
fn pair(reply: &mut Vec<u8>, protocol: Protocol, member: &[u8], score: Option<&[u8]>) {
    let Some(score) = score else {
        return reply.extend_from_slice(member);
    };
    match protocol {
        Protocol::Resp2 => {
            reply.extend_from_slice(member);
            write::bulk(reply, score);
        }
        Protocol::Resp3 => {
            write::array_header(reply, 2);
            reply.extend_from_slice(member);
            write::double(reply, score);
        }
    }
}
