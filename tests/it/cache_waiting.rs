//! Those who wait for a missing value, and the leaders they wait for: what a crowd costs its shard, and who follows.
//!
//! Counted are the commands that the shards have run, never time. Leases and waits are far longer than any test's
//! deadline, so that only what is claimed ends a wait.

use std::time::Instant;

use sluicegate_tests::client::Client;
use sluicegate_tests::herd::{connect, replies, send_all, take_first_answered};
use sluicegate_tests::plugins::client_of_each_worker;
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

use crate::cache::{Site, stat};

const CLIENTS: usize = 500;
const WORKERS: usize = 2;
const KEY: &str = "cache:page";
const POLL_MS: usize = 200;
const PATIENT: &str = "grace: 600s, lease: 600s, wait: 60s, poll: 200ms";

/// Commands that the shards have run, and what asking costs.
struct Commands(Vec<Client>);

impl Commands {
    fn of(shards: &[RealServer]) -> Commands {
        Commands(shards.iter().map(RealServer::client).collect())
    }

    fn run_so_far(&mut self) -> usize {
        let of = |client: &mut Client| {
            let info = client.line("INFO stats").text();
            let row = info.lines().find_map(|row| row.strip_prefix("total_commands_processed:"));
            let count: usize = row.expect("a count").parse().expect("a number");
            count
        };
        self.0.iter_mut().map(of).sum()
    }
}

#[test]
fn crowd_that_waits_asks_its_shard_as_often_as_one_waiter_of_each_worker() {
    let site = Site::start(PATIENT);
    let mut clients = connect(&site.gateways, CLIENTS);
    let mut watchers: Vec<Client> = site
        .gateways
        .iter()
        .flat_map(|gateway| client_of_each_worker(gateway.address(), WORKERS))
        .collect();
    send_all(&mut clients, &["GET", KEY]);
    let mut leader = take_first_answered(&mut clients);
    assert_eq!(leader.reply(), Value::Null);
    let waiting = i64::try_from(CLIENTS - 1).expect("a small number");
    eventually_true("all others to wait", || {
        watchers.iter_mut().map(|watcher| stat(watcher, "waits")).sum::<i64>() == waiting
    });
    let mut commands = Commands::of(&site.shards);
    let begun = Instant::now();
    let before = commands.run_so_far();
    let mut asked = 0;
    eventually_true("some turns to look", || {
        // The shards count this question too: one of each, and each is one more than the last.
        asked += site.shards.len();
        commands.run_so_far() - before - asked >= 80
    });
    let turns = usize::try_from(begun.elapsed().as_millis()).expect("short") / POLL_MS + 2;
    let found = commands.run_so_far() - before - asked;
    let most = turns * 2 * WORKERS * site.gateways.len() + site.shards.len();
    assert!(found <= most, "{found} commands in {turns} turns of {CLIENTS} waiters");

    // Half of them leave, some at their turn; the others get the fill of one gateway, whichever is theirs.
    clients.truncate(CLIENTS / 2);
    assert_eq!(leader.command(&["SETEX", KEY, "100", "new"]), Value::ok());
    let all = replies(&mut clients);
    assert!(all.iter().all(|reply| *reply == Value::bulk("new")), "{all:?}");
}

#[test]
fn leader_that_closes_while_another_of_its_reads_waits_hands_on() {
    let site = Site::start(PATIENT);
    let mut other = site.gateways[1].client();
    assert_eq!(other.command(&["GET", "cache:others"]), Value::Null);
    let mut leader = site.gateways[0].client();
    assert_eq!(leader.command(&["GET", KEY]), Value::Null);
    leader.send(&["GET", "cache:others"]);
    let mut next = site.gateways[1].client();
    next.send(&["GET", KEY]);
    drop(leader);
    assert_eq!(next.reply(), Value::Null);
}

#[test]
fn leader_that_closes_before_it_has_its_lease_leaves_none_behind_in_either_protocol() {
    let site = Site::start(PATIENT);
    for protocol in ["2", "3"] {
        for round in 0..100 {
            let key = format!("cache:gone:{protocol}:{round}");
            let mut leader = site.gateways[0].client();
            leader.command(&["HELLO", protocol]);
            leader.send(&["GET", &key]);
            drop(leader);
        }
        let mut shards: Vec<Client> = site.shards.iter().map(RealServer::client).collect();
        let mut leases = || {
            let of = |shard: &mut Client| shard.command(&["KEYS", "*:sg:lease"]);
            shards.iter_mut().all(|shard| of(shard) == Value::Array(Vec::new()))
        };
        eventually_true("no lease to be left", &mut leases);
    }
}

#[test]
fn leader_of_more_keys_than_are_watched_hands_the_newest_on() {
    let site = Site::start(PATIENT);
    let mut leader = site.gateways[0].client();
    let keys: Vec<String> = (0..1_500).map(|number| format!("cache:many:{number}")).collect();
    // One after the other, so that the newest are those of the highest numbers.
    for key in &keys {
        assert_eq!(leader.command(&["GET", key]), Value::Null, "{key}");
    }
    drop(leader);
    let mut next = site.gateways[1].client();
    for key in keys.iter().rev().take(1_000) {
        assert_eq!(next.command(&["GET", key]), Value::Null, "{key}");
    }
}
