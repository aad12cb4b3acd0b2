//! The calls of a `World` and the operations that they wait for.
//!
//! A task is one call of a plugin. Its frame is carried out here as the gateway would: operations are queued in their
//! order, results are gathered until it is time to resume, what time brings is `time`'s, what clients see `world`'s.

use super::frames::{Body, Op, Out, Words};
use super::instance::{Answer, Caller};
use super::lane::{Came, Receiver, Request};
use super::world::{Ticket, World, refused};
use crate::cx::Kind;
use crate::reply::Reply;

/// A gateway's default for `limits.reply`.
const REPLY_MAX: usize = 1 << 20;

pub(super) struct Task {
    pub(super) worker: usize,
    pub(super) caller: Caller,
    pub(super) origin: Origin,
    words: Words,
    next_op: u32,
    first: bool,
    /// Whether the client has its reply already.
    pub(super) replied: bool,
    pub(super) deadline_ms: u64,
    pub(super) open: Vec<(u32, Open)>,
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
    pub(super) key: Vec<u8>,
    pub(super) since_ms: u64,
    pub(super) until_ms: u64,
    pub(super) behind_ms: Option<u64>,
    pub(super) poll_ms: Option<u64>,
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
            replied: false,
            deadline_ms: self.now_ms + self.call_timeout_ms,
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
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.replied = true;
                }
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
        let goes_on = task.replied && !body.last;
        for op in body.ops {
            let number = task.next_op;
            task.next_op += 1;
            if let Some(why) = self.manifest.denied(&op, task.caller.session, goes_on) {
                self.denials.push_back((id, number, why));
                task.open.push((number, Open::Shard));
            } else if let Some(open) = self.begin(&task, id, number, op) {
                task.open.push((number, open));
            }
        }
        self.tasks.insert(id, task);
    }

    /// Begins one operation; answers what to wait for, if its result is wanted.
    fn begin(&mut self, task: &Task, id: usize, number: u32, op: Op) -> Option<Open> {
        let worker = task.worker;
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
            // It has closed while the call was under way: the plugin is told now.
            Op::Watch { handler, key } if self.closed.contains(&(worker, task.caller.session)) => {
                let caller = Caller { kind: Kind::SessionClosed, ..task.caller };
                self.start(worker, caller, handler, vec![key], Origin::Nobody);
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
                let caller = Caller { kind: Kind::Spawned, ..task.caller };
                self.start(worker, caller, handler, words, Origin::Nobody);
                None
            }
        }
    }

    fn watched(&mut self, worker: usize, session: u64, handler: u16) -> Option<&mut Words> {
        let worker = self.workers.get_mut(worker)?;
        Some(worker.watched.entry((session, handler)).or_default())
    }

    pub(super) fn answer(&mut self, id: usize, reply: &[u8]) {
        let Some(task) = self.tasks.get(&id) else {
            return;
        };
        if reply.is_empty() {
            return;
        }
        let reply = Reply::parse(reply).unwrap_or_else(|| refused("the reply is no RESP"));
        match task.origin {
            Origin::Client(ticket) => self.settle(ticket, reply),
            Origin::Multi(number, place) => {
                let part = self.multis.get_mut(number).and_then(|m| m.parts.get_mut(place));
                // What answers at once takes the command's place: it does not go to the shard.
                if let Some((commands, None)) = part {
                    commands.clear();
                }
                self.part_answer(number, place, reply);
            }
            Origin::Nobody => {}
        }
    }

    pub(super) fn settle(&mut self, ticket: Ticket, reply: Reply) {
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
    pub(super) fn finish(&mut self, id: usize, op: u32, status: u8, bytes: Vec<u8>) {
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

    /// Ends a call without its answer.
    pub(super) fn cancel(&mut self, id: usize) {
        let Some(task) = self.tasks.remove(&id) else { return };
        if let Some(worker) = self.workers.get_mut(task.worker) {
            worker.instance.cancel(call_number(id));
        }
    }

    /// The client of these calls is gone: those that only wait end, the others go on for nobody.
    pub(super) fn orphan(&mut self, worker: usize, session: u64) {
        let mine = |task: &&mut Task| task.worker == worker && task.caller.session == session;
        let mut gone = Vec::new();
        for (id, task) in &mut self.tasks {
            if !mine(&task) || task.replied || matches!(task.origin, Origin::Nobody) {
                continue;
            }
            task.origin = Origin::Nobody;
            let sent = |(_, open): &(u32, Open)| matches!(open, Open::Shard);
            if !task.open.is_empty() && task.done.is_empty() && !task.open.iter().any(sent) {
                gone.push(*id);
            }
        }
        gone.into_iter().for_each(|id| self.cancel(id));
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
