//! Whole sessions without sockets: the worker's core against scripted shards, from a seed.
//!
//! ```text
//!   clients (random requests, cut anywhere) ──► Core ──► scripted shards (delays, refused connects, closes mid-reply,
//!        ▲ each reply is checked                 │         silence until the time-out, replies cut anywhere)
//!        └───────────────────────────────────────┘
//! ```
//! A GET's reply is its key's own name and its database, so a reply that is out of order, doubled or another client's is seen at once.
//! Errors are allowed where the gateway may say them, at their request's place only. Then every shard comes to rest and
//! every request must have exactly one reply; what is asked after that must be answered without an error.
//! A failure prints its seed: `SEED=n` replays it, `SEEDS=n` runs so many from there.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use sluicegate::config::{Address, Listen, PoolConfig, ShardConfig};
use sluicegate::core::ids::{LaneId, SessionId};
use sluicegate::core::{Clock, Core, PoolSetup};
use sluicegate::resp::value::value_len;
use sluicegate::resp::write;
use sluicegate::topology::Topology;
use sluicegate_tests::rng::Rng;

use crate::scripted_shard::{Link, value};

const CLIENTS: usize = 6;
const STEPS: usize = 400;
const SEEDS: u64 = 300;
/// Above the smallest `large_request`, which the pool is given here.
const LARGE_BYTES: usize = 20_000;

/// What a client expects at one place.
#[derive(Debug, PartialEq)]
enum Expected {
    /// This reply, or an error of the gateway.
    Reply(Vec<u8>),
    /// This reply exactly.
    Exactly(Vec<u8>),
    /// What HELLO says.
    Greeting,
}

#[derive(Default)]
struct Client {
    id: SessionId,
    outgoing: Vec<u8>,
    expected: VecDeque<Expected>,
    received: Vec<u8>,
    /// The database that it has selected with what it has asked so far.
    database: usize,
    sent: usize,
    replies: usize,
    /// How many clients were in this place before: part of its keys, so that those of each client are its own.
    before: usize,
}

struct World {
    rng: Rng,
    core: Core,
    now_ms: u64,
    clients: Vec<Client>,
    links: BTreeMap<LaneId, Link>,
    connecting: Vec<LaneId>,
    faults: bool,
    /// Replies that are no errors, of all clients there ever were.
    real_replies: usize,
}

#[test]
fn sessions_over_faulty_shards_get_every_reply_once_in_order_and_only_their_own() {
    let first = Rng::from_env(1).seed();
    let replayed = if std::env::var("SEED").is_ok() { 1 } else { SEEDS };
    let count = std::env::var("SEEDS").map_or(replayed, |text| text.parse().expect("a number"));
    let mut replies = 0;
    for seed in (0..count).map(|number| first.wrapping_add(number)) {
        replies += World::new(seed).run();
    }
    // About 900 in a run; a single one may have had bad luck.
    let due = 500 * usize::try_from(count).unwrap_or(0);
    assert!(count < 10 || replies > due, "of {count} runs only {replies} replies were no errors");
}

impl World {
    fn new(seed: u64) -> World {
        let shards = (0..3)
            .map(|n| {
                ShardConfig::named(
                    &format!("s{n}"),
                    Address::Tcp { host: "fake".into(), port: n + 1 },
                )
            })
            .collect();
        let listen = Listen::Tcp { host: "127.0.0.1".into(), port: 0 };
        let mut pool = PoolConfig::with_defaults("main", listen, shards);
        pool.large_request_bytes = sluicegate::limits::LARGE_REQUEST_BYTES_MIN;
        let topology = Topology::from_pool(&pool);
        let setup = PoolSetup { config: Arc::new(pool), topology, bindings: Vec::new() };
        let pools = vec![sluicegate::core::Pool::new(setup, seed)];
        let mut world = World {
            rng: Rng::seeded(seed),
            core: Core::new(pools, 0, seed, 1 << 30),
            now_ms: 0,
            clients: Vec::new(),
            links: BTreeMap::new(),
            connecting: Vec::new(),
            faults: true,
            real_replies: 0,
        };
        for _ in 0..CLIENTS {
            let id = world.core.open_session(0, "client:0".into(), "gateway:0".into());
            world.clients.push(Client { id, ..Client::default() });
        }
        world
    }

    /// Runs to the end; gives the number of replies, without errors, to what was asked while shards were faulty.
    fn run(mut self) -> usize {
        for _ in 0..STEPS {
            self.step();
        }
        self.faults = false;
        for link in self.links.values_mut() {
            link.frozen = false;
        }
        self.settle();
        // The shards are healthy again, and no reply of the time before is due: from here on nothing may fail.
        let real_before = self.real_replies;
        let asked_before: usize = self.clients.iter().map(|client| client.sent).sum();
        for _ in 0..4 * CLIENTS {
            self.client_asks();
        }
        self.settle();
        let asked: usize = self.clients.iter().map(|client| client.sent).sum();
        assert_eq!(
            self.real_replies - real_before,
            asked - asked_before,
            "errors although every shard is healthy"
        );
        real_before
    }

    /// Longer than any time-out and any wait before a reconnect, with everything moving, and each request answered.
    fn settle(&mut self) {
        for _ in 0..400 {
            self.advance(100);
            for client in 0..CLIENTS {
                self.client_sends(client, usize::MAX);
            }
            self.move_links();
            for client in 0..CLIENTS {
                self.client_reads(client, usize::MAX);
            }
        }
        for (number, client) in self.clients.iter().enumerate() {
            assert_eq!(client.outgoing.len(), 0, "client {number} could not send all");
            assert_eq!(
                client.expected.len(),
                0,
                "client {number} misses replies: {:?}",
                client.expected
            );
            assert_eq!(client.received.len(), 0, "client {number} got half a reply");
            assert_eq!(client.sent, client.replies);
        }
    }

    fn step(&mut self) {
        match self.rng.below(12) {
            0..=2 => self.client_asks(),
            3..=4 => {
                let (client, len) = (self.rng.below(CLIENTS), self.rng.below(200) + 1);
                self.client_sends(client, len);
            }
            5..=6 => self.move_links(),
            7..=8 => {
                let (client, len) = (self.rng.below(CLIENTS), self.rng.below(300) + 1);
                self.client_reads(client, len);
            }
            9 => {
                let ms = if self.rng.one_in(20) { 6000 } else { self.rng.below(40) as u64 };
                self.advance(ms);
            }
            10 => self.break_something(),
            _ => self.restart_client(),
        }
        self.collect_connects();
    }

    fn advance(&mut self, ms: u64) {
        self.now_ms += ms;
        self.core.set_clock(Clock { now_ms: self.now_ms, unix_ms: self.now_ms });
        self.core.on_time();
        self.collect_connects();
    }

    fn collect_connects(&mut self) {
        self.connecting.append(&mut self.core.wake.connect);
        self.core.wake.sessions.clear();
        self.core.wake.lanes.clear();
    }

    /// A client writes some requests into its own buffer.
    fn client_asks(&mut self) {
        let number = self.rng.below(CLIENTS);
        for _ in 0..=self.rng.below(20) {
            let client = &mut self.clients[number];
            let database = client.database;
            let key =
                |n: usize| format!("c{number}:{}:r{}:{n}", client.before, client.sent).into_bytes();
            let (request, expected): (Vec<Vec<u8>>, Expected) = match self.rng.below(13) {
                0 => {
                    let keys: Vec<Vec<u8>> = (0..2 + self.rng.below(6)).map(key).collect();
                    let mut reply = Vec::new();
                    write::array_header(&mut reply, keys.len());
                    keys.iter().for_each(|key| write::bulk(&mut reply, &value(key, database)));
                    let request = std::iter::once(b"MGET".to_vec()).chain(keys).collect();
                    (request, Expected::Reply(reply))
                }
                1 => {
                    let keys: Vec<Vec<u8>> = (0..1 + self.rng.below(6)).map(key).collect();
                    let reply = format!(":{}\r\n", keys.len()).into_bytes();
                    let request = std::iter::once(b"DEL".to_vec()).chain(keys).collect();
                    (request, Expected::Reply(reply))
                }
                2 => (vec![b"PING".to_vec()], Expected::Exactly(b"+PONG\r\n".to_vec())),
                3 => {
                    let key = key(0);
                    self.transaction(number, &key);
                    continue;
                }
                // Another protocol is other connections.
                4 => {
                    let version = if client.sent.is_multiple_of(2) { b"3" } else { b"2" };
                    (vec![b"HELLO".to_vec(), version.to_vec()], Expected::Greeting)
                }
                // Large: over a private connection, whole or in parts.
                5 if self.rng.one_in(4) => {
                    let keys: Vec<Vec<u8>> = (0..1 + self.rng.below(3))
                        .map(|n| [key(n), vec![b'x'; LARGE_BYTES]].concat())
                        .collect();
                    let reply = format!(":{}\r\n", keys.len()).into_bytes();
                    let request = std::iter::once(b"DEL".to_vec()).chain(keys).collect();
                    (request, Expected::Reply(reply))
                }
                // Another database on the same connections.
                6 => {
                    client.database = self.rng.below(3);
                    let number = client.database.to_string().into_bytes();
                    (vec![b"SELECT".to_vec(), number], Expected::Exactly(b"+OK\r\n".to_vec()))
                }
                7 if self.rng.one_in(3) => {
                    let key = key(0);
                    let mut reply = Vec::new();
                    write::array_header(&mut reply, 2);
                    write::bulk(&mut reply, &key);
                    write::bulk(&mut reply, &value(&key, client.database));
                    (vec![b"BLPOP".to_vec(), key, b"0".to_vec()], Expected::Reply(reply))
                }
                _ => {
                    let key = key(0);
                    let mut reply = Vec::new();
                    write::bulk(&mut reply, &value(&key, database));
                    (vec![b"GET".to_vec(), key], Expected::Reply(reply))
                }
            };
            self.ask(number, &request, expected);
        }
    }

    fn transaction(&mut self, number: usize, key: &[u8]) {
        let ok = b"+OK\r\n".to_vec();
        self.ask(number, &[b"MULTI".to_vec()], Expected::Exactly(ok));
        let mut reply = Vec::new();
        write::array_header(&mut reply, 2);
        for _ in 0..2 {
            let queued = Expected::Exactly(b"+QUEUED\r\n".to_vec());
            self.ask(number, &[b"GET".to_vec(), key.to_vec()], queued);
            write::bulk(&mut reply, &value(key, self.clients[number].database));
        }
        self.ask(number, &[b"EXEC".to_vec()], Expected::Reply(reply));
    }

    fn ask(&mut self, number: usize, request: &[Vec<u8>], expected: Expected) {
        let client = &mut self.clients[number];
        write::request(&mut client.outgoing, request.iter().map(Vec::as_slice));
        client.expected.push_back(expected);
        client.sent += 1;
    }

    /// The socket takes up to `len` bytes from a client to the core.
    fn client_sends(&mut self, number: usize, len: usize) {
        let client = &mut self.clients[number];
        self.core.client_input_grown(client.id, false);
        if !self.core.may_read(client.id) || client.outgoing.is_empty() {
            return;
        }
        let len = len.min(client.outgoing.len());
        let bytes: Vec<u8> = client.outgoing.drain(..len).collect();
        let Some(session) = self.core.session(client.id) else {
            return;
        };
        if session.input.is_empty() {
            self.core.client_input(client.id, &bytes);
        } else {
            session.input.extend_from_slice(&bytes);
            self.core.client_input_grown(client.id, true);
        }
    }

    /// A client takes up to `len` bytes and checks every whole reply.
    fn client_reads(&mut self, number: usize, len: usize) {
        let client = &mut self.clients[number];
        let Some((session, spare)) = self.core.session_and_spare(client.id) else {
            return;
        };
        let mut left = len;
        while left > 0 && !session.out.is_empty() {
            let take = session.out.front().len().min(left);
            client.received.extend_from_slice(&session.out.front()[..take]);
            session.out.advance(take, spare);
            left -= take;
        }
        while let Some(len) = value_len(&client.received) {
            let reply: Vec<u8> = client.received.drain(..len).collect();
            let expected = client.expected.pop_front().unwrap_or_else(|| {
                panic!(
                    "client {number} got a reply too many: {:?}",
                    String::from_utf8_lossy(&reply)
                )
            });
            client.replies += 1;
            self.real_replies += usize::from(!reply.starts_with(b"-"));
            let fits = match &expected {
                Expected::Exactly(wanted) => *wanted == reply,
                Expected::Greeting => matches!(reply.first(), Some(b'*' | b'%')),
                Expected::Reply(wanted) => *wanted == reply || reply.starts_with(b"-ERR shard 's"),
            };
            assert!(
                fits,
                "client {number}: {:?} for {expected:?}",
                String::from_utf8_lossy(&reply)
            );
        }
    }

    /// A client goes away with requests under way, and a new one takes its place.
    fn restart_client(&mut self) {
        if !self.rng.one_in(8) {
            return;
        }
        let number = self.rng.below(CLIENTS);
        self.core.close_session(self.clients[number].id);
        let id = self.core.open_session(0, "client:0".into(), "gateway:0".into());
        let before = self.clients[number].before + 1;
        self.clients[number] = Client { id, before, ..Client::default() };
    }

    fn break_something(&mut self) {
        let Some(id) = self.any_link() else { return };
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        match self.rng.below(6) {
            0 => link.frozen = true,
            1 => link.frozen = false,
            2 => {
                // Closed in the middle of whatever was on its way.
                let cut = self.rng.below(link.output.len() + 1);
                let bytes: Vec<u8> = link.output.drain(..cut).collect();
                self.deliver(id, &bytes);
                self.close_link(id, "closed the connection");
            }
            _ => {}
        }
    }

    fn any_link(&mut self) -> Option<LaneId> {
        let ids: Vec<LaneId> = self.links.keys().copied().collect();
        if ids.is_empty() { None } else { Some(ids[self.rng.below(ids.len())]) }
    }

    fn close_link(&mut self, id: LaneId, fault: &str) {
        self.links.remove(&id);
        self.core.lane_closed(id, fault);
        self.collect_connects();
    }

    /// Opens what is to be opened, and moves bytes to and from the shards.
    fn move_links(&mut self) {
        self.collect_connects();
        for id in std::mem::take(&mut self.connecting) {
            if self.faults && self.rng.one_in(5) {
                self.core.lane_closed(id, "is unreachable: connection refused");
            } else {
                self.links.insert(id, Link { connected: true, ..Link::default() });
                self.core.lane_connected(id);
            }
        }
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            self.move_link(id);
        }
        self.collect_connects();
    }

    fn move_link(&mut self, id: LaneId) {
        if let Some(fault) = self.core.lane(id).and_then(|lane| lane.to_close.take()) {
            return self.close_link(id, &fault);
        }
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let Some((lane, spare)) = self.core.lane_and_spare(id) else {
            return;
        };
        if let Some((out, written)) = lane.writing() {
            while !out.is_empty() {
                let all = out.front().len();
                let len = if self.faults { self.rng.below(all + 1) } else { all };
                if len == 0 {
                    break;
                }
                link.input.extend_from_slice(&out.front()[..len]);
                out.advance(len, spare);
                *written += len as u64;
            }
        }
        if link.frozen {
            return;
        }
        if !self.faults || self.rng.one_in(8) {
            link.output.append(&mut link.waits.take().unwrap_or_default());
        }
        link.answer_requests();
        let len =
            if self.faults { self.rng.below(link.output.len() + 1) } else { link.output.len() };
        let bytes: Vec<u8> = link.output.drain(..len).collect();
        self.deliver(id, &bytes);
    }

    fn deliver(&mut self, id: LaneId, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let Some(lane) = self.core.lane(id) else {
            return;
        };
        let result = if lane.input_mut().is_empty() {
            self.core.lane_input(id, bytes)
        } else {
            lane.input_mut().extend_from_slice(bytes);
            self.core.lane_input_grown(id)
        };
        if let Err(fault) = result {
            panic!("an honest shard was taken for a broken one: {fault}");
        }
    }
}
