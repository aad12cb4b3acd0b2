//! Hot counters: increments that are gathered in the gateway, while gateways and shards die.
//!
//! Two gateways over three shards, a hundred clients on three counters. What was acknowledged is counted, each acknowledged value
//! was given once, and what is counted lies between what was acknowledged and that with what is in doubt. The shards see a
//! fraction of the increments.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use sluicegate_tests::load::Load;
use sluicegate_tests::pattern_site::{PatternSite, Roaming};
use sluicegate_tests::value::Value;

const CLIENTS: usize = 100;
const COUNTERS: usize = 3;
const BINDING: &str = "{use: counter, keys: [\"hot:*\"], config: {gather: 5ms}}";

#[derive(Default)]
struct Known {
    values: Mutex<BTreeSet<i64>>,
    acknowledged: AtomicI64,
    in_doubt: AtomicI64,
}

struct Crowd {
    counters: Vec<Known>,
}

impl Crowd {
    fn new() -> Arc<Crowd> {
        Arc::new(Crowd { counters: (0..COUNTERS).map(|_| Known::default()).collect() })
    }

    fn round(&self, client: &mut Roaming, user: usize, may_lose: bool) {
        let number = user % COUNTERS;
        let known = &self.counters[number];
        match client.command(&["INCR", &format!("hot:{number}")]) {
            Some(Value::Integer(value)) => {
                known.acknowledged.fetch_add(1, Ordering::SeqCst);
                let is_new = known.values.lock().expect("no thread has failed").insert(value);
                assert!(may_lose || is_new, "{value} was given twice");
            }
            Some(Value::Error(_)) if may_lose => {
                known.in_doubt.fetch_add(1, Ordering::SeqCst);
            }
            Some(other) => panic!("{other:?}"),
            None => {
                known.in_doubt.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

#[test]
fn acknowledged_increments_are_counted_while_gateways_die_and_the_plugin_is_swapped() {
    let mut site = PatternSite::start("counter", &[BINDING]);
    let crowd = Crowd::new();
    let work = Arc::clone(&crowd);
    let load = Load::start(site.roaming(CLIENTS), move |client, user, _round| {
        work.round(client, user, false);
    });
    for round in 0..4 {
        load.await_round();
        if round % 2 == 0 {
            site.kill_gateway(round / 2);
            load.await_round();
            site.replace_gateway(round / 2);
        } else {
            site.swap(&format!("hot {round}"));
        }
    }
    load.await_round();
    load.finish();
    let mut client = site.client(0);
    for (number, known) in crowd.counters.iter().enumerate() {
        let reply = client.command(&["GET", &format!("hot:{number}")]);
        let value: i64 = reply.text().parse().expect("a number");
        let acknowledged = known.acknowledged.load(Ordering::SeqCst);
        let most = acknowledged + known.in_doubt.load(Ordering::SeqCst);
        assert!((acknowledged..=most).contains(&value), "{acknowledged} <= {value} <= {most}");
        assert!(acknowledged > 0);
    }
}

#[test]
fn shards_see_a_fraction_of_the_increments() {
    let site = PatternSite::start("counter", &[BINDING]);
    let scripts = || -> u64 {
        let calls = |shard: &sluicegate_tests::real_server::RealServer| -> u64 {
            let stats = shard.client().line("INFO commandstats").text();
            let line = stats.lines().find(|line| line.starts_with("cmdstat_eval:"));
            let calls = line.and_then(|line| line.split(['=', ',']).nth(1));
            calls.map_or(0, |calls| calls.parse().expect("a number"))
        };
        site.shards.iter().map(calls).sum()
    };
    let crowd = Crowd::new();
    let work = Arc::clone(&crowd);
    let load = Load::start(site.roaming(CLIENTS), move |client, user, _round| {
        work.round(client, user, false);
    });
    for _ in 0..20 {
        load.await_round();
    }
    load.finish();
    let acknowledged: i64 =
        crowd.counters.iter().map(|known| known.acknowledged.load(Ordering::SeqCst)).sum();
    let (sent, acknowledged) = (scripts(), acknowledged.unsigned_abs());
    assert!(acknowledged >= 2_000 && sent * 3 < acknowledged, "{sent} scripts for {acknowledged}");
}

#[test]
fn shard_that_is_down_refuses_and_counts_again_when_it_is_back() {
    let mut site = PatternSite::start("counter", &[BINDING]);
    let crowd = Crowd::new();
    let work = Arc::clone(&crowd);
    let load = Load::start(site.roaming(CLIENTS), move |client, user, _round| {
        work.round(client, user, true);
    });
    for shard in 0..3 {
        load.await_round();
        site.shards[shard].kill();
        load.await_round();
        let key = site.key_on(shard);
        site.revive_shard(shard, &key);
    }
    load.await_round();
    load.finish();
    let mut client = site.client(1);
    for number in 0..COUNTERS {
        let reply = client.command(&["INCR", &format!("hot:{number}")]);
        assert!(matches!(reply, Value::Integer(1..)), "{reply:?}");
    }
}
