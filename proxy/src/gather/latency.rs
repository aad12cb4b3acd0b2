//! LATENCY LATEST, HISTORY and HISTOGRAM over all shards.
//!
//! In: each shard's reply. Out: one reply of the same shape. LATEST: per event the latest time with its latency, and
//! the largest latency ever. HISTORY: the samples by time; within one second the larger stays, as on one server.
//! HISTOGRAM: per command the sum of the calls, and of the calls up to each bound. Order of events and commands is free.

use std::collections::{BTreeMap, BTreeSet};

use super::everywhere::{ask_every_shard, refusal};
use super::{Answer, Around, Gather, MISFIT, Step};
use crate::resp::args::Args;
use crate::resp::value::{integer, items, string};
use crate::resp::write::{self, Protocol};

/// Which of the three it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latency {
    Latest,
    History,
    Histogram,
}

/// The calls of a command up to each bound, in microseconds.
type Buckets = BTreeMap<i64, i64>;

/// Asks every shard.
pub(super) fn begin(which: Latency, args: &Args<'_>, around: Around<'_>) -> Step {
    Step::Ask(Gather::Latency(which), ask_every_shard(args.raw(), around))
}

impl Latency {
    /// The one reply.
    pub(super) fn join(self, answers: &[Answer], around: Around<'_>) -> Vec<u8> {
        if let Some(error) = refusal(answers, around) {
            return error;
        }
        let joined = match self {
            Latency::Latest => latest(answers),
            Latency::History => history(answers),
            Latency::Histogram => histogram(answers, around.protocol),
        };
        joined.unwrap_or_else(|| {
            let mut reply = Vec::new();
            write::error(&mut reply, MISFIT);
            reply
        })
    }
}

fn latest(answers: &[Answer]) -> Option<Vec<u8>> {
    // Time, latency, largest latency; newer servers add the sum and the number of samples.
    let mut events: BTreeMap<&[u8], Vec<i64>> = BTreeMap::new();
    for answer in answers {
        for event in items(&answer.reply)? {
            let mut fields = items(event)?;
            let name = fields.next()?;
            let new: Vec<i64> = fields.map(integer).collect::<Option<_>>()?;
            let Some(known) = events.get(name) else {
                events.insert(name, new);
                continue;
            };
            let newer = if new.first() > known.first() { &new } else { known };
            let join = |(index, (a, b)): (usize, (&i64, &i64))| match index {
                0 | 1 => newer.get(index).copied().unwrap_or_default(),
                2 => *a.max(b),
                _ => a.saturating_add(*b),
            };
            let joined = known.iter().zip(&new).enumerate().map(join).collect();
            events.insert(name, joined);
        }
    }
    let mut reply = Vec::new();
    write::array_header(&mut reply, events.len());
    for (name, fields) in events {
        write::array_header(&mut reply, fields.len() + 1);
        reply.extend_from_slice(name);
        fields.iter().for_each(|field| write::integer(&mut reply, *field));
    }
    Some(reply)
}

fn history(answers: &[Answer]) -> Option<Vec<u8>> {
    let mut samples: BTreeMap<i64, i64> = BTreeMap::new();
    for answer in answers {
        for sample in items(&answer.reply)? {
            let mut fields = items(sample)?.map(integer);
            let (time, latency) = (fields.next()??, fields.next()??);
            let known = samples.entry(time).or_insert(latency);
            *known = latency.max(*known);
        }
    }
    let mut reply = Vec::new();
    write::array_header(&mut reply, samples.len());
    for (time, latency) in samples {
        write::array_header(&mut reply, 2);
        write::integer(&mut reply, time);
        write::integer(&mut reply, latency);
    }
    Some(reply)
}

fn histogram(answers: &[Answer], protocol: Protocol) -> Option<Vec<u8>> {
    let mut commands: BTreeMap<&[u8], (i64, Vec<Buckets>)> = BTreeMap::new();
    for answer in answers {
        let mut fields = items(&answer.reply)?;
        while let Some(name) = fields.next() {
            let (calls, buckets) = command_histogram(fields.next()?)?;
            let (sum, all) = commands.entry(name).or_default();
            *sum = sum.saturating_add(calls);
            all.push(buckets);
        }
    }
    let mut reply = Vec::new();
    write::map_header(&mut reply, protocol, commands.len());
    for (name, (calls, shards)) in commands {
        let bounds: BTreeSet<i64> =
            shards.iter().flat_map(|buckets| buckets.keys().copied()).collect();
        reply.extend_from_slice(name);
        write::map_header(&mut reply, protocol, 2);
        write::bulk(&mut reply, b"calls");
        write::integer(&mut reply, calls);
        write::bulk(&mut reply, b"histogram_usec");
        write::map_header(&mut reply, protocol, bounds.len());
        for bound in bounds {
            // What a shard does not name has not grown since the bound before.
            let up_to =
                |buckets: &Buckets| buckets.range(..=bound).next_back().map_or(0, |(_, n)| *n);
            write::integer(&mut reply, bound);
            write::integer(&mut reply, shards.iter().map(up_to).fold(0, i64::saturating_add));
        }
    }
    Some(reply)
}

/// The calls of one command, and its buckets.
fn command_histogram(reply: &[u8]) -> Option<(i64, Buckets)> {
    let (mut calls, mut buckets) = (0, Buckets::new());
    let mut fields = items(reply)?;
    while let Some(name) = fields.next() {
        let field = fields.next()?;
        match string(name)? {
            b"calls" => calls = integer(field)?,
            b"histogram_usec" => {
                let mut numbers = items(field)?.map(integer);
                while let Some(bound) = numbers.next() {
                    buckets.insert(bound?, numbers.next()??);
                }
            }
            _ => {}
        }
    }
    Some((calls, buckets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::test_support::{Pool, answers};

    fn check(which: Latency, protocol: Protocol, replies: &[&str], expected: &str) {
        let pool = Pool::new(&["a", "b"]);
        let around = Around { protocol, ..pool.around() };
        let reply = which.join(&answers(replies), around);
        assert_eq!(String::from_utf8(reply).unwrap(), expected, "{replies:?}");
    }

    #[test]
    fn latest_is_the_newest_sample_and_the_largest_ever() {
        let of = |name: &str, fields: &str| format!("${}\r\n{name}\r\n{fields}", name.len());
        let a = format!("*1\r\n*4\r\n{}", of("command", ":50\r\n:20\r\n:30\r\n"));
        let b = format!(
            "*2\r\n*6\r\n{}*6\r\n{}",
            of("command", ":40\r\n:25\r\n:70\r\n:95\r\n:2\r\n"),
            of("fork", ":60\r\n:1\r\n:1\r\n:1\r\n:1\r\n"),
        );
        let expected = format!(
            "*2\r\n*6\r\n{}*4\r\n{}",
            of("fork", ":60\r\n:1\r\n:1\r\n:1\r\n:1\r\n"),
            of("command", ":50\r\n:20\r\n:70\r\n"),
        );
        check(Latency::Latest, Protocol::Resp2, &[&a, &b], &expected);
        check(Latency::Latest, Protocol::Resp2, &["*0\r\n", "*0\r\n"], "*0\r\n");
        check(
            Latency::Latest,
            Protocol::Resp2,
            &["*0\r\n", "-NOPERM no\r\n"],
            "-NOPERM shard 'b': no\r\n",
        );
        check(Latency::Latest, Protocol::Resp2, &["*0\r\n", ":1\r\n"], &format!("-{MISFIT}\r\n"));
    }

    #[test]
    fn history_is_by_time_with_one_sample_per_second() {
        check(
            Latency::History,
            Protocol::Resp2,
            &[
                "*2\r\n*2\r\n:5\r\n:1\r\n*2\r\n:7\r\n:3\r\n",
                "*2\r\n*2\r\n:6\r\n:2\r\n*2\r\n:7\r\n:9\r\n",
            ],
            "*3\r\n*2\r\n:5\r\n:1\r\n*2\r\n:6\r\n:2\r\n*2\r\n:7\r\n:9\r\n",
        );
    }

    #[test]
    fn histograms_add_what_each_shard_has_up_to_a_bound() {
        let map = |calls: &str, buckets: &str| {
            format!(
                "%1\r\n$3\r\nset\r\n%2\r\n$5\r\ncalls\r\n:{calls}\r\n$14\r\nhistogram_usec\r\n{buckets}"
            )
        };
        let a = map("5", "%2\r\n:16\r\n:2\r\n:66\r\n:5\r\n");
        let b = map("3", "%2\r\n:8\r\n:1\r\n:33\r\n:3\r\n");
        let both = map("8", "%4\r\n:8\r\n:1\r\n:16\r\n:3\r\n:33\r\n:5\r\n:66\r\n:8\r\n");
        check(Latency::Histogram, Protocol::Resp3, &[&a, &b], &both);
        check(Latency::Histogram, Protocol::Resp3, &[&a, "%0\r\n"], &a);
        let flat = |text: &str| {
            ["%1", "%2", "%4"]
                .iter()
                .zip(["*2", "*4", "*8"])
                .fold(text.to_owned(), |t, (m, l)| t.replace(m, l))
        };
        check(Latency::Histogram, Protocol::Resp2, &[&flat(&a), &flat(&b)], &flat(&both));
    }
}
