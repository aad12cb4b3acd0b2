//! A small gateway in virtual time: workers with plugin instances and sessions over one fake Redis.
//!
//! `send` starts a command, `run` lets things happen in a seeded order until nothing is left to happen at this moment,
//! and `advance` moves the clock from timer to timer. Workers belong to gateways: a notice reaches all workers of its
//! gateway, late and in any order between them, and no others. Time does not pass while anything can happen, so
//! `answered_ms - sent_ms` of a ticket is exactly how long its handler chose to wait.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::frames::Words;
use super::instance::{BUDGET_MS, Caller, Instance};
use super::interleave::Order;
use super::lane::{Lane, Receiver, Request};
use super::manifest::{Handler, Manifest, Timer};
use super::redis::FakeRedis;
use super::tasks::{Origin, Task};
use crate::cx::Kind;
use crate::plugin::Plugin;
use crate::reply::Reply;

/// A command that was sent, to look up its reply.
pub type Ticket = usize;

/// What became of a command. See [`World`].
#[derive(Debug, Clone)]
pub struct Sent {
    /// The worker it went to.
    pub worker: usize,
    /// Its session.
    pub session: u64,
    /// When.
    pub sent_ms: u64,
    /// The reply and when it came.
    pub answer: Option<(Reply, u64)>,
}

pub(super) struct Worker {
    /// Its gateway: notices stay in there.
    pub(super) gateway: usize,
    pub(super) instance: Instance,
    pub(super) lane: Lane,
    pub(super) notices: VecDeque<(Vec<u8>, Vec<u8>)>,
    /// (session, handler) to the keys that are watched.
    pub(super) watched: BTreeMap<(u64, u16), Vec<Vec<u8>>>,
}

pub(super) struct Multi {
    pub(super) ticket: Ticket,
    /// Per command: its words as they are sent and, when a plugin took it, its task.
    pub(super) parts: Vec<(Vec<Words>, Option<usize>)>,
    pub(super) replies: Vec<Option<Reply>>,
}

/// A timer of the manifest on one gateway.
pub(super) struct Clock {
    pub(super) worker: usize,
    pub(super) timer: Timer,
    pub(super) due_ms: u64,
    pub(super) last: Option<usize>,
}

/// The gateway, its clients' commands and the shard. The plugin is granted what its manifest asks for, and nothing else.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// use sluicegate_plugin::harness::world::World;
///
/// async fn later(cx: Cx, args: Args) -> Result<Option<Vec<u8>>> {
///     cx.sleep(500).await?;
///     cx.call(get(args.key())).await
/// }
/// sluicegate_plugin::plugin! {
///     name: "later",
///     version: "1.0.0",
///     commands: ["LATER" => later],
///     capabilities: { commands: ["GET"], wait: true },
/// }
/// # fn main() {
/// let mut world = World::new(&PLUGIN, "", 1, 42);         // one worker, seed 42
/// world.redis.run(&["SET", "k", "v"]);
/// let ticket = world.send(0, 7, &["LATER", "k"]);         // worker 0, session 7
/// world.advance(499);
/// assert_eq!(world.reply(ticket), None);
/// world.advance(1);
/// assert_eq!(world.reply(ticket), Some(&Reply::bulk("v")));
/// # }
/// ```
pub struct World {
    /// The shard.
    pub redis: FakeRedis,
    /// The clock.
    pub now_ms: u64,
    /// How long a call may take in all, as of `limits.call_timeout`.
    pub call_timeout_ms: u64,
    pub(super) manifest: Manifest,
    pub(super) workers: Vec<Worker>,
    pub(super) tasks: BTreeMap<usize, Task>,
    pub(super) next_task: usize,
    pub(super) sent: Vec<Sent>,
    /// All tickets of each session, in their order.
    pub(super) queues: BTreeMap<(usize, u64), Vec<Ticket>>,
    /// Sessions that have closed, until something is sent on one of that number again.
    pub(super) closed: BTreeSet<(usize, u64)>,
    pub(super) multis: Vec<Multi>,
    /// Worker and key that is waited for: when somebody has its turn to look.
    pub(super) turns: BTreeMap<(usize, Vec<u8>), u64>,
    /// Operations that were not granted: task, number, why. Their results are under way.
    pub(super) denials: VecDeque<(usize, u32, &'static str)>,
    /// Per gateway and timer of the manifest: its first worker, when it is due, and the task of its last run.
    pub(super) clocks: Vec<Clock>,
    order: Option<Order>,
    random: u64,
}

impl World {
    /// One gateway of `workers` workers with one instance of `plugin` each. Panics when the config is refused.
    pub fn new(plugin: &'static Plugin, config: &str, workers: usize, seed: u64) -> Self {
        Self::of_gateways(plugin, config, &[workers], seed)
    }

    /// Gateways over the same shard, each with so many workers; workers are numbered through.
    pub fn of_gateways(
        plugin: &'static Plugin,
        config: &str,
        gateways: &[usize],
        seed: u64,
    ) -> Self {
        let start_ms = 1_700_000_000_000;
        let manifest = Manifest::read(plugin.manifest);
        let mut clocks = Vec::new();
        let mut first_worker = 0;
        for count in gateways {
            clocks.extend(manifest.timers.iter().map(|timer| Clock {
                worker: first_worker,
                timer: *timer,
                due_ms: start_ms + timer.every_ms,
                last: None,
            }));
            first_worker += count;
        }
        let gateways = (0..).zip(gateways).flat_map(|(gateway, count)| vec![gateway; *count]);
        let open = |(worker, gateway): (usize, usize)| {
            let seed = seed.wrapping_mul(1_000).wrapping_add(worker as u64);
            let bounds = (manifest.shared_bytes(), manifest.metrics.clone());
            match Instance::bounded(plugin, config, seed, bounds) {
                Ok(instance) => Worker {
                    gateway,
                    instance,
                    lane: Lane::default(),
                    notices: VecDeque::new(),
                    watched: BTreeMap::new(),
                },
                Err(refusal) => refused(&refusal),
            }
        };
        let workers = gateways.enumerate().map(open).collect();
        Self {
            redis: FakeRedis::at(start_ms),
            now_ms: start_ms,
            call_timeout_ms: u64::from(BUDGET_MS),
            manifest,
            workers,
            tasks: BTreeMap::new(),
            next_task: 0,
            sent: Vec::new(),
            queues: BTreeMap::new(),
            closed: BTreeSet::new(),
            multis: Vec::new(),
            turns: BTreeMap::new(),
            denials: VecDeque::new(),
            clocks,
            order: None,
            random: seed,
        }
    }

    /// What happens next is chosen by `order` instead of the seed: see [`interleave`](super::interleave::explore).
    pub fn follow(&mut self, order: &Order) {
        self.order = Some(order.clone());
    }

    /// A client sends a command on its session; several may be under way on one session.
    pub fn send(&mut self, worker: usize, session: u64, words: &[&str]) -> Ticket {
        let words = owned(words);
        let ticket = self.ticket(worker, session);
        match self.manifest.handler_of(&words) {
            Some(Handler { number, kind }) => {
                self.start(worker, caller(kind, session), number, words, Origin::Client(ticket));
            }
            None => self.send_to_shard(worker, Receiver::Ticket(ticket), Request::One(words)),
        }
        ticket
    }

    /// A client sends MULTI, these commands and EXEC at once; the reply is EXEC's. A plugin's own commands are not allowed
    /// in there.
    pub fn multi(&mut self, worker: usize, session: u64, commands: &[&[&str]]) -> Ticket {
        let ticket = self.ticket(worker, session);
        let number = self.multis.len();
        self.multis.push(Multi { ticket, parts: Vec::new(), replies: vec![None; commands.len()] });
        for (place, words) in commands.iter().enumerate() {
            let words = owned(words);
            let part = (vec![words.clone()], None);
            if let Some(multi) = self.multis.get_mut(number) {
                multi.parts.push(part);
            }
            if let Some(handler) = self.manifest.handler_of(&words) {
                if handler.kind == Kind::OwnCommand {
                    // Refused when it is queued, and EXEC with it.
                    let text = "EXECABORT Transaction discarded because of previous errors.";
                    self.settle(ticket, Reply::Error(text.into()));
                    return ticket;
                }
                let caller = caller(Kind::InMulti, session);
                self.start(worker, caller, handler.number, words, Origin::Multi(number, place));
            }
        }
        let lists = self.multis.get(number).map(|multi| &multi.parts);
        let all = lists.into_iter().flatten().flat_map(|(list, _)| list.clone());
        let request = Request::Transaction(all.collect());
        self.send_to_shard(worker, Receiver::Multi(number), request);
        ticket
    }

    /// The client's connection closes: its calls that only wait are cancelled, the others go on, and watching tasks run.
    pub fn close(&mut self, worker: usize, session: u64) {
        self.closed.insert((worker, session));
        self.orphan(worker, session);
        let Some(state) = self.workers.get_mut(worker) else {
            return;
        };
        let watched: Vec<(u16, Words)> = state
            .watched
            .extract_if(.., |(of, _), _| *of == session)
            .map(|((_, handler), keys)| (handler, keys))
            .collect();
        for (handler, keys) in watched {
            self.start(worker, caller(Kind::SessionClosed, session), handler, keys, Origin::Nobody);
        }
    }

    /// What became of a command.
    pub fn sent(&self, ticket: Ticket) -> Option<&Sent> {
        self.sent.get(ticket)
    }

    /// The reply of a command, if it has come.
    pub fn reply(&self, ticket: Ticket) -> Option<&Reply> {
        let (reply, _) = self.sent.get(ticket)?.answer.as_ref()?;
        Some(reply)
    }

    /// The reply of the command that was sent last.
    pub fn last_reply(&self) -> Option<Reply> {
        self.reply(self.sent.len().checked_sub(1)?).cloned()
    }

    /// Runs everything that can happen now, in a seeded order, then answers the reply.
    pub fn ask(&mut self, worker: usize, session: u64, words: &[&str]) -> Option<Reply> {
        let ticket = self.send(worker, session, words);
        self.run();
        self.reply(ticket).cloned()
    }

    /// Lets things happen until nothing can without time.
    pub fn run(&mut self) {
        while self.happen() {}
    }

    /// Lets one thing happen; answers whether there was any.
    pub fn happen(&mut self) -> bool {
        let mut can: Vec<(usize, u8)> = Vec::new();
        for (index, worker) in self.workers.iter().enumerate() {
            if worker.lane.has_request() {
                can.push((index, 0));
            }
            if worker.lane.has_reply() {
                can.push((index, 1));
            }
            if !worker.notices.is_empty() {
                can.push((index, 2));
            }
        }
        if !self.denials.is_empty() {
            can.push((0, 3));
        }
        let pick = match (can.len(), self.order.clone()) {
            (0, _) => return false,
            (1, Some(_)) => 0,
            (count, Some(order)) => order.pick(count),
            (count, None) => usize::try_from(self.next_random() % count as u64).unwrap_or(0),
        };
        match can.get(pick) {
            Some((worker, 0)) => self.execute(*worker),
            Some((worker, 1)) => self.receive(*worker),
            Some((worker, 2)) => self.hear(*worker),
            Some(_) => self.deny(),
            None => {}
        }
        true
    }

    /// Moves the clock by `ms`, firing timers on the way and running what follows.
    pub fn advance(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        loop {
            self.run();
            match self.next_timer_ms() {
                Some(at) if at <= end_ms => {
                    self.set_now_ms(at.max(self.now_ms));
                    self.fire_timers();
                }
                _ => break,
            }
        }
        self.set_now_ms(end_ms);
    }

    /// Moves the clock by `ms` while all that is under way to or from the shard stays where it is; timers fire.
    pub fn stall(&mut self, ms: u64) {
        self.set_now_ms(self.now_ms + ms);
        self.fire_timers();
    }

    /// Calls under way.
    pub fn live(&self) -> usize {
        self.tasks.len()
    }

    /// Sum of metric `id` over the workers.
    pub fn metric(&self, id: u32) -> i64 {
        let of = |worker: &Worker| worker.instance.metrics().get(&id).copied().unwrap_or(0);
        self.workers.iter().map(of).sum()
    }

    /// What plugins logged at level 3 or above.
    pub fn complaints(&self) -> Vec<String> {
        let lines = self.workers.iter().flat_map(|worker| worker.instance.logs());
        lines.filter(|(level, _)| *level >= 3).map(|(_, text)| text.clone()).collect()
    }

    /// A number of the seeded generator, for the test's own choices.
    pub fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn ticket(&mut self, worker: usize, session: u64) -> Ticket {
        self.sent.push(Sent { worker, session, sent_ms: self.now_ms, answer: None });
        let ticket = self.sent.len() - 1;
        self.closed.remove(&(worker, session));
        let queue = self.queues.entry((worker, session)).or_default();
        queue.push(ticket);
        ticket
    }

    fn set_now_ms(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.redis.now_ms = now_ms;
    }

    pub(super) fn send_to_shard(&mut self, worker: usize, receiver: Receiver, request: Request) {
        if let Some(worker) = self.workers.get_mut(worker) {
            worker.lane.send(receiver, request);
        }
    }
}

pub(super) fn caller(kind: Kind, session: u64) -> Caller {
    Caller { kind, session, resp: 2 }
}

fn owned(words: &[&str]) -> Words {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[allow(clippy::panic, reason = "only tests come here, and this must fail them")]
pub(super) fn refused(why: &str) -> ! {
    panic!("the test's world cannot go on: {why}")
}
