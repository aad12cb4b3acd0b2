//! What the workers of a gateway know of each other.
//!
//! Numbers of clients (the acceptor gives a new one to the least loaded), counters for INFO (published once a second),
//! who waits for keys and who monitors, when which shard may be connected to again, and everybody's inbox. None of it is touched on the
//! request path: clients coming and going, INFO, NOTIFY and questions are rare, and a NOTIFY leaves its worker only while another
//! one waits for something.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::core::ask::{Answer, Ask};
use crate::core::monitor::Shown;
use crate::core::plugins_command::Reload;
use crate::core::script_texts::ScriptNews;
use crate::core::stats::Stats;
use crate::core::waiters::Notice;
use crate::io::worker::Message;
use crate::limits;

#[derive(Debug)]
struct Seat {
    inbox: mpsc::Sender<Message>,
    clients: AtomicUsize,
    waited_for: AtomicUsize,
    /// By pool: clients that monitor it.
    monitors: Vec<AtomicUsize>,
    /// By pool: lines for them that found the inbox full.
    lines_lost: Vec<AtomicU64>,
    stats: Mutex<Stats>,
}

/// The workers, by number.
#[derive(Debug)]
pub struct Board {
    seats: Vec<Seat>,
    /// To the thread that loads plugins.
    reloads: mpsc::Sender<Reload>,
    /// Clients of each pool, over all workers.
    pool_clients: Vec<AtomicU64>,
    /// Clients that were turned away because their pool was full.
    refused: AtomicU64,
    started: Instant,
    /// By pool and shard: when the next connection to it may be opened.
    next_connect: Mutex<HashMap<(u16, u16), Instant>>,
}

impl Board {
    /// A board for the workers with these inboxes, for so many pools, and for the thread that loads plugins.
    pub fn new(
        inboxes: Vec<mpsc::Sender<Message>>,
        pools: usize,
        reloads: mpsc::Sender<Reload>,
    ) -> Self {
        let seats = inboxes
            .into_iter()
            .map(|inbox| Seat {
                inbox,
                clients: AtomicUsize::new(0),
                waited_for: AtomicUsize::new(0),
                monitors: (0..pools).map(|_| AtomicUsize::new(0)).collect(),
                lines_lost: (0..pools).map(|_| AtomicU64::new(0)).collect(),
                stats: Mutex::default(),
            })
            .collect();
        Self {
            seats,
            reloads,
            pool_clients: (0..pools).map(|_| AtomicU64::new(0)).collect(),
            refused: AtomicU64::new(0),
            started: Instant::now(),
            next_connect: Mutex::default(),
        }
    }

    /// Clients of all workers.
    pub fn clients(&self) -> u64 {
        self.seats.iter().map(|seat| seat.clients.load(Ordering::Relaxed) as u64).sum()
    }

    /// Clients of one pool, over all workers.
    pub fn clients_of(&self, pool: u16) -> u64 {
        let clients = self.pool_clients.get(usize::from(pool));
        clients.map_or(0, |clients| clients.load(Ordering::Relaxed))
    }

    /// A client was turned away.
    pub fn client_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Clients that were turned away, of all pools.
    pub fn clients_refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The worker with the fewest clients.
    pub fn least_loaded(&self) -> usize {
        let loads = self.seats.iter().map(|seat| seat.clients.load(Ordering::Relaxed));
        loads.enumerate().min_by_key(|(_, load)| *load).map_or(0, |(worker, _)| worker)
    }

    /// A client of `pool` was given to a worker.
    pub fn client_comes(&self, worker: usize, pool: u16) {
        if let Some(seat) = self.seats.get(worker) {
            seat.clients.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(clients) = self.pool_clients.get(usize::from(pool)) {
            clients.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A worker's client is gone.
    pub fn client_left(&self, worker: usize, pool: u16) {
        if let Some(seat) = self.seats.get(worker) {
            seat.clients.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(clients) = self.pool_clients.get(usize::from(pool)) {
            clients.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Puts a message into a worker's inbox; whether the worker is there.
    pub async fn send(&self, worker: usize, message: Message) -> bool {
        match self.seats.get(worker) {
            Some(seat) => seat.inbox.send(message).await.is_ok(),
            None => false,
        }
    }

    /// Number of workers.
    pub fn workers(&self) -> usize {
        self.seats.len()
    }

    /// The inboxes of all workers.
    pub fn inboxes(&self) -> Vec<mpsc::Sender<Message>> {
        self.seats.iter().map(|seat| seat.inbox.clone()).collect()
    }

    /// Calls of this worker wait for so many keys.
    pub fn waits(&self, worker: usize, keys: usize) {
        if let Some(seat) = self.seats.get(worker) {
            seat.waited_for.store(keys, Ordering::Relaxed);
        }
    }

    /// How long a worker waits before it connects to a shard: connections of all workers to one shard are spaced, beyond
    /// a burst, so that a shard that comes back is not met by all of them in the same moment.
    pub fn connect_wait(&self, pool: u16, shard: u16) -> Duration {
        let now = Instant::now();
        let mut next = self.next_connect.lock().unwrap_or_else(PoisonError::into_inner);
        let at = next.entry((pool, shard)).or_insert(self.started);
        *at = (*at).max(now) + limits::CONNECT_INTERVAL;
        at.saturating_duration_since(now + limits::CONNECT_INTERVAL * limits::CONNECT_BURST)
    }

    /// Tells the other workers, where somebody waits; gives those whose inboxes are full, who must be told later.
    pub fn notify_others(&self, from: usize, notice: &Notice) -> impl Iterator<Item = usize> {
        let others = self.seats.iter().enumerate().filter(move |(worker, _)| *worker != from);
        others.filter_map(|(worker, seat)| {
            let waits = seat.waited_for.load(Ordering::Relaxed) > 0;
            let message = || Message::Notice(notice.clone());
            (waits && seat.inbox.try_send(message()).is_err()).then_some(worker)
        })
    }

    /// Gives an order to the thread that loads plugins; whether there was room for it.
    pub fn reload(&self, order: Reload) -> bool {
        self.reloads.try_send(order).is_ok()
    }

    /// Puts a question into the inboxes of those who are asked. A full inbox loses it; whether none did.
    pub fn ask(&self, ask: &Ask) -> bool {
        let is_asked = |worker: usize| worker != ask.from && ask.to.is_none_or(|to| to == worker);
        let asked = self.seats.iter().enumerate().filter(|(worker, _)| is_asked(*worker));
        let lost =
            asked.filter(|(_, seat)| seat.inbox.try_send(Message::Ask(ask.clone())).is_err());
        lost.count() == 0
    }

    /// Takes an answer to the worker that asked. A full inbox loses it: who asked waits no longer than it may.
    pub fn answer(&self, answer: Answer) {
        if let Some(seat) = self.seats.get(answer.to) {
            let _full = seat.inbox.try_send(Message::Answer(answer));
        }
    }

    /// So many clients of this worker monitor the pool.
    pub fn monitors(&self, worker: usize, pool: u16, count: usize) {
        let seat = self.seats.get(worker);
        if let Some(monitors) = seat.and_then(|seat| seat.monitors.get(usize::from(pool))) {
            monitors.store(count, Ordering::Relaxed);
        }
    }

    /// Takes lines of MONITOR to the other workers that want them; whether any does. What finds an inbox full is counted.
    pub fn show_others(&self, from: usize, shown: &Shown) -> bool {
        let pool = usize::from(shown.pool);
        let mut wanted = false;
        for (worker, seat) in self.seats.iter().enumerate() {
            let monitors = seat.monitors.get(pool).map_or(0, |count| count.load(Ordering::Relaxed));
            if worker == from || monitors == 0 {
                continue;
            }
            wanted = true;
            if seat.inbox.try_send(Message::Shown(shown.clone())).is_err()
                && let Some(lost) = seat.lines_lost.get(pool)
            {
                lost.fetch_add(shown.count, Ordering::Relaxed);
            }
        }
        wanted
    }

    /// By pool: lines that did not reach this worker since it last asked.
    pub fn take_lines_lost(&self, worker: usize) -> Vec<(u16, u64)> {
        let lost = self.seats.get(worker).map_or(&[][..], |seat| seat.lines_lost.as_slice());
        let taken = (0..).zip(lost.iter().map(|lost| lost.swap(0, Ordering::Relaxed)));
        taken.filter(|(_, lost)| *lost > 0).collect()
    }

    /// Tells the other workers what is new of scripts. A full inbox loses it: the shards have every loaded script, and what a
    /// worker does not know it does not repair.
    pub fn tell_scripts(&self, from: usize, news: &ScriptNews) {
        for (worker, seat) in self.seats.iter().enumerate() {
            if worker != from {
                let _full = seat.inbox.try_send(Message::Scripts(news.clone()));
            }
        }
    }

    /// What a worker has counted.
    pub fn publish(&self, worker: usize, stats: &Stats) {
        if let Some(seat) = self.seats.get(worker) {
            *seat.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats.clone();
        }
    }

    /// What the other workers have counted.
    pub fn others(&self, worker: usize) -> Stats {
        let mut sum = Stats::default();
        for (_, seat) in self.seats.iter().enumerate().filter(|(other, _)| *other != worker) {
            sum.add(&seat.stats.lock().unwrap_or_else(PoisonError::into_inner));
        }
        sum
    }
}
