//! Who waits for which key.
//!
//! WAIT-KEY registers a task here and NOTIFY wakes all that are registered for the key, per binding. Waiters are
//! those of this worker; a NOTIFY goes to the other workers as a `Notice` through their inboxes, only while one of
//! them has a waiter (the count is the outer layer's). Keys are the plugin's own words and touch no data.

use std::collections::HashMap;

use crate::core::Core;
use crate::core::ids::{SessionId, TaskId};
use crate::core::task::Awaiting;
use crate::core::timer::Timer;
use crate::plugin::frame::Status;

/// A NOTIFY on its way to other workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Index of the pool.
    pub pool: u16,
    /// Index of the binding in the pool.
    pub binding: u16,
    /// What is waited for.
    pub key: Vec<u8>,
    /// What the waiters are told.
    pub bytes: Vec<u8>,
}

/// Pool, binding and key.
type Name = (u16, u16, Vec<u8>);

/// The tasks of one worker that wait for keys, each with the number of its operation.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    by_key: HashMap<Name, Vec<(TaskId, u32)>>,
}

impl Waiters {
    /// Number of keys that are waited for.
    pub(crate) fn keys(&self) -> usize {
        self.by_key.len()
    }

    fn add(&mut self, pool: u16, binding: u16, key: Vec<u8>, task: TaskId, number: u32) {
        self.by_key.entry((pool, binding, key)).or_default().push((task, number));
    }

    /// Takes one waiter out, if it is there.
    pub(crate) fn forget(
        &mut self,
        pool: u16,
        binding: u16,
        key: &[u8],
        task: TaskId,
        number: u32,
    ) {
        let name = (pool, binding, key.to_vec());
        if let Some(waiting) = self.by_key.get_mut(&name) {
            waiting.retain(|waiter| *waiter != (task, number));
            if waiting.is_empty() {
                self.by_key.remove(&name);
            }
        }
    }

    fn take(&mut self, notice: &Notice) -> Vec<(TaskId, u32)> {
        let name = (notice.pool, notice.binding, notice.key.clone());
        self.by_key.remove(&name).unwrap_or_default()
    }
}

/// How long a WAIT-KEY may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaitLimits {
    pub(crate) timeout_ms: u32,
    pub(crate) behind_ms: Option<u32>,
}

impl Core {
    /// Registers a WAIT-KEY.
    pub(crate) fn wait_key(&mut self, id: TaskId, number: u32, key: &[u8], limits: WaitLimits) {
        let now_ms = self.clock.now_ms;
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let hurried = false;
        task.open.push((
            number,
            Awaiting::Key {
                key: key.to_vec(),
                behind_ms: limits.behind_ms,
                since_ms: now_ms,
                hurried,
            },
        ));
        let (pool, binding, session) = (task.pool, task.binding, task.client());
        let at_ms = now_ms.saturating_add(u64::from(limits.timeout_ms)).min(task.deadline_ms);
        self.waiters.add(pool, binding, key.to_vec(), id, number);
        self.timers.set(at_ms, Timer::TaskOperation(id, number));
        let stands_behind = session.is_some_and(|(session, place)| {
            self.sessions.get(session).is_some_and(|session| {
                session.pending.has_behind(place) || session.held || session.input_ready
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
            if let Awaiting::Key { behind_ms: Some(behind_ms), since_ms, hurried, .. } = awaiting
                && !*hurried
            {
                *hurried = true;
                let at_ms = (*since_ms + u64::from(*behind_ms)).max(now_ms);
                self.timers.set(at_ms, Timer::TaskOperation(id, *number));
            }
        }
    }

    /// Wakes the waiters of this worker.
    pub fn notified(&mut self, notice: &Notice) {
        for (task, number) in self.waiters.take(notice) {
            self.settle_task(task, number, Status::Event, &notice.bytes);
        }
        self.run_ready_tasks();
    }

    /// Wakes the waiters of this worker from inside a step, and tells the outer layer to wake the others'.
    pub(crate) fn notify(&mut self, notice: Notice) {
        for (task, number) in self.waiters.take(&notice) {
            self.settle_task(task, number, Status::Event, &notice.bytes);
        }
        self.wake.notices.push(notice);
    }

    /// Number of keys that calls of this worker wait for.
    pub fn keys_waited_for(&self) -> usize {
        self.waiters.keys()
    }
}
