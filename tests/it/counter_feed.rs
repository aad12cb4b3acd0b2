//! Counters that feed a board, and windows' counters, over two gateways and three shards.
//!
//! The patterns `counter` and `board` in one pool: clients count, and read the board. While gateways die and the plugin is
//! swapped the board never shows more than was counted, and at rest exactly the counters; a shard that comes back empty costs
//! what lay there, and the next change of a counter mends its place. Hours and days are counted apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sluicegate_tests::load::Load;
use sluicegate_tests::pattern_site::{PatternSite, Roaming};
use sluicegate_tests::value::Value;

const CLIENTS: usize = 100;
const JOBS: usize = 15;
const BINDINGS: [&str; 2] = [
    "{use: counter, keys: [\"jobs:*\"], may_touch: [\"top:*\"], \
     config: {feed: {board: \"top:jobs\", counters: \"jobs:{member}:views\"}}}",
    "{use: board, keys: [\"top:*\"], config: {parts: 4}}",
];

/// What was sent for each job, whether or not it is known to be counted.
struct Crowd {
    sent: Vec<AtomicI64>,
}

impl Crowd {
    fn new() -> Arc<Crowd> {
        Arc::new(Crowd { sent: (0..JOBS).map(|_| AtomicI64::new(0)).collect() })
    }

    fn round(&self, client: &mut Roaming, user: usize, round: usize, may_lose: bool) {
        let job = (user * 7 + round) % JOBS;
        self.sent[job].fetch_add(1, Ordering::SeqCst);
        let count = match client.command(&["INCR", &format!("jobs:{job}:views")]) {
            Some(Value::Integer(count)) => count,
            Some(Value::Error(_)) if may_lose => return,
            Some(other) => panic!("{other:?}"),
            None => return,
        };
        match client.command(&["ZSCORE", "top:jobs", &job.to_string()]) {
            Some(Value::Bulk(score)) => {
                let score: i64 = String::from_utf8_lossy(&score).parse().expect("a whole score");
                let sent = self.sent[job].load(Ordering::SeqCst);
                assert!(score <= sent, "job {job}: {score} on the board, {sent} sent");
                assert!(
                    may_lose || score >= count,
                    "job {job}: {score} on the board, {count} told"
                );
            }
            Some(Value::Null | Value::Error(_)) if may_lose => {}
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }
}

fn board(site: &PatternSite) -> Vec<(String, i64)> {
    let Value::Array(flat) = site.client(0).line("BOARD.TOP top:jobs 100") else {
        panic!("no board")
    };
    let row = |row: &[Value]| (row[0].text(), row[1].text().parse().expect("a whole score"));
    flat.chunks_exact(2).map(row).collect()
}

/// Every counter once more, so that the board is told after whatever was in doubt.
fn settle(site: &PatternSite) -> Vec<(String, i64)> {
    let mut client = site.client(1);
    let counted = (0..JOBS).map(|job| {
        let reply = client.command(&["INCR", &format!("jobs:{job}:views")]);
        let Value::Integer(count) = reply else { panic!("{reply:?}") };
        (job.to_string(), count)
    });
    let mut rows: Vec<(String, i64)> = counted.collect();
    rows.sort_by(|a, b| (b.1, &b.0).cmp(&(a.1, &a.0)));
    rows
}

#[test]
fn board_is_what_the_counters_say_while_gateways_die_and_the_plugin_is_swapped() {
    let mut site = PatternSite::with("counter", &["board"], &BINDINGS);
    let crowd = Crowd::new();
    let work = Arc::clone(&crowd);
    let load = Load::start(site.roaming(CLIENTS), move |client, user, round| {
        work.round(client, user, round, false);
    });
    for round in 0..4 {
        load.await_round();
        if round % 2 == 0 {
            site.kill_gateway(round / 2);
            load.await_round();
            site.replace_gateway(round / 2);
        } else {
            site.swap(&format!("feed {round}"));
        }
    }
    load.await_round();
    load.finish();
    let wanted = settle(&site);
    assert_eq!(board(&site), wanted);
    for (job, count) in &wanted {
        let sent = crowd.sent[job.parse::<usize>().expect("a job")].load(Ordering::SeqCst);
        assert!((1..=sent + 1).contains(count), "job {job}: {count} of {sent}");
    }
}

#[test]
fn shard_that_comes_back_empty_is_mended_by_the_next_change_of_each_counter() {
    let mut site = PatternSite::with("counter", &["board"], &BINDINGS);
    let crowd = Crowd::new();
    let work = Arc::clone(&crowd);
    let load = Load::start(site.roaming(CLIENTS), move |client, user, round| {
        work.round(client, user, round, true);
    });
    load.await_round();
    site.shards[1].kill();
    load.await_round();
    let key = site.key_on(1);
    site.revive_shard(1, &key);
    // A board's TYPE asks all its parts.
    site.await_shard("top:jobs");
    load.await_round();
    load.finish();
    let wanted = settle(&site);
    let shown = board(&site);
    assert_eq!(shown.len(), JOBS);
    // A counter that began anew is below its old place, which GT keeps; all others are where they belong.
    for (job, count) in &wanted {
        let (_, score) = shown.iter().find(|(known, _)| known == job).expect("on the board");
        let sent = crowd.sent[job.parse::<usize>().expect("a job")].load(Ordering::SeqCst);
        assert!((*count..=sent + 1).contains(score), "job {job}: {score}, counted {count}");
    }
}

#[test]
fn hours_and_days_are_counted_apart_on_every_shard() {
    let bindings = [
        "{use: counter, keys: [\"daily:*\"], may_touch: [\"top:*\"], \
         config: {window: day, keep: 30, feed: {board: \"top:{window}\", counters: \"daily:{member}\"}}}",
        "{use: counter, keys: [\"hourly:*\"], config: {window: hour, keep: 48, backup: \"hourly:b\"}}",
    ];
    let site = PatternSite::start("counter", &bindings);
    let mut clients = site.clients(2);
    for number in 0..60_i64 {
        let (daily, hourly) = (format!("daily:{}", number % 20), format!("hourly:{}", number % 20));
        let reply = clients[0].command(&["INCR", &format!("{daily}@20991231")]);
        assert_eq!(reply, Value::Integer(number / 20 + 1));
        clients[1].command(&["INCRBY", &format!("{hourly}@2099123105"), "2"]);
    }
    let rows = [Value::bulk("20991231"), Value::Integer(3), Value::bulk("20991230"), Value::Null];
    let line = "COUNTER.WINDOWS daily:7@20991231 2";
    assert_eq!(clients[1].line(line), Value::Array(rows.to_vec()));
    assert_eq!(clients[1].line("ZSCORE top:20991231 7"), Value::bulk("3"));
    let line = "MGET hourly:3@2099123105 daily:3@20991231 hourly:3";
    let rows = [Value::bulk("6"), Value::bulk("3"), Value::Null];
    assert_eq!(clients[0].line(line), Value::Array(rows.to_vec()));
    // Today's is another, and has an end; inside MULTI too.
    clients[0].line("INCR daily:7");
    let Value::Integer(seconds) = clients[1].line("TTL daily:7") else { panic!("no integer") };
    assert!((30 * 86_400..=31 * 86_400).contains(&seconds), "{seconds}");
    clients[0].also("MULTI").also("INCR daily:7").also("EXISTS daily:7").also("EXEC");
    let replies: Vec<Value> = (0..4).map(|_| clients[0].reply()).collect();
    assert!(
        matches!(&replies[3], Value::Array(rows) if rows[1] == Value::Integer(1)),
        "{replies:?}"
    );
    assert_eq!(clients[1].line("DEL daily:7 daily:7"), Value::Integer(1));
    assert_eq!(clients[1].line("GET daily:7"), Value::Null);
    assert_eq!(clients[1].line("GET daily:7@20991231"), Value::bulk("3"));
}
