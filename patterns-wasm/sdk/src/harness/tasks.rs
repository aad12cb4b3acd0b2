//! The calls of a `World` and the operations that they wait for.
//!
//! A task is one call of a plugin. Its frame is carried out here as the gateway would: operations are queued in their
//! order, results are gathered until it is time to resume, timers are computed when asked for. What clients see, and the
//! passing of time, is `world`'s.

use super::frames::{Body, Op, Out, Words};
use super::instance::{Answer, Caller};
use super::lane::{Came, Receiver, Request};
use super::manifest::Timer;
use super::world::{Ticket, World, caller, refused};
use crate::cx::Kind;
use crate::reply::Reply;

/// A gateway's default for `limits.reply`.
const REPLY_MAX: usize = 1 << 20;

pub(super) struct Task {
    pub(super) worker: usize,
    pub(super) caller: Caller,
    origin: Origin,
    words: Words,
    next_op: u32,
    first: bool,
    open: Vec<(u32, Open)>,
    done: Vec<Answer>,
}

/// Who waits for the reply of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A client's command.
    Client(Ticket),
    /// A client's MULTI, by its number, and the place of the command in it.
    Multi(usize, usize),
    /// Nobody.
    Nobody,
}

pub(super) enum Open {
    Shard,
    Timer(u64),
    Wait(Wait),
}

/// A WAIT-KEY.
pub(super) struct Wait {
    key: Vec<u8>,
    since_ms: u64,
    until_ms: u64,
    behind_ms: Option<u64>,
    poll_ms: Option<u64>,
}

/// What fires when time has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// An operation of a task has had its time; with commands behind it, or not.
    Operation(usize, u32, bool),
    /// Somebody who waits on this worker for this key has its turn.
    Turn(usize, Vec<u8>),
    /// A timer of the manifest, by its place in `clocks`.
    Clock(usize),
}

impl World {
    pub(super) fn start(
        &mut self,
        worker: usize,
        caller: Caller,
        handler: u16,
        words: Words,
        origin: Origin,
    ) {
        let id = self.next_task;
        self.next_task += 1;
        let Some(state) = self.workers.get_mut(worker) else {
            return;
        };
        state.instance.set_now_ms(self.now_ms);
        let out = state.instance.start(call_number(id), handler, caller, &words);
        let task = Task {
            worker,
            caller,
            origin,
            words,
            next_op: 0,
            first: false,
            open: Vec::new(),
            done: Vec::new(),
        };
        self.tasks.insert(id, task);
        self.carry_out(id, out);
    }

    pub(super) fn carry_out(&mut self, id: usize, out: Out) {
        match out {
            Out::Done(reply) => {
                self.answer(id, &reply);
                self.tasks.remove(&id);
            }
            Out::Pass => {
                if let Some(task) = self.tasks.remove(&id)
                    && let Origin::Client(ticket) = task.origin
                {
                    let request = Request::One(task.words);
                    self.send_to_shard(task.worker, Receiver::Ticket(ticket), request);
                }
            }
            Out::Background { reply, body } => {
                self.answer(id, &reply);
                let last = body.last;
                self.queue(id, body);
                if last {
                    self.tasks.remove(&id);
                }
            }
            Out::Pending(body) => self.queue(id, body),
        }
    }

    fn queue(&mut self, id: usize, body: Body) {
        let Some(mut task) = self.tasks.remove(&id) else {
            return;
        };
        task.first = body.first;
        if let Origin::Multi(number, place) = task.origin
            && let [Op::Transaction { commands, .. }] = body.ops.as_slice()
        {
            let part = self.multis.get_mut(number).and_then(|m| m.parts.get_mut(place));
            if let Some(part) = part {
                *part = (commands.clone(), Some(id));
            }
            task.open.push((task.next_op, Open::Shard));
            task.next_op += 1;
            self.tasks.insert(id, task);
            return;
        }
        for op in body.ops {
            let number = task.next_op;
            task.next_op += 1;
            if let Some(open) = self.begin(&task, id, number, op) {
                task.open.push((number, open));
            }
        }
        self.tasks.insert(id, task);
    }

    /// Begins one operation; answers what to wait for, if its result is wanted.
    fn begin(&mut self, task: &Task, id: usize, number: u32, op: Op) -> Option<Open> {
        let worker = task.worker;
        if let Some(why) = self.manifest.denied(&op) {
            self.denials.push_back((id, number, why));
            return Some(Open::Shard);
        }
        let receiver = if op.gives_result() {
            Receiver::Task { task: id, op: number }
        } else {
            Receiver::Nobody
        };
        match op {
            Op::Command { words, silent, .. } => {
                self.send_to_shard(worker, receiver, Request::One(words));
                (!silent).then_some(Open::Shard)
            }
            Op::Transaction { guard, commands } => {
                let request = match guard {
                    None => Request::Transaction(commands),
                    Some((read, expected)) => Request::Guarded { read, expected, commands },
                };
                self.send_to_shard(worker, receiver, request);
                Some(Open::Shard)
            }
            Op::Sleep { ms } => Some(Open::Timer(self.now_ms + u64::from(ms))),
            Op::WaitKey { timeout_ms, behind_ms, poll_ms, key } => {
                let some = |ms: u32| (ms != u32::MAX).then_some(u64::from(ms));
                let wait = Wait {
                    key,
                    since_ms: self.now_ms,
                    until_ms: self.now_ms + u64::from(timeout_ms),
                    behind_ms: some(behind_ms),
                    poll_ms: some(poll_ms),
                };
                self.set_turn(worker, &wait);
                Some(Open::Wait(wait))
            }
            Op::Notify { key, bytes } => {
                let gateway = self.workers.get(worker).map(|worker| worker.gateway);
                for worker in self.workers.iter_mut().filter(|w| Some(w.gateway) == gateway) {
                    worker.notices.push_back((key.clone(), bytes.clone()));
                }
                None
            }
            Op::Watch { handler, key } => {
                let keys = self.watched(worker, task.caller.session, handler)?;
                if !keys.contains(&key) {
                    keys.push(key);
                }
                None
            }
            Op::Unwatch { handler, key } => {
                self.watched(worker, task.caller.session, handler)?.retain(|known| *known != key);
                None
            }
            Op::Spawn { handler, words } => {
                self.start(worker, caller(Kind::Spawned, 0), handler, words, Origin::Nobody);
                None
            }
        }
    }

    fn watched(&mut self, worker: usize, session: u64, handler: u16) -> Option<&mut Words> {
        let worker = self.workers.get_mut(worker)?;
        Some(worker.watched.entry((session, handler)).or_default())
    }

    fn answer(&mut self, id: usize, reply: &[u8]) {
        let Some(task) = self.tasks.get(&id) else {
            return;
        };
        if reply.is_empty() {
            return;
        }
        let reply = Reply::parse(reply).unwrap_or_else(|| refused("the reply is no RESP"));
        match task.origin {
            Origin::Client(ticket) => self.settle(ticket, reply),
            Origin::Multi(number, place) => self.part_answer(number, place, reply),
            Origin::Nobody => {}
        }
    }

    fn settle(&mut self, ticket: Ticket, reply: Reply) {
        let now_ms = self.now_ms;
        if let Some(sent) = self.sent.get_mut(ticket) {
            sent.answer = Some((reply, now_ms));
        }
    }

    fn part_answer(&mut self, number: usize, place: usize, reply: Reply) {
        let Some(multi) = self.multis.get_mut(number) else {
            return;
        };
        if let Some(slot) = multi.replies.get_mut(place) {
            *slot = Some(reply);
        }
        let all: Option<Vec<Reply>> = multi.replies.iter().cloned().collect();
        let ticket = multi.ticket;
        if let Some(all) = all {
            self.settle(ticket, Reply::Array(all));
        }
    }

    pub(super) fn execute(&mut self, worker: usize) {
        if let Some(worker) = self.workers.get_mut(worker) {
            worker.lane.execute(&mut self.redis);
        }
    }

    pub(super) fn receive(&mut self, worker: usize) {
        let received = self.workers.get_mut(worker).and_then(|w| w.lane.receive());
        match received {
            Some((Receiver::Task { task, op }, Came::Reply(reply))) => {
                self.finish(task, op, 0, bytes_of(&reply));
            }
            Some((Receiver::Task { task, op }, Came::Changed(found))) => {
                self.finish(task, op, 3, bytes_of(&found));
            }
            Some((Receiver::Ticket(ticket), Came::Reply(reply))) => self.settle(ticket, reply),
            Some((Receiver::Multi(number), Came::Reply(Reply::Array(rows)))) => {
                self.exec_came(number, rows);
            }
            Some((Receiver::Ticket(_) | Receiver::Multi(_) | Receiver::Nobody, _)) | None => {}
        }
    }

    fn exec_came(&mut self, number: usize, rows: Vec<Reply>) {
        let mut rows = rows.into_iter();
        let parts = self.multis.get(number).map(|multi| multi.parts.clone());
        for (place, (commands, task)) in parts.unwrap_or_default().into_iter().enumerate() {
            let mine: Vec<Reply> = rows.by_ref().take(commands.len()).collect();
            match task {
                Some(task) => self.finish(task, 0, 0, bytes_of(&Reply::Array(mine))),
                None => {
                    let reply = mine.into_iter().next().unwrap_or(Reply::Null);
                    // A task that answered at once, an error, has settled its place already.
                    let multi = self.multis.get(number);
                    let open =
                        multi.and_then(|m| m.replies.get(place)).is_some_and(Option::is_none);
                    if open {
                        self.part_answer(number, place, reply);
                    }
                }
            }
        }
    }

    /// Gives the oldest result of an operation that was not granted.
    pub(super) fn deny(&mut self) {
        if let Some((task, op, why)) = self.denials.pop_front() {
            self.finish(task, op, 4, why.as_bytes().to_vec());
        }
    }

    pub(super) fn hear(&mut self, worker: usize) {
        let notice = self.workers.get_mut(worker).and_then(|w| w.notices.pop_front());
        let Some((key, bytes)) = notice else {
            return;
        };
        let waits = |open: &Open| matches!(open, Open::Wait(wait) if wait.key == key);
        let mut woken = Vec::new();
        for (id, task) in &self.tasks {
            if task.worker == worker {
                woken.extend(task.open.iter().filter(|(_, o)| waits(o)).map(|(op, _)| (*id, *op)));
            }
        }
        for (id, op) in woken {
            self.finish(id, op, 3, bytes.clone());
        }
    }

    /// An operation has finished; resumes the call when it is time.
    fn finish(&mut self, id: usize, op: u32, status: u8, bytes: Vec<u8>) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        let Some(place) = task.open.iter().position(|(number, _)| *number == op) else {
            return;
        };
        task.open.swap_remove(place);
        let (status, bytes) =
            if bytes.len() > REPLY_MAX { (5, Vec::new()) } else { (status, bytes) };
        task.done.push(Answer { op, status, bytes });
        if !task.first && !task.open.is_empty() {
            return;
        }
        let answers = std::mem::take(&mut task.done);
        let worker = task.worker;
        if let Some(worker) = self.workers.get_mut(worker) {
            worker.instance.set_now_ms(self.now_ms);
            let out = worker.instance.resume(call_number(id), &answers);
            self.carry_out(id, out);
        }
    }

    /// When an operation has had its time, or sooner, once commands stand behind it in its session: and whether so.
    fn due_ms(&self, task: &Task, open: &Open) -> Option<(u64, bool)> {
        match open {
            Open::Shard => None,
            Open::Timer(at) => Some((*at, false)),
            Open::Wait(wait) => {
                let behind = self.first_behind_ms(task).zip(wait.behind_ms);
                let cut = behind.map(|(since, ms)| since.max(wait.since_ms) + ms);
                let cut = cut.filter(|cut| *cut < wait.until_ms);
                Some(cut.map_or((wait.until_ms, false), |cut| (cut, true)))
            }
        }
    }

    /// Somebody begins to wait: the first sets the time of the first turn.
    fn set_turn(&mut self, worker: usize, wait: &Wait) {
        let Some(poll_ms) = wait.poll_ms else { return };
        let at_ms = self.now_ms + poll_ms;
        let alone = self.next_turn(worker, &wait.key).is_none();
        let turn = self.turns.entry((worker, wait.key.clone())).or_insert(at_ms);
        if alone {
            *turn = at_ms;
        }
    }

    /// Whose turn is next among those who wait: task, operation and how often.
    fn next_turn(&self, worker: usize, key: &[u8]) -> Option<(usize, u32, u64)> {
        let tasks = self.tasks.iter().filter(|(_, task)| task.worker == worker);
        let waits = tasks.flat_map(|(id, task)| task.open.iter().map(move |open| (*id, open)));
        let turns = waits.filter_map(|(id, (op, open))| match open {
            Open::Wait(wait) if wait.key == key => Some((wait.since_ms, id, *op, wait.poll_ms?)),
            Open::Wait(_) | Open::Shard | Open::Timer(_) => None,
        });
        turns.min().map(|(_, id, op, poll_ms)| (id, op, poll_ms))
    }

    /// When the first command came that stands behind this task's in its session.
    fn first_behind_ms(&self, task: &Task) -> Option<u64> {
        let Origin::Client(ticket) = task.origin else {
            return None;
        };
        let queue = self.queues.get(&(task.worker, task.caller.session))?;
        let place = queue.partition_point(|earlier| *earlier <= ticket);
        self.sent.get(*queue.get(place)?).map(|sent| sent.sent_ms)
    }

    fn timers(&self) -> impl Iterator<Item = (u64, Due)> {
        let operations = self.tasks.iter().flat_map(move |(id, task)| {
            let due = move |(op, open): &(u32, Open)| {
                let (at_ms, behind) = self.due_ms(task, open)?;
                Some((at_ms, Due::Operation(*id, *op, behind)))
            };
            task.open.iter().filter_map(due)
        });
        let waited = |(worker, key): &(usize, Vec<u8>)| self.next_turn(*worker, key).is_some();
        let turns = self.turns.iter().filter(move |(name, _)| waited(name));
        let turns = turns.map(|((worker, key), at)| (*at, Due::Turn(*worker, key.clone())));
        let clocks = self.clocks.iter().enumerate();
        operations
            .chain(turns)
            .chain(clocks.map(|(place, clock)| (clock.due_ms, Due::Clock(place))))
    }

    pub(super) fn next_timer_ms(&self) -> Option<u64> {
        self.timers().map(|(at, _)| at).min()
    }

    pub(super) fn fire_timers(&mut self) {
        let now_ms = self.now_ms;
        let due = self.timers().filter(|(at, _)| *at <= now_ms).map(|(_, due)| due);
        for due in due.collect::<Vec<_>>() {
            match due {
                Due::Operation(id, op, behind) => {
                    let why = if behind { b"b".to_vec() } else { Vec::new() };
                    self.finish(id, op, 2, why);
                }
                Due::Turn(worker, key) => {
                    let Some((id, op, poll_ms)) = self.next_turn(worker, &key) else {
                        continue;
                    };
                    self.turns.insert((worker, key), now_ms + poll_ms.max(1));
                    self.finish(id, op, 2, b"p".to_vec());
                }
                Due::Clock(place) => self.strike(place),
            }
        }
    }
}

impl World {
    /// A timer of the manifest is due: runs its task, unless the last run is not over.
    fn strike(&mut self, place: usize) {
        let random = self.next_random();
        let next_task = self.next_task;
        let Some(clock) = self.clocks.get_mut(place) else { return };
        let Timer { handler, every_ms, jitter_ms } = clock.timer;
        clock.due_ms += every_ms + random.checked_rem(jitter_ms + 1).unwrap_or(0);
        let busy = clock.last.is_some_and(|task| self.tasks.contains_key(&task));
        if !busy {
            clock.last = Some(next_task);
            let worker = clock.worker;
            self.start(worker, caller(Kind::Timer, 0), handler, Words::new(), Origin::Nobody);
        }
    }
}

fn bytes_of(reply: &Reply) -> Vec<u8> {
    let mut bytes = Vec::new();
    reply.write(2, &mut bytes);
    bytes
}

pub(super) fn call_number(id: usize) -> u32 {
    u32::try_from(id).unwrap_or(u32::MAX)
}
