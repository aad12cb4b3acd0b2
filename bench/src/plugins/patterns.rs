//! Each pattern beside what teams write by hand in the client: round trips, CPU time and wrong results under concurrency.
//!
//! Comes in: running shards. Goes out: a line per pattern. The same clients do the same task on the same keys through the
//! same gateway, once by commands of their own, once by the pattern; for each key all of them begin together. CPU time is
//! the gateway's and the shards'. What is counted as wrong is said at each task. A thread per client, so that they race.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use sluicegate_tests::client::Client;
use sluicegate_tests::plugins::{Entry, built};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;

use super::drive::median;
use super::gate::Gate;
use super::{Effort, Line};

const CLIENTS: usize = 24;
const KEYS: usize = 200;
const BASE: i64 = 1_000;
/// How many may pass in a window.
const ALLOWED: i64 = 10;

/// A client that counts what it sends.
struct Asker {
    client: Client,
    sent: usize,
}

impl Asker {
    fn ask(&mut self, line: &str) -> Value {
        self.sent += 1;
        let reply = self.client.line(line);
        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
        reply
    }
}

/// What one client does on one key; gives what is summed up over the clients.
type Task = fn(&mut Asker, &str) -> i64;

/// A pattern and the same by hand.
struct Comparison {
    what: &'static str,
    by_hand: Task,
    by_pattern: Task,
    /// Prefixes of the keys that no pattern and that the pattern has.
    prefixes: [&'static str; 2],
    /// How much is wrong with a key: from the sum over its clients, and from what a client reads in the end.
    wrong: fn(&mut Asker, &str, i64) -> i64,
}

/// What one way of doing a task came to.
struct Found {
    round_trips: f64,
    cpu_us: f64,
    wrong: i64,
}

const COMPARISONS: [Comparison; 7] = [
    Comparison {
        // One reset per key and window; wrong is each success beyond the first.
        what: "once: ONCE / GET, then SET EX",
        by_hand: |asker, key| {
            if asker.ask(&format!("GET {key}")) != Value::Null {
                return 0;
            }
            asker.ask(&format!("SET {key} 1 EX 600"));
            1
        },
        by_pattern: |asker, key| i64::from(asker.ask(&format!("ONCE {key} 600")) != Value::Null),
        prefixes: ["plain:once", "once:"],
        wrong: |_, _, successes| successes - 1,
    },
    Comparison {
        // Ten of a window; wrong is each one beyond them.
        what: "once: CL.THROTTLE / GET, then INCR and EXPIRE",
        by_hand: |asker, key| {
            let count: i64 = asker.ask(&format!("GET {key}")).text().parse().unwrap_or(0);
            if count >= ALLOWED {
                return 0;
            }
            asker.ask(&format!("INCR {key}"));
            asker.ask(&format!("EXPIRE {key} 600"));
            1
        },
        by_pattern: |asker, key| {
            let reply = asker.ask(&format!("CL.THROTTLE {key} {} {ALLOWED} 600", ALLOWED - 1));
            i64::from(matches!(reply, Value::Array(row) if row[0] == Value::Integer(0)))
        },
        prefixes: ["plain:rate", "once:rate"],
        wrong: |_, _, passed| (passed - ALLOWED).max(0),
    },
    Comparison {
        // A counter that is restored on a miss; wrong is each view that is lost or counted twice, a base counts as one.
        what: "counter: COUNTER.INCR / GET, SET on a miss, INCR",
        by_hand: |asker, key| {
            if asker.ask(&format!("GET {key}")) == Value::Null {
                asker.ask(&format!("SET {key} {BASE} EX 600"));
            }
            asker.ask(&format!("INCR {key}"));
            1
        },
        by_pattern: |asker, key| {
            let Value::Array(parts) = asker.ask(&format!("COUNTER.INCR {key}")) else { return 0 };
            if parts[1] != Value::Null {
                asker.ask(&format!("COUNTER.RESTORE {key} {BASE} 1"));
            }
            1
        },
        prefixes: ["plain:counter", "views:"],
        wrong: |asker, key, views| {
            let value: i64 = asker.ask(&format!("GET {key}")).text().parse().unwrap_or(0);
            (value - BASE - views).abs()
        },
    },
    Comparison {
        // The latest three; wrong is each read that shows more.
        what: "latest: LPUSH / LPUSH, LTRIM",
        by_hand: |asker, key| {
            asker.ask(&format!("LPUSH {key} item"));
            let shown = asker.ask(&format!("LRANGE {key} 0 -1"));
            asker.ask(&format!("LTRIM {key} 0 2"));
            i64::from(matches!(shown, Value::Array(items) if items.len() > 3))
        },
        by_pattern: |asker, key| {
            asker.ask(&format!("LPUSH {key} item"));
            let shown = asker.ask(&format!("LRANGE {key} 0 -1"));
            i64::from(matches!(shown, Value::Array(items) if items.len() > 3))
        },
        prefixes: ["plain:latest", "latest:"],
        wrong: |_, _, too_long| too_long,
    },
    Comparison {
        // Jobs by views; wrong is each job whose place on the board is not that of its views.
        what: "board: INCR that feeds it / INCR, ZADD",
        by_hand: |asker, key| {
            let views = asker.ask(&format!("INCR {key}"));
            let Value::Integer(views) = views else { return 0 };
            asker.ask(&format!("ZADD plain:top {views} {key}"));
            1
        },
        by_pattern: |asker, key| i64::from(asker.ask(&format!("INCR {key}")) != Value::Null),
        prefixes: ["plain:job", "jobs:"],
        wrong: |asker, key, _| {
            let views = asker.ask(&format!("GET {key}")).text();
            let score = match key.strip_prefix("jobs:") {
                Some(member) => asker.ask(&format!("ZSCORE top:jobs {member}")),
                None => asker.ask(&format!("ZSCORE plain:top {key}")),
            };
            i64::from(score.text() != views)
        },
    },
    Comparison {
        // One counter that all clients count on; wrong is each view that is lost or counted twice.
        what: "counter: INCR that is gathered for 2 ms / each by itself",
        by_hand: |asker, key| i64::from(asker.ask(&format!("INCR {key}")) != Value::Null),
        by_pattern: |asker, key| i64::from(asker.ask(&format!("INCR {key}")) != Value::Null),
        prefixes: ["views:hot", "hot:"],
        wrong: |asker, key, views| {
            let value: i64 = asker.ask(&format!("GET {key}")).text().parse().unwrap_or(0);
            (value - views).abs()
        },
    },
    Comparison {
        // A value that is missing; wrong is each computation beyond the first.
        what: "cache: GET, SETEX / the same without the pattern",
        by_hand: compute_if_missing,
        by_pattern: compute_if_missing,
        prefixes: ["plain:cache", "cache:"],
        wrong: |_, _, computed| computed - 1,
    },
];

fn compute_if_missing(asker: &mut Asker, key: &str) -> i64 {
    if asker.ask(&format!("GET {key}")) != Value::Null {
        return 0;
    }
    asker.ask(&format!("SETEX {key} 600 value"));
    1
}

/// Every pattern beside the client's own way.
pub fn by_hand(shards: &[RealServer], effort: Effort) -> Vec<Line> {
    let names = ["once", "counter", "latest", "cache", "board"];
    let files = names.map(built);
    let plugins: Vec<Entry<'_>> =
        names.iter().zip(&files).map(|(name, file)| Entry { name, file, settings: &[] }).collect();
    let bindings = [
        "{use: once, keys: [\"once:*\"]}",
        "{use: counter, keys: [\"views:*\"]}",
        "{use: counter, keys: [\"jobs:*\"], may_touch: [\"top:*\"], \
         config: {feed: {board: \"top:jobs\", counters: \"jobs:{member}\"}}}",
        "{use: counter, keys: [\"hot:*\"], config: {gather: 2ms}}",
        "{use: board, keys: [\"top:*\"]}",
        "{use: latest, keys: [\"latest:*\"], config: {keep: 3}}",
        "{use: cache, keys: [\"cache:*\"]}",
    ];
    let gate = Gate::start_with(shards, &plugins, &bindings, 2);
    let lines = COMPARISONS.iter().map(|comparison| compare(&gate, shards, effort, comparison));
    lines.collect()
}

fn compare(gate: &Gate, shards: &[RealServer], effort: Effort, comparison: &Comparison) -> Line {
    let keys = KEYS / effort.share;
    let mut ratios = Vec::new();
    let mut totals = [(0.0, 0.0, 0), (0.0, 0.0, 0)];
    for round in 0..effort.rounds {
        let mut cpu_us = [0.0; 2];
        for (way, task) in [comparison.by_hand, comparison.by_pattern].into_iter().enumerate() {
            let prefix = format!("{}{round}:", comparison.prefixes[way]);
            let found = run(gate, shards, &prefix, keys, task, comparison.wrong);
            let (trips, cpu, wrong) = &mut totals[way];
            *trips += found.round_trips / effort.rounds as f64;
            *cpu += found.cpu_us / effort.rounds as f64;
            *wrong += found.wrong;
            cpu_us[way] = found.cpu_us;
        }
        ratios.push(cpu_us[1] / cpu_us[0]);
    }
    let [hand, pattern] = totals;
    let tasks = effort.rounds * keys * CLIENTS;
    let note = format!(
        "wrong {} / {} of {tasks}; round trips {:.2} / {:.2}; CPU {:.1} us / {:.1} us",
        pattern.2, hand.2, pattern.0, hand.0, pattern.1, hand.1
    );
    Line::known(comparison.what, median(ratios), "x", note)
}

fn run(
    gate: &Gate,
    shards: &[RealServer],
    prefix: &str,
    keys: usize,
    task: Task,
    wrong: fn(&mut Asker, &str, i64) -> i64,
) -> Found {
    let (sent, barrier) = (AtomicUsize::new(0), Barrier::new(CLIENTS));
    let before = gate.cpu_seconds() + shards_cpu_seconds(shards);
    let sums: Vec<Vec<i64>> = std::thread::scope(|scope| {
        let threads = gate.clients(CLIENTS).into_iter().map(|client| {
            let (sent, barrier) = (&sent, &barrier);
            scope.spawn(move || {
                let mut asker = Asker { client, sent: 0 };
                let on_key = |key| {
                    barrier.wait();
                    task(&mut asker, &format!("{prefix}{key}"))
                };
                let sums: Vec<i64> = (0..keys).map(on_key).collect();
                sent.fetch_add(asker.sent, Ordering::Relaxed);
                sums
            })
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().expect("a client's thread")).collect()
    });
    let used = gate.cpu_seconds() + shards_cpu_seconds(shards) - before;
    let mut asker = Asker { client: Client::connect(gate.address()), sent: 0 };
    let wrong = (0..keys).map(|key| {
        let sum = sums.iter().map(|of_client| of_client[key]).sum();
        wrong(&mut asker, &format!("{prefix}{key}"), sum)
    });
    let tasks = (keys * CLIENTS) as f64;
    let round_trips = sent.load(Ordering::Relaxed) as f64 / tasks;
    Found { wrong: wrong.sum(), round_trips, cpu_us: used * 1e6 / tasks }
}

/// CPU time of the servers, as they say it themselves.
pub fn shards_cpu_seconds(shards: &[RealServer]) -> f64 {
    let of = |shard: &RealServer| -> f64 {
        let info = shard.client().line("INFO cpu").text();
        let rows = info.lines().filter_map(|line| {
            let (name, seconds) = line.split_once(':')?;
            ["used_cpu_sys", "used_cpu_user"]
                .contains(&name)
                .then(|| seconds.parse().unwrap_or(0.0))
        });
        rows.sum()
    };
    shards.iter().map(of).sum()
}
