//! Tasks that have what they waited for, and how many of them are stepped at once.
//!
//! ```text
//!   results, timers, notices ─► list ─► pass: step, step, step ... ─► all done, or the pass is long enough:
//!   calls that calls start ──►    ▲                          │        rest for a millisecond, others work meanwhile
//!                                 └── ready again at once ◄──┘
//! ```
//! A step may make its own task ready again (all it asked for was denied) or others (SPAWN), so a plugin could keep a
//! worker busy for ever. Therefore nothing is stepped from inside a step: it joins the end of the list, and a pass
//! ends after a bound of steps or of time. Between two passes timers fire, so a call's deadline holds.

use std::collections::VecDeque;

use crate::core::Core;
use crate::core::ids::TaskId;
use crate::core::plugins::{GONE, cells_of};
use crate::core::timer::Timer;
use crate::limits;
use crate::plugin::given::{Kind, OpResult};
use crate::resp::args::Args;

/// The tasks of a worker that may be stepped.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    list: VecDeque<TaskId>,
    /// A pass was cut: the next one comes with its timer.
    resting: bool,
}

impl Core {
    /// Puts a task into the list of those to step.
    pub(crate) fn make_ready(&mut self, id: TaskId) {
        if let Some(task) = self.tasks.get_mut(id)
            && !task.ready
        {
            task.ready = true;
            self.ready.list.push_back(id);
        }
    }

    /// Puts a task into the list of those to step, if it has what it waits for.
    pub(crate) fn step_if_ready(&mut self, id: TaskId) {
        if self.tasks.get(id).is_some_and(|task| task.may_resume()) {
            self.make_ready(id);
        }
    }

    /// Steps the tasks that have what they waited for. Called at the end of every call into the core.
    pub(crate) fn run_ready_tasks(&mut self) {
        if self.ready.resting {
            return;
        }
        let mut begun_ms = None;
        let mut steps = 0;
        while let Some(id) = self.ready.list.front().copied() {
            let task = self.tasks.get(id).map(|task| (task.pool, task.binding));
            let cells = task.and_then(|(pool, binding)| cells_of(&mut self.pools, pool, binding));
            if let Some(cells) = cells {
                let now_ms = cells.generation().ticks();
                let spent_ms = now_ms.saturating_sub(*begun_ms.get_or_insert(now_ms));
                if steps >= limits::PLUGIN_STEPS_PER_PASS || spent_ms >= limits::PLUGIN_PASS_MS {
                    self.ready.resting = true;
                    return self.timers.set(self.clock.now_ms + 1, Timer::ReadyTasks);
                }
                steps += 1;
            }
            self.ready.list.pop_front();
            self.step_task(id);
        }
    }

    /// The rest after a pass that was cut is over.
    pub(crate) fn end_rest(&mut self) {
        self.ready.resting = false;
    }

    fn step_task(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        task.ready = false;
        if task.call.is_none() {
            self.enter(id);
        } else if task.may_resume() {
            // Not so when an operation had failed before the next one of its batch was under way.
            self.resume(id);
        }
    }

    /// Gives a task's first frame to its plugin.
    pub(crate) fn enter(&mut self, id: TaskId) {
        let clock = self.plugin_clock();
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let Some(cells) = cells_of(&mut self.pools, task.pool, task.binding) else {
            return self.end_task(id, b"-ERR the plugin of this key is not loaded\r\n");
        };
        if task.head.handler == GONE {
            return self.handler_gone(id);
        }
        let limits = &cells.generation().limits;
        // One that begins again, because others have taken its cell with them, has no more time than before.
        if task.deadline_ms == u64::MAX {
            task.deadline_ms = self.clock.now_ms.saturating_add(limits.call_ms);
        }
        task.result_bytes_max = limits.reply_bytes;
        self.timers.set(task.deadline_ms, Timer::TaskDeadline(id));
        let args = Args::new(&task.request, &task.spans);
        let step = cells.start(clock, &task.head, args.from(0)).map(|(call, step)| {
            task.call = Some(call);
            step
        });
        self.take_step(id, step);
    }

    /// The plugin has been swapped, and the new version has no such handler: a hooked command goes on as it came.
    fn handler_gone(&mut self, id: TaskId) {
        let is_hook = self.tasks.get(id).is_some_and(|task| task.head.kind == Kind::Hook);
        if is_hook {
            return self.pass_on(id);
        }
        self.end_task(id, b"-ERR the new version of the plugin has no such command\r\n");
    }

    /// Gives a task's results to its plugin.
    fn resume(&mut self, id: TaskId) {
        let clock = self.plugin_clock();
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let mut results = std::mem::take(&mut task.results);
        let Some(call) = task.call else { return };
        let Some(cells) = cells_of(&mut self.pools, task.pool, task.binding) else {
            return;
        };
        let view = results.iter().map(|held| OpResult {
            number: held.number,
            status: held.status,
            bytes: &held.bytes,
        });
        let step = cells.resume(clock, call, view);
        for held in results.drain(..) {
            self.spare.give(held.bytes);
        }
        // The list goes back before the step fills it again.
        task.results = results;
        self.take_step(id, step);
    }
}
