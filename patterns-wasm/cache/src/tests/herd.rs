//! One recompute per expiry: many clients, several gateways, every interleaving that a seed gives.
//!
//! Clients read at random moments; who gets nil computes for a while, then writes. Counted are the computes, the age of
//! every value that anybody got, and how long anybody waited. A failure names its style and seed.

use std::collections::BTreeMap;

use sluicegate_plugin::harness::world::{Ticket, World};
use sluicegate_plugin::reply::Reply;

use super::support::{gateways, is_leased, text};

const SOFT_MS: u64 = 3_000;
const GRACE_MS: u64 = 20_000;
const COMPUTE_MS: u64 = 150;
const EXPIRIES: u64 = 20;

/// How clients use their connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// One connection per client.
    Own,
    /// All clients of a gateway share one connection.
    Shared,
    /// One connection per client, every read and write inside MULTI.
    Multi,
}

struct Herd {
    world: World,
    style: Style,
    clients: u64,
    /// Reads whose reply has not been looked at.
    reading: Vec<Ticket>,
    /// (when the value is computed, client)
    computing: Vec<(u64, u64)>,
    computes: u64,
    /// Value to the time when it was written.
    written: BTreeMap<String, u64>,
    longest_wait_ms: u64,
}

impl Herd {
    fn new(style: Style, seed: u64) -> Self {
        Self {
            world: gateways(&[2, 2], seed),
            style,
            clients: 60,
            reading: Vec::new(),
            computing: Vec::new(),
            computes: 0,
            written: BTreeMap::new(),
            longest_wait_ms: 0,
        }
    }

    fn place(&self, client: u64) -> (usize, u64) {
        let worker = usize::try_from(client % 4).unwrap();
        let session = match self.style {
            Style::Own | Style::Multi => 1 + client,
            Style::Shared => 1,
        };
        (worker, session)
    }

    fn read(&mut self, client: u64) {
        let (worker, session) = self.place(client);
        let ticket = if self.style == Style::Multi {
            self.world.multi(worker, session, &[&["GET", "k"], &["TTL", "k"]])
        } else {
            self.world.send(worker, session, &["GET", "k"])
        };
        self.reading.push(ticket);
    }

    fn write(&mut self, client: u64) {
        let (worker, session) = self.place(client);
        let value = format!("v{}", self.world.now_ms);
        self.written.insert(value.clone(), self.world.now_ms);
        let seconds = (SOFT_MS / 1000).to_string();
        let words = ["SETEX", "k", &seconds, &value];
        if self.style == Style::Multi {
            self.world.multi(worker, session, &[&words]);
        } else {
            self.world.send(worker, session, &words);
        }
    }

    /// Looks at the replies that have come: who was told to compute starts to.
    fn look(&mut self) {
        let mut open = Vec::new();
        for ticket in std::mem::take(&mut self.reading) {
            let sent = self.world.sent(ticket).unwrap().clone();
            let Some((reply, came_ms)) = sent.answer else {
                open.push(ticket);
                continue;
            };
            let value = match reply {
                Reply::Array(rows) => rows[0].clone(),
                single => single,
            };
            match text(&value) {
                Some(value) => {
                    let age_ms = came_ms - self.written[&value];
                    assert!(age_ms < SOFT_MS + GRACE_MS, "a value {age_ms} ms old");
                    self.longest_wait_ms = self.longest_wait_ms.max(came_ms - sent.sent_ms);
                }
                None => {
                    self.computes += 1;
                    let client = self.world.next_random() % self.clients;
                    let client = match self.style {
                        // The leader fills on its own connection.
                        Style::Own | Style::Multi => sent.session - 1,
                        Style::Shared => client / 4 * 4 + sent.worker as u64,
                    };
                    self.computing.push((came_ms + COMPUTE_MS, client));
                }
            }
        }
        self.reading = open;
    }

    fn fill(&mut self) {
        let now_ms = self.world.now_ms;
        let due = self.computing.extract_if(.., |(at, _)| *at <= now_ms);
        for (_, client) in due.collect::<Vec<_>>() {
            self.write(client);
        }
    }

    /// 25 ms with a few reads at random moments.
    fn tick(&mut self) {
        for _ in 0..6 {
            let client = self.world.next_random() % self.clients;
            self.read(client);
            // Some things happen in between, some reads go out together.
            for _ in 0..self.world.next_random() % 4 {
                self.world.happen();
            }
        }
        self.world.advance(25);
        self.look();
        self.fill();
    }
}

#[test]
fn herd_of_clients_computes_once_per_expiry_and_never_waits_while_a_value_exists() {
    for style in [Style::Own, Style::Shared, Style::Multi] {
        for seed in 0..4 {
            let mut herd = Herd::new(style, seed);
            // The first value is there: a cold start over a shared connection is protected only in part.
            herd.write(0);
            herd.world.run();
            let ticks = EXPIRIES * (SOFT_MS + 400) / 25;
            for _ in 0..ticks {
                herd.tick();
            }
            let what = format!("{style:?}, seed {seed}");
            assert!(herd.computes <= EXPIRIES + 1, "{what}: {} computes", herd.computes);
            assert!(herd.computes >= EXPIRIES - 1, "{what}: {} computes", herd.computes);
            assert_eq!(herd.longest_wait_ms, 0, "{what}");
            assert_eq!(herd.world.live(), 0, "{what}: calls left over");
            assert!(herd.world.complaints().is_empty(), "{what}");
            herd.world.advance(2_000);
            assert!(!is_leased(&mut herd.world, "k"), "{what}: a lease was left over");
        }
    }
}

#[test]
fn herd_on_a_cold_key_computes_once_and_all_get_the_value() {
    for seed in 0..40 {
        let mut herd = Herd::new(Style::Own, seed);
        for client in 0..herd.clients {
            herd.read(client);
        }
        for _ in 0..20 {
            herd.world.advance(25);
            herd.look();
            herd.fill();
        }
        assert_eq!(herd.computes, 1, "seed {seed}");
        assert!(herd.reading.is_empty(), "seed {seed}: somebody still waits");
        // Fills through another gateway are seen at somebody's turn to look.
        assert!(herd.longest_wait_ms <= COMPUTE_MS + 100, "seed {seed}");
    }
}

#[test]
fn herd_that_waits_asks_the_shard_as_often_as_one_waiter_of_each_worker() {
    let mut world = gateways(&[1, 2], 7);
    assert_eq!(world.ask(0, 1, &["GET", "k"]), Some(Reply::Null));
    let mut waiters: Vec<Ticket> = (0..300)
        .map(|client| world.send(1 + client % 2, 10 + client as u64, &["GET", "k"]))
        .collect();
    world.advance(10);
    let before = world.redis.commands;
    world.advance(500);
    // Ten turns on each of two workers, each a GET of the value and one of the lease.
    let asked = world.redis.commands - before;
    assert!((30..=40).contains(&asked), "{asked} commands");
    // Those who leave, and be it at their turn, take no turn away from the others.
    for client in 0..100 {
        world.close(1 + client % 2, 10 + client as u64);
        world.advance(1);
    }
    let rest = waiters.split_off(100);
    world.ask(0, 1, &["SETEX", "k", "10", "v"]);
    let before = world.redis.commands;
    world.advance(60);
    assert!(rest.iter().all(|waiter| world.reply(*waiter) == Some(&Reply::bulk("v"))));
    let asked = world.redis.commands - before;
    assert!(asked < 30, "{asked} commands to find the fill of another gateway");
    assert_eq!(world.live(), 0);
}

#[test]
fn leader_of_another_gateway_that_hands_on_is_followed_by_one_waiter_at_the_next_turn() {
    let mut world = gateways(&[1, 1], 3);
    assert_eq!(world.ask(0, 1, &["GET", "k"]), Some(Reply::Null));
    let waiters: Vec<Ticket> =
        (0..50).map(|client| world.send(1, 10 + client, &["GET", "k"])).collect();
    world.advance(100);
    world.close(0, 1);
    world.advance(51);
    let leaders = waiters.iter().filter(|waiter| world.reply(**waiter) == Some(&Reply::Null));
    assert_eq!(leaders.count(), 1, "within one turn");
    assert_eq!(world.live(), 49, "the others wait on");
}
