//! What happens to the calls of a `World` because time passes: pauses and waits end, waiters have their turns, timers of
//! the manifest strike, and a call's whole time is over.
//!
//! Nothing is kept but when the next turn and the next run of a timer is due: the rest is computed when it is asked for.

use super::frames::Words;
use super::manifest::Timer;
use super::tasks::{Open, Origin, Task, Wait};
use super::world::{World, caller};
use crate::cx::Kind;

/// What fires when time has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// An operation of a task has had its time; with commands behind it, or not.
    Operation(usize, u32, bool),
    /// Somebody who waits on this worker for this key has its turn.
    Turn(usize, Vec<u8>),
    /// A timer of the manifest, by its place in `clocks`.
    Clock(usize),
    /// A task has had all its time.
    Deadline(usize),
}

impl World {
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
    pub(super) fn set_turn(&mut self, worker: usize, wait: &Wait) {
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
            .chain(self.tasks.iter().map(|(id, task)| (task.deadline_ms, Due::Deadline(*id))))
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
                Due::Deadline(id) => self.expire(id),
            }
        }
    }

    /// Ends a call that has had all its time.
    fn expire(&mut self, id: usize) {
        if self.tasks.get(&id).is_some_and(|task| !task.replied) {
            let name = &self.manifest.name;
            let reply = format!("-PLUGINTIMEOUT {name}: the call took too long\r\n");
            self.answer(id, reply.as_bytes());
        }
        self.cancel(id);
    }

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
