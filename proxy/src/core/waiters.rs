//! Who waits for which key.
//!
//! ```text
//!   WAIT-KEY ─► line of the key ─┬─ NOTIFY ──────────► all of the line, with the notice
//!                                ├─ every poll_ms ───► the one who has waited longest: its turn to look for itself
//!                                └─ its own time ────► that one
//! ```
//! WAIT-KEY registers a task here and NOTIFY wakes all that are registered for the key, per binding. Waiters are
//! those of this worker; a NOTIFY goes to the other workers as a `Notice` through their inboxes, only while one of
//! them has a waiter (the count is the outer layer's). Keys are the plugin's own words and touch no data. Because of
//! turns a crowd asks a shard no more often than one waiter would; one who leaves takes no turn away from the others.

use std::collections::{BTreeMap, HashMap};

use slotmap::SlotMap;

use crate::core::Core;
use crate::core::ids::{SessionId, TaskId, WaitedId};
use crate::core::session::Closing;
use crate::core::task::Awaiting;
use crate::core::timer::Timer;
use crate::plugin::given::Status;

/// What a wait is told that ended because commands stand behind it.
pub(crate) const CUT: &[u8] = b"b";
/// What a wait is told that ended because it is its turn to look.
const TURN: &[u8] = b"p";

/// A NOTIFY on its way to other workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Index of the pool.
    pub pool: u16,
    /// Index of the binding in the pool.
    pub binding: u16,
    /// The database of the call that notifies: a key of one database is not that of another.
    pub database: u16,
    /// What is waited for.
    pub key: Vec<u8>,
    /// What the waiters are told.
    pub bytes: Vec<u8>,
}

/// Pool, binding, database and key.
type Name = (u16, u16, u16, Vec<u8>);

/// One operation of a task that waits.
#[derive(Debug, Clone, Copy)]
struct Waiter {
    task: TaskId,
    number: u32,
    poll_ms: Option<u32>,
}

/// A key with those who wait for it.
#[derive(Debug)]
struct Waited {
    name: Name,
    /// In the order in which they came.
    line: BTreeMap<u64, Waiter>,
    /// A timer runs for the next turn.
    polled: bool,
}

/// Where a waiter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitPlace {
    key: WaitedId,
    ticket: u64,
}

/// The tasks of one worker that wait for keys.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    by_name: HashMap<Name, WaitedId>,
    waited: SlotMap<WaitedId, Waited>,
    tickets: u64,
}

impl Waiters {
    /// Number of keys that are waited for.
    pub(crate) fn keys(&self) -> usize {
        self.waited.len()
    }

    fn add(&mut self, name: Name, waiter: Waiter) -> WaitPlace {
        let key = match self.by_name.get(&name) {
            Some(key) => *key,
            None => {
                let line = BTreeMap::new();
                let key = self.waited.insert(Waited { name: name.clone(), line, polled: false });
                self.by_name.insert(name, key);
                key
            }
        };
        self.tickets += 1;
        let ticket = self.tickets;
        if let Some(waited) = self.waited.get_mut(key) {
            waited.line.insert(ticket, waiter);
        }
        WaitPlace { key, ticket }
    }

    /// Takes one waiter out, if it is there.
    pub(crate) fn forget(&mut self, place: WaitPlace) {
        if let Some(waited) = self.waited.get_mut(place.key) {
            waited.line.remove(&place.ticket);
            if waited.line.is_empty()
                && let Some(over) = self.waited.remove(place.key)
            {
                self.by_name.remove(&over.name);
            }
        }
    }

    /// Takes out all who wait for the key of a notice.
    fn take(&mut self, notice: &Notice) -> impl Iterator<Item = Waiter> + use<> {
        let name = (notice.pool, notice.binding, notice.database, notice.key.clone());
        let waited = self.by_name.remove(&name).and_then(|key| self.waited.remove(key));
        waited.into_iter().flat_map(|waited| waited.line.into_values())
    }

    /// The first in the line who takes turns, and how often.
    fn next_turn(&self, key: WaitedId) -> Option<(Waiter, u32)> {
        let line = self.waited.get(key)?.line.values();
        line.copied().find_map(|waiter| Some((waiter, waiter.poll_ms?)))
    }
}

/// How long a WAIT-KEY may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaitLimits {
    pub(crate) timeout_ms: u32,
    pub(crate) behind_ms: Option<u32>,
    pub(crate) poll_ms: Option<u32>,
}

/// A WAIT-KEY that has no result yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyWait {
    pub(crate) place: WaitPlace,
    /// When it ends if commands stand behind it.
    behind_at_ms: Option<u64>,
    /// When it ends because they do.
    cut_at_ms: Option<u64>,
}

impl KeyWait {
    /// Whether it has ended because commands stand behind it.
    pub(crate) fn is_cut(&self, now_ms: u64) -> bool {
        self.cut_at_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }
}

impl Core {
    /// Registers a WAIT-KEY.
    pub(crate) fn wait_key(&mut self, id: TaskId, number: u32, key: &[u8], limits: WaitLimits) {
        let now_ms = self.clock.now_ms;
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let (pool, binding, client) = (task.pool, task.binding, task.client);
        let database = task.head.db;
        let WaitLimits { timeout_ms, behind_ms, poll_ms } = limits;
        let name = (pool, binding, database, key.to_vec());
        let place = self.waiters.add(name, Waiter { task: id, number, poll_ms });
        let behind_at_ms = behind_ms.map(|ms| now_ms.saturating_add(u64::from(ms)));
        task.open.push((number, Awaiting::Key(KeyWait { place, behind_at_ms, cut_at_ms: None })));
        let at_ms = now_ms.saturating_add(u64::from(timeout_ms)).min(task.deadline_ms);
        self.timers.set(at_ms, Timer::TaskOperation(id, number));
        self.set_turn(place.key);
        let stands_behind = client.is_some_and(|(session, place)| {
            self.sessions.get(session).is_some_and(|session| {
                let more = session.held || session.input_ready || session.closing != Closing::No;
                more || session.pending.has_behind(place)
            })
        });
        if stands_behind {
            self.hurry_task(id);
        }
    }

    /// A command has come behind the waiting calls of this session: they wait no longer than they may then.
    pub(crate) fn hurry_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        if session.tasks.is_empty() {
            return;
        }
        for task in session.tasks.clone() {
            self.hurry_task(task);
        }
    }

    fn hurry_task(&mut self, id: TaskId) {
        let now_ms = self.clock.now_ms;
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        for (number, awaiting) in &mut task.open {
            if let Awaiting::Key(wait) = awaiting
                && wait.cut_at_ms.is_none()
                && let Some(behind_at_ms) = wait.behind_at_ms
            {
                let at_ms = behind_at_ms.max(now_ms);
                wait.cut_at_ms = Some(at_ms);
                self.timers.set(at_ms, Timer::TaskOperation(id, *number));
            }
        }
    }

    /// Sees to it that somebody who waits for `key` gets its turn to look, if any takes turns.
    fn set_turn(&mut self, key: WaitedId) {
        if let Some((_, poll_ms)) = self.waiters.next_turn(key)
            && let Some(waited) = self.waiters.waited.get_mut(key)
            && !waited.polled
        {
            waited.polled = true;
            let at_ms = self.clock.now_ms.saturating_add(u64::from(poll_ms.max(1)));
            self.timers.set(at_ms, Timer::KeyPoll(key));
        }
    }

    /// It is somebody's turn to look.
    pub(crate) fn poll_turn(&mut self, key: WaitedId) {
        if let Some(waited) = self.waiters.waited.get_mut(key) {
            waited.polled = false;
        }
        if let Some((waiter, _)) = self.waiters.next_turn(key) {
            self.settle_task(waiter.task, waiter.number, Status::Timeout, TURN);
            self.set_turn(key);
        }
    }

    /// Wakes the waiters of this worker.
    pub fn notified(&mut self, notice: &Notice) {
        for waiter in self.waiters.take(notice) {
            self.settle_task(waiter.task, waiter.number, Status::Event, &notice.bytes);
        }
        self.run_ready_tasks();
    }

    /// Wakes the waiters of this worker from inside a step, and tells the outer layer to wake the others'.
    pub(crate) fn notify(&mut self, notice: Notice) {
        for waiter in self.waiters.take(&notice) {
            self.settle_task(waiter.task, waiter.number, Status::Event, &notice.bytes);
        }
        self.wake.notices.push(notice);
    }

    /// Number of keys that calls of this worker wait for.
    pub fn keys_waited_for(&self) -> usize {
        self.waiters.keys()
    }
}
